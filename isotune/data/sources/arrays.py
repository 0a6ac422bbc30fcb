"""Data sets that come as arrays: scikit-learn's digits, Fashion-MNIST's IDX files, NumPy archives."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from isotune import cache, reading
from isotune.data.sources.download import download
from isotune.data.sources.source import Described, Source
from isotune.data.writing import MOST_CLASSES, Writer, numbered_classes
from isotune.errors import UsageError
from isotune.progress import Progress
from isotune.reading.arrays import archive, archived


class Digits(Source):
    """scikit-learn's copy of the UCI digits: 1,797 greyscale images of 8 x 8 pixels, in ten classes.

    The first 1,000 are for training, the last 797 for testing. Values 0..16 become round(x * 255 / 16).
    """

    name = "digits"
    origin = "comes with scikit-learn"
    offline = True

    def write(self, writer: Writer, *, skip_unreadable: bool, progress: Progress) -> Described:
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = np.rint(digits.images * 255 / 16).astype(np.uint8)[..., np.newaxis]
        writer.arrays("train", images[:1000], digits.target[:1000])
        writer.arrays("test", images[1000:], digits.target[1000:])
        return Described(tuple(str(name) for name in digits.target_names), "values 0..16 scaled to 0..255")


class FashionMnist(Source):
    """Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 60,000 and 10,000 greyscale images of 28 x 28 pixels.

    Read from where Debian's package dataset-fashion-mnist puts it, otherwise downloaded. What is read is
    checked by the SHA-256 of the decompressed files: Debian compresses them again.
    """

    name = "fashion-mnist"
    installed = Path("/usr/share/datasets/fashion-mnist")
    url = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"  # torchvision.datasets.FashionMNIST.mirrors
    classes = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
    files = {  # noqa: RUF012 - name of the file: SHA-256 of what it decompresses to
        "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    }

    @property
    def offline(self) -> bool:  # type: ignore[override]
        return all((self._place(file)).exists() for file in self.files)

    @property
    def origin(self) -> str:  # type: ignore[override]
        return str(self.installed) if self.installed.is_dir() else self.url

    def write(self, writer: Writer, *, skip_unreadable: bool, progress: Progress) -> Described:
        for prefix, split in (("train", "train"), ("t10k", "test")):
            images = self._idx(f"{prefix}-images-idx3-ubyte.gz", progress)
            labels = self._idx(f"{prefix}-labels-idx1-ubyte.gz", progress)
            writer.arrays(split, images[..., np.newaxis], labels)
        return Described(self.classes)

    def _place(self, file: str) -> Path:
        installed = self.installed / file
        return installed if installed.exists() else cache.root() / "sources" / self.name / file

    def _idx(self, file: str, progress: Progress) -> np.ndarray:
        path = self._place(file)
        if not path.exists():
            download(
                self.url + file, path, name=self.name, advice="apt-get install dataset-fashion-mnist",
                check=partial(self._published, file), progress=progress,
            )  # fmt: skip
        content = self._published(file, path)
        dimensions = content[3]  # IDX: 0, 0, type, number of dimensions; then the dimensions, big-endian int32
        shape = np.frombuffer(content, ">i4", dimensions, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)

    def _published(self, file: str, path: Path) -> bytes:
        """What a file decompresses to. UsageError: it is not what was published under the name `file`."""
        content = reading.gunzipped(path, 64 * reading.MIB)
        if hashlib.sha256(content).hexdigest() != self.files[file]:
            raise UsageError(f"{path}: not the published file (its SHA-256 differs); remove or reinstall it")
        return content


class Npz(Source):
    """A NumPy archive: `x_train`, `x_test` uint8 [N, H, W, 3] (or [N, H, W, 1], [N, H, W]), `y_train`, `y_test`
    integers [N]; `classes`, strings, if it has them. With a test part alone it is to evaluate classifiers on."""

    offline = True
    keys = ("x_train", "y_train", "x_test", "y_test")

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.origin, self.path = name, str(path), path

    def identity(self) -> dict[str, Any]:
        try:
            status = self.path.stat()
        except OSError as error:
            raise UsageError(f"data set {self.name}: {self.path}: {error.strerror}") from None
        return {"path": str(self.path.resolve()), "size": status.st_size, "modified": status.st_mtime_ns}

    def write(self, writer: Writer, *, skip_unreadable: bool, progress: Progress) -> Described:
        arrays = self._read()
        splits = [split for split in ("train", "test") if f"x_{split}" in arrays]
        labels = {split: self._labels(arrays[f"y_{split}"], f"y_{split}") for split in splits}
        if "train" not in splits:
            writer.empty("train")
        for split in splits:
            images = self._images(arrays[f"x_{split}"], f"x_{split}")
            if len(images) != len(labels[split]):
                raise self._wrong(f"x_{split} holds {len(images)} images, y_{split} {len(labels[split])} labels")
            writer.arrays(split, images, labels[split])
        if "classes" in arrays:
            return Described(tuple(str(name) for name in arrays["classes"].ravel()[: MOST_CLASSES + 1]))
        return Described(numbered_classes(self.name, *labels.values()))

    def _read(self) -> dict[str, np.ndarray]:
        where = f"data set {self.name}: {self.path}"
        tested = archived(self.path, where) <= {*self.keys[2:], "classes"}
        return archive(self.path, self.keys[2:] if tested else self.keys, ("classes",), where)

    def _images(self, images: np.ndarray, key: str) -> np.ndarray:
        if images.dtype != np.uint8:
            raise self._wrong(f"{key} is {images.dtype}; images must be uint8, 0..255")
        images = images[..., np.newaxis] if images.ndim == 3 else images
        if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape[1:]:
            raise self._wrong(f"{key} has the shape {images.shape}; it must be [N, H, W, 3], [N, H, W, 1] or [N, H, W]")
        return images

    def _labels(self, labels: np.ndarray, key: str) -> np.ndarray:
        labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
            raise self._wrong(f"{key} must be [N] integers from 0 on; it is {labels.dtype} {list(labels.shape)}")
        return labels.astype(np.int64)

    def _wrong(self, what: str) -> UsageError:
        return UsageError(f"data set {self.name}: {self.path}: {what}")
