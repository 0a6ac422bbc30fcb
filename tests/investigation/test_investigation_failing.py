"""A side that cannot run: what was learned so far is written, and the other side's part is kept and goes on."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from isotune.errors import UsageError

MODEL = "example:random-features"
HOW = ["--checkpoint", "random:0", "--conventions", "identical"]
STEPS = ["--protocol", "quick-fine-tune", "--images", "4", "--steps", "2"]
OUT = ["--out", "found", "--name", "n"]
LAST = "layers"  # faulty models fail at the next rung, logits


@pytest.mark.parametrize(
    ("way", "rung", "why"),
    [
        ("is-not-built", "the start", "RuntimeError: a model that is not built"),
        ("raises", "the rung 'logits'", "ValueError: a model that raises"),
        ("fills-memory", "the rung 'logits'", "MemoryError: cannot allocate 64 GiB"),
        ("is-killed", "the rung 'logits'", "ended by signal 9, as when memory runs out"),
        ("dies", "the rung 'logits'", "ended with status 7: out of luck"),
    ],
)
def test_a_side_that_fails_leaves_the_rungs_so_far_and_a_dump_of_the_other(here, house, way, rung, why):
    status, said, told = here("investigate", MODEL, f"faulty:{way}", *HOW, *STEPS, *OUT, "--json")
    assert status == 1, told
    found = json.loads(said)
    assert found["stopped"].startswith(f"the right side, faulty:{way}, failed at {rung}: ")
    assert why in found["stopped"]
    assert [each["name"] for each in found["rungs"]][-1:] == ([LAST] if "rung" in rung else [])
    kept = found["survivor"]
    assert (kept["side"], kept["dump"], kept["lost"]) == ("left", "found/n-left-dump", "")
    report = (house / "found/n.md").read_text().replace("\\", "")
    (line,) = (line for line in report.splitlines() if line.startswith("**Stopped**"))
    assert all(part in line for part in (f"faulty:{way}", why, "found/n-left-dump", f"`{kept['command']}`"))


def test_what_is_kept_of_either_side_goes_on_as_the_reference(here, house):
    changed = ["--right-conventions", "identical,momentum_form=rate-inside"]
    status, said, told = here("investigate", "faulty:raises", MODEL, *HOW, *changed, *STEPS, *OUT, "--json")
    assert status == 1, told
    kept = json.loads(said)["survivor"]
    assert (kept["side"], kept["dump"]) == ("right", "found/n-right-dump")
    held = json.loads((house / "found/n-right-dump/dump.json").read_text())
    assert (held["side"]["model"], held["side"]["numeric_mode"], held["images"]) == (MODEL, "float64", 4)
    command = shlex.split(kept["command"])
    assert command == ["isotune", "investigate", "dump:found/n-right-dump", "faulty:raises", *HOW]
    command[3] = "faulty:works"  # mended
    status, said, told = here(*command[1:], "--json")
    assert status == 1, told
    causes = [flip["axis"] for rung in json.loads(said)["rungs"] if rung["cause"] for flip in rung["cause"]["flips"]]
    assert causes == ["momentum_form"]


def test_how_the_failing_side_was_asked_to_run_is_in_the_command_that_goes_on(here, house):
    how = ["--numeric-mode", "float32", "--left-compiled", "--left-python", sys.executable]
    status, said, told = here("investigate", "faulty:is-not-built", MODEL, *HOW, *how, *STEPS, *OUT, "--json")
    assert status == 1, told
    again = ["--numeric-mode", "float32", "--right-compiled", "--right-python", sys.executable]
    assert shlex.split(json.loads(said)["survivor"]["command"])[4:] == [*HOW, *again]
    assert json.loads((house / "found/n-right-dump/dump.json").read_text())["side"]["numeric_mode"] == "float64"


def test_where_both_fail_the_report_says_that_nothing_could_be_kept(here, house):
    status, said, _ = here("investigate", "faulty:raises", "faulty:is-not-built", *HOW, *STEPS, *OUT)
    assert status == 1
    assert "What the left side shows could not be kept: ValueError: a model that raises." in said
    assert "could not be kept" in (house / "found/n.md").read_text()
    assert not [each for each in (house / "found").iterdir() if "dump" in each.name]


def test_a_dump_against_which_a_side_fails_stays_to_go_on_with(here, house):
    assert here("dump", MODEL, *HOW, *STEPS, "-o", "kept")[0] == 0
    status, said, told = here("investigate", "faulty:raises", "dump:kept", *HOW, "--json")
    assert status == 1, told
    assert json.loads(said)["survivor"]["command"].startswith("isotune investigate dump:kept faulty:raises ")


def test_wrong_use_of_one_side_is_one_line_and_leaves_nothing(here, house):
    for wrong in ("example:random-featurs", "exampel:random-features"):
        for sides in ([MODEL, wrong], [wrong, MODEL]):
            status, said, told = here("investigate", *sides, *HOW, *STEPS, *OUT)
            assert (status, said) == (2, "")
            assert len(told.strip().splitlines()) == 1
            assert not (house / "found").exists()


HIDING = """
from importlib.machinery import PathFinder

