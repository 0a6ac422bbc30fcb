"""Published numbers that contradict each other are found, explained and shown."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from isotune.reference_results import Contradiction, Reference, contradictions, references
from isotune.reference_results._contradictions import find
from isotune.reference_results._tables import Explanation

FOUND = {(each.subject.name, each.subject.dataset, each.subject.metric): each for each in contradictions()}
DOCUMENTED, README = (
    references(adapter="keras", model="VGG16", metric="top-1", measured_by=who)[0]
    for who in ("Keras", "keras-applications")
)


def values(contradiction: Contradiction) -> dict[str, float]:
    return {row.measured_by: row.value for row in contradiction.references}


def test_every_contradiction_has_an_explanation_with_a_source() -> None:
    assert len(contradictions()) > 100
    for each in contradictions():
        assert each.explanation, each
        assert each.explanation.why
        assert each.explanation.sources


def test_they_come_widest_first_and_every_gap_is_more_than_rounding() -> None:
    gaps = [each.gap for each in contradictions()]
    assert gaps == sorted(gaps, reverse=True)
    for each in contradictions():
        assert any(
            abs(one.value - other.value) > one.half_unit + other.half_unit
            for one, other in combinations(each.references, 2)
        )


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("keras:ResNet50", {"Keras": 74.9, "keras-applications": 74.928, "Northcutt": 70.35}),
        ("keras:VGG16", {"Keras": 71.3, "keras-applications": 71.268, "qubvel": 70.79, "Northcutt": 65.24}),
        ("keras:ResNet50V2", {"Keras": 76.0, "qubvel": 69.73}),
        (
            "keras:ConvNeXtSmall",
            {"Keras": 82.3, "sayakpaul": 82.392, "facebookresearch/ConvNeXt": 83.1, "timm": 83.144},
        ),
        ("keras:MobileNet", {"Keras": 70.4, "Northcutt": 69.018}),
        ("keras:EfficientNetV2B0", {"Keras": 78.7, "timm": 78.386}),
        ("torchvision:inception_v3", {"torchvision": 77.294, "Northcutt": 69.246, "rwightman": 77.32}),
        ("torchvision:regnet_x_3_2gf", {"torchvision": 81.196, "timm": 80.916}),
        ("torchvision:efficientnet_b7", {"torchvision": 84.122, "timm": 84.424}),
    ],
)
def test_known_contradictions_are_shown(model: str, expected: dict[str, float]) -> None:
    assert expected.items() <= values(FOUND[model, "imagenet", "top-1"]).items()


def test_resnetv2s_documented_size_is_part_of_the_answer() -> None:
    contradiction = FOUND["keras:ResNet50V2", "imagenet", "top-1"]
    sizes = {row.measured_by: row.size_px for row in contradiction.references}
    assert (sizes["Keras"], sizes["qubvel"]) == (299, 224)
    assert contradiction.explanation
    assert "299 pixels" in contradiction.explanation.why
    assert "76 (Keras, 299 px)" in str(contradiction)


def test_one_source_that_contradicts_itself_is_shown_when_it_is_named() -> None:
    oddity = FOUND["timm:convnext_tiny", "imagenet", "top-1"]
    assert [(row.value, row.size_px) for row in oddity.references] == [(78.95, 288), (82.9, 224)]


def test_protocols_under_one_title_are_shown() -> None:
    assert FOUND["keras:EfficientNetB0", "stanford-dogs", "top-1"].gap > 1
    assert FOUND["torchvision:resnet50", "cifar10", "top-1"].gap == pytest.approx(0.9)


def test_repeated_runs_do_not_contradict() -> None:
    assert not any(each.subject.protocol in ("pytorch-tutorial", "vit-paper") for each in contradictions())


def pair(*rows: Reference) -> list[Contradiction]:
    return find(rows, [], {"own-classifier": "nothing", "a": "all", "b": "all", "c": "head"})


def test_numbers_contradict_when_their_roundings_do_not_overlap() -> None:
    assert pair(DOCUMENTED, README) == [], "71.3 is 71.268 rounded"
    assert pair(DOCUMENTED, replace(README, value=71.351))
    assert pair(DOCUMENTED, replace(README, value=71.249))
    assert not pair(DOCUMENTED, replace(README, value=71.35))


@pytest.mark.parametrize(
    "field", ["adapter", "model", "checkpoint", "dataset", "split", "train", "metric", "selection"]
)
def test_numbers_of_different_things_do_not_contradict(field: str) -> None:
    assert pair(DOCUMENTED, replace(README, value=60.0))
    assert pair(DOCUMENTED, replace(README, value=60.0, **{field: "other"})) == []


def test_one_source_or_one_protocol_repeated_is_no_contradiction() -> None:
    one = replace(DOCUMENTED, train="all", protocol="a")
    other = replace(one, value=60.0, source="other")
    assert pair(one, replace(other, source=one.source, protocol="b")) == []
    assert pair(one, other) == [], "two runs of one protocol"
    assert pair(one, replace(other, protocol="b"))
    assert pair(one, replace(other, protocol="c")) == [], "the other trains the head alone"


def test_speeds_on_different_machines_do_not_contradict() -> None:
    assert not any(each.subject.unit != "percent" for each in contradictions())


def test_the_first_explanation_that_fits_is_taken() -> None:
    special = Explanation("keras", ("VGG*", "X"), "imagenet", "*", "top-*", (), "open", "special", ("s",))
    general = replace(special, models=("*",), why="general")
    rows = [DOCUMENTED, replace(README, value=60.0)]
    assert find(rows, [special, general], {})[0].explanation == special
    assert find(rows, [replace(special, adapter="timm"), general], {})[0].explanation == general
    assert find(rows, [replace(special, models=("VGG",))], {})[0].explanation is None


def test_a_further_model_is_held_against_at_the_size_named() -> None:
    timm = references(adapter="timm", model="vgg16", checkpoint="tv_in1k", metric="top-1", dataset="imagenet")[0]
    small, large = replace(timm, value=50.0, size_px=128), replace(timm, value=90.0, size_px=224)
    same = Explanation("keras", ("VGG16",), "*", "*", "*", ("timm:vgg16:tv_in1k",), "open", "why", ("s",))
    (smallest,) = find([DOCUMENTED, small, large], [same], {})
    assert [row.value for row in smallest.references] == [50.0, 71.3]
    assert smallest.subject == DOCUMENTED
    (named,) = find([DOCUMENTED, small, large], [replace(same, others=("timm:vgg16:tv_in1k@224",))], {})
    assert [row.value for row in named.references] == [71.3, 90.0]
    assert str(named).endswith("71.3 (Keras) / 90 (timm, timm:vgg16, 224 px)")
