"""The planted faults: enough of everything is drawn, and each kind of wrong outcome shows in the report."""

from __future__ import annotations

import sys
from collections import Counter
from types import ModuleType

import pytest

from isotune.conventions import RUNGS

pytest.importorskip("torchvision", reason="needs the extra torch")


@pytest.fixture(scope="module")
def bench(packages) -> ModuleType:
    """The programs; the faults are in the tests' packages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(packages))
        from planted import report

    yield report
    for name in [name for name in sys.modules if name.partition(".")[0] in ("planted", "isotune_planted")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def cases(bench) -> ModuleType:
    return sys.modules["planted.cases"]


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_enough_is_drawn_of_everything(bench, cases, seed):
    drawn = cases.draw(seed)
    assert drawn == cases.draw(seed)
    assert drawn != cases.draw(seed + 1)
    singles, pairs, clean = ([case for case in drawn if case.kind == kind] for kind in ("single", "pair", "clean"))
    assert len({case.faults for case in singles}) == len(singles) == 42
    assert Counter(bench.catalogue()[case.faults[0]].category for case in singles) == dict.fromkeys(bench.CATEGORIES, 6)
    assert len({case.right.split(":")[1] for case in singles}) >= 8, "architectures"
    assert len(pairs) == 10
    assert all(len(case.axes) == 2 for case in pairs)
    assert len(clean) == 20
    assert all(case.left != case.right and not case.rung and not case.axes for case in clean)
    for case in drawn:
        left, right = case.sides
        assert left.checkpoint == right.checkpoint
        assert case.protocol.stage[0].optimizer.weight_decay == 0.01


def test_every_fault_says_what_an_investigation_should(bench, cases):
    for fault in bench.catalogue().values():
        assert fault.category in bench.CATEGORIES
        assert fault.rung in RUNGS or fault.name == "rewritten"
        assert set(fault.models) <= set(cases.PLACES)
        assert set(fault.recipes) <= set(cases.OPTIMIZERS)


def investigation(case, rung: str, *axes: str, stopped: str | None = None):
    from isotune.investigation import Cause, Findings, Flip, Rung

    flips = tuple(Flip(side="right", axis=axis, was=1, value=2) for axis in axes)
    cause = Cause(flips=flips, before=1.0, after=0.0, layers=1) if flips else None
    rungs = (Rung(name="weights", verdict="holds"), *([Rung(name=rung, verdict="fails", cause=cause)] if rung else []))
    left, right = case.sides
    asked = {"left": left, "right": right, "dataset": "digits", "protocol": "planted", "images": 8, "steps": 4}
    return Findings(**asked, rungs=rungs, stopped=stopped, seconds=3.0)


def test_right_outcomes_pass_and_each_kind_of_wrong_one_fails(bench, cases, tmp_path):
    drawn = cases.draw(0)
    right = [bench.Outcome(case, investigation(case, case.rung, *case.axes)) for case in drawn]
    assert bench.as_it_should(right)
    text = bench.write(right, 0, tmp_path).read_text()
    assert "right in **52 of 52**" in text
    assert "False alarms: **0 of 20**" in text
    assert "should be" not in text
    assert (tmp_path / "figures/planted-faults.svg").exists()
    another = bench.write(right, 2, tmp_path)
    assert (another.name, "figures/planted-faults-seed-2.svg" in another.read_text()) == (
        "planted-faults-seed-2.md", True,
    )  # fmt: skip
    unnamed = next(place for place, case in enumerate(drawn) if case.rung and not case.axes)
    wrong = {
        "another rung": (0, investigation(drawn[0], "drift", *drawn[0].axes)),
        "a false alarm": (-1, investigation(drawn[-1], "layers")),
        "it stopped": (0, investigation(drawn[0], drawn[0].rung, *drawn[0].axes, stopped="out of memory")),
    }
    for name, (place, outcome) in wrong.items():
        changed = list(right)
        changed[place] = bench.Outcome(drawn[place], outcome)
        assert not bench.as_it_should(changed), name
        assert "should be" in bench.write(changed, 0, tmp_path).read_text(), name
    changed = list(right)
    changed[unnamed] = bench.Outcome(drawn[unnamed], investigation(drawn[unnamed], drawn[unnamed].rung, "gelu"))
    assert "**gelu**, should be nothing" in bench.write(changed, 0, tmp_path).read_text()
