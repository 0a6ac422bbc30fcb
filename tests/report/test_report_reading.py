"""How to read a leaderboard: of each term that it uses, and of committed ones what the code says today."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from report_factories import default_run, default_speeds, record

from isotune.report import Leaderboard
from isotune.report._reading import TITLE, how_to_read, renewed

ROOT = Path(__file__).parents[2]
RENEW = runpy.run_path(str(ROOT / "reports" / "renew.py"), run_name="renew")
COMMITTED = sorted((ROOT / "reports").rglob("leaderboard.md"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parent.name)
def test_a_committed_leaderboard_explains_itself_as_the_code_does(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == RENEW["renewed_report"](path), "run: python reports/renew.py"


def test_all_committed_leaderboards_are_looked_at() -> None:
    assert len(COMMITTED) >= 5


def test_a_leaderboard_ends_with_it_and_renewing_changes_nothing() -> None:
    for text in (
        Leaderboard(default_run(), default_speeds()).markdown(), Leaderboard([record(error="lost")]).markdown(),
        Leaderboard([], default_speeds()).markdown(),
    ):  # fmt: skip
        assert renewed(text) == text
        assert text.count(TITLE) <= 1


def test_only_terms_that_are_used_are_explained() -> None:
    text = Leaderboard(default_run(), default_speeds()).markdown()
    section = text.partition(TITLE)[2]
    assert "**P(better)**" in section
    assert "**verdict**" not in section, "there is none"
    assert "calibration" not in section
    assert how_to_read("nothing") == ""
    stale = text.replace("order statistics", "quartiles")
    assert renewed(stale) == text
