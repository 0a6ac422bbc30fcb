"""Processes on one store share its cells: each is run once, and who died loses it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isotune.runs.store import Store

SWEEP = """
models = ["example:random-features"]
checkpoints = ["random:0"]
protocols = ["./tiny.toml"]
conventions = ["identical"]
seeds = 8
store = "records"
"""
TINY = """
name = "tiny"
title = "Tiny"
source = "this test"
images = { train = 64, test = 50 }
input = { size = 16 }
stage = [{ epochs = 2, batch_size = 16, optimizer = { name = "sgd" }, schedule = { learning_rate = 0.05 } }]
"""


@pytest.fixture
def start(house):
    Path("sweep.toml").write_text(SWEEP)
    Path("tiny.toml").write_text(TINY)
    started = []

    def make(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "isotune.cli", "run", "sweep.toml", *arguments]
        process = subprocess.Popen(command, stdout=-1, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        started.append(process)
        return process

    yield make
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_two_processes_at_once_run_each_cell_once(start) -> None:
    both = [start(), start()]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert all("8 cells done" in text for text in said), said
    records = Store(Path("records")).all()
    assert len(records) == 8
    assert len(list(Path("records").glob("*/record.json"))) == 8, "none was written twice"
    assert not Path("records/.claims").exists()


def test_a_killed_process_loses_its_cell_at_once_and_a_stopped_one_does_not_write_twice(start, here) -> None:
    first = start()
    ends = time.monotonic() + 200
    while not list(Path("records").glob("*/record.json")) or not list(Path("records/.claims").glob("*")):
        assert time.monotonic() < ends
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert here("run", "sweep.toml", "--plan", "--json")[0] == 0
    began = time.monotonic()
    status, said, _ = here("run", "sweep.toml")
    assert status == 0
    assert "8 cells done" in said
    assert time.monotonic() - began < 50, "no lease was waited for"
    assert len(Store(Path("records")).all()) == 8


def test_a_run_stops_after_a_time_and_goes_on(start, here) -> None:
    status, said, _ = here("run", "sweep.toml", "--stop-after", "0.001s")
    assert (status, "0 cells done, 0 failed, 8 left" in said) == (0, True), said
    status, said, _ = here("status", "records", "--json")
    assert status == 0
    assert {name: json.loads(said)[name] for name in ("asked", "done", "left")} == {"asked": 8, "done": 0, "left": 8}
    status, said, _ = here("run", "sweep.toml")
    assert "8 cells done, 0 failed;" in said
    status, said, _ = here("run", "sweep.toml", "--plan")
    assert "8 done, 0 to run" in said
    status, said, _ = here("status", "records")
    assert "8 done, 0 failed, 0 running, 0 left" in said


def test_what_failed_is_kept_until_it_is_asked_for(start, here) -> None:
    text = SWEEP.replace('"example:random-features"', '"example:random-features", "faulty:raises"')
    Path("sweep.toml").write_text(text.replace("seeds = 8", "seeds = 1"))
    status, said, errors = here("run", "sweep.toml")
    assert status == 1, errors
    status, said, _ = here("run", "sweep.toml")
    assert status == 1
    assert "1 cell done, 1 of them before, 1 failed (1 of them before; --retry-failed runs them again)" in said
    (before,) = (record for record in Store(Path("records")) if record.status == "failed")
    _, said, _ = here("status", "records")
    assert "failed, 1: ValueError: a model that raises" in said
    assert "1 cell done, 1 failed; " in here("run", "sweep.toml", "--only-failed")[1].replace(", 1 of them before", "")
    (after,) = (record for record in Store(Path("records")) if record.status == "failed")
    assert after.started > before.started


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.toml"], "nowhere.toml: No such file"),
        (["timm:resnet18"], "is no sweep file, NAME.toml; models are given with --models"),
        (["sweep.toml", "--seeds", "3"], "--seeds: sweep.toml says what is run; write it there"),
        (["sweep.toml", "--stop-after", "2 weeks"], "stop_after: '2 weeks' is no time; give a time such as 90s"),
        (["sweep.toml", "--json"], "--json: goes with --plan"),
    ],
)
def test_wrong_use_is_one_line(start, here, arguments, said) -> None:
    status, _, errors = here("run", *arguments)
    assert status == 2
    assert said in errors
    assert len(errors.strip().splitlines()) == 1
