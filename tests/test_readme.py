"""The README: its table is the committed leaderboard's. Its blocks are run in tests/docs."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_is_the_committed_leaderboards():
    table = re.search(r"<!-- leaderboard -->\n(.*?)<!-- /leaderboard -->", README, re.DOTALL)
    assert table
    rows = [line for line in table[1].splitlines() if line.strip()]
    committed = (ROOT / "reports/leaderboard.md").read_text(encoding="utf-8").splitlines()
    assert len(rows) > 4
    for row in rows:
        assert row in committed


def test_every_file_that_the_readme_names_is_there():
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(targets) > 10
    for target in targets:
        assert (ROOT / target).exists(), target


def test_it_is_read_in_two_minutes():
    words = re.sub(r"<!-- leaderboard -->.*?<!-- /leaderboard -->", "", README, flags=re.DOTALL).split()
    assert len(words) < 600  # at 300 words a minute
