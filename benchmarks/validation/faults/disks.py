"""Disks that are full or read-only, and limits of what may be written: the command ends in one line, and goes on when
there is room. Full and read-only disks are small file systems in memory, which take a superuser."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import replace

from house import mounted, remount
from trial import Trial, Way

_FULL = ("No space left on device", "are free;")


def _full_store(trial: Trial) -> bool:
    size = trial.chance.randint(30, 30 + 8 * trial.house.cells)  # KiB, of about 12 for a cell
    trial.stack.enter_context(mounted(place := trial.house.folder / "small", f"{size}k"))
    trial.store = place / "store"
    return _ends_and_is_given_room(trial, place)


def _full_cache(trial: Trial) -> bool:
    whole = sum(file.stat().st_size for file in trial.house.cache.rglob("*") if file.is_file()) // 1024
    trial.stack.enter_context(mounted(place := trial.house.folder / "small", f"{trial.chance.randint(64, whole)}k"))
    trial.house = replace(trial.house, cache=place / "cache")
    return _ends_and_is_given_room(trial, place)


def _ends_and_is_given_room(trial: Trial, place: os.PathLike[str]) -> bool:
    with trial.started() as run:
        if run.ended() == 0:
            return False
        trial.remember()
        trial.judge(run, (2,), *_FULL)
    return remount(place, "size=500m")


def _limited(trial: Trial) -> bool:
    """As a quota does: files may not grow beyond a size (RLIMIT_FSIZE)."""
    size = trial.chance.randint(400, 4000)
    with trial.started(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))) as run:
        run.ended()
        trial.remember()
        trial.judge(run, (2,), "File too large")
    return True


def _read_only(trial: Trial) -> bool:
    """At some moment; before the first cell, too."""
    trial.stack.enter_context(mounted(place := trial.house.folder / "small", "100m"))
    trial.store = place / "store"
    with trial.started() as run:
        if not run.lasts(trial.moment()):
            return False
        while not remount(place, "ro"):
            time.sleep(0.001)
        run.ended()
        trial.remember()
        trial.judge(run, (2,), "Read-only file system")
    return remount(place, "rw")


ON_SMALL_DISKS: dict[str, Way] = {
    "store on a disk that gets full": _full_store,
    "cache on a disk that gets full": _full_cache,
    "store that becomes read-only": _read_only,
}
WAYS: dict[str, Way] = {"files limited in size, as by a quota": _limited}
if os.geteuid() == 0:
    WAYS |= ON_SMALL_DISKS
