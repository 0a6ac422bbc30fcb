"""How many threads a worker has, how they wait for each other, and work that is shared out among them.

OpenMP's threads wait for each other several hundred times a training step. GNU's runtime spins 300,000 times before it
sleeps, which costs nothing where every thread has a core, and on any other machine holds the core of the very thread
that is waited for: beside two trainings, a step took nine times as long as under a bounded spin. A spin as long as
putting a thread to sleep and waking it costs at most twice the better of the two, whatever else the machine does
(A. Karlin et al., "Empirical studies of competitive spinning for a shared-memory multiprocessor", SOSP 1991). 1,000
rounds are about that long (libgomp/env.c reckons 100,000 a millisecond, five times fewer on some CPUs), and what it
takes itself where an active policy meets more threads than cores.
benchmarks/validation/speed/thread_waiting.py measures it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

SPIN = "1000"  # rounds of libgomp's loop
BLOCKTIME = "1"  # milliseconds: the shortest spin of Intel's and LLVM's runtimes beside none
FLAGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # on record
T = TypeVar("T")
R = TypeVar("R")
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_PINS = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
_CGROUPS, _MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def cores() -> int:
    """How many cores this process may use: those it is bound to (taskset), and the share of its cgroup, rounded up."""
    return max(1, math.ceil(min(bound(), quota())))


def bound() -> int:
    """Cores that this process is bound to."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def quota() -> float:
    """Cores' worth of time that the cgroups above this process give it; infinite without a limit.

    cgroup v2 (`cpu.max` of every group on the way up), and v1 (`cpu.cfs_quota_us`), as container engines set them.
    """
    least = math.inf
    for folder in groups():
        try:
            if (folder / "cpu.max").exists():
                given, period = (folder / "cpu.max").read_text(encoding="ascii").split()[:2]
            else:
                given = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
                period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
            if given not in ("max", "-1") and int(period) > 0:
                least = min(least, int(given) / int(period))
        except (OSError, ValueError):
            continue
    return least


def groups() -> list[Path]:
    """The folders of this process's cgroup and of those above it, its own first; a container's root may be its own."""
    try:
        lines = _MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    folders = []
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds and "cpu" not in kinds.split(","):
            continue
        root = _CGROUPS / ("cpu" if kinds else "")
        place = root / path.lstrip("/")
        folders += [place, *(above for above in place.parents if above.is_relative_to(root))]
    return folders


def settle_threads(threads: int | None = None) -> None:
    """Settings of the thread pools, to be made before a framework is imported; how to wait stays as it is set.

    threads: of the framework; None: as many as are set, else what it takes by itself, or the cgroup's share.
    """
    if not any(name in os.environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")):
        os.environ |= {"GOMP_SPINCOUNT": SPIN, "KMP_BLOCKTIME": BLOCKTIME}
    if threads is None and cores() < bound() and not any(name in os.environ for name in _COUNTS):
        threads = cores()
    if threads:
        os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ISOTUNE_THREADS"), str(threads))


def each(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """What `work` gives of every item, in their order, computed on all cores; of use where it computes outside Python's
    lock, as decoders do. What was given and is not taken yet is bounded, and so is what follows an error."""
    most, remaining = cores(), iter(items)
    with ThreadPoolExecutor(most) as pool:
        while some := list(islice(remaining, 64 * most)):
            yield from pool.map(work, some)


def share(jobs: int) -> int:
    """Threads of each of so many workers at the same time; fewer where OMP_NUM_THREADS says so."""
    own = max(1, cores() // jobs)
    return min(own, _count(os.environ.get("OMP_NUM_THREADS", "")) or own)


def contradictions(flags: Mapping[str, str] = os.environ) -> list[str]:
    """A line for each setting of threads that cannot be meant, with what would be right."""
    lines, most = [], cores()
    here = f"{most} core" + ("s" if most > 1 else "")
    if (given := quota()) < bound():
        here += f", the share of its cgroup ({given:.3g} of {bound()})"
    elif bound() < (os.cpu_count() or 1):
        here += f", which it is bound to (of {os.cpu_count()})"
    for name in _COUNTS:
        if name not in flags:
            continue
        count = _count(flags[name])
        if count is None:
            lines.append(f"{name}={flags[name]!r} is no number of threads and is ignored; leave it unset")
        elif count > most:
            lines.append(
                f"{name}={count}, and this process has {here}: threads will wait for each other and timings are far "
                f"too slow; leave it unset or set at most {most}"
            )
    if flags.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE" and int(_count(flags.get("GOMP_SPINCOUNT", "")) or 0):
        lines.append("OMP_WAIT_POLICY=PASSIVE and GOMP_SPINCOUNT contradict each other (the second holds); unset one")
    if flags.get("OMP_WAIT_POLICY", "").upper() == "ACTIVE":
        lines.append("OMP_WAIT_POLICY=ACTIVE: beside any other program a step takes many times as long; leave it unset")
    pinned = [name for name in _PINS if name in flags]
    lines += [f"{name} is set: with --jobs, every worker's threads are on the same cores" for name in pinned]
    return lines


def _count(text: str) -> int | None:
    """The first of OMP_NUM_THREADS=4,2; None: not a positive integer."""
    first = text.partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None
