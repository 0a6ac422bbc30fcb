"""Worker processes that outlive what started them: importing TensorFlow or torch takes seconds.

Whoever measures or tests many small things puts them in the place of those that isotune would start. What they answer
is what fresh ones would (tests/runs/test_execution.py holds a kept worker against a fresh one, bit by bit).
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import psutil

from isotune.errors import UsageError
from isotune.runs import requests
from isotune.workers.process import WorkerFailure, WorkerProcess

LIBRARIES = ("torch", "timm", "keras", "planted")  # by how names begin; others may start fast, or fail on purpose
# What a worker does not go by: pytest's own, the terminal's, and what importing scikit-learn, TensorFlow, JAX or Keras
# sets.
_OF_NO_USE = {
    "PYTEST_CURRENT_TEST", "COLUMNS", "TERM", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "TF2_BEHAVIOR",
    "TPU_ML_PLATFORM", "TF_CPP_MIN_LOG_LEVEL", "KERAS_BACKEND",
}  # fmt: skip
LARGEST = 2 * 2**30  # bytes: a process that has grown beyond is ended, so that its memory is given back


class WarmWorkers:
    """Processes by what they were started with, each with one user at a time. adapters: whose, by how names begin.

    Each is one of several at the same time (`shared`), whoever asks, so that all can take it.
    """

    def __init__(self, adapters: tuple[str, ...] = LIBRARIES) -> None:
        self._adapters = adapters
        self._idle: dict[object, list[_Warm]] = {}
        self._lock = threading.Lock()

    def start(self, adapter: str | None, **how: Any) -> WorkerProcess:
        """In the place of `WorkerProcess`: one that is idle, or a new one."""
        if adapter is None or not adapter.startswith(self._adapters):
            return WorkerProcess(adapter, **how)
        how |= {"threads": how.get("threads") or _threads(), "shared": True}
        apart = {name: value for name, value in how.items() if value and name not in ("wait", "echo")}
        inherited = {name: value for name, value in os.environ.items() if name not in _OF_NO_USE}
        key = repr((adapter, sorted(({"python": sys.executable} | apart).items()), sorted(inherited.items())))
        with self._lock:
            while self._idle.get(key):
                worker = self._idle[key].pop()
                if worker.alive:
                    return worker
        worker = _Warm(adapter, **how)
        worker.pool, worker.key = self, key
        return worker

    def take_back(self, worker: _Warm) -> None:
        with self._lock:
            self._idle.setdefault(worker.key, []).append(worker)

    def stop(self) -> None:
        for workers in self._idle.values():
            for worker in workers:
                worker.end()
        self._idle.clear()


def _threads() -> int | None:
    """As many as are set."""
    count = os.environ.get("OMP_NUM_THREADS", "")
    return int(count) if count.isdecimal() else None


class _Warm(WorkerProcess):
    """A worker that is idle after `stop`, where it can still answer."""

    pool: WarmWorkers | None = None
    key: str = ""
    _asked = _killed = False

    def ask(self, do: Any, progress: Any = None, **request: Any) -> Any:
        self._asked = True  # and stays so where the answer was not waited for
        try:
            answer = super().ask(do, progress, **request)
        except (UsageError, WorkerFailure):
            self._asked = False
            raise
        self._asked = False
        return answer

    def kill(self) -> None:
        """Whoever waits for an answer gets none; a worker that is asked nothing stays, for `stop` to keep."""
        if self.pool is None or self._asked:
            self._killed = True
            super().kill()

    def stop(self) -> None:
        if self.pool is None or self._asked or self._killed or not self.alive or self._resident() > LARGEST:
            self.end()
            return
        self.ask(requests.forget)  # a user's file of the same name may be another one, and no result is another's
        self.pool.take_back(self)

    def _resident(self) -> int:
        return int(psutil.Process(self._process.pid).memory_info().rss)

    def end(self) -> None:
        self.pool = None
        super().stop()
