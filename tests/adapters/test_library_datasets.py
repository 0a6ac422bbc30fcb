"""Data sets of torchvision and TensorFlow Datasets, from small files laid where the libraries keep theirs."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from isotune import data
from isotune.adapters._torch import datasets as _libraries
from isotune.errors import MissingExtra, NotCached, UsageError

datasets = pytest.importorskip("torchvision.datasets")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the program in this process, which may hold torch: quick, and its torchvision can be changed."""
    from isotune.adapters._torch.datasets import _fetching as _fetch_torchvision

    def run(do: str, progress: Callable[[str, int, int], None], **request: Any) -> dict[str, Any]:
        assert do == f"{_fetch_torchvision.__name__}:fetch"
        worker = SimpleNamespace(progress=progress)
        answer: dict[str, Any] = json.loads(
            json.dumps(_fetch_torchvision.fetch(worker, **json.loads(json.dumps(request))))
        )
        return answer

    monkeypatch.setattr(_libraries, "ask_once", run)


def source(place: Path, kind: str) -> Path:
    folder = place / "sources" / "torchvision" / kind
    folder.mkdir(parents=True)
    return folder


def picture(path: Path, value: int, size: tuple[int, int] = (12, 9)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 2 * value, 3 * value)).save(path)


def test_a_data_set_is_written_by_a_process_of_its_own() -> None:
    seen: list[tuple[str, int, int]] = []
    dataset = data.prepare(
        "torchvision:FakeData:size=30:num_classes=3:image_size=(3,10,12)",
        progress=lambda *step: seen.append(step),
    )
    assert dataset.classes == ("0", "1", "2")
    assert len(dataset.train) + len(dataset.test) == 30
    assert dataset.train.image(0).shape == (10, 12, 3)
    assert "80/20" in dataset.note
    assert {total for _, _, total in seen} == {len(dataset.train), len(dataset.test)}
    assert data.prepare("torchvision:FakeData:size=30:num_classes=3:image_size=(3,10,12)").digest == dataset.digest


@pytest.mark.usefixtures("here")
def test_fake_data_is_what_torchvision_gives() -> None:
    dataset = data.prepare("torchvision:FakeData:size=20:num_classes=2:image_size=(3,8,8)")
    theirs = datasets.FakeData(size=20, num_classes=2, image_size=(3, 8, 8))
    there = {(np.asarray(image).tobytes(), int(label)) for image, label in (theirs[i] for i in range(20))}
    ours = {
        (split.image(index).tobytes(), int(split.labels[index]))
        for split in (dataset.train, dataset.test)
        for index in range(len(split))
    }
    assert ours == there


@pytest.mark.usefixtures("here")
def test_eurosat_without_official_parts_is_split(place: Path) -> None:
    folder = source(place, "EuroSAT") / "eurosat" / "2750"
    for number, name in enumerate(("Forest", "River")):
        for index in range(10):
            picture(folder / name / f"{name}_{index}.jpg", 10 * number + index)
    dataset = data.prepare("eurosat")
    assert dataset.classes == ("Forest", "River")
    assert np.bincount(dataset.train.labels).tolist() == [8, 8]
    assert np.bincount(dataset.test.labels).tolist() == [2, 2]
    assert "80/20" in dataset.note


@pytest.mark.usefixtures("here")
def test_food101_keeps_the_original_files(place: Path) -> None:
    folder = source(place, "Food101") / "food-101"
    for part, count in (("train", 3), ("test", 2)):
        lists = {name: [f"{name}/{part}{i}" for i in range(count)] for name in ("apple_pie", "waffles")}
        for number, path in enumerate(path for paths in lists.values() for path in paths):
            picture(folder / "images" / f"{path}.jpg", 20 + number)
        (folder / "meta").mkdir(exist_ok=True)
        (folder / "meta" / f"{part}.json").write_text(json.dumps(lists))
    dataset = data.prepare("food101")
    assert dataset.classes == ("apple_pie", "waffles")
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert isinstance(dataset.test, data.dataset.FileSplit)
    assert dataset.test.encoded(3) == (folder / "images" / "waffles" / "test1.jpg").read_bytes()


