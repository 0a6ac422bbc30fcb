"""Progress of a long call: shown, silent, or told to a function; and what an interruption leaves."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import types

import numpy as np
import pytest

import isotune
from isotune.errors import UsageError
from isotune.progress import Reporter, Shown, Told, reporting

MODEL = "example:random-features"
IMAGES, LABELS = np.zeros((40, 8, 8, 3), np.uint8), np.arange(40) % 4
STAGE = {"epochs": 2, "batch_size": 8, "optimizer": {"name": "sgd"}, "schedule": {"learning_rate": 0.01}}
RECIPE = {"name": "small", "title": "Small", "source": "a test", "input": {"size": 16}, "stage": [STAGE]}
CALL = {"seeds": 1, "conventions": "identical", "checkpoint": "random:0", "store": "records", "fresh": True}


@pytest.mark.usefixtures("house")
def test_without_a_terminal_each_run_gives_a_line_and_false_is_silent(capsys):
    isotune.run(MODEL, (IMAGES, LABELS), RECIPE, **CALL)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "of 8" in said.err
    isotune.run(MODEL, (IMAGES, LABELS), RECIPE, **CALL, progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("house")
def test_a_function_is_told_of_the_steps_and_of_each_run_that_ends():
    told = []
    isotune.run(MODEL, (IMAGES, LABELS), RECIPE, **CALL | {"seeds": 2}, progress=lambda *what: told.append(what))
    start = told.index(("cells", 0, 2))
    assert [what.partition(" ")[0] for what, _, _ in told[:start]] == ["data", "data", "starting", "ready:"]
    assert told[:start][-1][1:] == (1, 1)
    assert [(done, total) for what, done, total in told if "of 8" in what] == [(1, 2), (2, 2)]
    assert any("training" in what and (done, total) == (8, 8) for what, done, total in told)


@pytest.mark.usefixtures("house")
def test_what_the_function_raises_ends_the_call():
    def enough(what, done, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        isotune.run(MODEL, (IMAGES, LABELS), RECIPE, **CALL, progress=enough)


def test_a_line_fits_80_columns_and_keeps_the_model_and_the_step(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with reporting(True) as reporter:
        reporter.parts("cells", 1000)
        reporter("torchvision:mobilenet_v2 digits quick-fine-tune identical seed 0: features", 1000, 1797)
    drawn = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", screen.getvalue())]
    assert "…" not in screen.getvalue()
    assert max(map(len, drawn)) <= 80
    assert any(line.startswith("torchvision:") and ": features" in line and "1000/1797" in line for line in drawn)


@pytest.mark.usefixtures("house", "warm")
def test_what_was_done_before_is_said_to_be(capsys, monkeypatch):
    call = CALL | {"fresh": False, "datasets": (IMAGES, LABELS), "protocols": RECIPE}
    assert not isotune.run(MODEL, **call).kept
    assert "done before" not in capsys.readouterr().err
    again = isotune.run(MODEL, **call | {"seeds": 2})
    assert again.kept == {again[0].cell.key}
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"done before: {MODEL} ")
    assert second.startswith(f"{MODEL} ")


def test_a_reporter_serves_several_calls_and_other_things_are_refused():
    reporter = Reporter()
    with reporting(reporter) as same:
        assert same is reporter
    with reporting(print) as told:
        assert isinstance(told, Told)
    with reporting(True) as shown:
        assert isinstance(shown, Shown)
    with pytest.raises(UsageError, match="progress: takes True, False or a function"), reporting(3):
        pass


def test_a_notebook_has_one_line_that_is_rewritten(monkeypatch):
    from rich import console

    shown = []

    class Handle:
        def update(self, said, raw):
            shown.append(said["text/plain"])

    def display(said, raw, display_id):
        return Handle()

    notebook = types.ModuleType("IPython.display")
    notebook.display = display
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    monkeypatch.setattr(console, "_is_jupyter", lambda: True)
    monkeypatch.setattr(Shown, "note", lambda self, line: shown.append(line))
    monkeypatch.setattr("isotune.progress._NotebookLine.SECONDS", -1)
    with reporting(True) as reporter:
        reporter.parts("cells", 2)
        reporter("training", 1, 48)
        reporter.ended("the first")
        reporter("training", 2, 48)
    assert shown == ["cells 0/2; training 1/48", "the first", "cells 1/2; training 2/48", ""]


INTERRUPTED = """
import os, signal, sys, time
import isotune, psutil

def children():
    return [child.pid for child in psutil.Process().children(recursive=True)]

told = []

def tell(what, done, total):
    if total == 40_000 and not told:  # Ctrl-C in a terminal, and a notebook's stop, reach every process
        told.append(what)
        for child in children():  # the workers first, so that they could end before anybody knows why
            os.kill(child, signal.SIGINT)
        time.sleep(3)
        os.kill(os.getpid(), signal.SIGINT)

stage = {"batch_size": 8, "optimizer": {"name": "sgd"}, "schedule": {"learning_rate": 0.01}}
recipe = {"title": "-", "source": "-", "input": {"size": 16}, "images": {"train": 64, "test": 64}}
short, long = ({"name": f"of-{steps}", "stage": [stage | {"steps": steps}]} | recipe for steps in (2, 40_000))
models = ["example:random-features", "example:random-features:width=32"]
call = {"checkpoint": "random:0", "store": "records", "conventions": "identical"}
try:
    isotune.run(models[0], "digits", short, 1, progress=False, **call)
    isotune.run(models, "digits", [short, long], 2, jobs=int(sys.argv[1]), progress=tell, **call)
except KeyboardInterrupt:
    print("interrupted")
until = time.monotonic() + 5
while children() and time.monotonic() < until:
    time.sleep(0.1)
print(len(children()), len(isotune.load_runs("records").done), len(isotune.load_runs("records").failed))
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_interrupted_the_workers_are_ended_and_what_was_done_is_kept(house, jobs):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job would ignore it
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(jobs)], capture_output=True, text=True, check=False, cwd=house,
        start_new_session=True, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said, counts = done.stdout.splitlines()
    assert said == "interrupted"
    left, finished, failed = map(int, counts.split())
    assert (left, failed) == (0, 0)
    assert finished >= 1
