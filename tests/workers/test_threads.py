"""Threads: how many a process may have, how they wait, and settings that cannot be meant."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from isotune.runs import requests
from isotune.workers import threads
from isotune.workers.process import WorkerProcess


@pytest.fixture
def flags(monkeypatch) -> None:
    """No setting of threads."""
    for name in (*threads.FLAGS, "ISOTUNE_THREADS", "OPENBLAS_NUM_THREADS", *threads._PINS):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("flags")
def test_a_worker_spins_for_a_short_while_and_says_so_in_its_records(house):
    worker = WorkerProcess("example")
    try:
        environment = worker.ask(requests.environment)
    finally:
        worker.stop()
    assert (environment["GOMP_SPINCOUNT"], environment["KMP_BLOCKTIME"]) == ("1000", "1")
    assert "OMP_WAIT_POLICY" not in environment


@pytest.mark.usefixtures("flags")
@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_how_to_wait_stays_as_the_user_set_it(monkeypatch, name):
    monkeypatch.setenv(name, "77")
    threads.settle_threads(2)
    others = {"GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY"} - {name}
    assert os.environ[name] == "77"
    assert not others & set(os.environ)
    assert os.environ["OMP_NUM_THREADS"] == "2"
    for set_here in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ISOTUNE_THREADS"):
        monkeypatch.delenv(set_here)


@pytest.fixture(params=["v2", "v1"])
def limit(request, tmp_path, monkeypatch):
    """A cgroup, two levels deep, whose upper level gives so many microseconds of every 100,000."""
    version = request.param
    root = tmp_path if version == "v2" else tmp_path / "cpu"
    (root / "upper/own").mkdir(parents=True)
    lines = ["0::/upper/own"] if version == "v2" else ["5:memory:/elsewhere", "4:cpu,cpuacct:/upper/own"]
    (tmp_path / "membership").write_text("\n".join(lines))
    monkeypatch.setattr(threads, "_CGROUPS", tmp_path)
    monkeypatch.setattr(threads, "_MEMBERSHIP", tmp_path / "membership")

    def give(microseconds: int | None) -> None:
        for folder, given in (("upper", microseconds), ("upper/own", None)):
            if version == "v2":
                (root / folder / "cpu.max").write_text(f"{'max' if given is None else given} 100000\n")
            else:
                (root / folder / "cpu.cfs_quota_us").write_text(f"{-1 if given is None else given}\n")
                (root / folder / "cpu.cfs_period_us").write_text("100000\n")

    return give


@pytest.mark.usefixtures("flags")
def test_the_share_of_a_cgroup_is_respected(limit, monkeypatch):
    monkeypatch.setattr(threads, "bound", lambda: 8)
    limit(None)
    assert (threads.quota(), threads.cores(), threads.share(2)) == (float("inf"), 8, 4)
    threads.settle_threads()
    assert "OMP_NUM_THREADS" not in os.environ
    limit(250_000)
    assert (threads.quota(), threads.cores(), threads.share(2)) == (2.5, 3, 1)
    threads.settle_threads()
    assert os.environ["OMP_NUM_THREADS"] == os.environ["ISOTUNE_THREADS"] == "3"
    (line,) = threads.contradictions({"OMP_NUM_THREADS": "8"})
    assert "3 cores, the share of its cgroup (2.5 of 8)" in line
    assert "at most 3" in line
    limit(10_000)
    assert threads.cores() == 1
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ISOTUNE_THREADS", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system binds no process to cores")
def test_a_process_that_is_bound_to_a_core_has_one():
    program = (
        "import os, json; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from isotune.workers import threads\n"
        "print(json.dumps([threads.cores(), threads.share(4), threads.contradictions({'MKL_NUM_THREADS': '2'})]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    cores, share, (line,) = json.loads(done.stdout)
    assert (cores, share) == (1, 1)
    assert line.startswith("MKL_NUM_THREADS=2, and this process has 1 core")


@pytest.mark.parametrize(
    ("flags_set", "said"),
    [
        ({"OMP_NUM_THREADS": "6400"}, "OMP_NUM_THREADS=6400, and this process has"),
        ({"OMP_NUM_THREADS": "many"}, "is no number of threads"),
        ({"OMP_NUM_THREADS": "0"}, "is no number of threads"),
        ({"OMP_NUM_THREADS": "-1"}, "is no number of threads"),
        ({"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "5000"}, "contradict each other"),
        ({"OMP_WAIT_POLICY": "active"}, "many times as long"),
        ({"OMP_PROC_BIND": "true"}, "with --jobs"),
    ],
)
def test_settings_that_cannot_be_meant_are_named(flags_set, said):
    (line,) = threads.contradictions(flags_set)
    assert said in line


def test_settings_that_can_be_meant_are_not():
    assert threads.contradictions({"OMP_NUM_THREADS": "1,4", "OMP_WAIT_POLICY": "PASSIVE"}) == []
    assert threads.contradictions({}) == []


@pytest.mark.usefixtures("flags")
def test_workers_at_the_same_time_have_no_more_threads_than_the_user_said(monkeypatch):
    monkeypatch.setattr(threads, "bound", lambda: 16)
    monkeypatch.setattr(threads, "quota", lambda: float("inf"))
    assert threads.share(2) == 8
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads.share(2) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "20")
    assert threads.share(2) == 8
