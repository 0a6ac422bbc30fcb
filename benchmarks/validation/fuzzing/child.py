"""Cases of one kind, one after the other, in a process with limits.

    python child.py KIND SEED FROM TO FOLDER

Prints a JSON list a case: its number, what it ended in, and words. A case may take five seconds of the processor (the
processes that it starts included), after which the system ends this one; memory is a gigabyte more than the process
had before the first. Writing outside of FOLDER and starting a process are seen by Python's audit hooks; the process
that reads HDF5 is isotune's own.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

SECONDS, MEMORY = 5.0, 1 << 30
OUTSIDE, PROCESS, HANG, FLOOD = "file outside", "process started", "hang", "memory"
_OWN = "isotune.workers"
_STARTS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "pty.spawn",
)
_CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.truncate")


class Watched:
    """What the process does that reading must not."""

    def __init__(self, folder: Path) -> None:
        self._inside = str(folder)
        self.seen: list[tuple[str, str]] = []
        self.off = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.off:
            return
        if event in _STARTS and _OWN not in str(arguments):
            self.seen.append((PROCESS, str(arguments)[:200]))
        elif event == "open" and isinstance(arguments[2], int):
            writes = arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and isinstance(arguments[0], str | bytes):
                self._check(arguments[0])
        elif event in _CHANGES:
            for path in arguments[1:2] if event in ("os.symlink", "os.link") else arguments[:2]:  # where a link leads
                if isinstance(path, str | bytes):
                    self._check(path)

    def _check(self, path: str | bytes) -> None:
        place = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - links stay as they are
        if not place.startswith((self._inside, os.devnull)):
            self.seen.append((OUTSIDE, place))


class Slow(BaseException):
    """A case has had its time; no reader may catch it."""


def _slow(*_: object) -> None:
    raise Slow


def main() -> None:
    kind, seed, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    folder = Path(sys.argv[5]).absolute()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from fuzzing.cases import Cases
    from fuzzing.kinds import BY_NAME

    cases = Cases(BY_NAME[kind], folder / str(first))
    cases.tried("warm")
    has = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (has + MEMORY, resource.RLIM_INFINITY))
    watched = Watched(folder)
    sys.addaudithook(watched)
    signal.signal(signal.SIGPROF, _slow)
    for number in range(first, last):
        watched.seen.clear()
        answers.write(json.dumps([number]) + "\n")  # begun
        answers.flush()
        before = _used()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            end, words = cases.tried(f"{seed} {kind} {number}")
        except Slow:
            end, words = HANG, ""
        except MemoryError as error:
            end, words = FLOOD, str(error)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        if "MemoryError" in words and end not in ("read", "refused"):
            end = FLOOD
        if _used() - before > SECONDS:
            end = HANG
        if watched.seen:
            end, words = watched.seen[0]
        answers.write(json.dumps([number, end, words[:500]]) + "\n")
        answers.flush()
    watched.off = True


def _used() -> float:
    """Seconds of the processor, of this process and of those that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
