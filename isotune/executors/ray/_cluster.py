"""A Ray cluster: reached within seconds or not at all, or started for the run; without a word of Ray's on the terminal.

Ray takes signals over when it is initialised; they are given back, since whoever runs cells ends in one way.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isotune import reading
from isotune.errors import Unavailable, UsageError
from isotune.printable import one_line
from isotune.workers import threads

_REACHED = 5.0  # seconds
_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else Ray warns of what it will do one day
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",  # else what a raylet says of a lost worker stands in the command's output
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_rpc_server_connect_timeout_s": "5",
}
_PORT, _CLIENT_PORT = 6379, 10001
_UNKNOWN = 2.0  # GiB of a worker like which none was seen
_BESIDE, _STEP = 1.25, 0.25  # of what was seen: the actor beside the worker, and one that takes more; GiB


@dataclass(frozen=True)
class Node:
    """host: its name. room: its resources, as Ray counts them; memory in bytes."""

    id: str
    host: str
    room: Mapping[str, float]


@dataclass(frozen=True)
class Needs:
    """What a worker takes: cores, GPUs (None: one where there are any), GiB."""

    cpus: int
    gpus: float | None
    memory: float

    @classmethod
    def of(cls, cpus: int, gpus: float | None, memory: float | None, seen: int) -> Needs:
        """memory: GiB; None: by what workers of such cells were seen to take, bytes; 0: that is not known."""
        if memory is None:
            memory = math.ceil(seen / 2**30 * _BESIDE / _STEP) * _STEP if seen else _UNKNOWN
        return cls(cpus, gpus, memory)

    def on(self, cluster: Cluster, jobs: int | None) -> Needs:
        """With its GPUs as the cluster has them. UsageError: no node has the room, and nobody said that more will come,
        by how many workers there are to be."""
        nodes = cluster.nodes()
        gpus = self.gpus if self.gpus is not None else float(any(node.room.get("GPU", 0) >= 1 for node in nodes))
        settled = Needs(self.cpus, gpus, self.memory)
        if jobs is None and not any(settled.fitting(node) for node in nodes):
            most = max(nodes, key=lambda node: node.room.get("CPU", 0), default=None)
            has = "it has no node" if most is None else f"its largest has {_room(most.room)}"
            raise UsageError(
                f"no node of the Ray cluster {cluster.address} has {_room(settled.resources)} for a worker; {has}; ask"
                " for less (ray,cpus=1,gpus=0,memory=1), or say with --jobs how many workers are to wait for nodes"
            )
        return settled

    @property
    def resources(self) -> dict[str, float]:
        return {"CPU": self.cpus, "GPU": self.gpus or 0, "memory": self.memory * 2**30}

    def fitting(self, node: Node) -> int:
        """How many workers a node has room for, were it empty."""
        return min(int(node.room.get(name, 0) // amount) for name, amount in self.resources.items() if amount)


def _room(resources: Mapping[str, float]) -> str:
    cpus, gpus, memory = (resources.get(name, 0) for name in ("CPU", "GPU", "memory"))
    parts = [f"{cpus:g} CPU{'s' if cpus != 1 else ''}", f"{gpus:g} GPU{'s' if gpus != 1 else ''}" if gpus else ""]
    return ", ".join(filter(None, [*parts, f"{memory / 2**30:.3g} GiB"]))


@dataclass(frozen=True)
class Cluster:
    """A connection. address: for people. started: for this run."""

    address: str
    started: bool

    def nodes(self) -> list[Node]:
        """Those that are alive."""
        import ray

        known: Any = ray  # whose functions have no types
        return [
            Node(each["NodeID"], each["NodeManagerHostname"], dict(each["Resources"]))
            for each in known.nodes()
            if each["Alive"]
        ]


@contextlib.contextmanager
def connected(place: str) -> Iterator[Cluster]:
    """The cluster, as long as the block lasts; a program that is connected already keeps its connection.

    UsageError: it cannot be reached, or is of another version.
    """
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    import ray

    if ray.is_initialized():
        if place not in ("", "auto"):
            raise UsageError(f"executor 'ray:{place}': this program is connected to a cluster already; write 'ray'")
        yield Cluster(ray.get_runtime_context().gcs_address, started=False)
        return
    address = _address(place)
    with _signals_kept():
        _initialise(address, named=_is_named(place))
    try:
        yield Cluster(address or "on this machine", started=not address)
    finally:
        with _signals_kept():
            ray.shutdown()


def _address(place: str) -> str:
    """HOST:PORT, or with ray:// before it; empty: one is to be started. UsageError: nobody answers there."""
    if place == "local":
        return ""
    said = place if place not in ("", "auto") else os.environ.get("RAY_ADDRESS", "")
    if said in ("", "auto", "local"):
        here = _of_this_machine()
        if not here and place == "auto":
            raise Unavailable("executor 'ray:auto': no Ray runs on this machine; 'ray' starts one for the run")
        return here
    client = said.startswith("ray://")
    host, _, port = said.removeprefix("ray://").rpartition(":")
    if not host:
        host, port = port, str(_CLIENT_PORT if client else _PORT)
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"executor 'ray:{said}': {port!r} is no port; write ray:HOST:{_PORT}")
    if (problem := _unreachable(host, int(port))) is not None:
        raise Unavailable(
            f"the Ray cluster {said} cannot be reached ({problem}); 'ray status' on its head says where it is, and"
            " --executor ray:local starts one here"
        )
    return f"{'ray://' if client else ''}{host}:{port}"


