"""What does an evaluation of a classifier cost beside the bare library?

    python benchmarks/validation/speed/own_classifier.py --claims CLAIM.toml --out reports/evaluation-speed.md

1,000 images of 96 pixels, uint8, through `mobilenet_v2` with random weights and its 1,000 outputs, 64 at a time, from
the images to the scores. By hand: scaled, through the library's own network (a torch loop under `no_grad`, Keras's
`predict`), the greatest of ten outputs, the accuracy. Torch's batches are contiguous, as `ToTensor` and a `DataLoader`
make them; an array that is only permuted is channels_last, which is faster, and a mode of isotune's. isotune: what a
cell does with the images, columns of ten classes, every score. Both in one process, in turn; the first round, which
compiles, is not counted. Goal: 1.2 at most.

--claims: claim files, with what they name beside them; `isotune verify` of each is timed as a command, with an empty
cache and store. Goal: 30 s at most for 1,000 images.

Writes markdown tables, of the first medians of seconds, and of the ratios of rounds with their range; without --out it
prints them. What else the machine did is said by its load average, since a ratio of neighbouring rounds stands it
better than seconds do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from isotune.models.building import Builder
from isotune.protocols import Mode, OwnClassifier
from isotune.runs import scores, training
from isotune.runs.own_classifier import classes
from isotune.workers.environment import machine, versions
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


def evaluations(libraries: list[str], count: int) -> str:
    lines = ["| library | by hand s | isotune s | isotune / by hand |", "| --- | ---: | ---: | ---: |"]
    for library in libraries:
        worker = WorkerProcess(library, environment={"PYTHONPATH": str(Path(__file__).parent)})
        try:
            taken = worker.ask("own_classifier:rounds", library=library, count=count)
        finally:
            worker.stop()
        ratios = sorted(ours / hand for hand, ours in taken)
        hand, ours = (median(each[place] for each in taken) for place in (0, 1))
        shown = f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        lines.append(f"| {library} | {hand:.2f} | {ours:.2f} | {shown} |")
    return "\n".join(lines)


def verifications(claims: list[Path]) -> str:
    lines = ["| claim | model | s | |", "| --- | --- | ---: | --- |"]
    for claim in claims:
        with tempfile.TemporaryDirectory(prefix="isotune-verify-") as folder:
            place = shutil.copytree(claim.absolute().parent, Path(folder) / "claims", ignore=_largest)
            command = [sys.executable, "-m", "isotune.cli", "verify", claim.name, "--store", f"{folder}/store"]
            environment = os.environ | {"ISOTUNE_CACHE": f"{folder}/cache"}
            began = time.perf_counter()
            done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
            seconds = time.perf_counter() - began
            outcome = {0: "reproduced", 1: "different", 3: "inconclusive"}.get(done.returncode, "failed")
        model = tomllib.loads(claim.read_text(encoding="utf-8"))["model"]
        lines.append(f"| {claim.stem} | `{model}` | {seconds:.1f} | {outcome} |")
    return "\n".join(lines)


def _largest(_: str, names: list[str]) -> list[str]:
    """What no claim names: images as they were downloaded."""
    return [name for name in names if "." not in name]


def report(parts: list[str], loads: tuple[float, float], command: str) -> str:
    facts = {**machine(), **versions(*MODELS)}
    evidence = ", ".join(f"{key} {value}" for key, value in facts.items() if key != "memory")
    about = f"""# What an evaluation costs

{IMAGES:,} images of {SIZE} pixels through a checkpoint's own classifier, `mobilenet_v2` with 1,000 outputs: isotune,
with every score, beside a loop by hand over the bare library, in one process, in turn, batches of {BATCH}. Medians of
seconds, and of the ratios of rounds with their range. Goal: 1.2 at most.
"""
    if len(parts) > 1:
        parts = [parts[0], "`isotune verify`, from the command to its end, with an empty cache. Goal: 30 s.", parts[1]]
    load = f"Load average of the machine {loads[0]:.1f} before, {loads[1]:.1f} after"
    return "\n\n".join([about.rstrip(), *parts, f"{load}. Made by `{command}`. {evidence}."]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--libraries", default=",".join(MODELS))
    parser.add_argument("--claims", type=Path, nargs="+", default=[], metavar="CLAIM.toml")
    parser.add_argument("--out", type=Path, help="where the report goes")
    asked = parser.parse_args()
    before = os.getloadavg()[0]
    parts = [evaluations(asked.libraries.split(","), asked.rounds)]
    if asked.claims:
        parts.append(verifications(asked.claims))
    claims = f" --claims {' '.join(each.name for each in asked.claims)}" if asked.claims else ""
    given = f"--rounds {asked.rounds}{claims} --out {asked.out}"
    text = report(parts, (before, os.getloadavg()[0]), f"python benchmarks/validation/speed/own_classifier.py {given}")
    if asked.out:
        asked.out.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
