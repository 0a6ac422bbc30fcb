"""One way to end: Ctrl-C, SIGTERM and SIGHUP alike.

The first signal interrupts what is under way: what was done is kept, workers are ended, one line says so, and the exit
status is 128 and the signal's number. The second ends the process at once; its workers end with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType

MESSAGE = "interrupted; what was done is kept, and the same command goes on from there"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_asked: list[int] = []


def listen() -> None:
    """Take signals from now on; one that is ignored (nohup, a shell's background) stays so."""
    for each in _SIGNALS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _asked:
        os._exit(128 + _asked[0])
    _asked.append(number)
    raise KeyboardInterrupt


def asked() -> bool:
    """Whether a signal came."""
    return bool(_asked)


def end() -> None:
    """Say it and end, without waiting for threads."""
    with contextlib.suppress(OSError, ValueError):  # a stream may be closed
        sys.stdout.flush()
    print(f"isotune: {MESSAGE}", file=sys.stderr, flush=True)
    os._exit(128 + _asked[0])
