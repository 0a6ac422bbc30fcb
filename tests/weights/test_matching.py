"""Tensors under other names: taken where there is evidence, refused where there is none or it says the contrary."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune.errors import UsageError, WeightsMismatch
from isotune.weights.matching import Undecided, by_order, mapped, prefixed

NORM = ("weight", "bias", "running_mean", "running_var")


def conv(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs, 3, 3)}


def norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{kind}": (channels,) for kind in NORM}


def network(names: list[str], blocks: int = 3, width: int = 8) -> dict[str, tuple[int, ...]]:
    """A stem, and blocks of two convolutions with their norms. names: of stem, its norm, and what stands in a block, {}
    for its number: convolution, norm, convolution, norm."""
    stem, stem_norm, *inside = names
    tensors = conv(stem, 3, width) | norm(stem_norm, width)
    for block in range(blocks):
        one, one_norm, two, two_norm = (each.format(block) for each in inside)
        tensors |= conv(one, width, width) | norm(one_norm, width) | conv(two, width, width) | norm(two_norm, width)
    return tensors


MODEL = network(["conv_stem", "bn1", "blocks.{}.conv1", "blocks.{}.bn1", "blocks.{}.conv2", "blocks.{}.bn2"])
OTHER = network(["stem.0", "stem.1", "layer_{}.a.0", "layer_{}.a.1", "layer_{}.b.0", "layer_{}.b.1"])
NUMBERED = network(["stem.0", "stem.1", "units.{}.c0", "units.{}.n0", "units.{}.c1", "units.{}.n1"])


def permuted(tensors: dict, first: str, second: str) -> dict:
    """The order with two layers exchanged."""
    places = {first: second, second: first}
    owners = dict.fromkeys(name.rpartition(".")[0] for name in tensors)
    kinds = {owner: [name for name in tensors if name.rpartition(".")[0] == owner] for owner in owners}
    return {name: tensors[name] for owner in owners for name in kinds[places.get(owner, owner)]}


def test_numbers_that_go_the_same_way_decide():
    found = by_order(NUMBERED, [MODEL])
    assert found.names["conv_stem.weight"] == "stem.0.weight"
    assert found.names["blocks.2.bn1.running_var"] == "units.2.n0.running_var"
    assert sorted(found.names) == sorted(MODEL)
    assert sorted(found.names.values()) == sorted(NUMBERED)
    assert re.match(
        r"35 of 35 tensors by order and shape, 'stem.0' for 'conv_stem': 1 of 14 layers have shapes that no other has,"
        r" and the order alone tells the rest apart, which numbers and words in the names agree with",
        found.how,
    )


def test_runs_of_equal_layers_that_nothing_names_apart_are_refused():
    """`a` and `b` in a block of two equal halves: an author may have registered either first."""
    with pytest.raises(Undecided, match=r"have the same shapes, and nothing but their order says which is"):
        by_order(OTHER, [MODEL])
    taken = by_order(OTHER, [MODEL], trusted=True)
    assert taken.names["blocks.0.conv2.weight"] == "layer_0.b.0.weight"
    assert taken.how.endswith("as was asked for")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("units.0.c0", "units.0.c1"),
        ("units.0.n0", "units.1.n0"),
        ("units.1.c0", "units.2.c0"),
        ("units.0.n1", "units.2.n0"),
    ],
)
def test_layers_of_the_same_shapes_in_a_changed_order_are_refused(first, second):
    changed = permuted(NUMBERED, first, second)
    assert list(changed) != list(NUMBERED)
    with pytest.raises(Undecided, match="their names say the contrary; they have the same shapes"):
        by_order(changed, [MODEL])


def test_words_that_cross_are_refused_and_words_that_agree_decide():
    model = conv("q.query", 4, 4) | conv("q.key", 4, 4)
    assert by_order(conv("att.query_proj", 4, 4) | conv("att.key_proj", 4, 4), [model]).names == {
        "q.query.weight": "att.query_proj.weight", "q.key.weight": "att.key_proj.weight",
    }  # fmt: skip
    with pytest.raises(Undecided, match="say the contrary"):
        by_order(conv("att.key_proj", 4, 4) | conv("att.query_proj", 4, 4), [model])


def test_a_file_that_is_sorted_is_put_into_the_order_of_its_numbers():
    model = {name: shape for block in range(12) for name, shape in conv(f"blocks.{block}", 8, 8).items()}
    file = {name: shape for block in range(12) for name, shape in conv(f"units.{block}", 8, 8).items()}
    found = by_order(dict(sorted(file.items())), [model], kept=False)
    assert found.names["blocks.10.weight"] == "units.10.weight"


def test_where_the_order_is_not_kept_every_two_equal_layers_must_be_named_apart():
    """In a sorted file anything may have stood anywhere, not only neighbours."""
    file, model = (conv(a, 4, 4) | norm(b, 4) | conv(c, 4, 4) for a, b, c in ("pqr", "xyz"))
    by_order(file, [model])
    with pytest.raises(Undecided, match="'p' and 'r' have the same shapes, and nothing but their order says"):
        by_order(file, [model], kept=False)


def test_two_orders_that_both_fit_are_no_order():
    registered = conv("body.x", 4, 4) | norm("n", 4) | conv("body.y", 4, 4)
    executed = conv("body.y", 4, 4) | norm("n", 4) | conv("body.x", 4, 4)
    file = conv("p", 4, 4) | norm("q", 4) | conv("r", 4, 4)
    with pytest.raises(Undecided, match=r"'p' is 'body.x' or 'body.y': the order fits in more than one way"):
        by_order(file, [registered, executed])
    by_order(file, [registered, registered])


def test_what_tensors_are_called_in_a_layer_decides_within_it():
    file = {"a.gamma": (4,), "a.beta": (4,), "a.moving_mean": (4,), "a.moving_variance": (4,)}
    model = {f"bn.{kind}": (4,) for kind in ("running_var", "running_mean", "bias", "weight")}
    called = {"running_var": "moving_variance", "running_mean": "moving_mean", "bias": "beta", "weight": "gamma"}
    assert by_order(file, [model]).names == {f"bn.{mine}": f"a.{theirs}" for mine, theirs in called.items()}
    with pytest.raises(WeightsMismatch, match="the file's 4 tensors are not the model's 4"):
        by_order({f"a.{number}": (4,) for number in range(4)}, [model])


@given(st.permutations(range(6)), st.sampled_from([("unit{}", "blocks.{}"), ("s.{}.x", "l{}.y")]))
def test_of_equal_layers_no_order_but_that_of_the_numbers_is_taken(order, names):
    mine, theirs = names
    file = {name: shape for place in order for name, shape in conv(mine.format(place), 4, 4).items()}
    model = {name: shape for place in range(6) for name, shape in conv(theirs.format(place), 4, 4).items()}
    try:
        found = by_order(file, [model])
    except Undecided:
        assert order != list(range(6))
    else:
        assert found.names == {f"{theirs.format(n)}.weight": f"{mine.format(n)}.weight" for n in range(6)}


@given(st.dictionaries(st.text("ab.1", max_size=6), st.just((2,)), max_size=6), st.text("ab.1", max_size=6))
def test_any_names_end_in_an_answer_or_one_line(file, name):
    for ask in (
        lambda: by_order(file, [{name: (2,)}]), lambda: mapped({name: "x"}, file, {"x": (2,)}),
        lambda: prefixed(file, {"a": (2,)}),
    ):  # fmt: skip
        try:
            matched = ask()
        except UsageError:
            continue
        assert matched is None or set(matched.names.values()) <= set(file)


def test_one_prefix_before_all_names_is_no_question_of_order():
    file = {f"model.{name}": shape for name, shape in reversed(MODEL.items())} | {"loss.weight": (3,)}
    found = prefixed(file, MODEL)
    assert found.names == {name: f"model.{name}" for name in MODEL}
    assert found.how == (
        "its names are the model's behind 'model.'; 1 tensors beside them are left out, first 'loss.weight'"
    )
    assert prefixed({f"model.{name}": shape for name, shape in list(MODEL.items())[1:]}, MODEL) is None
    with pytest.raises(Undecided, match=r"behind 'student.', 'teacher.'"):
        prefixed({f"{who}.{name}": (1,) for who in ("student", "teacher") for name in MODEL}, MODEL)


def test_a_map_names_tensors_and_modules():
    model = conv("a.x", 4, 4) | conv("a.y", 4, 4) | norm("n", 4)
    file = conv("body.p", 4, 4) | conv("body.q", 4, 4) | norm("n", 4)
    found = mapped({"body.p": "a.y", "body.q.weight": "a.x.weight"}, file, model)
    assert (found.names["a.y.weight"], found.names["a.x.weight"]) == ("body.p.weight", "body.q.weight")
    assert found.names["n.weight"] == "n.weight"
    for names, said in [
        ({"body.z": "a.x"}, "'body.z' is nothing in the file; "),
        ({"body.p": "a.z"}, "'a.z' is nothing in the model; "),
        ({"body.p": "a.x", "body.q": "a.x"}, "both 'body.p.weight' and 'body.q.weight' are 'a.x.weight' of the model"),
    ]:
        with pytest.raises(UsageError) as caught:
            mapped(names, file, model)
        assert said in str(caught.value)
