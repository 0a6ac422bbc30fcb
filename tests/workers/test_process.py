"""A worker's life, and what it knows of its caller."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from isotune.errors import Unwritable, UsageError
from isotune.workers.process import WorkerProcess, Workers


def size_of(_worker: object, path: str) -> int:
    """A request: the bytes of a file."""
    return Path(path).stat().st_size


def fill(_worker: object) -> None:
    """A request that finds no room: files may not be longer than a few bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    np.save("array.npy", np.zeros(1000))


def test_want_of_room_is_no_fault_of_what_was_asked(house, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    worker = WorkerProcess(None)
    try:
        with pytest.raises(Unwritable, match=r"cannot be written \(.*make room.*ISOTUNE_CACHE=PATH"):
            worker.ask("test_process:fill")
    finally:
        worker.stop()


PARENT = """
import sys
from isotune.workers.process import WorkerProcess
print(WorkerProcess(None)._process.pid, flush=True)
sys.stdin.read()
"""


def test_a_worker_that_stands_still_ends_with_its_caller(house):
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=-1, stdout=-1, text=True) as caller:
        worker = psutil.Process(int(caller.stdout.readline()))
        worker.suspend()
        caller.kill()
    _, alive = psutil.wait_procs([worker], timeout=10)
    assert not alive


def test_a_relative_path_means_to_a_worker_what_it_means_to_its_caller(house, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    worker = WorkerProcess(None)  # in the folder that is left below, as in a notebook that goes elsewhere
    try:
        (house / "elsewhere").mkdir()
        (house / "elsewhere/file").write_bytes(b"abc")
        monkeypatch.chdir(house / "elsewhere")
        assert worker.ask("test_process:size_of", path="file") == 3
        monkeypatch.chdir(house)
        assert worker.ask("test_process:size_of", path="elsewhere/file") == 3
    finally:
        worker.stop()


def test_stopping_a_worker_leaves_no_process(house):
    worker = WorkerProcess("example")
    pid = worker._process.pid
    worker.stop()
    time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
    assert not worker.alive


def test_workers_that_were_begun_are_those_that_are_asked(house):
    with Workers() as workers:
        workers.begin(["example"])
        begun = workers._running["example"]
        assert workers["example"] is begun
        assert begun.ask("isotune.runs.requests:environment")["device"]


def test_one_that_cannot_be_begun_is_told_of_when_it_is_asked_for(house):
    with Workers(pythons={"example": "/nowhere/python"}) as workers:
        workers.begin(["example"])
        with pytest.raises(UsageError, match="/nowhere/python"):
            workers["example"]