find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name == "timm" else find(name, *rest)
"""


@pytest.fixture
def without_timm(house):
    """An interpreter of this environment that does not find timm, as where it is not installed."""
    (house / "blocked").mkdir()
    (house / "blocked/sitecustomize.py").write_text(HIDING)
    python = house / "without-timm"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{house}/blocked:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return "./without-timm"


def test_a_missing_extra_is_said_with_what_to_install_and_the_other_side_is_kept(here, house, without_timm):
    pytest.importorskip("torch", reason="needs the extra torch")
    lacking = ["timm:mobilenetv2_100", "--right-python", without_timm]
    status, said, told = here("investigate", MODEL, *lacking, *HOW, *STEPS, *OUT)
    assert status == 1, told
    line = f"the environment of {without_timm} lacks timm; run: {without_timm} -m pip install 'torch>="
    assert line in said
    assert f"--right-python {without_timm}`" in (house / "found/n.md").read_text()
    assert (house / "found/n-left-dump/dump.json").exists()


def test_what_neither_side_can_be_had_with_is_one_line(here, house, without_timm):
    pytest.importorskip("torch", reason="needs the extra torch")
    pythons = ["--left-python", without_timm, "--right-python", without_timm]
    status, said, told = here("investigate", *["timm:mobilenetv2_100"] * 2, *pythons, *HOW, *STEPS, *OUT)
    assert (status, said) == (2, "")
    assert len(told.strip().splitlines()) == 1
    assert not (house / "found").exists()


LISTENING = """
import signal
from isotune.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


def test_an_interrupted_walk_leaves_the_rungs_so_far(house):
    """As Ctrl-C does it: the whole group of processes gets the signal, which a shell's background job would ignore."""
    running = subprocess.Popen(
        [sys.executable, "-c", LISTENING, "investigate", MODEL, "faulty:waits", *HOW, *STEPS, *OUT],
        start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    while not (house / "waits").exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)
    said, told = running.communicate(timeout=180)
    assert running.returncode == 130, told
    assert "Stopped: interrupted" in said
    found = json.loads((house / "found/n.json").read_text())
    assert [rung["name"] for rung in found["rungs"]][-1] == LAST
    assert (found["stopped"], found["survivor"]) == ("interrupted", None)


OWN = """
import torch
from torch import nn

class Network(nn.Sequential):
    def forward(self, x):
        if self.training:
            raise RuntimeError("planted")
        return super().forward(x)

def raises_in_training():
    return Network(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))

def sound():
    return nn.Sequential(*raises_in_training())

def raises_when_built():
    raise RuntimeError("planted")
"""


def test_a_function_of_the_users_own_that_raises_is_a_side_that_fails(here, house):
    pytest.importorskip("torch", reason="needs the extra torch")
    (house / "own.py").write_text(OWN)
    for function, at in (("raises_when_built", "the start"), ("raises_in_training", "the rung 'training-mode layers'")):
        status, said, told = here(
            "investigate", f"torch:own.py:{function}", "torch:own.py:sound", *HOW, *STEPS, *OUT, "--json"
        )
        assert status == 1, told
        found = json.loads(said)
        assert found["stopped"].startswith(f"the left side, torch:own.py:{function}, failed at {at}: ")
        assert found["stopped"].endswith("RuntimeError: planted")
        assert found["survivor"]["dump"] == "found/n-right-dump"


@pytest.mark.parametrize(
    ("error", "status", "why"),
    [(UsageError("too few images"), 1, "the attribution: too few images"), (KeyboardInterrupt(), 130, "interrupted")],
)
def test_an_attribution_that_fails_loses_no_ladder(here, house, monkeypatch, error, status, why):
    def attribute(*_, **__):
        raise error

    monkeypatch.setattr("isotune.investigation._investigating.attribute", attribute)
    ended, said, told = here("investigate", MODEL, "faulty:works", *HOW, *STEPS, *OUT, "--price", "--json")
    assert ended == status, told
    found = json.loads(said)
    assert (found["stopped"], found["rungs"][-1]["name"], found["attribution"]) == (why, "drift", None)
