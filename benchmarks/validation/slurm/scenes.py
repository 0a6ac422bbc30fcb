"""What happens to a sweep on a cluster, tried and counted; each scene gives figures for the report."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sweep
from cluster import Cluster
from sweep import House, alive, ended, until

WORKER = f"{sys.executable} -m isotune.workers.worker"
SHARE = f"{sys.executable} -u -m submitit.core._submit"
REFUSED = {
    "a partition that does not exist": ("slurm,partition=nowhere",),
    "a limit above the partition's": ("slurm,partition=short,time=3h",),
    "more memory than any node has": ("slurm,memory=9000G",),
    "a time that is none": ("slurm,time=soon",),
    "an option that sbatch does not have": ("slurm,sbatch=colour=red",),
}
SLOW = """
import time

import torch


class Slow(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.pool, self.head = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Linear(3, 10)

    def forward(self, images):
        time.sleep(400)
        return self.head(self.pool(images).flatten(1))
"""


def undisturbed(house: House) -> dict[str, Any]:
    """The same sweep here and in jobs; the status is asked meanwhile."""
    house.run("first", "--executor", "local", "--jobs", "1")  # fills the cache
    status, said, here = house.run("local", "--executor", "local", "--jobs", "2")
    assert status == 0, said
    running = house.start("undisturbed")
    until(lambda: "yes" if house.done("undisturbed") >= 2 else "", "no cell ends")
    asked, words = house.status("undisturbed")
    status, said, there = ended(running)
    states = [job["state"] for job in asked["jobs"]]
    return _compared(house, "undisturbed", status, said) | {
        "seconds here, 2 workers": round(here, 1), "seconds in jobs, 2 nodes": round(there, 1),
        "jobs running when the status was asked": states.count("RUNNING"),
        "jobs waiting": states.count("PENDING"),
        "status": next(line.strip() for line in words.splitlines() if "jobs of slurm" in line),
    }  # fmt: skip


def sent_away(house: House) -> dict[str, Any]:
    """A running job is queued again, another is killed, two have to make room for an urgent one."""
    house.run("local", "--executor", "local", "--jobs", "2")
    running = house.start("sent-away")
    for count, what in ((2, "requeue"), (4, "kill"), (6, "urgent")):
        until(lambda count=count: "yes" if house.done("sent-away") >= count else "", "no cell ends")
        if what == "requeue":
            house.cluster.ask("scontrol", "requeue", house.running())
        elif what == "kill":
            os.kill(until(lambda: next(iter(alive(SHARE)), 0), "no share is run"), signal.SIGKILL)
        else:
            for _ in range(2):
                house.cluster.ask("sbatch", "--partition=urgent", "--output=/dev/null", "--wrap", "sleep 5")
    status, said, seconds = ended(running)
    submitted = re.findall(r"(\d+) Slurm jobs? for", said)
    return _compared(house, "sent-away", status, said) | {
        "jobs queued again by the administrator": 1, "killed": 1, "that made room for an urgent one": 2,
        "arrays submitted": len(submitted), "seconds": round(seconds, 1),
    }  # fmt: skip


def driver(house: House) -> dict[str, Any]:
    """The command itself is killed, started again, interrupted, started again."""
    house.run("local", "--executor", "local", "--jobs", "2")
    first = house.start("driver")
    until(lambda: "yes" if house.done("driver") >= 2 else "", "no cell ends")
    first.kill()
    first.communicate()
    before = set(house.cluster.jobs())
    second = house.start("driver")
    until(lambda: "yes" if house.done("driver") >= 5 else "", "no cell ends")
    added = set(house.cluster.jobs()) - before
    second.send_signal(signal.SIGINT)
    interrupted, told, seconds = ended(second)
    began = time.monotonic()
    until(lambda: "" if house.cluster.jobs() else "none", "jobs are left", 60)
    gone = time.monotonic() - began
    orphans = len(alive(WORKER))
    status, said, _ = house.run("driver")
    return _compared(house, "driver", status, said) | {
        "jobs that were there when it was killed": len(before), "jobs that the next one added": len(added),
        "exit status when interrupted": interrupted, "seconds until it ended": round(seconds, 1),
        "seconds until no job was left": round(gone, 1), "workers left": orphans,
        "what it said": next((line for line in told.splitlines() if "cancelled" in line), ""),
    }  # fmt: skip


def limits(house: House) -> dict[str, Any]:
    """A share that takes longer than its job may: the job is told before its time is up, and queues itself again."""
    house.run("local", "--executor", "local", "--jobs", "2")
    house.write(jobs=1, partition="short", limit="2m")
    running = house.start("limits")
    restarts = 0
    while running.poll() is None:
        said = house.cluster.ask("scontrol", "--oneliner", "show", "job", check=False)
        restarts = max([restarts, *(int(count) for count in re.findall(r"Restarts=(\d+)", said))])
        time.sleep(1)
    status, said, _ = ended(running)
    house.write()
    return _compared(house, "limits", status, said) | {"times that a job queued itself again": restarts}


def too_long(house: House) -> dict[str, Any]:
    """A cell that takes longer than a job may has failed after three jobs, for Slurm's reason."""
    (house.folder / "slow.py").write_text(SLOW, encoding="utf-8")
    began = time.monotonic()
    command = (
        "run", "--models", "torch:slow.py:Slow", "--checkpoint", "random:0", "--protocols", "tiny.toml", "--seeds", "1",
        "--conventions", "identical", "--store", "too-long", "--executor", "slurm,partition=short,time=1m",
    )  # fmt: skip
    status, said, _ = ended(house._isotune(*command))
    line = next((line for line in said.splitlines() if "FAILED" in line), said[-300:])
    return {"exit status": status, "reason": line.partition("FAILED: ")[2], "seconds": round(time.monotonic() - began)}


def refused(house: House) -> dict[str, Any]:
    """Wrong input: exit status and what is said; nothing runs."""
    told = {}
    for what, (executor,) in REFUSED.items():
        status, said, _ = house.run("refused", "--executor", executor)
        lines = [line for line in said.splitlines() if line.startswith("isotune:")]
        told[what] = {"exit status": status, "lines": len(lines), "said": lines[-1] if lines else said[-300:]}
    return {"inputs": told, "jobs": len(house.cluster.jobs()), "records": house.done("refused")}


def lacking(folder: Path) -> dict[str, Any]:
    """A node on which timm is not installed: its cells fail there, with the reason, and the others do not."""
    import timm

    package, empty = Path(timm.__file__).parent, folder / "empty"
    for name in ("empty", "cluster", "house"):
        (folder / name).mkdir()
    without = ("unshare", "--mount", "sh", "-c", f'mount --bind {empty} {package} && exec "$@"', "-")
    with Cluster(folder / "cluster", {"n2": without}) as cluster:
        house = House(folder / "house", cluster)
        status, said, _ = house.run("lacking", "--executor", "slurm,sbatch=nodelist=n2", "--jobs", "2")
    reasons = {line.partition("FAILED: ")[2] for line in said.splitlines() if "FAILED: " in line}
    return {"exit status": status, "cells done": len(house.table("lacking")), "reasons": sorted(reasons)}


def _compared(house: House, store: str, status: int, said: str) -> dict[str, Any]:
    """Against the run here."""
    wanted, table = house.table("local"), house.table(store)
    damaged = "Traceback" in said
    return {
        "exit status": status, "cells": sweep.CELLS, "lost": len(wanted.keys() - table.keys()),
        "done twice": sum(len(rows) > 1 for rows in table.values()),
        "equal bit for bit": sum(table.get(key) == rows for key, rows in wanted.items()), "tracebacks": int(damaged),
    }  # fmt: skip


SCENES = {each.__name__.replace("_", "-"): each for each in (undisturbed, sent_away, driver, limits, too_long, refused)}


def played(name: str) -> dict[str, Any]:
    """The figures of a scene, on a cluster of its own."""
    with tempfile.TemporaryDirectory(prefix="isotune-slurm-") as place:
        folder = Path(place)
        if name == "lacking":
            return lacking(folder)
        (folder / "cluster").mkdir()
        (folder / "house").mkdir()
        with Cluster(folder / "cluster") as cluster:
            return SCENES[name](House(folder / "house", cluster))
