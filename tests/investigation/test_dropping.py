"""What is recorded for a convention that is tried is dropped again, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from isotune.comparison import observations, requests
from isotune.comparison.sides import Side
from isotune.investigation._judging import Judge
from isotune.investigation._recordings import Recordings
from isotune.investigation._rung_specs import RUNG_SPECS
from isotune.investigation._sides import inputs
from isotune.investigation.findings import Flip
from isotune.protocols import load

STAGE = inputs(load("quick-fine-tune"), SimpleNamespace(train=range(64), classes=("one", "two")), 2, 0)
DRIFT = next(spec for spec in RUNG_SPECS if spec.name == "drift")


class Showing:
    """In the place of a worker: every part is one number."""

    def __init__(self, number):
        self.number = number

    def ask(self, do, **request):
        if do is requests.describe:
            axes = {"decode": "pillow", "resize": "antialias"}
            return {"axes": axes, "layers": {}, "environment": {}, "architecture": "one"}
        observations.write(Path(request["folder"]), [("loss 1", np.array([self.number])), ("loss", np.zeros(1))])
        return None


@pytest.fixture
def judge(tmp_path):
    batch = SimpleNamespace(
        labels=lambda: np.zeros(2, np.int64), pixels=lambda *_: np.zeros((2, 4, 4, 3), np.uint8), encoded=False
    )
    sides = {"left": Side(model="a:m", checkpoint="random:0"), "right": Side(model="b:m", checkpoint="random:0")}
    made = Recordings(sides, STAGE, batch, {"left": Showing(1.0), "right": Showing(2.0)}, tmp_path)
    made.describe()
    return Judge(made)


def folders(judged):
    assert judged.recorded is not None
    return [folder.exists() for folder in judged.recorded]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_convention_that_is_a_cause_already_drops_nothing_when_it_is_tried_again(judge, side):
    flip = Flip(side=side, axis="momentum_form", was="rate-outside", value="rate-inside")
    before = judge.isolated(DRIFT, causes=[flip])
    assert not before.holds
    judge.isolated(DRIFT, [flip], [flip])
    assert folders(before) == [True, True]


@pytest.mark.parametrize("side", ["left", "right"])
def test_what_was_recorded_for_a_try_is_dropped(judge, side):
    flip = Flip(side=side, axis="momentum_form", was="rate-outside", value="rate-inside")
    before = judge.isolated(DRIFT)
    tried = judge.isolated(DRIFT, [flip])
    assert folders(before) == [True, True]
    assert folders(tried) == [which != side for which in ("left", "right")]
