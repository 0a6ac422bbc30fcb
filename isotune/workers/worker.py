"""The worker: a plain program that answers requests of one adapter, or of none, one framework in one process.

    python -m isotune.workers.worker [ADAPTER[@ENGINE]] [--threads N] [--shared] [--lifeline FD]

It reads requests from standard input and answers on standard output, one JSON object a line; whatever a framework
prints goes to standard error. A request is `{"do": "MODULE:FUNCTION", "from": FOLDER, "with": {...}}`: the function is
called with the worker and the fields of `with`, in the caller's working folder, so that a relative path means to it
what it means there. Answers are `{"event": "progress", "what", "done", "total"}` and
`{"event": "warning", "message", "once"}`, then `{"event": "done", "result"}` or
`{"event": "error", "kind", "message", "trace"}`; kind is the class of `isotune.errors`, or "failure" for anything else.
An error ends the request, not the worker. `ready` is the first answer
of all.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib
import json
import logging
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from isotune import cache
from isotune.errors import REFUSALS, UnknownModel, Unwritable, UsageError, WeightsMismatch, no_room
from isotune.workers import memory
from isotune.workers.threads import settle_threads

if TYPE_CHECKING:
    from isotune.adapters.base import Adapter

PROGRESS_SECONDS = 0.2
HINTS = "isotune.models.hints:completed"  # what else weights would fit, and where else a model is
T = TypeVar("T")


class Worker:
    """Calls functions on behalf of another process, and keeps what they want kept.

    adapter: loaded already; None: a process for work that needs no model. alone: no other worker runs meanwhile.
    """

    def __init__(self, adapter: Adapter | None, answers: TextIO, *, alone: bool = True) -> None:
        self._adapter, self.alone = adapter, alone
        self._answers, self._saying = answers, threading.Lock()
        self._kept: dict[object, Any] = {}
        self._told = 0.0

    @property
    def adapter(self) -> Adapter:
        assert self._adapter is not None, "this worker has no adapter"
        return self._adapter

    def kept(self, kind: Callable[[Worker], T]) -> T:
        """The one `kind(worker)` of this worker's life, made when it is first asked for."""
        if kind not in self._kept:
            self._kept[kind] = kind(self)
        made: T = self._kept[kind]
        return made

    def forget(self) -> None:
        """Let go of all that is kept, as in a fresh process."""
        self._kept.clear()

    def progress(self, what: str, done: int, total: int) -> None:
        """Tell the caller how far `what` is; said a few times a second, and at the end."""
        if done == total or time.monotonic() - self._told > PROGRESS_SECONDS:
            self._told = time.monotonic()
            self._say({"event": "progress", "what": what, "done": done, "total": total})

    def warn(self, message: str, *, once: bool = False) -> None:
        """Tell the caller what the user should know; the request goes on. once: unless a worker of the caller's did."""
        self._say({"event": "warning", "message": message, "once": once})

    def serve(self, requests: TextIO) -> None:
        """Answer until the other side closes the stream."""
        self._say({"event": "ready"})
        for line in requests:
            request = json.loads(line)
            try:
                with contextlib.suppress(OSError):  # the caller may be in a folder that is gone
                    os.chdir(request["from"])
                result = _function(request["do"])(self, **request["with"])
                self._say({"event": "done", "result": result})
            except (WeightsMismatch, UnknownModel) as error:
                self._say(refusal(_function(HINTS)(error)))
            except UsageError as error:
                self._say(refusal(error))
            except Exception as error:
                if no_room(error):  # which is no fault of what was asked
                    self._say(refusal(_unwritable(error)))
                    continue
                message = " ".join(f"{type(error).__name__}: {error}".split())
                trace = traceback.format_exc()
                self._say({"event": "error", "kind": "failure", "message": message[:500], "trace": trace})

    def _say(self, answer: dict[str, Any]) -> None:
        with self._saying:  # a warning may come from any thread
            self._answers.write(json.dumps(answer) + "\n")
            self._answers.flush()


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    handler: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return handler


def _unwritable(error: Exception) -> Unwritable:
    where = getattr(error, "filename", None) or cache.root()
    why = getattr(error, "strerror", None) or error
    return Unwritable(
        f"{where} cannot be written ({why}); make room, or name another folder for the cache with ISOTUNE_CACHE=PATH,"
        " and the same command goes on from there"
    )


def refusal(error: UsageError) -> dict[str, Any]:
    """The answer to a request that is wrong, or that cannot be met in this environment."""
    fields = {name: getattr(error, name, "") for name in ("package", "install")}
    kind = next(kind.__name__ for kind in REFUSALS if isinstance(error, kind))
    return {"event": "error", "kind": kind, "message": str(error), "trace": "", **fields}


class Warnings(logging.Handler):
    """Hands warnings of isotune itself to the caller, who shows them to the user."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(logging.WARNING)
        self._worker = worker

    def emit(self, record: logging.LogRecord) -> None:
        self._worker.warn(record.getMessage(), once=getattr(record, "once", False))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m isotune.workers.worker", description="Answer requests.")
    parser.add_argument("adapter", nargs="?", help="ADAPTER or ADAPTER@ENGINE; none: work that needs no model")
    parser.add_argument("--threads", type=int, help="threads of the framework; default: all cores")
    parser.add_argument("--lifeline", type=int, help="file descriptor of a socket: this process ends when it closes")
    parser.add_argument("--shared", action="store_true", help="other workers run at the same time: timings say so")
    options = parser.parse_args()
    if options.lifeline is not None:
        end_with(options.lifeline)
    # What ends a terminal or a job goes to all its processes; the caller ends its workers, and knows what was stopped.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(each, signal.SIG_IGN)
    settle_threads(options.threads)
    memory.keep_freed()
    # Frameworks print to standard output; keep it for answers alone.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        worker = Worker(_loaded(options.adapter), answers, alone=not options.shared)
    except UsageError as error:
        answers.write(json.dumps(refusal(error)) + "\n")
        answers.flush()
        sys.exit(2)
    logging.getLogger("isotune").addHandler(Warnings(worker))
    worker.serve(sys.stdin)


def end_with(socket: int) -> None:
    """Have the kernel end this process when the other end of a socket closes: its caller is gone then, killed or not.

    By a signal, and not by a thread that waits: a library may hold Python's lock for seconds. By SIGKILL where the
    kernel lets one choose (Linux), which ends a process that is stopped too; else by SIGIO.
    """
    os.set_inheritable(socket, False)
    fcntl.fcntl(socket, fcntl.F_SETOWN, os.getpid())
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(socket, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(socket, fcntl.F_SETFL, fcntl.fcntl(socket, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([socket], [], [], 0)[0]:  # it closed before
        sys.exit(1)


def _loaded(adapter: str | None) -> Adapter | None:
    from isotune import names

    return names.load_adapter(names.parse(f"{adapter}:any")) if adapter else None


if __name__ == "__main__":
    main()
