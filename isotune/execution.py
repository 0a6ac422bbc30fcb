"""Executors: cells in, records out.

`Executor` is the whole interface. `LocalExecutor` runs cells in worker processes on this machine, one
framework in each, and leaves a record in the store for every cell, failed ones included. An executor
yields records as cells end, so nothing is lost when a later one fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, Protocol

from isotune import interpreters
from isotune.errors import Unavailable, UsageError
from isotune.records import Cell, Record, Store

Progress = Callable[[str, str, int, int], None]  # (cell, what, done, total)


class Executor(Protocol):
    """Runs cells, in any place and any number at once."""

    def run(self, cells: Iterable[Cell]) -> Iterator[Record]:
        """A record of every cell as it ends, those of earlier runs first. A cell that fails gives a
        record with status "failed"; it never raises."""
        ...


class WorkerFailure(Exception):
    """A request failed in the worker, or the worker died. `trace` may hold its traceback."""

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.trace = trace


class WorkerProcess:
    """A running worker: requests go in, answers come out, one at a time."""

    def __init__(
        self, adapter: str, *, threads: int | None = None, shared: bool = False, python: str = sys.executable
    ) -> None:
        self.adapter, self._python = adapter, python
        if python == sys.executable:
            command = [python, "-m", "isotune.worker", adapter]
        else:
            interpreters.check(python)
            command = [*interpreters.command("isotune.worker", python), adapter]
        command += ["--threads", str(threads)] if threads else []
        command += ["--shared"] if shared else []
        self._log: deque[str] = deque(maxlen=50)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            raise UsageError(f"cannot start {python}: {error.strerror}") from None
        self._reader = threading.Thread(target=self._keep_log, daemon=True)
        self._reader.start()
        try:
            self._answer(None)
        except BaseException as error:
            self.stop()
            if python != sys.executable and type(error) is UsageError:
                raise UsageError(f"{error}, in the environment of {python}") from None
            raise

    def ask(self, do: str, progress: Callable[[str, int, int], None] | None = None, **request: Any) -> Any:
        """Send a request and wait. UsageError, WorkerFailure as the worker says; it may have died."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
        return self._answer(progress)

    def _answer(self, progress: Callable[[str, int, int], None] | None) -> Any:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            match answer["event"]:
                case "ready":
                    return None
                case "done":
                    return answer["result"]
                case "progress" if progress:
                    progress(answer["what"], answer["done"], answer["total"])
                case "error" if answer["kind"] == "unavailable":
                    raise self._unavailable(answer)
                case "error" if answer["kind"] == "usage":
                    raise UsageError(answer["message"])
                case "error":
                    raise WorkerFailure(answer["message"], answer["trace"])
        status = self._process.wait()
        self._reader.join(timeout=5)
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        how += ", as when memory runs out" if status == -signal.SIGKILL else ""
        last = next((line for line in reversed(self._log) if line.strip()), "it said nothing")
        where = "" if self._python == sys.executable else f" under {self._python}"
        raise WorkerFailure(
            f"the worker of {self.adapter}{where} ended {how}: {last.strip()[:300]}", "".join(self._log)
        )

    def _unavailable(self, answer: Mapping[str, str]) -> Unavailable:
        """In the words that fit the environment: another's has packages that isotune's extra would bring."""
        if self._python == sys.executable or not answer["package"]:
            return Unavailable(answer["message"])
        return interpreters.lacks(self._python, [answer["package"]], interpreters.packages_of(answer["extra"]))

    def _keep_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._log.append(line)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        """End the worker; it finishes nothing."""
        if self.alive:
            self._process.kill()
        self._process.wait()
        self._reader.join(timeout=5)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]


