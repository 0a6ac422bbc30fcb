"""A Ray cluster of three nodes on this machine; a node, an actor or the driver is killed at a random moment."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import psutil
from house import House, Run, runs
from trial import Trial, Way

_NODES = 3
_STARTING = 5.0  # seconds, until the first cell runs on a cluster
_SEAT = "ray::Seat"  # how Ray names an actor's process
_GONE = 15.0  # seconds in which a cluster notices that a driver is gone


@contextlib.contextmanager
def _cluster(house: House) -> Iterator[Any]:
    """With the cache and the threads of the house."""
    os.environ.update(house.environment)
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(_NODES - 1):
            cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def _seats() -> list[psutil.Process]:
    """The processes of actors, and what they started."""
    mine = psutil.Process().children(recursive=True)  # the cluster's raylets are children of this process
    seats = [process for process in mine if _name(process).startswith(_SEAT)]
    return seats + [child for seat in seats for child in _children(seat)]


def _name(process: psutil.Process) -> str:
    try:
        return (process.cmdline() or [""])[0]
    except psutil.Error:
        return ""


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _killed(victim: Callable[[Trial, Any, Run], bool], statuses: tuple[int, ...]) -> Way:
    """victim: kills something; False: there was nothing to kill."""

    def harm(trial: Trial) -> bool:
        cluster = trial.stack.enter_context(_cluster(trial.house))
        sweep = trial.house.sweep(trial.store, "--executor", f"ray:{cluster.address},memory=0.1")
        with Run(trial.house, sweep) as run:
            if not run.lasts(_STARTING + trial.moment()):
                return False
            trial.remember()
            if not victim(trial, cluster, run):
                return False
            run.ended()
            until = time.monotonic() + _GONE
            while (left := [each for each in _seats() if runs(each)]) and time.monotonic() < until:
                time.sleep(0.1)
            trial.orphans += [_name(each) for each in left]
            trial.judge(run, statuses)
        return True

    return harm


def _node(trial: Trial, cluster: Any, run: Run) -> bool:
    nodes = [node for node in cluster.list_all_nodes() if node is not cluster.head_node]
    cluster.remove_node(trial.chance.choice(nodes), allow_graceful=False)
    return True


def _actor(trial: Trial, cluster: Any, run: Run) -> bool:
    if not (seats := [seat for seat in _seats() if _name(seat).startswith(_SEAT)]):
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        trial.chance.choice(sorted(seats, key=lambda seat: seat.pid)).kill()
    return True


def _driver(trial: Trial, cluster: Any, run: Run) -> bool:
    run.process.kill()
    return True


WAYS: dict[str, Way] = {}
if find_spec("ray") is not None:
    WAYS = {
        "Ray: a node killed": _killed(_node, (0,)),
        "Ray: an actor killed": _killed(_actor, (0,)),
        "Ray: the driver killed": _killed(_driver, (-9,)),
    }
