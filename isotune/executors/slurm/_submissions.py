"""What of a run's jobs is left in the store, so that the run can be started again, and its status be asked.

    STORE/.slurm/NAME/             of one array of jobs, until all of them are over and read
      submitted.json               sealed: the jobs, whose cells each has, who submitted them
      0.json, 1.json, ...          sealed: the jobs' shares (`_share`)
      *_log.out, *_log.err         what the jobs say; the other files are submitit's own

submitit keeps what is to be called, and what that gave, as pickles: a job reads its own, written a moment before into a
new folder that nobody else can enter. Nothing here reads any.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isotune import reading, sealing
from isotune.errors import UsageError
from isotune.runs.store import Store
from isotune.workers.identity import is_alive, myself

FOLDER = ".slurm"
_LIST = "submitted.json"
_VERSION = 1
_NUMBER = re.compile(r"\d{1,20}(_\d{1,9})?")  # of a job, which goes into a command
_TAIL = 40  # lines of what a job said last


@dataclass(frozen=True)
class Submission:
    """An array of jobs. cells: keys, by the job's number in Slurm, in the order in which the job runs them. who: the
    process that submitted it (`identity.myself`)."""

    folder: Path
    cells: Mapping[str, Sequence[str]]
    at: datetime
    who: Mapping[str, Any]

    @property
    def attended(self) -> bool:
        """Whether another process of this machine, which submitted it, still waits for it."""
        return self.who.get("process") != os.getpid() and is_alive(self.who)

    def adopt(self) -> Submission:
        """The same, waited for by this process."""
        return keep(self.folder, self.cells, self.at)

    def log(self, job: str) -> str:
        """What a job said last."""
        said = []
        for name in (f"{job}_0_log.out", f"{job}_0_log.err"):
            if lines := _tail(self.folder / name):
                said += ["", f"{name}:", *lines]
        return "\n".join(said).strip()

    def remove(self) -> None:
        remove(self.folder)


def new_folder(store: Store) -> Path:
    """An empty one, which nobody else can enter. Unwritable: the store cannot be written."""
    parent = store.folder / FOLDER
    try:
        parent.mkdir(exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=datetime.now(UTC).strftime("%Y%m%d-%H%M%S-"), dir=parent)).resolve()
    except OSError as error:
        raise store.unusable(error) from None


def remove(place: Path) -> None:
    """A submission's folder, with all that is in it."""
    shutil.rmtree(place, ignore_errors=True)
    with contextlib.suppress(OSError):
        place.parent.rmdir()  # where no other is left


def keep(place: Path, cells: Mapping[str, Sequence[str]], at: datetime | None = None) -> Submission:
    """Leave it in its folder, as this process's."""
    known = Submission(place, cells, at or datetime.now(UTC), myself())
    jobs = {job: list(keys) for job, keys in cells.items()}
    content = {"version": _VERSION, "at": known.at.isoformat(), "who": known.who, "jobs": jobs}
    sealing.write_json(place / _LIST, content)
    return known


def read(store: Path) -> list[Submission]:
    """Those that are left, the first one first; what is damaged, or was never submitted, is none."""
    known = []
    try:
        places = sorted(path for path in (store / FOLDER).iterdir() if path.is_dir())
    except OSError:
        return []
    for place in places:
        try:
            said = sealing.read_json(place / _LIST)
            if said["version"] == _VERSION and all(map(_NUMBER.fullmatch, said["jobs"])):
                at = datetime.fromisoformat(said["at"])
                known.append(Submission(place, said["jobs"], at, dict(said["who"])))
        except (sealing.Damaged, OSError, KeyError, ValueError, TypeError):
            continue
    return known


def _tail(path: Path) -> list[str]:
    try:
        with reading.opened(path, reading.GIB) as file:
            file.seek(max(0, path.stat().st_size - 64 * reading.KIB))
            said = file.read()
    except UsageError as error:
        return [str(error)]
    return said.decode("utf-8", errors="replace").splitlines()[-_TAIL:]
