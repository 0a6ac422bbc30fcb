"""Which images a protocol uses, and the fixed view of them that every framework reads."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from isotune import data
from isotune.data import _views
from isotune.data.resizing import fixed_view
from isotune.errors import UsageError
from isotune.protocols import Images, Input


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


labelled = st.lists(st.integers(0, 6), min_size=1, max_size=120).map(np.array)


@given(labelled, st.integers(1, 150), st.integers(0, 3))
@settings(deadline=None)
def test_a_subset_keeps_every_class_and_its_share(labels: np.ndarray, n: int, seed: int) -> None:
    classes, counts = np.unique(labels, return_counts=True)
    if n < len(classes):
        with pytest.raises(UsageError, match=f"images.train = {n} is less than one image for each"):
            data.subset(labels, n, seed, field="images.train")
        return
    chosen = data.subset(labels, n, seed)
    assert len(chosen) == min(n, len(labels))
    assert (np.diff(chosen) > 0).all()
    taken = np.array([(labels[chosen] == label).sum() for label in classes])
    assert (taken >= 1).all()
    assert (taken <= counts).all()
    for one, other in zip(range(len(classes)), range(1, len(classes)), strict=False):
        if counts[one] > counts[other]:
            assert taken[one] >= taken[other]
    assert np.array_equal(chosen, data.subset(labels, n, seed))


def test_a_subset_is_balanced_where_the_data_are() -> None:
    labels = np.repeat(np.arange(10), 50)
    assert np.bincount(labels[data.subset(labels, 200)]).tolist() == [20] * 10
    assert np.array_equal(data.subset(labels, None), np.arange(500))


def test_the_seed_changes_the_subset_and_the_numbers_are_known() -> None:
    labels = np.arange(100) % 4
    assert not np.array_equal(data.subset(labels, 20, 0), data.subset(labels, 20, 1))
    assert data.subset(labels, 8).tolist() == [
        12,
        29,
        35,
        41,
        44,
        58,
        83,
        94,
    ]  # a change here changes every result ever recorded


@pytest.mark.parametrize("resize", ["antialias", "plain", "nearest"])
def test_a_view_holds_the_chosen_images_resized(resize: _views.Resize) -> None:
    digits = data.prepare("digits")
    settings = Input(size=16, resize=20, interpolation="bicubic")
    images, labels = data.inputs(digits, "train", Images(train=30), settings, resize=resize)
    assert images.shape == (30, 16, 16, 3)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    chosen = data.subset(digits.train.labels, 30)
    assert np.array_equal(labels, digits.train.labels[chosen])
    for position, index in enumerate(chosen):
        assert np.array_equal(images[position], fixed_view(digits.train.image(int(index)), settings, resize))


def test_a_view_is_read_only_and_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = data.prepare("digits")
    first, _ = data.inputs(digits, "test", Images(test=20), Input(size=8))
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0
    monkeypatch.setattr(_views, "fixed_view", None)
    second, _ = data.inputs(digits, "test", Images(test=20), Input(size=8))
    assert np.array_equal(first, second)
    assert data.inputs(digits, "test", Images(test=20, train=5), Input(size=8))[0].shape == first.shape


def test_what_changes_the_pixels_changes_the_view(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 40, 44, 3), dtype=np.uint8)
    labels = np.arange(8) % 2
    np.savez(tmp_path / "noise.npz", x_train=noise, y_train=labels, x_test=noise[::-1], y_test=labels)
    dataset = data.prepare(f"npz:{tmp_path / 'noise.npz'}")
    squashed, cropped = Input(size=24), Input(size=24, resize=30)
    views = [
        data.inputs(dataset, split, Images(train=n), settings, resize=resize)[0].tobytes()
        for split, n, settings, resize in (
            ("train", None, squashed, "antialias"),
            ("test", None, squashed, "antialias"),
            ("train", 4, squashed, "antialias"),
            ("train", None, squashed, "plain"),
            ("train", None, squashed, "nearest"),
            ("train", None, Input(size=24, interpolation="bicubic"), "antialias"),
            ("train", None, cropped, "antialias"),
        )
    ]
    assert len(set(views)) == len(views)


def test_settings_that_give_the_same_pixels_share_a_view(place: Path) -> None:
    digits = data.prepare("digits")
    for interpolation in ("bilinear", "bicubic"):
        settings = Input(size=8, resize=9, interpolation=interpolation)
        data.inputs(digits, "test", Images(test=20), settings, resize="nearest")
    assert len(list(place.glob("views/view-*"))) == 1


def test_a_damaged_view_is_made_again(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    digits = data.prepare("digits")
    first = data.inputs(digits, "test", Images(test=20), Input(size=8))[0].tobytes()
    (file,) = place.glob("views/*/images.npy")
    file.write_bytes(file.read_bytes()[:-50])
    with caplog.at_level(logging.WARNING, "isotune"):
        second = data.inputs(digits, "test", Images(test=20), Input(size=8))[0].tobytes()
    assert first == second
    assert any(str(file) in message for message in caplog.messages)


def test_too_small_a_subset_names_the_field() -> None:
    digits = data.prepare("digits")
    with pytest.raises(UsageError, match=r"images\.test = 9 is less than one image for each of 10 classes"):
        data.inputs(digits, "test", Images(test=9), Input(size=8))


def test_a_view_that_does_not_fit_on_the_disk_is_refused_before_it_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = data.prepare("digits")
    monkeypatch.setattr(_views.shutil, "disk_usage", lambda path: type("usage", (), {"free": 1000}))
    with pytest.raises(UsageError, match=r"free; use fewer images.*ISOTUNE_CACHE"):
        data.inputs(digits, "train", Images(), Input(size=32))


def _bytes(digest: str) -> bytes:
    dataset = data.load("digits", digest)
    return data.inputs(dataset, "test", Images(test=50), Input(size=32))[0].tobytes()


def test_processes_that_want_the_same_view_share_it_and_one_makes_it(place: Path, tmp_path: Path) -> None:
    digest = data.prepare("digits").digest
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert len(set(pool.starmap(_told, [(digest, tmp_path)] * 4))) == 1
    assert len(list(place.glob("views/view-*"))) == 1
    assert (tmp_path / "resized").stat().st_size == 50


def _told(digest: str, place: Path) -> bytes:
    """`_bytes`, slowly; a byte is left for each image that is resized."""

    def resized(*arguments: object) -> np.ndarray:
        time.sleep(0.02)
        with (place / "resized").open("ab") as file:
            file.write(b".")
        return fixed_view(*arguments)  # type: ignore[arg-type]

    _views.fixed_view = resized
    return _bytes(digest)


def photographs(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in "ab":
            (folder / part / name).mkdir(parents=True)
            smooth = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize((70, 50))
            exif = Image.Exif()
            exif[0x0112] = 6
            smooth.save(folder / part / name / "0.jpg", quality=90)
            smooth.save(folder / part / name / "1.png")
            smooth.save(folder / part / name / "2.png", exif=exif)


def test_tensorflow_decodes_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("importlib.metadata").version("tensorflow")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    photographs(tmp_path / "set")
    dataset = data.prepare(f"imagefolder:{tmp_path / 'set'}")
    settings = Input(size=48, resize="squash", interpolation="nearest")
    pillow, labels = data.inputs(dataset, "train", Images(), settings)
    tensorflow, same = data.inputs(dataset, "train", Images(), settings, decode="tensorflow")
    assert np.array_equal(labels, same)
    for jpeg, png, turned in ((0, 1, 2), (3, 4, 5)):
        gap = np.abs(pillow[jpeg].astype(int) - tensorflow[jpeg])
        assert 0 < gap.max() < 25, "two decoders, one image"
        assert np.array_equal(pillow[png], tensorflow[png])
        assert np.array_equal(tensorflow[turned], tensorflow[png]), "TensorFlow does not look at EXIF"
        assert not np.array_equal(pillow[turned], pillow[png])


def test_what_tensorflow_cannot_decode_is_named(tmp_path: Path) -> None:
    pytest.importorskip("importlib.metadata").version("tensorflow")
    photographs(tmp_path / "set")
    Image.new("RGB", (9, 9)).save(tmp_path / "set" / "test" / "a" / "0.tiff")
    dataset = data.prepare(f"imagefolder:{tmp_path / 'set'}")
    with pytest.raises(UsageError, match=r"cannot decode test image 1 .*use decode=pillow"):
        data.inputs(dataset, "test", Images(), Input(size=48), decode="tensorflow")


def test_arrays_need_no_decoder() -> None:
    digits = data.prepare("digits")
    pillow, _ = data.inputs(digits, "test", Images(test=20), Input(size=8), decode="pillow")
    tensorflow, _ = data.inputs(digits, "test", Images(test=20), Input(size=8), decode="tensorflow")
    assert isinstance(pillow, np.memmap)
    assert isinstance(tensorflow, np.memmap)
    assert pillow.filename == tensorflow.filename
