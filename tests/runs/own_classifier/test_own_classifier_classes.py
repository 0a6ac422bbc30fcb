"""ImageNet's classes are known by their synset ids, whatever the folders' order or names."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isotune import data
from isotune.errors import UsageError
from isotune.protocols import Images, Input

SYNSETS = data.synsets()
FEW = tuple(SYNSETS[place] for place in (2, 10, 207, 999))


def colour(synset: str) -> tuple[int, int, int]:
    """A colour of its own for each class, so that an image says which class it was made for."""
    place = SYNSETS.index(synset)
    return (place % 250, place // 250 * 60, 90)


def fill(folder: Path, names: dict[str, str], images: int = 1) -> Path:
    """Class folders, made in the order given: name of the folder -> synset whose colour its images have."""
    for name, synset in names.items():
        (folder / name).mkdir(parents=True)
        for number in range(images):
            Image.new("RGB", (4, 4), colour(synset)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))


def shown(dataset: data.Dataset) -> list[tuple[str, tuple[int, ...]]]:
    """Of every test image: the synset that its label means, and its colour."""
    return [
        (dataset.classes[label], tuple(dataset.test.image(index)[0, 0]))
        for index, label in enumerate(dataset.test.labels)
    ]


def test_the_synsets_are_those_of_timm_in_its_order() -> None:
    pytest.importorskip("timm")
    info = resources.files("timm.data._info")
    for variant, file in (("imagenet", "imagenet"), ("imagenet-a", "imagenet_a"), ("imagenet-r", "imagenet_r")):
        assert data.synsets(variant) == tuple((info / f"{file}_synsets.txt").read_text().split())
    from timm.data import ImageNetInfo

    assert tuple(ImageNetInfo("imagenet-1k").label_names()) == SYNSETS, "the order of timm's classifiers"
    for variant in ("imagenet-a", "imagenet-r"):
        columns = [int(n) for n in (info / f"{variant.replace('-', '_')}_indices.txt").read_text().split()]
        assert data.outputs(data.synsets(variant), variant).tolist() == columns


def test_torchvisions_classifiers_name_the_same_classes_in_the_same_order() -> None:
    pytest.importorskip("torchvision")
    pytest.importorskip("timm")
    from torchvision.models import MobileNet_V2_Weights, ResNet50_Weights

    text = (resources.files("timm.data._info") / "imagenet_synset_to_lemma.txt").read_text()
    lemma = dict(line.split("\t") for line in text.splitlines())
    for weights in (*ResNet50_Weights, *MobileNet_V2_Weights):
        names = weights.meta["categories"]
        other = [n for n, synset in zip(names, SYNSETS, strict=True) if n.lower() not in lemma[synset].lower()]
        assert other == ["crane bird", "maillot tank suit"], "which torchvision tells apart from their namesakes"


def test_the_order_in_which_folders_were_made_changes_nothing(tmp_path) -> None:
    one = data.prepare(f"imagenet-subset:{fill(tmp_path / 'one', {name: name for name in FEW})}")
    two = data.prepare(f"imagenet-subset:{fill(tmp_path / 'two', {name: name for name in reversed(FEW)})}")
    assert one.digest == two.digest
    assert one.classes == FEW
    assert shown(one) == [(name, colour(name)) for name in FEW]


def test_imagenet_v2_is_in_the_order_of_numbers_not_of_letters(tmp_path) -> None:
    numbered = fill(tmp_path / "v2", {str(place): synset for place, synset in enumerate(SYNSETS)})
    named = fill(tmp_path / "val", {synset: synset for synset in SYNSETS})
    one, two = data.prepare(f"imagenet-v2:{numbered}"), data.prepare(f"imagenet:{named}")
    assert one.classes == SYNSETS
    assert shown(one) == [(synset, colour(synset)) for synset in SYNSETS]
    assert one.digest == two.digest, "folders may bear either name"
    assert data.prepare(f"imagenet-sketch:{named}").digest == two.digest
    images, labels = data.inputs(one, "test", Images(), Input(size=8))
    assert tuple(images[10, 0, 0]) == colour(SYNSETS[labels[10]]) == colour(SYNSETS[10])


def test_names_lead_to_outputs_in_any_order() -> None:
    assert data.outputs(sorted(map(str, range(1000))), "x").tolist()[:4] == [0, 1, 10, 100]
    assert data.outputs([FEW[3], FEW[0]], "x").tolist() == [999, 2]
    assert data.outputs(SYNSETS, "x").dtype == np.int64


@pytest.mark.parametrize("classes", [("0", "1", "2"), ("cat", "dog"), ("n01440764", "cat"), ("n1440764", "n01443537")])
def test_other_names_are_refused_with_what_would_be_right(classes) -> None:
    with pytest.raises(UsageError, match=r"is not an ImageNet synset; folders must be synsets .* as in imagenet:PATH"):
        data.outputs(classes, "x")
    with pytest.raises(UsageError, match="n00000001 is a synset, but none of ImageNet-1k's"):
        data.outputs(["n00000001", "n01440764"], "x")


A, R = data.synsets("imagenet-a"), data.synsets("imagenet-r")


@pytest.mark.parametrize(
    ("name", "folders", "said"),
    [
        ("imagenet", ["cats", "dogs"], "has 2 folders, none of them a class of ImageNet; folders must be synsets"),
        ("imagenet", SYNSETS[:-1], "999 synset folders (n01440764, ...), among them 999 of imagenet's 1000"),
        ("imagenet", A, "200 of imagenet's 1000; imagenet-a:PATH takes them"),
        ("imagenet-a", R, f"among them {len({*A} & {*R})} of imagenet-a's 200; imagenet-r:PATH takes them"),
        ("imagenet-r", R[:9], "imagenet-subset:PATH takes them"),
        ("imagenet-subset", ["n00000001", "n01440764"], "n00000001, a synset that is none of ImageNet-1k's"),
        ("imagenet-v2", map(str, range(1, 1001)), "has 1000 folders with numbers from 1 to 1000; folders must be"),
        ("imagenet-v2", map(str, range(999)), "from 0 to 998; folders must be synsets (n01440764, ...) or 0 to 999"),
        ("imagenet-v2", [f"{place:03}" for place in range(1000)], "from 000 to 999; folders must be"),
        ("imagenet-v2", ["0", "n01440764"], "1 folders with numbers beside synset folders"),
        ("imagenet", map(str, range(1000)), "imagenet-v2:PATH takes them"),
    ],
)
def test_a_wrong_folder_is_refused_in_one_line_with_what_would_take_it(tmp_path, name, folders, said) -> None:
    for folder in folders:
        (tmp_path / "set" / folder).mkdir(parents=True)
    with pytest.raises(UsageError) as caught:
        data.prepare(f"{name}:{tmp_path / 'set'}")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_selection_of_imagenet_v2_is_not_taken_for_the_published_one(tmp_path) -> None:
    folder = tmp_path / "imagenetv2-threshold0.7-format-val"
    folder.mkdir()
    with pytest.raises(UsageError, match="imagenet-v2 is the matched-frequency selection"):
        data.prepare(f"imagenet-v2:{folder}")


def test_a_val_folder_without_training_images_says_what_takes_it(tmp_path) -> None:
    fill(tmp_path / "set" / "val", {name: name for name in FEW})
    with pytest.raises(UsageError, match=rf"no train/; .*imagenet-subset:{tmp_path}/set/val$"):
        data.prepare(f"imagefolder:{tmp_path / 'set'}")
    assert data.prepare(f"imagenet-subset:{tmp_path / 'set'}").classes == FEW
    fill(tmp_path / "other" / "val", {"cats": FEW[0]})
    with pytest.raises(UsageError, match=rf"but no train/; to .*: testfolder:{tmp_path}/other/val$"):
        data.prepare(f"imagefolder:{tmp_path / 'other'}")


def test_other_folders_are_passed_over_and_counted(tmp_path) -> None:
    folder = fill(tmp_path / "set", {name: name for name in (*FEW,)} | {"docs": FEW[0]})
    dataset = data.prepare(f"imagenet-subset:{folder}")
    assert (dataset.classes, dataset.note) == (FEW, "1 other folders passed over")
