"""A clock that jumps while a sweep runs, by up to 30 days to and fro, under the command and its workers: libfaketime
gives them a time of day that a file says. The monotonic clock, and the times of files, are the machine's."""

from __future__ import annotations

import ctypes.util
from pathlib import Path

from trial import Trial, Way

_PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")


def library() -> Path | None:
    """libfaketime, where it is installed (Debian's `libfaketime`)."""
    for place in _PLACES:
        for path in Path("/").glob(place[1:]):
            return path
    named = ctypes.util.find_library("faketime")
    return Path(named) if named else None


def _jumping(trial: Trial) -> bool:
    clock, faketime = trial.house.folder / "clock", library()
    clock.write_text("+0", encoding="ascii")
    fake = {
        "LD_PRELOAD": str(faketime), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
    }  # fmt: skip
    with trial.started(environment=fake) as run, trial.started() as other:  # one whose clock jumps, and one more
        for _ in range(8):
            if not run.lasts(trial.house.takes / 8):
                break
            draft = clock.with_name("clock.new")
            draft.write_text(f"{trial.chance.randint(-2_592_000, 2_592_000):+d}", encoding="ascii")
            draft.replace(clock)
        for each in (run, other):
            each.ended()
        for each in (run, other):
            trial.judge(each, (0,))
    return True


WAYS: dict[str, Way] = {"clock that jumps": _jumping} if library() else {}
