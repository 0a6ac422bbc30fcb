"""The reported cases: each has its source and a sound twin, every kind of outcome is told from the others, and three of
them are found."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from isotune import data
from isotune.comparison.errors import Error
from isotune.conventions import AXES, RUNGS
from isotune.investigation import Cause, Findings, Flip, Rung

HERE = Path(__file__).parents[2] / "benchmarks" / "validation" / "reported"
MODULES = ("pairs", "outcomes", "report", "walking")


@pytest.fixture(scope="module")
def bench():
    """The modules of the bench, which stand in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        yield SimpleNamespace(**{name: __import__(name) for name in MODULES})
    for name in MODULES:
        del sys.modules[name]


def test_every_case_has_its_source_and_a_twin_that_differs_from_it(bench):
    cases = bench.pairs.cases()
    assert len(cases) >= 30
    known = Counter(axis for case in cases for axis in case.axes if axis in AXES)
    assert len(known) >= 15
    for case in cases:
        assert all(re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", source) for source in case.source), case.name
        assert case.source, case.name
        assert case.rung in RUNGS, case.name
        assert case.axes or case.at or case.refused or case.rung in ("logits", "loss", "drift"), case.name
        reported, sound = bench.pairs.Pair(case, sound=False), bench.pairs.Pair(case, sound=True)
        assert reported.sides[0] == sound.sides[0], case.name
        assert reported.sides[1] != sound.sides[1], case.name
        assert reported.asked != sound.asked


def test_the_pairs_differ_in_nothing_that_is_not_said(bench):
    for case in bench.pairs.cases():
        left, right = bench.pairs.Pair(case, sound=True).sides
        assert (left.conventions, left.checkpoint) == (right.conventions, right.checkpoint)


def findings(pair, *rungs: Rung, stopped: str | None = None) -> Findings:
    left, right = pair.sides
    asked = {"left": left, "right": right, "dataset": "digits", "protocol": "reported", "images": 8, "steps": 4}
    names = {"000.conv": ("first.0", "conv2d"), "001.norm": ("first.1", "norm"), "002.conv": ("second.0", "conv2d_1")}
    return Findings(**asked, rungs=rungs, stopped=stopped, names=names)


def fails(name: str, *axes: str, at: tuple[str, ...] = ("000.conv",)) -> Rung:
    flips = tuple(Flip(side="right", axis=axis, was=1, value=2) for axis in axes)
    cause = Cause(flips=flips, before=1.0, after=0.0, layers=1) if flips else None
    errors = tuple(Error(name=each, relative=1.0) for each in at) if name == "layers" else ()
    return Rung(
        name=name, verdict="fails", cause=cause, bound=1e-9, where=f"{at[0]} (a = b)", layers_isolated=errors
    )  # fmt: skip


HOLDS = Rung(name="layers", verdict="holds")
REPORTED = {  # case -> outcomes: what failed, and what that is
    "same-padding-of-a-strided-convolution": [
        ([fails("layers", "stride2_padding")], "named"),
        ([fails("layers", "batchnorm_epsilon")], "wrong name"),
        ([fails("layers", "stride2_padding"), fails("drift", "adam_epsilon")], "wrong name"),
        ([fails("weights")], "misplaced"),
        ([fails("layers")], "not named"),
        ([HOLDS], "called the same"),
        ([HOLDS, Rung(name="drift", verdict="unknown")], "not judged"),
    ],
    "padding-and-epsilon": [
        ([fails("layers", "stride2_padding")], "partly named"),
        ([fails("layers", "stride2_padding", "batchnorm_epsilon")], "named"),
        ([fails("layers", "stride2_padding"), fails("training-mode layers", "batchnorm_epsilon")], "named"),
    ],
    "pool-rounds-up": [
        ([fails("layers", at=("002.conv",))], "localised"),
        ([fails("layers", at=("000.conv",))], "misplaced"),
        ([fails("layers", at=("000.conv", "002.conv"))], "misplaced"),
        ([fails("layers", "stride2_padding", at=("002.conv",))], "wrong name"),
    ],
    "rows-of-a-flattened-map": [([fails("weights", at=("dense.kernel",))], "localised")],
    "slope-and-epsilon": [  # of which only the epsilon is a convention
        ([fails("layers", "batchnorm_epsilon", at=("001.norm", "002.conv"))], "partly named"),
        ([fails("layers", at=("001.norm", "002.conv"))], "localised"),
        ([fails("layers", at=("000.conv",))], "misplaced"),
    ],
    "softmax-twice": [([fails("logits", at=("features",))], "localised")],
}


@pytest.mark.parametrize("name", REPORTED)
def test_outcomes_of_what_was_reported(bench, name):
    pair = bench.pairs.Pair(*bench.pairs.cases([name]), sound=False)
    for rungs, kind in REPORTED[name]:
        outcome = bench.outcomes.Outcome(pair, findings(pair, *rungs))
        assert (outcome.kind, outcome.right) == (kind, kind in ("named", "localised"))


def test_outcomes_of_a_refusal_and_of_an_end_before_its_time(bench):
    refused, crashed = (bench.outcomes.REFUSED + "no pair", bench.outcomes.CRASHED + "KeyError: 3")
    pair = bench.pairs.Pair(*bench.pairs.cases(["different-architectures"]), sound=False)
    other = bench.pairs.Pair(*bench.pairs.cases(["softmax-twice"]), sound=False)
    outcome = bench.outcomes.Outcome
    assert outcome(pair, findings(pair, stopped=refused)).right
    assert not outcome(other, findings(other, stopped=refused)).right
    for stopped in (crashed, "the right side failed at the rung 'layers': out of memory"):
        assert outcome(pair, findings(pair, stopped=stopped)).kind == "crashed"


def test_outcomes_of_a_sound_twin(bench):
    pair = bench.pairs.Pair(*bench.pairs.cases(["softmax-twice"]), sound=True)
    outcome = bench.outcomes.Outcome
    assert outcome(pair, findings(pair, HOLDS)).kind == "same"
    assert outcome(pair, findings(pair, fails("layers"))).kind == "accused"
    assert outcome(pair, findings(pair, HOLDS, Rung(name="drift", verdict="unknown"))).kind == "not judged"


def test_the_report_counts_each_kind_and_holds_no_path_of_the_machine(bench, tmp_path):
    names = ["same-padding-of-a-strided-convolution", "pool-rounds-up"]
    pairs = bench.pairs.pairs(bench.pairs.cases(names))
    found = [[fails("layers", "stride2_padding")], [HOLDS], [HOLDS], [fails("layers")]]
    outcomes = [bench.outcomes.Outcome(pair, findings(pair, *rungs)) for pair, rungs in zip(pairs, found, strict=True)]
    text = bench.report.write(outcomes, "python benchmarks/validation/reported", tmp_path).read_text()
    assert "**1 of 2** (1 named, 0 localised)" in text
    assert "Called the same though they differ: **1**" in text
    assert "judged the same: **1 of 2**" in text
    assert "https://github.com/keras-team/keras/issues/19291" in text
    kept = json.loads((tmp_path / "reported.json").read_text())
    assert [each["reported"]["outcome"] for each in kept["cases"]] == ["named", "called the same"]
    assert str(HERE) not in text + json.dumps(kept)


@pytest.mark.parametrize("name", ["max-pool-padded-with-zeros", "adam-decays-by-l2", "biases-decay"])
@pytest.mark.usefixtures("warm")
def test_a_reported_case_is_found_and_its_twin_is_the_same(bench, house, name):
    pytest.importorskip("torch", reason="needs the extra torch")
    for pair in bench.pairs.pairs(bench.pairs.cases([name])):
        outcome = bench.walking.investigated(pair, data.prepare("digits"), house)
        assert outcome.right, outcome.line()
        assert bench.walking.investigated(pair, data.prepare("digits"), house) == outcome  # kept


OF_TWO_LIBRARIES = (
    "pool-without-padding", "deviation-for-variance", "groupnorm-epsilon-of-one", "gelu-by-tanh",
    "frozen-batchnorm-goes-on",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.xdist_group("keras")
@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("name", OF_TWO_LIBRARIES)
def test_a_reported_case_of_two_libraries_is_found_and_its_twin_is_the_same(bench, house, name):
    pytest.importorskip("torch", reason="needs the extra torch")
    pytest.importorskip("h5py", reason="needs the extra keras")
    for pair in bench.pairs.pairs(bench.pairs.cases([name])):
        outcome = bench.walking.investigated(pair, data.prepare("digits"), house)
        assert outcome.right, outcome.line()
