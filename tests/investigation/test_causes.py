"""What explains a part of a rung is named, what explains none of it is not, and the rest is said."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from isotune.comparison.errors import Error
from isotune.errors import UsageError
from isotune.investigation._causes import explained
from isotune.investigation._judging import Judged
from isotune.investigation._ladder import Ladder
from isotune.investigation._rung_specs import RUNG_SPECS
from isotune.investigation.findings import Flip

LAYERS = [f"{number:03d}.norm" for number in range(12)] + ["012.conv"]
LEFT = {"batchnorm_epsilon": 1e-5, "stride2_padding": "symmetric", "gelu": "exact"}
RIGHT = LEFT | {"batchnorm_epsilon": 1e-3}
AXES = list(LEFT)


def judged(failing: dict[str, float], layers=LAYERS) -> Judged:
    return Judged(tuple(Error(name=name, relative=failing.get(name, 0.0)) for name in layers))


def judge(faults, layers=LAYERS):
    """A rung in which each layer fails until all of its flips, (side, axis, value), are there; a value `never` cannot
    be had."""

    def ask(flips) -> Judged:
        made = {(flip.side, flip.axis, flip.value) for flip in flips}
        if any(flip.value == "never" for flip in flips):
            raise UsageError("cannot")
        return judged({name: 1e-2 for name, needed in faults.items() if not set(needed) <= made}, layers)

    return ask


EPSILON = ("right", "batchnorm_epsilon", 1e-5)
FAULTS = {name: [EPSILON] for name in LAYERS[:-1]}


def found(faults, left=LEFT, right=RIGHT, **asked):
    ask = judge(faults)
    return explained(ask(()), AXES, left, right, ask, by_parts=True, **asked)


def named(explanation) -> set[tuple[str, str]]:
    return {(flip.side, flip.axis) for flip in explanation.cause.flips} if explanation.cause else set()


def test_what_explains_all_layers_is_the_cause_of_the_rung():
    explanation = found(FAULTS)
    assert (named(explanation), explanation.rest) == ({("right", "batchnorm_epsilon")}, ())
    assert explanation.cause.cures == ()


def test_what_explains_twelve_of_thirteen_layers_is_named_and_the_last_is_said():
    explanation = found({**FAULTS, "012.conv": [("right", "nothing", "does")]})
    assert named(explanation) == {("right", "batchnorm_epsilon")}
    assert explanation.cause.cures == tuple(LAYERS[:-1])
    assert (explanation.cause.layers, explanation.cause.before, explanation.cause.after) == (13, 1e-2, 0)
    assert explanation.rest == ("012.conv",)


def test_the_search_goes_on_with_what_is_left():
    """One layer pads otherwise than its side says; another has no cause."""
    faults = {**FAULTS, "010.norm": [("nobody", "knows", "it")], "012.conv": [("right", "stride2_padding", "same")]}
    explanation = found(faults)
    assert named(explanation) == {("right", "batchnorm_epsilon"), ("right", "stride2_padding")}
    assert explanation.rest == ("010.norm",)


def test_a_flip_that_harms_another_layer_explains_nothing():
    def ask(flips) -> Judged:
        if any(flip.axis == "gelu" for flip in flips):
            return judged({"012.conv": 1e-2})
        return judged({"000.norm": 1e-2, "001.norm": 1e-2})

    explanation = explained(ask(()), AXES, LEFT, LEFT | {"gelu": "tanh"}, ask, by_parts=True)
    assert (explanation.cause, explanation.rest) == (None, ("000.norm", "001.norm"))


def test_what_only_comes_near_explains_nothing():
    def ask(flips) -> Judged:
        return judged(dict.fromkeys(LAYERS[:2], 2e-9 if flips else 1e-2))

    assert explained(ask(()), AXES, LEFT, RIGHT, ask, by_parts=True).cause is None


def test_an_axis_that_a_side_cannot_have_hides_no_other():
    right = RIGHT | {"stride2_padding": "same"}
    left = LEFT | {"stride2_padding": "never"}
    explanation = found({**FAULTS, "012.conv": [("nobody", "knows", "it")]}, left, right)
    assert named(explanation) == {("right", "batchnorm_epsilon")}


def test_a_rung_whose_values_hang_together_is_explained_whole_or_not_at_all():
    ask = judge({**FAULTS, "012.conv": [("nobody", "knows", "it")]})
    assert explained(ask(()), AXES, LEFT, RIGHT, ask).cause is None


def test_what_is_known_to_have_no_cause_is_not_searched_again():
    asked = []

    def ask(flips) -> Judged:
        asked.append(flips)
        return judge({**FAULTS, "012.conv": [("nobody", "knows", "it")]})(flips)

    known = [Flip(side="right", axis="batchnorm_epsilon", was=1e-3, value=1e-5)]
    explanation = explained(
        ask(()), AXES, LEFT, RIGHT, ask, known=known, beyond={"012.conv"}, by_parts=True
    )  # fmt: skip
    assert (named(explanation), explanation.rest) == ({("right", "batchnorm_epsilon")}, ("012.conv",))
    assert len(asked) == 2


ABSENT = Flip(side="left", axis="clip_norm", was=0.05, value=None)
SAME_PADDING, NOT_CLIPPED = ("right", "stride2_padding", "same"), ("left", "clip_norm", None)


def left_out(faults):
    """faults: name -> sets of flips, each of which mends it."""

    def ask(flips) -> Judged:
        made = {(flip.side, flip.axis, flip.value) for flip in flips}
        return judged({name: 1e-2 for name, cures in faults.items() if not any(set(each) <= made for each in cures)})

    return explained(ask(()), AXES, LEFT, LEFT, ask, by_parts=True, left_out=[ABSENT])


def test_a_part_of_the_protocol_that_a_side_leaves_out_is_named():
    """And not the convention that mends what the part would not have changed."""
    explanation = left_out(
        {name: [[NOT_CLIPPED]] for name in LAYERS[3:]} | {name: [[NOT_CLIPPED], [SAME_PADDING]] for name in LAYERS[:3]}
    )
    assert (named(explanation), explanation.rest) == ({("left", "clip_norm")}, ())


def test_what_helped_on_the_way_and_is_not_needed_is_not_named():
    """The padding mends most by itself; with the part left out and another GELU nothing is left for it."""
    gelu = ("right", "gelu", "tanh")
    faults = {name: [[SAME_PADDING], [NOT_CLIPPED, gelu]] for name in LAYERS[:5]}
    explanation = left_out(faults | {"005.norm": [[NOT_CLIPPED]], "006.norm": [[gelu]]})
    assert (named(explanation), explanation.rest) == ({("left", "clip_norm"), ("right", "gelu")}, ())


def test_a_convention_that_mends_no_more_than_leaving_a_part_out_is_not_named():
    explanation = left_out(
        {name: [] for name in LAYERS[3:]} | {name: [[NOT_CLIPPED], [SAME_PADDING]] for name in LAYERS[:3]}
    )
    assert (explanation.cause, explanation.rest) == (None, tuple(LAYERS))


def test_a_convention_that_mends_more_than_leaving_a_part_out_is_named():
    faults = {name: [[NOT_CLIPPED], [SAME_PADDING]] for name in LAYERS[:3]} | {"003.norm": [[SAME_PADDING]]}
    explanation = left_out(faults | {"012.conv": []})
    assert (named(explanation), explanation.rest) == ({("right", "stride2_padding")}, ("012.conv",))


@pytest.mark.parametrize(
    ("rung", "where"), [("gradients", "002.conv.kernel (c = c)"), ("one step", "000.conv.kernel (a = a)")]
)
def test_where_gradients_part_is_where_backpropagation_meets_it_first(rung, where):
    names = {f"{number:03d}.conv": (letter, letter) for number, letter in enumerate("abc")} | {"head": ("fc", "fc")}
    tensors = [f"{layer}.{slot}" for layer in names for slot in ("kernel", "bias")]
    failing = judged(dict.fromkeys(tensors[:6], 1.0), tensors)  # all but the head's
    spec = next(spec for spec in RUNG_SPECS if spec.name == rung)
    ladder = SimpleNamespace(_recordings=SimpleNamespace(names=lambda: names))
    assert Ladder._where(ladder, spec, failing, ()) == where
