"""The room faults: what it counts is what it says, and what it damages is damaged."""

from __future__ import annotations

import importlib
from pathlib import Path
from random import Random

import pytest

ROOM = Path(__file__).parents[2] / "benchmarks/validation/faults"
SOUND = {
    "cells": 60, "done": {"": 1}, "lost": 0, "twice": 0, "unreadable": 0, "orphans": [], "tracebacks": [], "other": [],
    "equal": True, "by": 0,
}  # fmt: skip


@pytest.fixture
def bench(monkeypatch):
    """A module of the room."""
    monkeypatch.syspath_prepend(str(ROOM))
    return importlib.import_module


def kept(*trials: dict) -> dict:
    made = [{"command": each, "environment": {"python": "3"}} for each in ("a command", "another")]
    return {"faults": {"made": made, "ways": {"kills": list(trials), "none": []}, "left_out": ["mounts: no"]}}


def test_the_page_counts_what_was_done_and_names_what_went_wrong(bench) -> None:
    wrong = SOUND | {"done": {"command": 2, "worker": 3}, "orphans": ["python -m one"], "lost": 2, "equal": False,
                     "by": 1}  # fmt: skip
    lines = bench("page").page(kept(SOUND | {"done": {"command": 1}}, wrong)).splitlines()
    assert "| kills (3 command, 3 worker) | 60 | 6 | 2 | 0 | 1 | 0 | 0 | 0 | 1 of 2 | 1, 2 |" in lines
    assert "2. Made by `another`. python 3." in lines
    assert "- kills: python -m one" in lines
    assert "- not tried: mounts: no" in lines
    assert "- not tried yet: none" in lines
    assert not any(line.startswith("| none") for line in lines)


@pytest.mark.parametrize("spoil", ["bit flipped", "cut off"])
def test_one_bit_is_flipped_or_the_end_cut_off_and_the_time_put_back(bench, tmp_path, spoil) -> None:
    file, content = tmp_path / "file", bytes(range(200))
    for seed in range(20):
        file.write_bytes(content)
        before = file.stat().st_mtime_ns
        bench("damage")._spoil(file, spoil, Random(seed))
        after = file.read_bytes()
        assert file.stat().st_mtime_ns == before
        if spoil == "cut off":
            assert len(after) < len(content)
            assert content.startswith(after)
        else:
            differing = int.from_bytes(content, "big") ^ int.from_bytes(after, "big")
            assert len(after) == len(content)
            assert differing.bit_count() == 1


def test_every_way_has_a_name_of_its_own(bench) -> None:
    parts = [bench(name).WAYS for name in ("kills", "stops", "parents", "disks", "clocks", "damage", "clusters")]
    names = [name for part in parts for name in part]
    assert len(names) == len(set(names)) > 15


def test_each_trial_says_which_command_made_it(bench, tmp_path) -> None:
    for command in ("faults one", "faults two", "faults two"):
        bench("kept").Kept(tmp_path, ["kills"], command).add("kills", SOUND)
    kept = bench("kept").Kept(tmp_path, ["kills"], "faults three")
    assert [trial["by"] for trial in kept.trials("kills")] == [0, 1, 1]
    kept.add_missed("features", "cut off", "")
    lines = (tmp_path / "reliability.md").read_text().splitlines()
    assert [line.split("`")[1].split()[-1] for line in lines if "Made by" in line] == ["one", "two", "three"]


def test_a_whole_name_means_that_way_alone(bench) -> None:
    ways = ["kill", "kill again", "stop"]
    meant = bench("trial").meant
    assert meant(ways, ["kill"]) == ["kill"]
    assert meant(ways, ["kil", "st"]) == meant(ways, []) == ways
