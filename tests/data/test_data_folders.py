"""Image folders: layouts, what counts as an image, what is refused, and when a folder is prepared again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isotune import data
from isotune.data.dataset import Split
from isotune.data.sources.arrays import FashionMnist
from isotune.errors import UsageError
from isotune.protocols import Images, Input


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(folder: Path, classes: Iterable[str] = "ab", count: int = 5, suffix: str = ".png") -> Path:
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = np.full((8 + index, 9, 3), (40 * number + index) % 256, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}{suffix}")
    return folder


def pixels(split: Split) -> list[tuple[int, int]]:
    """(label, a pixel's value) of every image."""
    return [(int(split.labels[i]), int(split.image(i)[0, 0, 0])) for i in range(len(split))]


def test_parts_are_read_in_the_order_of_the_names(tmp_path: Path) -> None:
    fill(tmp_path / "set" / "train", "ba", 3)
    fill(tmp_path / "set" / "val", "b", 2)
    dataset = data.prepare(f"imagefolder:{tmp_path / 'set'}")
    assert dataset.classes == ("a", "b")
    assert pixels(dataset.train) == [(0, 40), (0, 41), (0, 42), (1, 0), (1, 1), (1, 2)]
    assert pixels(dataset.test) == [(1, 0), (1, 1)]
    assert dataset.note == "val/ is the test part"


def test_files_are_kept_as_they_were(tmp_path: Path) -> None:
    fill(tmp_path / "set" / "Train", suffix=".JPG")
    fill(tmp_path / "set" / "Test", suffix=".jpeg")
    dataset = data.prepare(f"imagefolder:{tmp_path / 'set'}")
    assert isinstance(dataset.test, data.dataset.FileSplit)
    assert dataset.test.encoded(9) == (tmp_path / "set" / "Test" / "b" / "4.jpeg").read_bytes()
    with pytest.raises(IndexError):
        dataset.test.image(10)
    with pytest.raises(IndexError):
        dataset.test.image(-1)


def test_test_is_evaluated_and_val_left_unused_when_both_are_there(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("val", 3), ("test", 2)):
        fill(tmp_path / "set" / part, count=count)
    dataset = data.prepare(f"imagefolder:{tmp_path / 'set'}")
    assert (len(dataset.train), len(dataset.test)) == (8, 4)
    assert dataset.note == "test/ is the test part, val/ unused"


def test_class_folders_alone_are_split_stratified_and_the_same_everywhere(tmp_path: Path) -> None:
    one, other = (fill(tmp_path / name, "abc", 10) for name in ("one", "other"))
    dataset = data.prepare(f"imagefolder:{one}")
    assert np.bincount(dataset.train.labels).tolist() == [8, 8, 8]
    assert np.bincount(dataset.test.labels).tolist() == [2, 2, 2]
    assert not set(pixels(dataset.train)) & set(pixels(dataset.test))
    known = [(0, 5), (0, 6), (1, 44), (1, 47), (2, 86), (2, 89)]  # a change here changes every such data set
    assert pixels(dataset.test) == known
    assert "80/20" in dataset.note
    assert data.prepare(f"imagefolder:{other}").digest == dataset.digest


def test_hidden_and_other_files_are_not_images(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set")
    for name in (".hidden.png", "notes.txt", "Thumbs.db"):
        (folder / "a" / name).write_text("no image")
    for name in (".git", "__MACOSX"):
        fill(folder / name, "x")
    fill(folder / "a", ["deeper"], 2)
    dataset = data.prepare(f"imagefolder:{folder}")
    assert dataset.classes == ("a", "b")
    assert len(dataset.train) + len(dataset.test) == 12
    assert "2 other files ignored" in dataset.note


def test_links_are_followed_but_not_in_circles_and_nothing_is_written_there(tmp_path: Path) -> None:
    elsewhere = fill(tmp_path / "elsewhere", "b")
    folder = fill(tmp_path / "set", "a")
    (folder / "b").symlink_to(elsewhere / "b", target_is_directory=True)
    (folder / "a" / "circle").symlink_to(folder, target_is_directory=True)
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if "cache" not in path.parts)
    dataset = data.prepare(f"imagefolder:{folder}")
    assert dataset.classes == ("a", "b")
    assert (dataset.train.labels == 1).sum() == 4
    after = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if "cache" not in path.parts)
    assert after == before