@pytest.mark.usefixtures("here")
def test_oxford_pets_and_dtd_use_their_official_parts(place: Path) -> None:
    folder = source(place, "OxfordIIITPet") / "oxford-iiit-pet"
    (folder / "annotations").mkdir(parents=True)
    for part, count in (("trainval", 3), ("test", 1)):
        lines = []
        for number, name in enumerate(("Abyssinian", "american_bulldog")):
            for index in range(count):
                picture(folder / "images" / f"{name}_{part}{index}.jpg", 30 * number + index)
                lines.append(f"{name}_{part}{index} {number + 1} 1 1\n")
        (folder / "annotations" / f"{part}.txt").write_text("".join(lines))
    pets = data.prepare("oxford-pets")
    assert (pets.classes, len(pets.train), len(pets.test)) == (("Abyssinian", "American Bulldog"), 6, 2)

    folder = source(place, "DTD") / "dtd" / "dtd"
    (folder / "labels").mkdir(parents=True)
    for part in ("train", "val", "test"):
        for name in ("banded", "zigzagged"):
            picture(folder / "images" / name / f"{name}_{part}.jpg", 7)
        (folder / "labels" / f"{part}1.txt").write_text(f"banded/banded_{part}.jpg\nzigzagged/zigzagged_{part}.jpg\n")
    textures = data.prepare("dtd")
    assert (len(textures.train), len(textures.test)) == (4, 2), "train and val of partition 1 are for training"


