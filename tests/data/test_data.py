"""Preparing data sets: once, whole, the same everywhere; damage is noticed and mended; bad input in one line."""

from __future__ import annotations

import gzip
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from isotune import data, sealing
from isotune.data import _preparing
from isotune.data.sources.arrays import FashionMnist
from isotune.errors import NotCached, UsageError


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def archive(path: Path, **changes: object) -> Path:
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (12, 6, 5, 3), dtype=np.uint8),
        "y_train": np.arange(12) % 3,
        "x_test": rng.integers(0, 256, (6, 6, 5, 3), dtype=np.uint8),
        "y_test": np.arange(6) % 3,
    } | changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def test_digits_are_scikit_learns_scaled_to_eight_bits() -> None:
    from sklearn.datasets import load_digits

    dataset = data.prepare("digits")
    assert (len(dataset.train), len(dataset.test)) == (1000, 797)
    assert dataset.classes == tuple("0123456789")
    raw = load_digits()
    assert np.array_equal(dataset.train.labels, raw.target[:1000])
    assert np.array_equal(dataset.test.image(5)[..., 2], np.rint(raw.images[1005] * 255 / 16))
    assert dataset.train.labels.dtype == np.int64
    assert dataset.train.image(0).dtype == np.uint8


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    """A known value: it must change with the content alone, not with versions, names or machines."""
    assert data.prepare("digits").digest == "3665857d127b8da0c24a9a5a6950f688d43a31b354a385e710577e147179f864"
    one, same, other = (archive(tmp_path / f"{name}.npz") for name in ("one", "same", "other"))
    archive(other, y_test=np.array([0, 1, 2, 0, 2, 1]))
    digests = [data.prepare(f"npz:{path}").digest for path in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]
    named = archive(tmp_path / "named.npz", classes=np.array(["x", "y", "z"]))
    assert data.prepare(f"npz:{named}").digest not in digests
    assert data.prepare(f"npz:{named}").classes == ("x", "y", "z")


def test_it_is_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = data.prepare("digits")

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError

    monkeypatch.setattr(_preparing, "_prepared", never)
    second = data.prepare("digits")
    assert (second.digest, second.folder, second.classes, second.note) == (
        first.digest,
        first.folder,
        first.classes,
        first.note,
    )
    assert data.load("digits", first.digest).digest == first.digest


