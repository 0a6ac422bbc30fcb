"""A worker's life, and what it knows of its caller."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from isotune.errors import UsageError
from isotune.workers.process import WorkerProcess, Workers


def size_of(_worker: object, path: str) -> int:
    """A request: the bytes of a file."""
    return Path(path).stat().st_size


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
