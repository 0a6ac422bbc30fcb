"""What was judged once is not asked for again."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from isotune.comparison.sides import Side
from isotune.investigation._judging import Judge, Judged
from isotune.investigation._rung_specs import LAYERS, STEP
from isotune.investigation.findings import Flip

EPSILON = Flip(side="right", axis="batchnorm_epsilon", was=1e-3, value=1e-5)
PADDING = Flip(side="right", axis="stride2_padding", was="same", value="symmetric")
OTHER_PADDING = Flip(side="right", axis="stride2_padding", was="same", value="same")


@pytest.fixture
def judge(monkeypatch):
    sides = {which: Side(model=f"{which}:net", checkpoint="random:0") for which in ("left", "right")}
    one = Judge(SimpleNamespace(sides=sides, images=lambda which: which))
    one.asked = []

    def judged(spec, flips, images, *, fed, tried):
        one.asked.append((spec.name, tuple(flip.value for flip in flips), sorted(tried)))
        return Judged(())

    monkeypatch.setattr(one, "_judged", judged)
    return one


def test_a_set_of_flips_is_judged_once_in_whatever_order(judge):
    first = judge.isolated(LAYERS, [EPSILON, PADDING])
    assert judge.isolated(LAYERS, [PADDING, EPSILON]) is first
    assert judge.isolated(LAYERS, [EPSILON]) is not first
    assert judge.asked == [("layers", (1e-5, "symmetric"), ["right"]), ("layers", (1e-5,), ["right"])]


def test_in_training_causes_and_what_is_tried_count_together(judge):
    first = judge.isolated(STEP, [EPSILON], causes=[PADDING])
    assert judge.isolated(STEP, [EPSILON, PADDING]) is first
    assert judge.isolated(STEP, [OTHER_PADDING], causes=[PADDING, EPSILON]) is not first  # the last value counts
    assert judge.isolated(STEP, causes=[PADDING]) is not first
    assert len(judge.asked) == 3


def test_the_same_flips_are_judged_anew_on_another_rung(judge):
    assert judge.isolated(LAYERS, [EPSILON]) is not judge.isolated(STEP, [EPSILON])
