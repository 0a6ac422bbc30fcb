"""A checkpoint's own classifier: what is planned, what is evaluated, what a step costs, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isotune import data, protocols
from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.protocols import Input, Protocol
from isotune.reference_results import conditions, deviations, matching, references
from isotune.runs import own_classifier, scores
from isotune.runs.earlier import version_1, version_2, version_3
from isotune.runs.preprocessing_costs import compare, costs
from isotune.runs.records import Cell, Metrics
from isotune.runs.store import Store
from isotune.seeds import Seeds
from isotune.statistics import mcnemar, predictions_changed
from isotune.weights import Weights, random_weights

pytestmark = pytest.mark.usefixtures("warm")
SHIPPED = protocols.load("own-classifier")
OWN = """
name = "own"
title = "Own"
source = "test"
[own_classifier]
input = "protocol"
[input]
size = 32
resize = 36
[[own_classifier.beside]]
name = "squash"
input = { resize = "squash" }
[[own_classifier.beside]]
name = "bilinear"
input = { interpolation = "bilinear" }
[[own_classifier.beside]]
name = "nearest"
conventions = { resize = "nearest" }
[[own_classifier.beside]]
name = "its-own-scaling"
conventions = { input_scaling = "mean-std" }
"""


def cell(model: str, checkpoint: str, dataset: str = "imagenet:val", recipe: Protocol = SHIPPED, **rest) -> Cell:
    return Cell(
        model=model, checkpoint=checkpoint, dataset=dataset, dataset_digest="0" * 64, protocol=recipe,
        seeds=Seeds.all(0), **rest,
    )  # fmt: skip


def asked(model: str, checkpoint: str, dataset: str = "imagenet:val") -> tuple[int, int | str, str]:
    taken = own_classifier.published_input(cell(model, checkpoint, dataset))[0]
    return taken.size, taken.resize, taken.interpolation


def test_the_published_evaluation_differs_by_model_and_checkpoint() -> None:
    assert asked("torchvision:resnet50", "IMAGENET1K_V1") == (224, 256, "bilinear")
    assert asked("torchvision:resnet50", "pretrained") == (224, 232, "bilinear"), "IMAGENET1K_V2 is the default"
    assert asked("torchvision:inception_v3", "pretrained") == (299, 342, "bilinear")
    assert asked("timm:resnet50", "a1_in1k") == (224, 235, "bicubic")
    assert asked("timm:resnet50.a1_in1k", "pretrained") == (224, 235, "bicubic")
    assert asked("timm:resnet50", "a1_in1k", "imagenet-a:x") == (224, 235, "bicubic")
    assert asked("keras:MobileNetV2", "pretrained") == (224, "squash", "nearest"), "load_img, by an independent hand"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_checkpoint_in_a_package_is_evaluated_as_its_architectures_published_number_was(number) -> None:
    model = f"timm:tf_efficientnet_lite{number}"
    input, row = own_classifier.published_input(cell(model, "offline"))
    assert row is None, "nobody has published that number"
    assert input == own_classifier.published_input(cell(model, "in1k"))[0]


def test_a_planned_cell_matches_the_number_that_its_evaluation_was_taken_from() -> None:
    for one in (
        cell("torchvision:mobilenet_v2", "pretrained"), cell("timm:resnet50", "a1_in1k"),
        cell("timm:resnet50", "a1_in1k", "imagenet-r:x"), cell("keras:ResNet50", "pretrained"),
    ):  # fmt: skip
        base, *steps = own_classifier.setups(one)
        row = own_classifier.published_input(one)[1]
        assert row.dataset == conditions(one).dataset
        assert row in matching(base).exact, deviations(row, conditions(base))
        assert not any(row in matching(step).exact for step in steps)


def test_every_stated_evaluation_of_torchs_libraries_is_expressed_as_published() -> None:
    rows = [row for row in references(file="imagenet.csv", metric="top-1") if row.adapter != "keras"]
    lacking = [row for row in rows if own_classifier.as_input(row) is None]
    assert {(row.crop or 0) > 1 or (row.resize == "squash" and row.crop != 1) for row in lacking} == {True}
    assert len(lacking) < len(rows) / 50
    for row in rows[::7]:
        if (input := own_classifier.as_input(row)) is not None:
            here = cell(row.name, row.checkpoint, recipe=SHIPPED.model_copy(update={"input": input}))
            stripped = here.model_copy(update={"protocol": here.protocol})
            assert {each.what for each in deviations(row, conditions(stripped))} <= {"not stated by the source"}


@pytest.mark.parametrize(
    ("model", "checkpoint", "said"),
    [
        ("timm:resnet50", "random:0", "has no published number whose evaluation could be used; in a copy of"),
        ("timm:resnet5", "pretrained", "there are no published numbers of that model; did you mean 'resnet50'?"),
        ("keras:ConvNeXtBase", "imagenet", "no published number states size, crop, resize and interpolation"),
        ("timm:dm_nfnet_f0", "dm_in1k", "published with squash and crop 0.9, which [input] cannot express"),
    ],
)
def test_where_nothing_usable_is_published_that_is_said(model, checkpoint, said) -> None:
    with pytest.raises(UsageError) as caught:
        list(own_classifier.setups(cell(model, checkpoint)))
    assert said in str(caught.value)
    assert 'input = "protocol"' in str(caught.value)
    assert "\n" not in str(caught.value)


def steps_of(one: Cell) -> list[tuple[str, str, int | str, str]]:
    return [
        (
            each.protocol.own_classifier.step,
            each.conventions,
            each.protocol.input.resize,
            each.protocol.input.interpolation,
        )
        for each in own_classifier.setups(one)
    ]


def test_steps_stand_beside_the_evaluation_each_with_one_thing_changed() -> None:
    assert steps_of(cell("torchvision:resnet50", "IMAGENET1K_V1")) == [
        ("", "identical", 256, "bilinear"),
        ("", "identical,resize=plain", 256, "bilinear"),
        ("", "identical,resize=nearest", 256, "bilinear"),
        ("", "identical,decode=tensorflow", 256, "bilinear"),
        ("", "identical,input_scaling=mean-std", 256, "bilinear"),
        ("", "identical,input_scaling=minus-one-to-one", 256, "bilinear"),
        ("", "identical,stride2_padding=symmetric", 256, "bilinear"),
        ("", "identical,stride2_padding=same", 256, "bilinear"),
        ("bicubic", "identical", 256, "bicubic"),
        ("squash", "identical", "squash", "bilinear"),
        ("keras-load-img", "identical,resize=nearest", "squash", "bilinear"),
    ]
    assert ("bilinear", "identical", 235, "bilinear") in steps_of(cell("timm:resnet50", "a1_in1k"))
    for spec in ("native", "identical,resize=plain"):
        assert len(steps_of(cell("timm:resnet50", "a1_in1k", conventions=spec))) == 1, "only beside plain identical"
    assert all(
        not each.protocol.own_classifier.beside for each in own_classifier.setups(cell("timm:resnet50", "a1_in1k"))
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OWN + "[probe]\nl2 = [1.0]", "give either [probe] or at least one [[stage]], or [own_classifier]"),
        (OWN + "[images]\ntrain = 5", "own_classifier trains nothing: it cannot have [augmentation] or images.train"),
        (OWN + "[augmentation]\nhorizontal_flip = 0.5", "own_classifier trains nothing"),
        (OWN.replace('"protocol"', '"published"'),
         'input: own_classifier.input = "published" determines it; remove one of the two'),
        (OWN.replace('"protocol"', '"publised"'), "own_classifier.input: Input should be 'published' or 'protocol'"),
        (OWN.replace("beside", "besides"), "own_classifier.besides: unknown key; did you mean 'beside'?"),
        (OWN.replace("{ resize = \"squash\" }", "{ resise = 3 }"), "own_classifier.beside.0.input.resise: unknown key"),
        (OWN.replace('input = { resize = "squash" }', ""), "own_classifier.beside.0: step 'squash' changes nothing"),
        (OWN.replace("resize = \"nearest\"", 'resize = "nearst"'), "own_classifier.beside.2: convention resize='n"),
        (OWN.replace("input_scaling", "momentum_form"),
         "own_classifier.beside.3: conventions.momentum_form is no axis that matters without training; "),
        (OWN.replace("input_scaling", "batchnorm_momentum"),
         "own_classifier.beside.3: conventions.batchnorm_momentum is no axis that matters without training"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_field(text, said) -> None:
    with pytest.raises(UsageError) as caught:
        protocols.parse(text, "own.toml")
    assert str(caught.value).startswith(f"own.toml: {said}")
    assert "\n" not in str(caught.value)


def test_the_keys_of_other_protocols_are_what_they_were_before_own_classifier() -> None:
    """A key that changed would make every record that exists worthless."""
    assert "own_classifier" not in protocols.load("quick").model_dump_json()
    quick = cell("timm:mobilenetv2_100", "offline", "digits", protocols.load("quick"))
    fixed = quick.model_copy(update={"protocol": quick.protocol.model_copy(update={"title": "T", "source": "S"})})
    third = version_3.cell(fixed.model_copy(update={"layout": "channels_last"}).model_dump(mode="json"))
    then = version_2.cell(third)
    assert version_1.digest(then) == "5a0edcabe2e67f4a540d990ae604ee40", "in its layout it is found where it was"
    assert fixed.key == "7c7f5bc3b43f3b234d9fec2518ee06fa"


def test_top_5_counts_as_argmax_does() -> None:
    stream = np.random.default_rng(0)
    logits = stream.normal(size=(200, 9)).round(1)  # with ties
    labels = stream.integers(0, 9, 200)
    order = np.argsort(-logits, axis=1, kind="stable")
    assert scores.top5(logits, labels) == np.mean([y in row[:5] for y, row in zip(labels, order, strict=True)])
    assert scores.top5(logits[:, :5], labels % 5) is None, "five of five are always right"
    assert scores.top5(np.full((3, 9), np.nan), np.zeros(3, np.int64)) == 0
    assert Metrics(accuracy=0.5, test_images=2, train_images=0, top5=1.0).top5 == 1.0


# -- whole runs, with the adapter in plain NumPy

FEW = tuple(data.synsets()[place] for place in (3, 40, 207, 388, 640, 812, 999))
MODEL = "example:random-features"


def pictures(folder: Path, names=FEW, images: int = 4) -> Path:
    """Noisy pictures with edges, wider than high, so that every step of preprocessing shows."""
    for place, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(images):
            stream = np.random.default_rng([place, number])
            coarse = stream.integers(0, 256, (6, 9, 3)).repeat(12, axis=0).repeat(12, axis=1)
            noisy = np.clip(coarse + stream.integers(-60, 60, coarse.shape), 0, 255)
            Image.fromarray(noisy.astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


def logits_by_hand(images: np.ndarray, head: dict[str, np.ndarray] | None = None) -> np.ndarray:
    """All 1,000 logits of random:0, or of it with another classifier."""
    from isotune_example import ExampleAdapter

    adapter = ExampleAdapter()
    axes = Conventions(input_scaling="mean-std")
    shapes = adapter.build("random-features", classes=1000, checkpoint=None, conventions=axes).weights()
    layout = {key: array.shape for key, array in shapes.items()}
    weights = Weights({**random_weights(layout, 0), **(head or {})})
    return adapter.build("random-features", classes=None, checkpoint=weights, conventions=axes).logits(images)


@pytest.fixture
def ran(house, here):
    """Runs OWN on a few classes: (what is done otherwise -> its cost, the store, what was said)."""
    (house / "own.toml").write_text(OWN, encoding="utf-8")

    def run(*more: str, checkpoint: str = "random:0", variant: str = "imagenet-subset"):
        if not (house / "set").exists():
            pictures(house / "set")
        status, said, errors = here(
            "run", "--models", MODEL, "--datasets", f"{variant}:set", "--protocols", "own.toml", "--checkpoint",
            checkpoint, "--conventions", "identical", *more,
        )  # fmt: skip
        assert status == 0, errors
        store = Store(house / ".isotune" / "records")
        return {cost.what: cost for cost in costs(store, store)}, store, said

    return run


def test_seeds_play_no_role_and_every_step_is_a_cell(ran) -> None:
    by_step, store, said = ran("--seeds", "3-5")
    assert set(by_step) == {"", "squash", "resize=nearest", "input_scaling=mean-std"}
    assert {record.cell.seeds for record in store} == {Seeds.all(0)}
    assert by_step["input_scaling=mean-std"].record.same_as == "identical", "a step that changes nothing is not run"
    assert "4 cells done, 0 failed" in said
    again = ran("--seeds", "2")[1]
    assert len(list(again)) == 4


def test_predictions_are_the_best_of_the_data_sets_classes(ran, house) -> None:
    by_step, store, _ = ran()
    record = by_step[""].record
    dataset = data.load(record.cell.dataset, record.cell.dataset_digest)
    images, labels = data.inputs(dataset, "test", record.cell.protocol.images, Input(size=32, resize=36))
    full = logits_by_hand(images)
    columns = data.outputs(FEW, "x")
    assert set(full.argmax(axis=1)) - set(columns), "the classifier would prefer classes that are not there"
    predictions = store.predictions(record)
    assert predictions.tolist() == full[:, columns].argmax(axis=1).tolist()
    assert record.metrics.accuracy == np.mean(predictions == labels)
    assert record.metrics.top5 == scores.top5(full[:, columns], labels)
    assert (record.metrics.train_images, record.metrics.test_images) == (0, 28)
    assert record.timings.evaluation is not None
    assert len(set(predictions)) > 2, "else the test says little"


def test_what_a_step_costs_is_counted_image_by_image(ran) -> None:
    by_step, store, said = ran()
    base, squash = by_step[""].record, by_step["squash"].record
    assert squash.cell.protocol.input.resize == "squash"
    labels = data.load(base.cell.dataset, base.cell.dataset_digest).test.labels
    first, second = store.predictions(base), store.predictions(squash)
    against = by_step["squash"].against
    assert against is not None
    assert against.changed == 100 * predictions_changed(first, second) > 0
    assert against.test == mcnemar(first, second, labels)
    assert against.points == pytest.approx(100 * (squash.metrics.accuracy - base.metrics.accuracy))
    lines = said.splitlines()
    assert lines[0].startswith(f"{MODEL} on imagenet-subset:set: ")
    assert lines[0].endswith("of 28 images at 32 px, of 36, bilinear")
    assert any(line.startswith(f"  squash: {squash.metrics.accuracy:.2%}") for line in lines)
    assert "  input_scaling=mean-std: as identical" in lines
    other = base.model_copy(update={"cell": base.cell.model_copy(update={"dataset_digest": "1" * 64})})
    with pytest.raises(UsageError, match="not evaluated on the same images"):
        compare(base, other, store)
    with pytest.raises(UsageError, match="not what was written"):
        compare(base, squash.model_copy(update={"predictions_digest": "0"}), store)


def test_a_checkpoints_own_classifier_is_the_one_that_is_evaluated(ran, house) -> None:
    head = random_weights({"head.kernel": (256, 1000), "head.bias": (1000,)}, 7)
    body = random_weights({"000.dense.kernel": (192, 256), "000.dense.bias": (256,)}, 0)
    axes = {"input_scaling": "mean-std"}
    Weights({**body, **head}, axes, "random_features", "test").write(house / "own.safetensors")
    by_step, store, _ = ran(checkpoint="file:own.safetensors")
    record = by_step[""].record
    dataset = data.load(record.cell.dataset, record.cell.dataset_digest)
    images, _ = data.inputs(dataset, "test", record.cell.protocol.images, Input(size=32, resize=36))
    own, drawn = (logits_by_hand(images, given)[:, data.outputs(FEW, "x")].argmax(axis=1) for given in (head, None))
    assert store.predictions(record).tolist() == own.tolist() != drawn.tolist()
    assert record.checkpoint_digest == Weights({**body, **head}).digest(), "the classifier belongs to it"


def test_a_checkpoint_without_a_classifier_is_refused_before_anything_runs(here, house) -> None:
    pictures(house / "set")
    (house / "own.toml").write_text(OWN, encoding="utf-8")
    body = random_weights({"000.dense.kernel": (192, 256), "000.dense.bias": (256,)}, 0)
    Weights(body, {"input_scaling": "mean-std"}, "random_features", "test").write(house / "body.safetensors")
    asked = ["run", "--datasets", "imagenet-subset:set", "--protocols", "own.toml"]
    for model, checkpoint in ((MODEL, "file:body.safetensors"), ("torchvision:mobilenet_v2", "offline")):
        status, out, err = here(*asked, "--models", model, "--checkpoint", checkpoint)
        assert (status, out, len(err.splitlines())) == (2, "", 1), err
        assert "has no classifier of its own" in err
        assert not (house / ".isotune").exists()


# -- classifiers of other classes than ImageNet's

PETS = ("bee", "cat", "wolf dog")


@pytest.fixture
def pets(house, here):
    """Evaluates a checkpoint of so many outputs on pictures of PETS: (status, the record, its predictions, errors)."""
    pictures(house / "pets", PETS)

    def run(outputs: int, section: str = "", names: tuple[str, ...] = ()):
        shapes = {
            "000.dense.kernel": (192, 256), "000.dense.bias": (256,),
            "head.kernel": (256, outputs), "head.bias": (outputs,),
        }  # fmt: skip
        weights = Weights(random_weights(shapes, 5), {"input_scaling": "mean-std"}, "random_features", "test")
        weights.write(house / "tuned.safetensors")
        (house / "classes.txt").unlink(missing_ok=True)
        if names:
            (house / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
        recipe = OWN.partition("[[")[0].replace('input = "protocol"', f'input = "protocol"\n{section}')
        (house / "own.toml").write_text(recipe, encoding="utf-8")
        status, _, err = here(
            "run", "--models", MODEL, "--datasets", "testfolder:pets", "--protocols", "own.toml", "--checkpoint",
            "file:tuned.safetensors", "--conventions", "identical", "--store", f"{outputs}{len(names)}{section[:3]}",
        )  # fmt: skip
        store = Store(house / f"{outputs}{len(names)}{section[:3]}")
        record = next(iter(store), None)
        return status, record, None if record is None else store.predictions(record), err

    return run


def test_outputs_are_found_by_the_names_beside_the_checkpoint_not_by_position(pets) -> None:
    status, first, plain, err = pets(4, names=("background", "bee", "Wolf-Dog", "cat"))
    assert status == 0, err
    assert first.cell.protocol.own_classifier.classes == ("background", "bee", "Wolf-Dog", "cat"), "a cell has them"
    _, second, permuted, _ = pets(4, 'classes = ["background", "cat", "bee", "wolf dog"]')
    # what was read as bee, cat, dog of outputs 1, 3, 2 is now read of outputs 2, 1, 3
    assert permuted.tolist() == [{0: 1, 1: 2, 2: 0}[place] for place in plain.tolist()]
    assert first.cell.key != second.cell.key
    assert "per class" in first.line
    assert first.metrics.classes == PETS
    assert np.sum(first.metrics.confusion) == 12
    assert np.trace(first.metrics.confusion) == round(first.metrics.accuracy * 12)


def test_the_input_beside_a_checkpoint_is_its_evaluation_where_the_protocol_has_none(pets, house, caplog) -> None:
    names = ("background", "bee", "Wolf-Dog", "cat")
    config = {
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "input_size": [3, 24, 24],
        "crop_pct": 0.75,
        "interpolation": "bicubic",
    }
    status, plain, _, _ = pets(4, names=names)
    assert (status, plain.cell.protocol.input.size, plain.cell.beside_digest, plain.notes) == (0, 32, None, ())
    assert caplog.text == ""
    (house / "config.json").write_text(json.dumps(config), encoding="utf-8")
    status, record, _, _ = pets(4, 'map = { cat = "cat" }', names)
    assert (status, record.conventions.input_scaling) == (0, "minus-one-to-one")
    assert record.cell.protocol.input == plain.cell.protocol.input, "the protocol's own goes first"
    assert (
        "own evaluates at 32 px of 36, bilinear, and config.json says 24 px of 32, bicubic; the protocol's is"
        in caplog.text
    )
    assert record.notes == ("input_scaling of tuned.safetensors is minus-one-to-one, as config.json beside it says",)
    assert record.notes[0] in caplog.text
    asked = cell(MODEL, "file:tuned.safetensors")
    assert asked.protocol.own_classifier.input == "published"
    taken = next(own_classifier.setups(asked)).protocol.input
    assert (taken.size, taken.resize, taken.interpolation) == (24, 32, "bicubic")
    (house / "config.json").write_text(json.dumps(config | {"crop_mode": "border"}), encoding="utf-8")
    with pytest.raises(UsageError, match=r"config.json says crop_mode 'border', which \[input\] cannot express"):
        list(own_classifier.setups(asked))


def test_by_position_only_when_asked_for(pets) -> None:
    status, record, _, err = pets(3)
    assert (status, record, len(err.splitlines())) == (2, None, 1)
    assert "nothing says which of the 3 outputs" in err
    assert 'or say match = "position"' in err
    status, record, by_position, _ = pets(3, 'match = "position"')
    assert status == 0
    _, _, by_name, _ = pets(3, names=PETS)
    assert by_position.tolist() == by_name.tolist()
    status, record, _, err = pets(4, 'match = "position"')
    assert (status, record) == (2, None)
    assert "has 4 outputs, and testfolder:pets 3 classes" in err


@pytest.mark.parametrize(
    ("recipe", "dataset", "said"),
    [
        ("own.toml", "digits", "class '0' is not an ImageNet synset; folders must be synsets (n01440764, ...) or 0 to"),
        ("own.toml", "imagenet:set", "among them 7 of imagenet's 1000; imagenet-subset:PATH takes them"),
        ("own.toml", "imagenet:letters", "none of them a class of ImageNet; folders must be synsets"),
        ("own.toml", "imagefolder:set", "a fifth of its images, since isotune split it; imagenet-subset:set"),
        ("own-classifier", "imagenet-subset:set", "there are no published numbers of that model"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(here, house, recipe, dataset, said) -> None:
    pictures(house / "set")
    pictures(house / "letters", ("ants", "bees"), 1)
    (house / "own.toml").write_text(OWN, encoding="utf-8")
    status, out, err = here(
        "run", "--models", MODEL, "--datasets", dataset, "--protocols", recipe, "--checkpoint", "random:0"
    )
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_an_imagefolder_with_a_val_part_of_synsets_is_evaluated_on_it(ran, house) -> None:
    pictures(house / "set" / "train", FEW, 1)
    pictures(house / "set" / "val", FEW, 3)
    by_step, _, _ = ran(variant="imagefolder")
    assert by_step[""].record.metrics.test_images == 21
    assert by_step[""].record.metrics.train_images == 0, "the training part is left alone"
