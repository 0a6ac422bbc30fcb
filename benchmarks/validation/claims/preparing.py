"""What isotune reads, made of the files as they were published: test images as NumPy archives, without a change to a
pixel, and ConvNetJS's weights as a state dict."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_SIDE = 32  # pixels of a CIFAR-10 image


def prepare(folder: Path) -> None:
    """Write the archives and the weights beside the files that `gathering.gather` laid there."""
    _archive(folder / "mnist-test.npz", *_mnist(folder), tuple("0123456789"))
    _archive(folder / "cifar10-first-1000.npz", *_convnetjs_images(folder), CIFAR10)
    _archive(folder / "mlperf-tiny-ic.npz", *_stimuli(folder / "ic01", _SIDE), CIFAR10)
    _archive(folder / "mlperf-tiny-vww.npz", *_stimuli(folder / "vww01", 96), ("no person", "person"))
    network = json.loads((folder / "cifar10_snapshot.json").read_text(encoding="utf-8"))
    save_file(convnetjs_weights(network), folder / "convnetjs.safetensors")


def _archive(file: Path, images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> None:
    np.savez(file, x_test=images, y_test=labels, classes=np.array(classes))


def _mnist(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The 10,000 test images, uint8 [N, 28, 28], and their labels."""
    images, labels = (
        gzip.decompress((folder / f"t10k-{name}-ubyte.gz").read_bytes()) for name in ("images-idx3", "labels-idx1")
    )
    return np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28), np.frombuffer(labels, np.uint8, offset=8)


def _convnetjs_images(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The first 1,000 test images of CIFAR-10, as ConvNetJS's page has them: an image a row of a PNG; uint8
    [1000, 32, 32, 3]. Its labels are those of 50,000 training images and these."""
    rows = np.asarray(Image.open(folder / "cifar10_batch_50.png").convert("RGB"))
    text = (folder / "cifar10_labels.js").read_text(encoding="utf-8")
    labels = json.loads(text[text.index("[") : text.rindex("]") + 1])
    return rows.reshape(-1, _SIDE, _SIDE, 3), np.array(labels[-len(rows) :])


def _stimuli(folder: Path, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Raw RGB files of the MLPerf Tiny benchmark's runner, in the order of its list: file, number of classes, class."""
    with (folder / "y_labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row]
    images = [np.fromfile(folder / row[0].strip(), np.uint8).reshape(side, side, 3) for row in rows]
    return np.stack(images), np.array([int(row[2]) for row in rows])


def convnetjs_weights(network: dict[str, Any]) -> dict[str, np.ndarray]:
    """Of ConvNetJS's `Net.toJSON`, float32: filters as torch has them, [outputs, inputs, height, width].

    ConvNetJS lays out a volume by height, width, channel (src/convnet_vol.js), filters and what a dense layer takes.
    """
    layers = [layer for layer in network["layers"] if layer["layer_type"] in ("conv", "fc")]
    state, channels = {}, 0
    for number, layer in enumerate(layers):
        filters = np.stack([_numbers(each["w"]) for each in layer["filters"]])
        if layer["layer_type"] == "conv":
            channels = layer["out_depth"]
            filters = filters.reshape(channels, layer["sy"], layer["sx"], layer["in_depth"]).transpose(0, 3, 1, 2)
        else:
            side = round((filters.shape[1] / channels) ** 0.5)
            filters = filters.reshape(-1, side, side, channels).transpose(0, 3, 1, 2).reshape(len(filters), -1)
        state[f"{number}.weight"] = np.ascontiguousarray(filters, np.float32)
        state[f"{number}.bias"] = _numbers(layer["biases"]["w"]).astype(np.float32)
    return state


def _numbers(written: list[float] | dict[str, float]) -> np.ndarray:
    """A typed array, which JSON writes as {"0": ..., "1": ...}."""
    values = written if isinstance(written, list) else [written[str(place)] for place in range(len(written))]
    return np.array(values, np.float64)