class Workers:
    """Workers by adapter, started when first asked for; a context that stops them all."""

    def __init__(
        self, *, threads: int | None = None, shared: bool = False, pythons: Mapping[str, str] | None = None
    ) -> None:
        self._threads, self._shared, self._pythons = threads, shared, dict(pythons or {})
        self._running: dict[str, WorkerProcess] = {}

    def __getitem__(self, adapter: str) -> WorkerProcess:
        worker = self._running.get(adapter)
        if worker is None or not worker.alive:
            if worker is not None:
                worker.stop()
            python = self._pythons.get(adapter, sys.executable)
            worker = WorkerProcess(adapter, threads=self._threads, shared=self._shared, python=python)
            self._running[adapter] = worker
        return worker

    def __contains__(self, adapter: str) -> bool:
        return adapter in self._running

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End them all; they finish nothing."""
        for worker in self._running.values():
            worker.stop()
        self._running.clear()


class LocalExecutor:
    """Worker processes on this machine.

    jobs: workers at the same time; the cores are shared out among them. With one (the default) a worker
        has the machine to itself, and timings mean something.
    pythons: interpreters of other environments by adapter: {"keras": "/opt/keras-3.12/bin/python"}.
    workers: run in these instead of starting own ones (jobs = 1); they are left running.
    """

    def __init__(
        self,
        store: Store,
        *,
        jobs: int = 1,
        fresh: bool = False,
        pythons: Mapping[str, str] | None = None,
        workers: Workers | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.store, self.jobs, self.fresh = store, max(1, jobs), fresh
        self._pythons, self._workers = dict(pythons or {}), workers
        self._progress = progress or (lambda *_: None)

    def done(self, cell: Cell) -> Record | None:
        """The record that makes running the cell unnecessary: done, under the versions installed now."""
        if self.fresh or (record := self.store.read(cell)) is None or record.status != "done":
            return None
        own = cell.adapter not in self._pythons
        return None if own and _outdated(record) else record

    def run(self, cells: Iterable[Cell]) -> Iterator[Record]:
        waiting: deque[Cell] = deque()
        for cell in cells:
            if (record := self.done(cell)) is not None:
                yield record
            else:
                waiting.append(cell)
        if self.jobs == 1:
            with contextlib.ExitStack() as stack:
                workers = self._workers or stack.enter_context(Workers(pythons=self._pythons))
                for cell in waiting:
                    yield self._one(cell, workers)
        elif waiting:
            yield from self._several(waiting)

    def _several(self, waiting: deque[Cell]) -> Iterator[Record]:
        """Threads, each with workers of its own, take cells of an adapter they already have if they can."""
        ended: queue.Queue[Record | BaseException] = queue.Queue()
        lock, stopping, count = threading.Lock(), threading.Event(), len(waiting)
        threads = max(1, (os.cpu_count() or 1) // self.jobs)

        def take(workers: Workers) -> Cell | None:
            with lock:
                if not waiting or stopping.is_set():
                    return None
                mine = next((cell for cell in waiting if cell.adapter in workers), waiting[0])
                waiting.remove(mine)
                return mine

        def work() -> None:
            try:
                with Workers(threads=threads, shared=True, pythons=self._pythons) as workers:
                    while (cell := take(workers)) is not None:
                        ended.put(self._one(cell, workers))
            except BaseException as error:
                ended.put(error)

        pool = [threading.Thread(target=work, daemon=True) for _ in range(min(self.jobs, count))]
        for thread in pool:
            thread.start()
        try:
            for _ in range(count):
                record = ended.get()
                if isinstance(record, BaseException):
                    raise record
                yield record
        finally:
            stopping.set()

    def _one(self, cell: Cell, workers: Workers) -> Record:
        """Run one cell in its worker; a failure becomes a record."""
        started = datetime.now(UTC)
        name = str(cell)
        try:
            workers[cell.adapter].ask(
                "run",
                lambda what, done, total: self._progress(name, what, done, total),
                cell=cell.model_dump(mode="json"),
                store=str(self.store.folder.resolve()),
            )
            record = self.store.read(cell)
            if record is None:
                raise WorkerFailure(f"the worker of {cell.adapter} left no record in {self.store.folder}")
            return record
        except (UsageError, WorkerFailure) as error:
            record = Record(cell=cell, status="failed", error=str(error), started=started, finished=datetime.now(UTC))
            self.store.write(record)
            return record


def _outdated(record: Record) -> bool:
    """Whether a package that computed the record has another version now."""
    for package in ("torch", "torchvision", "timm", "keras", "tensorflow", "jax", "numpy"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            if record.environment.get(package, (now := metadata.version(package))) != now:
                return True
    return False
