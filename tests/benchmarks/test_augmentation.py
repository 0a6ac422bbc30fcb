"""Augmentation's speed: what the report makes of rounds, and sides that run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOM = Path(__file__).parents[2] / "benchmarks/validation/augmentation"
CALM, BUSY = {"others": 0.0}, {"others": 0.5}


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOM))
    for name in ("report", "techniques"):  # rooms have modules of one name
        monkeypatch.delitem(sys.modules, name, raising=False)
    import report

    yield report
    for name in ("report", "techniques"):
        sys.modules.pop(name, None)


def answers(what: str, *values: float, seen: dict[str, float] = CALM) -> list[dict[str, Any]]:
    return [{what: value, "disturbance": seen} for value in values]


def everything(seen: dict[str, float] = CALM) -> dict[str, Any]:
    pair = {"plain": answers("seconds", 0.1, 0.2, 0.1, seen=seen), "with": answers("seconds", 0.12, 0.22, 0.11)}
    rates = {"isotune": answers("rate", 300, 300), "torchvision": answers("rate", 200, 150)}
    measured = {
        "beside mixup": {"taken": "2026-01-05", "found": {"96 px": pair, "224 px": pair}},
        "against AutoAugment": {"taken": "2026-01-05", "found": rates},
    }
    return {"machine": {"cpu": "Example CPU", "cores": 2}, "versions": {"torch": "1"}, "measured": measured,
            "names": [*measured, "against mixup"]}  # fmt: skip


def test_ratios_are_of_pairs_and_what_was_not_measured_is_said(report: Any) -> None:
    text = report.report(everything())
    assert "| mixup | 100 | 1.10 (1.10 to 1.20) | 100 | 1.10 (1.10 to 1.20) |" in text
    assert "| AutoAugment | 300 | 175 | 1.75 (1.50 to 2.00) | - | - |" in text
    assert "2 of 2 are at most 1.10; the most is 1.10." in text
    assert "Not measured: against mixup." in text
    assert "Other programs" not in text


def test_a_loaded_machine_is_said(report: Any) -> None:
    text = report.report(everything(BUSY))
    assert "1.10 (1.10 to 1.20)*" in text
    assert "Other programs ran in every round of 2 of 3 figures, for one: other programs used 50 % of the cores" in text


@pytest.mark.parametrize(
    ("side", "asked", "what"),
    [
        ("isotune", {"batches": 1}, "rate"),
        ("beside", {"steps": 1, "size": 32, "batch": 4}, "seconds"),
        pytest.param("torchvision", {"batches": 1}, "rate", marks=pytest.mark.slow),
        pytest.param("keras", {"batches": 1}, "rate", marks=pytest.mark.slow),
    ],
)
def test_a_side_answers_with_what_it_took(side: str, asked: dict[str, Any], what: str) -> None:
    lines = "".join(json.dumps({"technique": name, **asked}) + "\n" for name in ("crops and flips", "mixup"))
    command = [sys.executable, str(ROOM / "side.py"), side]
    done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, text=True, check=True)
    for answer in map(json.loads, done.stdout.splitlines()):
        assert answer[what] > 0
        assert answer["disturbance"]["others"] >= 0
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize("bench", ["augmentation", "performance"])
def test_a_word_that_no_measurement_has_is_refused_and_no_report_is_written(bench: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOM.with_name(bench)), "--only", "nonsense", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert "--only nonsense: no measurement has" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())