def test_unreadable_images_are_counted_named_and_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set", count=10)
    whole = (folder / "a" / "3.png").read_bytes()
    (folder / "a" / "3.png").write_bytes(whole[: len(whole) // 2])
    (folder / "b" / "x.jpg").write_text("no image")
    (folder / "b" / "gone.jpg").symlink_to(folder / "nowhere")
    name = f"imagefolder:{folder}"
    with pytest.raises(UsageError, match=r"3 of 22 images cannot be read") as caught:
        data.prepare(name)
    for part in ("a/3.png", "b/x.jpg", "b/gone.jpg", "--skip-unreadable"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    dataset = data.prepare(name, skip_unreadable=True)
    assert len(dataset.train) + len(dataset.test) == 19
    assert "left out: 3 of 22 images cannot be read" in dataset.note
    with pytest.raises(UsageError, match="cannot be read"):
        data.prepare(name)


def test_many_unreadable_images_are_not_all_named(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set", count=2)
    for number in range(30):
        (folder / "a" / f"bad{number}.png").write_text("")
    with pytest.raises(UsageError, match=r"30 of 34 images.*, \.\.\.;"):
        data.prepare(f"imagefolder:{folder}")


def test_a_possible_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "set")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UsageError, match=r"2 of 10 images cannot be read.*ecompression"):  # those of 9 x 12 pixels
        data.prepare(f"imagefolder:{folder}")


def test_changes_on_the_way_to_rgb_are_counted_in_the_note(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set")
    Image.new("L", (9, 9)).save(folder / "a" / "grey.png")
    Image.new("RGBA", (9, 9)).save(folder / "a" / "alpha.png")
    Image.new("LA", (9, 9)).save(folder / "b" / "alpha.png")
    note = data.prepare(f"imagefolder:{folder}").note
    assert "2 alpha dropped; 1 greyscale to RGB" in note


def test_a_changed_folder_is_prepared_again(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set")
    name = f"imagefolder:{folder}"
    first = data.prepare(name)
    assert data.prepare(name).digest == first.digest
    Image.new("RGB", (9, 9)).save(folder / "a" / "new.png")
    second = data.prepare(name)
    assert len(second.train) + len(second.test) == 11
    os.utime(folder / "a" / "new.png", ns=(0, 0))
    assert data.prepare(name).digest == second.digest, "touched, but the same content"
    assert len(data.load(name, first.digest).train) == 8, "what was planned is still there"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "holds no class folders"),
        ({"": ("a", 5)}, "1 class; classification needs at least two"),
        ({"": ("ab", 1)}, "class 'a' has one image"),
        ({"": ("ab", 0)}, "holds no image"),
        ({"train": ("ab", 2)}, "has train/ but no test/ or val/"),
        ({"val": ("ab", 2), "test": ("ab", 2)}, "has test/, val/ but no train/"),
        ({"train": ("ab", 2), "val": ("abz", 2)}, "class folder 'z' is in the test part but not in train/"),
        ({"train": ("", 2), "val": ("ab", 2)}, "holds no class folders"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, parts: dict[str, tuple[str, int]], message: str
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for part, (classes, count) in parts.items():
        (folder / part).mkdir(exist_ok=True)
        fill(folder / part, classes, count)
    with pytest.raises(UsageError) as caught:
        data.prepare(f"imagefolder:{folder}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "nowhere"):
        with pytest.raises(UsageError, match=str(path)):
            data.prepare(f"imagefolder:{path}")


def test_names_with_odd_characters_survive(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a set: 1%", ["cats & dogs", "日本"])
    (folder / "日本" / os.fsdecode(b"\xff.png")).write_bytes(b"bad")
    dataset = data.prepare(f"imagefolder:{folder}", skip_unreadable=True)
    assert dataset.classes == ("cats & dogs", "日本")
    assert data.prepare(f"imagefolder:{folder}", skip_unreadable=True).note == dataset.note


def test_imagenet_needs_its_thousand_synsets_and_is_for_evaluation_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ISOTUNE_IMAGENET", raising=False)
    with pytest.raises(UsageError, match="ISOTUNE_IMAGENET=PATH"):
        data.prepare("imagenet")
    folder = tmp_path / "imagenet" / "val"
    synsets = list(data.synsets())
    fill(folder, synsets[:-1], 1)
    with pytest.raises(UsageError, match="999 synset folders"):
        data.prepare(f"imagenet:{tmp_path / 'imagenet'}")
    fill(folder, synsets[-1:], 1)
    fill(folder, ["extra"], 1)
    monkeypatch.setenv("ISOTUNE_IMAGENET", str(tmp_path / "imagenet"))
    dataset = data.prepare("imagenet")
    assert (len(dataset.train), len(dataset.test)) == (0, 1000)
    assert dataset.classes == tuple(synsets)
    assert dataset.test.labels.tolist() == list(range(1000))
    with pytest.raises(UsageError, match="no train images"):
        data.inputs(dataset, "train", Images(), Input(size=8))


@pytest.mark.skipif(not FashionMnist.installed.is_dir(), reason="needs: apt-get install dataset-fashion-mnist")
def test_a_folder_of_real_images_gives_what_the_arrays_give(tmp_path: Path) -> None:
    real = data.prepare("fashion-mnist")
    for part, split in (("train", real.train), ("test", real.test)):
        for index in range(60):
            folder = tmp_path / "set" / part / f"{split.labels[index]}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(split.image(index)[..., 0]).save(folder / f"{index:03}.png")
    dataset = data.prepare(f"imagefolder:{tmp_path / 'set'}")
    images, labels = data.inputs(dataset, "train", Images(), Input(size=32))
    order = np.argsort(real.train.labels[:60], kind="stable")
    assert np.array_equal(labels, real.train.labels[order])
    for position, index in enumerate(order):
        expected = Image.fromarray(real.train.image(int(index))).resize((32, 32), Image.Resampling.BILINEAR)
        assert np.array_equal(images[position], np.asarray(expected))
