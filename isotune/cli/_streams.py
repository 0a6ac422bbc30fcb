"""Standard output and standard error, which may be closed, full, or read by nobody any more.

A stream that is closed when isotune starts is not wanted: what is written to it goes nowhere, and its number does not
become that of the next file that is opened. Standard output that cannot be written ends the command in one line; where
nobody reads it any more (`isotune models | head -1`), in none, with the status that the shell gives such a program.
What cannot be said on standard error is not said, and the work goes on.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from isotune.errors import UsageError

BROKEN_PIPE = 128 + 13  # as of a program that SIGPIPE ends


class BrokenPipe(SystemExit):
    """Nobody reads a stream any more. It ends the command like an interruption: no handler of errors keeps it."""

    def __init__(self) -> None:
        super().__init__(BROKEN_PIPE)


class _Stream(io.TextIOWrapper):
    """A standard stream, whose failures end the command or are passed over."""

    must_be_heard = True

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._fails(error)
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._fails(error)

    def _fails(self, error: OSError) -> None:
        # what is still in the buffer would fail again, last of all when Python ends
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        if isinstance(error, BrokenPipeError):
            raise BrokenPipe from None
        if self.must_be_heard:
            raise UsageError(
                f"standard output cannot be written ({error.strerror}); name a file or a pipe that takes it"
            ) from None


class _Unheard(_Stream):
    must_be_heard = False


def settle() -> None:
    """Make the standard streams of this process as the module says; once is enough."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: the lowest number that is free is this one
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = _settled(sys.stdout, sys.__stdout__, 1, _Stream)
    sys.stderr = _settled(sys.stderr, sys.__stderr__, 2, _Unheard)


def _settled(stream: TextIO | None, first: TextIO | None, number: int, kind: type[_Stream]) -> TextIO:
    """Another program's or a test's own stream stays as it is."""
    if stream is None:
        return kind(open(number, "wb", closefd=False), "utf-8", "backslashreplace")
    if isinstance(stream, _Stream) or stream is not first or not isinstance(stream, io.TextIOWrapper):
        return stream
    at_once = number == 2 or stream.isatty()
    # a character that the encoding does not have is written as its number
    return kind(open(number, "wb", closefd=False), stream.encoding, "backslashreplace", line_buffering=at_once)
