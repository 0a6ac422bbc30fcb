"""What does an evaluation of a classifier cost beside the bare library?

    python benchmarks/validation/speed/own_classifier.py --rounds 5

1,000 images of 96 pixels, uint8, through `mobilenet_v2` with random weights and its 1,000 outputs, 64 at a time, from
the images to the scores. By hand: scaled, through the library's own network (a torch loop under `no_grad`, Keras's
`predict`), the greatest of ten outputs, the accuracy. Torch's batches are contiguous, as `ToTensor` and a `DataLoader`
make them; an array that is only permuted is channels_last, which is faster, and a mode of isotune's. isotune: what a
cell does with the images, columns of ten classes, every score. Both in one process, in turn; the first round, which
compiles, is not counted. Prints a markdown table: medians of seconds, and of the ratios of rounds with their range.
Goal: 1.2 at most.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from isotune.models.building import Builder
from isotune.protocols import Mode, OwnClassifier
from isotune.runs import scores, training
from isotune.runs.own_classifier import classes
from isotune.workers.process import WorkerProcess
from isotune.workers.worker import Worker

SIZE, BATCH, IMAGES, CLASSES = 96, 64, 1000, 10
MODELS = {"torchvision": "mobilenet_v2", "timm": "mobilenetv2_100", "keras": "MobileNetV2"}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def by_hand(library: str, images: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    """The evaluation as a user of the library writes it; it gives the accuracy."""
    if library == "keras":
        import keras

        model = keras.applications.MobileNetV2((SIZE, SIZE, 3), weights=None, classifier_activation=None)

        def of_keras() -> float:
            scaled = keras.applications.mobilenet_v2.preprocess_input(images.astype(np.float32))
            logits = model.predict(scaled, batch_size=BATCH, verbose=0)
            return float((logits[:, :CLASSES].argmax(axis=1) == labels).mean())

        return of_keras
    import torch

    if library == "timm":
        import timm

        net = timm.create_model(MODELS[library]).eval()
    else:
        import torchvision

        net = torchvision.models.get_model(MODELS[library]).eval()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))

    def of_torch() -> float:
        right = 0
        with torch.no_grad():
            for start in range(0, IMAGES, BATCH):
                batch = torch.from_numpy(images[start : start + BATCH]).permute(0, 3, 1, 2).contiguous().float() / 255
                logits = net((batch - mean) / std)
                right += int((logits[:, :CLASSES].argmax(1).numpy() == labels[start : start + BATCH]).sum())
        return right / IMAGES

    return of_torch


def rounds(worker: Worker, library: str, count: int) -> list[tuple[float, float]]:
    """In a worker: seconds by hand and by isotune, round by round."""
    stream = np.random.default_rng(0)
    images = stream.integers(0, 256, (IMAGES, SIZE, SIZE, 3), dtype=np.uint8)
    labels = stream.integers(0, CLASSES, IMAGES)
    built = worker.kept(Builder).build(
        f"{library}:{MODELS[library]}", checkpoint="random:0", conventions="native", recipe={}, classes=1000,
        mode=Mode(), size=SIZE,
    )  # fmt: skip
    names = [f"class {number}" for number in range(1000)]

    def ours() -> float:
        logits = training.logits_in_batches(built.model, images, BATCH, lambda *_: None)
        columns = classes.columns(
            names[:CLASSES], logits.shape[1], names, OwnClassifier(), dataset="images", who="the model"
        )
        cut = columns.of(logits)
        scores.top5(cut, labels)
        scores.confusion(cut.argmax(axis=1), labels, CLASSES)
        return float(scores.scores(cut, labels)["accuracy"])

    sides = (by_hand(library, images, labels), ours)
    seconds = []
    for turn in range(count + 1):
        taken = {}
        for place in (0, 1) if turn % 2 else (1, 0):
            began = time.perf_counter()
            sides[place]()
            taken[place] = time.perf_counter() - began
        seconds.append((taken[0], taken[1]))
    return seconds[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--libraries", default=",".join(MODELS))
    asked = parser.parse_args()
    print("| library | by hand s | isotune s | isotune / by hand |\n| --- | ---: | ---: | ---: |")
    for library in asked.libraries.split(","):
        worker = WorkerProcess(library, environment={"PYTHONPATH": str(Path(__file__).parent)})
        try:
            taken = worker.ask("own_classifier:rounds", library=library, count=asked.rounds)
        finally:
            worker.stop()
        ratios = sorted(ours / hand for hand, ours in taken)
        hand, ours = (median(each[place] for each in taken) for place in (0, 1))
        shown = f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {library} | {hand:.2f} | {ours:.2f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
