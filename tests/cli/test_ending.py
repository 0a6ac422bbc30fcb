"""One way to end: whatever the signal, the user is told, and no worker is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

COMMAND = (
    "run", "--models", "example:random-features,faulty:computes", "--checkpoint", "random:0", "--seeds", "1",
    "--protocols", "quick-fine-tune", "--conventions", "identical",
)  # fmt: skip
SECONDS = 2.0  # in which the workers are to be gone


def started(house) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A run whose second cell computes for years in a library that lets no other thread run, and its workers."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job would ignore it
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and one under nohup this
    running = subprocess.Popen(
        [sys.executable, "-m", "isotune.cli", *COMMAND], start_new_session=True,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    while not (house / "computes").exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    return running, psutil.Process(running.pid).children(recursive=True)


@pytest.mark.parametrize(
    ("ended_by", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_whatever_ends_it_says_what_was_done_and_leaves_no_worker(house, ended_by, status):
    running, workers = started(house)
    assert len(workers) == 2
    os.kill(running.pid, ended_by)
    _, alive = psutil.wait_procs(workers, timeout=SECONDS)
    assert not alive
    _, told = running.communicate(timeout=SECONDS)
    assert running.returncode == status
    if status > 0:
        *_, done, last = told.strip().splitlines()
        assert done == "1 of 2 cells are done; their records are in .isotune/records"
        assert last == "isotune: interrupted; what was done is kept, and the same command goes on from there"
    assert "Traceback" not in told
