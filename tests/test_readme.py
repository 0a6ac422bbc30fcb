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


def test_the_models_to_choose_from_are_the_committed_reports(here):
    block = re.search(r"```console\n\$ isotune (models --measured (\S+)[^\n]*)\n(.*?)```", README, re.DOTALL)
    assert block
    asked = block[1].replace(block[2], str(ROOT / block[2])).split()
    status, out, _ = here(*asked)
    assert status == 0
    shown = [line.split() for line in block[3].splitlines() if line.strip() not in ("", "...")]
    assert len(shown) > 3
    printed = [line.split() for line in out.splitlines()]
    assert [line for line in shown if line not in printed] == []


def test_every_file_that_the_readme_names_is_there():
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(targets) > 10
    for target in targets:
        assert (ROOT / target).exists(), target


def test_it_is_read_in_two_minutes():
    words = re.sub(r"<!-- leaderboard -->.*?<!-- /leaderboard -->", "", README, flags=re.DOTALL).split()
    assert len(words) < 600  # at 300 words a minute
