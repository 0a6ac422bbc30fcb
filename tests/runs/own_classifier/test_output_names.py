"""Which output stands for which class: by name, by an explicit map, by synset id, never by position in silence."""

from __future__ import annotations

import json

import numpy as np
import pytest

from isotune import data
from isotune.errors import UsageError
from isotune.protocols import OwnClassifier
from isotune.runs.own_classifier.classes import beside, columns

PETS = ("bee", "cat", "wolf dog")


def found(wanted=PETS, outputs=3, names=(), **rule) -> list[int]:
    return columns(wanted, outputs, names, OwnClassifier(**rule), dataset="pets", who="the net").outputs.tolist()


def refused(*given, **rule) -> str:
    with pytest.raises(UsageError) as caught:
        found(*given, **rule)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_names_are_found_as_they_are_and_else_without_case_and_blanks() -> None:
    assert found(names=("cat", "wolf dog", "bee")) == [2, 0, 1]
    assert found(names=("CAT", "Wolf_Dog", "bee")) == [2, 0, 1]
    assert found(("a", "A"), 2, ("A", "a")) == [1, 0], "as they are goes first"
    assert found(names=("dog", "bee", "cat"), classes=("wolf dog", "cat", "bee")) == [2, 1, 0], "the protocol's list"


def test_a_subset_and_a_background_class_leave_outputs_out() -> None:
    assert found(outputs=5, names=("background", "bee", "ant", "wolf dog", "cat")) == [1, 4, 3]


def test_a_map_says_what_names_do_not() -> None:
    assert found(names=("cat", "dog", "bee"), map={"wolf dog": "dog"}) == [2, 0, 1]
    assert found(outputs=4, map={"wolf dog": 0, "cat": 3, "bee": 1}) == [1, 3, 0], "numbers need no names"


def test_a_single_output_is_of_the_second_name_or_the_one_that_is_said() -> None:
    two = ("cat", "dog")
    assert found(two, 1, ("cat", "dog")) == [0, 1]
    assert found(two, 1, ("dog", "cat")) == [1, 0]
    assert found(two, 1, ("cat",)) == [1, 0]
    assert found(two, 1, map={"cat": 0}) == [1, 0]
    assert found(two, 1, match="position") == [0, 1]
    logits = np.array([[-2.0], [3.0]])
    cut = columns(two, 1, ("dog", "cat"), OwnClassifier(), dataset="pets", who="x").of(logits)
    probability = np.exp(cut) / np.exp(cut).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probability[:, 0], 1 / (1 + np.exp([2.0, -3.0])), rtol=1e-12)


def test_imagenets_outputs_are_in_the_order_of_the_synsets() -> None:
    synsets = data.synsets()
    few = (synsets[999], synsets[2])
    assert found(few, 1000) == [999, 2]
    assert found(few, 1000, [f"a word for {place}" for place in range(1000)]) == [999, 2], "torchvision's categories"
    assert found(few, 1001, ("background", *synsets)) == [1000, 3]
    assert "nothing says which of the 1,001 outputs" in refused(few, 1001)


@pytest.mark.parametrize(
    ("given", "rule", "said"),
    [
        (((*PETS, "ant"), 3, PETS), {}, "class 'ant' of pets is none of the classes of the net ('bee', 'cat', 'wolf d"),
        ((PETS, 4, PETS), {}, "has 4 outputs, and the list of their names has 3 ('bee', 'cat', 'wolf dog'); give each"),
        ((PETS, 4), {}, "write their names into classes.txt beside the weights, a line each, or classes = [...]"),
        ((PETS, 4, ("cat", "bee", "bee", "wolf dog")), {}, "class 'bee' of pets is 2 outputs of the net, 1, 2; say"),
        ((("a b", "a_b"), 2, ("a-b", "c")), {}, "classes 'a b' and 'a_b' of pets would both be output 0"),
        ((PETS, 3, PETS), {"map": {"dgo": 1}}, "map names 'dgo', which is no class of pets"),
        ((PETS, 3, PETS), {"map": {"cat": 3}}, "map: 'cat' = 3: the net has outputs 0 to 2"),
        (
            (PETS, 3, PETS),
            {"map": {"cat": "kat"}},
            "map: 'cat' = 'kat' is no name of the outputs of the net; one of: bee",
        ),
        ((PETS, 3), {"map": {"cat": "cat"}}, "nothing says what the outputs of the net are called; give a number"),
        ((PETS, 1), {}, "the net has one output, which tells two classes apart, and pets has 3 ('bee', 'cat', 'wolf"),
        ((PETS[:2], 1), {}, "nothing says which of 'bee', 'cat' it is of; write map = { \"cat\" = 0 } under"),
        ((PETS[:2], 1, ("ant", "bug")), {}, "class 'bee' of pets, nor 1 more, is none of the classes of the net"),
        ((PETS, 4), {"match": "position"}, 'match = "position": the net has 4 outputs, and pets 3 classes'),
    ],
)
def test_what_does_not_match_is_one_line_with_what_would_be_right(given, rule, said) -> None:
    assert said in refused(*given, **rule)


def test_the_keys_of_earlier_evaluations_stay() -> None:
    assert OwnClassifier().model_dump(mode="json") == {"input": "published", "beside": [], "step": ""}
    assert OwnClassifier(classes=("a",)).model_dump(mode="json")["classes"] == ["a"]


def test_the_names_beside_a_checkpoint(tmp_path) -> None:
    file = tmp_path / "w.safetensors"
    assert beside(file) == ()
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"id2label": {"1": "b", "0": "a"}}))
    assert beside(file) == ("a", "b")
    config.write_text(json.dumps({"pretrained_cfg": {"label_names": ["c", "d"]}}))
    assert beside(file) == ("c", "d")
    config.write_text(json.dumps({"model_type": "resnet"}))
    assert beside(file) == ()
    for wrong in (
        {"id2label": {"0": "a", "2": "b"}},
        {"id2label": ["a"]},
        {"label_names": "a"},
        {"id2label": {"0": 1}},
    ):
        config.write_text(json.dumps(wrong))
        with pytest.raises(UsageError, match=r"config\.json"):
            beside(file)
    (tmp_path / "classes.txt").write_text("wolf dog\ncat\n\n")
    assert beside(file) == ("wolf dog", "cat"), "goes before config.json"
    (tmp_path / "classes.txt").write_text("a\n\nb\n")
    with pytest.raises(UsageError, match=r"classes.txt: write the classifier's classes there, a name a line"):
        beside(file)
