"""A small calibration: what it claims of the statistics holds, and it would notice if not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from isotune import statistics
from isotune.statistics import _bootstrap, _power, _standard_error

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def calibration() -> ModuleType:
    """benchmarks/validation/calibration, which imports matplotlib."""
    from calibration import __main__ as calibration

    return calibration


@pytest.fixture(scope="module")
def simulations(calibration: ModuleType) -> ModuleType:
    return calibration.simulations


@pytest.fixture(scope="module")
def few(calibration: ModuleType) -> tuple:
    """Normal; a skewed accuracy on few images, where everything is hardest."""
    return calibration.NORMAL, calibration.Setting(99.5, 1000)


CLAIMS: dict[str, Callable] = {
    "t": lambda c, few: c.simulations.t_intervals(1500, few, (3, 10)),
    "bca": lambda c, few: c.simulations.bca_intervals(700, few[1:], (8, 30), resamples=999),
    "wilson": lambda c, few: c.simulations.wilson_intervals((100, 1000)),
    "split": lambda c, few: c.variance.split(400),
    "reproduced": lambda c, few: c.simulations.false_reproduced(1500, few, (3, 20)),
    "published": lambda c, few: c.simulations.false_reproduced_published(500, (3, 30)),
    "different": lambda c, few: c.simulations.false_different(1500, (3, 10)),
    "power": lambda c, few: c.simulations.power(1000, (3, 8)),
    "paired": lambda c, few: c.simulations.pairs(1500, few, (3, 10)),
    "families": lambda c, few: c.simulations.families(150, few[:1], (5,)),
    "wins": lambda c, few: c.simulations.wins(),
    "components": lambda c, few: c.variance.components(250, designs=c.variance.DESIGNS[:1]),
    "components counted": lambda c, few: c.variance.components(100, 1000, designs=c.variance.DESIGNS[4:]),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_what_is_claimed_holds(name: str, calibration: ModuleType, few: tuple) -> None:
    table = CLAIMS[name](calibration, few)
    assert any(cell.bounds for cell in table.cells.values())
    assert table.failures() == []


def test_an_interval_that_is_too_short_is_noticed(simulations, few, monkeypatch) -> None:
    true = statistics.estimate
    monkeypatch.setattr(statistics, "estimate", lambda values: true(values, 0.9))
    assert len(simulations.t_intervals(1500, few, (3, 10)).failures()) == 4


def test_a_bootstrap_that_is_not_expanded_is_noticed(simulations, few, monkeypatch) -> None:
    monkeypatch.setattr(_bootstrap, "_expanded", lambda confidence, n: confidence)
    assert simulations.bca_intervals(700, few[:1], (8,), resamples=999).failures()


def test_a_verdict_that_ignores_skewness_is_noticed(simulations, few, monkeypatch) -> None:
    monkeypatch.setattr(_standard_error, "_untransformed", lambda t, skew: t)
    assert simulations.false_reproduced(4000, few[1:], (3, 20)).failures()


def test_a_power_that_forgets_a_side_is_noticed(simulations, monkeypatch) -> None:
    monkeypatch.setattr(_power, "REPRODUCED_TAIL", 0.1)
    assert simulations.power(1000, (3, 8)).failures()


def test_the_report_is_the_same_each_time_and_shows_what_fails(calibration, few, tmp_path) -> None:
    tables = {name: make(calibration, few) for name, make in CLAIMS.items() if name in ("wilson", "wins")}
    text = calibration.report(tables)
    assert text == calibration.report(tables)
    assert "figures for which something is claimed hold." in text
    assert "| 99.5 % | 94.2 | 95.3 |" in text
    table = tables["wilson"]
    place = ("99.5 %", "100 images")
    table.cells[place] = type(table.cells[place])(0.9, 0, (0.93, 0.97))
    text = calibration.report(tables)
    assert "1 do not hold: Wilson's interval over test images: 99.5 %, 100 images: **90.0**" in text
    assert "| 99.5 % | **90.0** |" in text


def test_the_committed_report_says_that_every_claim_holds(calibration) -> None:
    text = (ROOT / "reports" / "calibration.md").read_text(encoding="utf-8")
    assert "figures for which something is claimed hold." in text
    assert "**" not in text.split("## What is weaker")[0].replace("**bold**", "")
    for name in ("intervals", "verdicts", "power", "variance"):
        figure = ROOT / "reports" / "figures" / f"calibration-{name}.svg"
        assert f"figures/{figure.name}" in text
        assert b"<dc:date>" not in figure.read_bytes()


def test_a_simulated_share_is_judged_by_its_own_error(calibration) -> None:
    share = calibration.simulations.Share
    assert share(0.90, 100, (0.93, 0.97)).holds
    assert not share(0.90, 10_000, (0.93, 0.97)).holds
    assert share(0.95, 10, (0.93, 0.97)).holds
    assert not share(0.051, 0, (0, 0.05)).holds
    assert share(0.2, 100).holds
    assert np.isclose(float(str(share(0.0512, 100))), 5.1)