@pytest.mark.usefixtures("here")
def test_flowers_train_on_train_and_val(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    folder = source(place, "Flowers102") / "flowers-102"
    for number in range(1, 9):
        picture(folder / "jpg" / f"image_{number:05}.jpg", number)
    savemat(folder / "imagelabels.mat", {"labels": np.array([[1, 2, 1, 2, 1, 2, 1, 2]])})
    savemat(folder / "setid.mat", {"trnid": [[1, 2]], "valid": [[3, 4]], "tstid": [[5, 6, 7, 8]]})
    files = {"image": ("", "")}
    for key, file in (("label", "imagelabels.mat"), ("setid", "setid.mat")):
        files[key] = (file, hashlib.md5((folder / file).read_bytes()).hexdigest())
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", files)
    dataset = data.prepare("flowers102")
    assert dataset.train.labels.tolist() == [0, 1, 0, 1]
    assert dataset.test.labels.tolist() == [0, 1, 0, 1]
    assert len(dataset.classes) == 102


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("kind", ["CIFAR10", "CIFAR100"])
def test_cifar_becomes_arrays(place: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    made = getattr(datasets, kind)
    folder = source(place, kind) / made.base_folder
    folder.mkdir()
    rng = np.random.default_rng(0)
    pixels = {}
    fine = "labels" if kind == "CIFAR10" else "fine_labels"
    key = made.meta["key"]

    def put(name: str, content: dict[str, Any]) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    for attribute in ("train_list", "test_list"):
        listed = []
        for name, _ in getattr(made, attribute):
            pixels[name] = rng.integers(0, 256, (4, 3072), dtype=np.uint8)
            listed.append([name, put(name, {"data": pixels[name], fine: [0, 1, 1, 0]})])
        monkeypatch.setattr(made, attribute, listed)
    monkeypatch.setattr(made, "meta", made.meta | {"md5": put(made.meta["filename"], {key: ["cat", "dog"]})})
    dataset = data.prepare(kind.lower())
    assert dataset.classes == ("cat", "dog")
    assert dataset.test.labels.tolist() == [0, 1, 1, 0]
    assert len(dataset.train) == 4 * len(made.train_list)
    expected = pixels[made.test_list[0][0]][2].reshape(3, 32, 32).transpose(1, 2, 0)
    assert np.array_equal(dataset.test.image(2), expected)


@pytest.mark.usefixtures("here")
def test_images_of_many_sizes_that_are_no_files_are_kept_without_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(datasets.FakeData):
        def __getitem__(self, index: int) -> tuple[Image.Image, int]:
            return Image.new("RGB", (5 + index % 3, 9), (index, 0, 0)), index % 2

    monkeypatch.setattr(datasets, "FakeData", Odd)
    dataset = data.prepare("torchvision:FakeData:size=20")
    assert sorted({dataset.train.image(i).shape for i in range(len(dataset.train))}) == [(9, w, 3) for w in (5, 6, 7)]
    values = {int(s.image(i)[0, 0, 0]): int(s.labels[i]) for s in (dataset.train, dataset.test) for i in range(len(s))}
    assert values == {index: index % 2 for index in range(20)}


@pytest.mark.usefixtures("here")
def test_without_network_it_ends_at_once_saying_what_to_do(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar.tar.gz")  # nobody listens there
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    for name, kind in (("cifar10", "CIFAR10"), ("torchvision:MNIST", "MNIST")):
        with pytest.raises(NotCached) as caught:
            data.prepare(name)
        for part in (name, str(place / "sources" / "torchvision" / kind), f"isotune prepare --datasets {name}"):
            assert part in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not data.describe("cifar10").offline


@pytest.mark.usefixtures("here")
def test_a_download_that_was_cut_off_is_not_taken_for_the_whole(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EuroSAT looks only whether its folder is there: what a killed process had unpacked would pass."""
    folder = source(place, "EuroSAT")

    def download(self: Any) -> None:
        for name in ("Forest", "River"):
            for index in range(5):
                picture(folder / "eurosat" / "2750" / name / f"{index}.jpg", index)
                if len(killed) == 0 and name == "River":
                    killed.append(True)
                    raise KeyboardInterrupt

    killed: list[bool] = []
    monkeypatch.setattr(datasets.EuroSAT, "download", download)
    with pytest.raises(KeyboardInterrupt):
        data.prepare("eurosat")
    dataset = data.prepare("eurosat")
    assert len(dataset.train) + len(dataset.test) == 10
    assert killed == [True]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:FashionMnist", "did you mean 'FashionMNIST'?"),
        ("torchvision:FakeData:siz=3", "'siz' is no option of it; did you mean 'size'?"),
        ("torchvision:FakeData:root=3", "'root' is no option of it"),
        ("torchvision:CocoDetection", "annFile"),
        ("torchvision:EMNIST", "split"),
        ("torchvision:FakeData:size=1", "has one image"),
    ],
)
def test_what_torchvision_does_not_have_is_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        data.prepare(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("here")
def test_what_is_not_for_classification_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Boxes(datasets.FakeData):
        def __getitem__(self, index: int) -> tuple[Image.Image, dict[str, int]]:
            return Image.new("RGB", (5, 5)), {"box": 1}

    monkeypatch.setattr(datasets, "FakeData", Boxes)
    with pytest.raises(UsageError, match="not for classification"):
        data.prepare("torchvision:FakeData")


@pytest.mark.parametrize(
    ("package", "dataset", "error", "said"),
    [
        ("torchvision", "cifar10", MissingExtra, r"pip install 'isotune\[torch\]'"),
        ("tensorflow_datasets", "tfds:mnist", UsageError, "pip install tensorflow-datasets"),
    ],
)
def test_a_missing_library_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package, dataset, error, said
) -> None:
    """One that cannot be imported, as where it is not installed."""
    (tmp_path / "shadow" / package).mkdir(parents=True)
    (tmp_path / "shadow" / package / "__init__.py").write_text(f"raise ModuleNotFoundError(name={package!r})")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "shadow"))
    with pytest.raises(error, match=said):
        data.prepare(dataset)


TFDS = """
import numpy as np, tensorflow as tf, tensorflow_datasets as tfds, sys
def part(n):
    signature = {"image": tf.TensorSpec((None, None, 3), tf.uint8), "label": tf.TensorSpec((), tf.int64)}
    images = np.random.default_rng(n).integers(0, 256, (n, 9, 7, 3), dtype=np.uint8)
    rows = lambda: ({"image": image, "label": i % 3} for i, image in enumerate(images))
    return tf.data.Dataset.from_generator(rows, output_signature=signature)
features = tfds.features.FeaturesDict(
    {"image": tfds.features.Image(encoding_format="png"), "label": tfds.features.ClassLabel(names=list("abc"))}
)
tfds.dataset_builders.store_as_tfds_dataset(
    name="tiny", version="1.0.0", features=features, data_dir=sys.argv[1],
    split_datasets={"train": part(12), "test": part(6)},
)
"""


@pytest.mark.skipif(find_spec("tensorflow_datasets") is None, reason="needs: pip install tensorflow-datasets")
def test_a_tensorflow_data_set_is_read_from_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run([sys.executable, "-c", TFDS, str(tmp_path / "tfds")], check=True, capture_output=True)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    dataset = data.prepare("tfds:tiny")
    assert dataset.classes == ("a", "b", "c")
    assert np.bincount(dataset.train.labels).tolist() == [4, 4, 4]
    images = {image.tobytes() for image in np.random.default_rng(6).integers(0, 256, (6, 9, 7, 3), dtype=np.uint8)}
    assert {dataset.test.image(i).tobytes() for i in range(6)} == images