@pytest.mark.parametrize("file", ["train.images.npy", "test.labels.npy", "classes.json", "seal.json", "about.json"])
@pytest.mark.parametrize("damage", ["changed", "truncated", "removed", "emptied"])
def test_a_damaged_cache_is_noticed_named_and_made_again(
    file: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = data.prepare("digits")
    path = dataset.folder / file
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes({"changed": content, "truncated": content[:-9], "emptied": b""}[damage])
    with pytest.raises(UsageError, match=r"damaged cache.*isotune prepare"):
        data.load("digits", dataset.digest)
    with caplog.at_level(logging.WARNING, "isotune"):
        again = data.prepare("digits")
    assert any(str(dataset.folder) in message and "digits" in message for message in caplog.messages)
    assert again.digest == dataset.digest
    assert data.prepare("digits", verify=True).digest == dataset.digest


@pytest.mark.parametrize("small", [1 << 23, 0])
def test_damage_that_leaves_size_and_time_is_found(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SMALL", small)
    dataset = data.prepare("digits")
    path = dataset.folder / "train.images.npy"
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(UsageError, match="damaged"):
        data.load("digits", dataset.digest)


def test_a_damaged_entry_is_made_again(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = data.prepare("digits")
    (entry,) = (place / "datasets").glob("digits-*.json")
    entry.write_text('{"digest": 3')
    assert data.prepare("digits").digest == dataset.digest
    assert any(str(entry) in message for message in caplog.messages)
    assert json.loads(entry.read_text())["dataset"] == dataset.digest


def test_a_preparation_that_fails_leaves_nothing(place: Path, tmp_path: Path) -> None:
    bad = archive(tmp_path / "bad.npz", y_train=np.arange(12))
    with pytest.raises(UsageError):
        data.prepare(f"npz:{archive(bad, y_test=np.full(6, 20))}")
    assert [path for path in (place / "datasets").iterdir() if not path.name.endswith(".lock")] == []


def test_a_digest_that_is_not_there_names_the_command() -> None:
    for digest in ("0" * 64, "../../etc"):
        with pytest.raises(UsageError, match="isotune prepare --datasets digits"):
            data.load("digits", digest)


def test_no_framework_is_imported() -> None:
    program = (
        "import sys; from isotune import data; d = data.prepare('digits');"
        "from isotune.protocols import Images, Input; data.inputs(d, 'test', Images(test=20), Input(size=32));"
        "print([name for name in ('torch', 'tensorflow', 'keras', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digit", "did you mean 'digits'?"),
        ("Fashion-MNIST", "did you mean 'fashion-mnist'?"),
        ("", "is unknown"),
        ("imagefolder", "write imagefolder:PATH"),
        ("imagefolder:", "write imagefolder:PATH"),
        ("imagefoldr:/tmp", "is unknown"),
        ("digits:3", "is unknown"),
        ("torchvision:", "write torchvision:NAME"),
        ("torchvision:MNIST:train", "'train' is not option=value"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        data.prepare(name)
    assert message in str(caught.value)


def test_every_name_is_listed() -> None:
    assert {"digits", "fashion-mnist", "cifar10", "cifar100", "flowers102", "oxford-pets", "food101", "dtd"} <= set(
        data.names()
    )
    assert {"eurosat", "imagenet", "torchvision:NAME", "tfds:NAME", "imagefolder:PATH", "npz:PATH"} <= set(data.names())


def test_describe_tells_what_is_there_without_preparing(place: Path) -> None:
    assert not data.describe("digits").cached
    assert data.describe("digits").offline
    assert not data.describe("cifar10").offline
    dataset = data.prepare("digits")
    there = data.describe("digits")
    assert (there.cached, there.where, there.digest) == (True, str(dataset.folder), dataset.digest)
    assert data.status()["digits"] == f"prepared: {dataset.folder}"
    assert data.status()["cifar10"].startswith("to be downloaded")


def test_a_cache_that_cannot_be_written_is_named(place: Path) -> None:
    place.write_text("")
    with pytest.raises(UsageError, match=str(place)):
        data.prepare("digits")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": None}, "x_train is missing; did you mean"),
        ({"x_train": np.zeros((12, 6, 5, 3), np.float32)}, "x_train is float32; images must be uint8"),
        ({"x_train": np.zeros((12, 3, 6, 5), np.uint8)}, "it must be [N, H, W, 3]"),
        ({"x_test": np.zeros((5, 6, 5, 3), np.uint8)}, "5 images, y_test 6 labels"),
        ({"y_test": np.arange(6) / 2}, "y_test must be [N] integers"),
        ({"y_test": np.arange(6) - 1}, "y_test must be [N] integers from 0 on"),
        ({"y_test": np.full(6, 7)}, "class '7' has test images but no training image"),
        ({"y_train": np.zeros(12, int), "y_test": np.zeros(6, int)}, "at least two"),
        ({"y_train": np.array([None] * 12)}, "without pickles"),
        ({"classes": np.array(["a", "b"])}, "not within 0..1 of its 2 classes"),
        ({"x_test": np.zeros((0, 6, 5, 3), np.uint8), "y_test": np.zeros(0, int)}, "no test images"),
    ],
)
def test_an_archive_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        data.prepare(f"npz:{archive(tmp_path / 'set.npz', **changes)}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "set.npz")
    path.write_bytes(path.read_bytes()[:300])
    np.save(tmp_path / "one.npy", np.arange(3))
    (tmp_path / "text.npz").write_text("text")
    for name in ("set.npz", "one.npy", "text.npz", "nowhere.npz"):
        with pytest.raises(UsageError, match=name):
            data.prepare(f"npz:{tmp_path / name}")


def test_grey_archives_and_column_labels_are_understood(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (12, 6, 5), dtype=np.uint8)
    dataset = data.prepare(f"npz:{archive(tmp_path / 'a.npz', x_train=grey, y_train=np.arange(12)[:, None] % 3)}")
    assert np.array_equal(dataset.train.image(3), np.repeat(grey[3][..., None], 3, axis=-1))
    assert dataset.train.labels.tolist() == [i % 3 for i in range(12)]


@pytest.mark.skipif(not FashionMnist.installed.is_dir(), reason="needs: apt-get install dataset-fashion-mnist")
def test_fashion_mnist_is_read_from_debians_package() -> None:
    dataset = data.prepare("fashion-mnist")
    assert (len(dataset.train), len(dataset.test)) == (60000, 10000)
    assert np.bincount(dataset.train.labels).tolist() == [6000] * 10
    assert dataset.classes[dataset.train.labels[0]] == "Ankle boot"
    assert dataset.train.image(0).shape == (28, 28, 3)


@pytest.mark.skipif(not FashionMnist.installed.is_dir(), reason="needs: apt-get install dataset-fashion-mnist")
def test_damaged_files_of_fashion_mnist_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (FashionMnist.installed / "train-labels-idx1-ubyte.gz").read_bytes()
    monkeypatch.setattr(FashionMnist, "installed", tmp_path)
    name = "train-images-idx3-ubyte.gz"
    for content in (whole[:1000], b"text", gzip.compress(b"\0\0\x08\x01\0\0\0\x01x")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match=name):
            data.prepare("fashion-mnist")


def test_fashion_mnist_without_network_ends_at_once_saying_what_to_do(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FashionMnist, "installed", tmp_path / "nowhere")
    monkeypatch.setattr(FashionMnist, "url", "http://127.0.0.1:9/")  # the discard port: nobody listens
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(NotCached) as caught:
        data.prepare("fashion-mnist")
    for part in (
        "http://127.0.0.1:9/train-images-idx3-ubyte.gz",
        str(place / "sources" / "fashion-mnist"),
        "dataset-fashion-mnist",
        "isotune prepare --datasets fashion-mnist",
    ):
        assert part in str(caught.value)