def _is_named(place: str) -> bool:
    """Whether the user says which one it is. Of the one that it finds on this machine, Ray has the token where it asks
    for one."""
    return place not in ("", "auto") or os.environ.get("RAY_ADDRESS", "") != ""


def _of_this_machine() -> str:
    """The cluster that was last started here, where Ray's documentation says that it is told; empty: it runs no
    more."""
    told = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    try:
        said = reading.text(told, reading.KIB).strip()
    except (UsageError, OSError):
        return ""
    host, _, port = said.rpartition(":")
    return said if host and port.isdecimal() and _unreachable(host, int(port)) is None else ""


def _unreachable(host: str, port: int) -> str | None:
    """Why nobody answers; None: somebody does."""
    try:
        socket.create_connection((host.strip("[]"), port), timeout=_REACHED).close()
    except OSError as error:
        return "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
    return None


def _initialise(address: str, *, named: bool) -> None:
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    asked: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address:
        asked["address"] = address if named else "auto"
    else:
        asked |= {"address": "local", "include_dashboard": False, "num_cpus": threads.cores()}
    try:
        with _stderr_silent():
            ray.init(**asked)
    except Exception as error:  # of many classes, some of them of libraries of Ray's
        ray.shutdown()
        raise _said(address, error) from None


def _said(address: str, error: Exception) -> UsageError:
    """What went wrong, in one line."""
    where = f"the Ray cluster {address}" if address else "a Ray cluster on this machine"
    text = one_line(" ".join(str(error).split()), 400)
    if "ersion mismatch" in text:
        import ray

        return Unavailable(
            f"{where} is of another version than what is installed here (Ray {ray.__version__}): {text}; install the"
            " same Ray and Python in both"
        )
    if not address:
        return Unavailable(f"{where} cannot be started: {type(error).__name__}: {text}")
    token = "" if os.environ.get("RAY_AUTH_MODE") else "; where it asks for a token, set RAY_AUTH_MODE=token"
    return Unavailable(f"{where} cannot be used: {type(error).__name__}: {text}{token}")


@contextlib.contextmanager
def _stderr_silent() -> Iterator[None]:
    """Of the process: what is compiled tells of every attempt there, and has no other switch."""
    sys.stderr.flush()
    former, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(former, 2)
        os.close(former)
        os.close(nowhere)


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """What a signal does is as before afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    watched: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)
    former = {each: signal.getsignal(each) for each in watched}
    try:
        yield
    finally:
        for each, handler in former.items():
            if handler is not None:
                signal.signal(each, handler)
