"""What one would write without isotune, one function a task: a folder of images in, the test accuracy out.

    python benchmarks/by_hand.py torchvision probe FOLDER WEIGHTS
    python benchmarks/by_hand.py keras tune FOLDER WEIGHTS --epochs 2

FOLDER has train/CLASS and test/CLASS; WEIGHTS are the library's own file for MobileNetV2 without a classifier's
(`isotune transfer`). `probe`: features of all images, then scikit-learn's logistic regression, of whose strengths
(those of the protocol linear-probe) a held-out fifth chooses one. `tune`: all layers, SGD with Nesterov momentum,
cosine after a warm-up, as in the protocol fine-tune-sgd, without augmentation. Nothing here imports isotune.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

L2 = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
RATE, WARM_UP, DECAY = 0.01, 8, 1e-4


def rate(step: int, steps: int) -> float:
    """Share of the peak: up in equal parts, then half a cosine."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / (steps - WARM_UP)))


def probe(train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray) -> float:
    """Accuracy of the logistic regression on features [N, D]."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import train_test_split

    def fitted(features: np.ndarray, labels: np.ndarray, l2: float) -> Any:
        return LogisticRegression(C=1 / (l2 * len(labels)), max_iter=1000).fit(features, labels)

    some, held, some_labels, held_labels = train_test_split(
        train, labels, test_size=0.2, stratify=labels, random_state=0
    )
    best = min(L2, key=lambda l2: log_loss(held_labels, fitted(some, some_labels, l2).predict_proba(held)))
    return float((fitted(train, labels, best).predict(test) == truth).mean())


def torch_loader(folder: Path, part: str, workers: int, size: int, batch: int) -> Any:
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    transform = transforms.Compose(
        [
            transforms.Resize((size, size)),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    images = ImageFolder(str(folder / part), transform)
    training = part == "train"
    return DataLoader(images, batch, shuffle=training, drop_last=training, num_workers=workers)


def torch_network(library: str, weights: Path, classes: int) -> Any:
    """classes: 0 gives features."""
    import torch
    from torch import nn

    if library == "timm":
        import timm

        net = timm.create_model("mobilenetv2_100", num_classes=0)
        net.reset_classifier(classes)  # drawn as nn.Linear draws; create_model(num_classes=) draws U(+-1/sqrt(classes))
    else:
        import torchvision

        net = torchvision.models.mobilenet_v2(dropout=0.0)
        net.classifier = nn.Linear(1280, classes) if classes else nn.Identity()
    net.load_state_dict(torch.load(weights, weights_only=True), strict=False)
    return net


def torch_probe(library: str, folder: Path, weights: Path, workers: int, size: int, batch: int) -> float:
    import torch

    net = torch_network(library, weights, 0).eval()
    found = []
    for part in ("train", "test"):
        loader = torch_loader(folder, part, workers, size, batch)
        if part == "train":  # every image, once
            loader = torch.utils.data.DataLoader(loader.dataset, batch, num_workers=workers)
        with torch.inference_mode():
            pairs = [(net(images), labels) for images, labels in loader]
        found += [torch.cat(each).numpy() for each in zip(*pairs, strict=True)]
    return probe(*found)


def torch_tune(library: str, folder: Path, weights: Path, workers: int, size: int, batch: int, epochs: int) -> float:
    import torch

    loader, test = (torch_loader(folder, part, workers, size, batch) for part in ("train", "test"))
    net = torch_network(library, weights, 10).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=0.9, nesterov=True, weight_decay=DECAY)
    steps = epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps))
    for _ in range(epochs):
        losses = []
        for images, labels in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(images), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    net.eval()
    with torch.inference_mode():
        right = sum(int((net(images).argmax(1) == labels).sum()) for images, labels in test)
    return right / len(test.dataset)


def keras_images(folder: Path, part: str, size: int, batch: int, *, shuffle: bool) -> Any:
    import keras

    return keras.utils.image_dataset_from_directory(
        folder / part,
        label_mode="int",
        image_size=(size, size),
        batch_size=batch,
        shuffle=shuffle,
        seed=0,
        verbose=False,
    )


def keras_network(weights: Path, size: int, classes: int) -> Any:
    import keras

    body = keras.applications.MobileNetV2(
        include_top=False, weights=str(weights), pooling="avg", input_shape=(size, size, 3)
    )
    layers = [keras.layers.Rescaling(1 / 127.5, offset=-1), body]
    return keras.Sequential([*layers, keras.layers.Dense(classes)] if classes else layers)


def keras_probe(library: str, folder: Path, weights: Path, workers: int, size: int, batch: int) -> float:
    net = keras_network(weights, size, 0)
    found = []
    for part in ("train", "test"):
        images = keras_images(folder, part, size, batch, shuffle=False)
        labels = np.concatenate([each for _, each in images.as_numpy_iterator()])
        found += [net.predict(images, verbose=0), labels]
    return probe(*found)


def keras_tune(library: str, folder: Path, weights: Path, workers: int, size: int, batch: int, epochs: int) -> float:
    import keras

    images, test = (keras_images(folder, part, size, batch, shuffle=part == "train") for part in ("train", "test"))
    net = keras_network(weights, size, 10)
    steps = epochs * len(images)
    schedule = keras.optimizers.schedules.CosineDecay(0.0, steps - WARM_UP, warmup_target=RATE, warmup_steps=WARM_UP)
    net.compile(
        keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True, weight_decay=DECAY),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    net.fit(images, epochs=epochs, verbose=0)
    return float(net.evaluate(test, verbose=0)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("library", choices=("torchvision", "timm", "keras"))
    parser.add_argument("task", choices=("probe", "tune"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--size", type=int, default=96, help="pixels")
    parser.add_argument("--batch", type=int, default=64, help="images")
    parser.add_argument("--workers", type=int, default=0, help="of torch's DataLoader; its own default is 0")
    options = parser.parse_args()
    made = keras_probe if options.library == "keras" else torch_probe
    further: tuple[int, ...] = ()
    if options.task == "tune":
        made, further = (keras_tune if options.library == "keras" else torch_tune), (options.epochs,)
    sizes = options.size, options.batch
    accuracy = made(options.library, options.folder, options.weights, options.workers, *sizes, *further)
    print(json.dumps({"accuracy": accuracy}))


if __name__ == "__main__":
    main()
