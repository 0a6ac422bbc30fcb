"""Worker processes: a framework in each, requests in, answers out."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import psutil

from isotune.errors import REFUSALS, UsageError, WorkerFailure
from isotune.progress import Progress
from isotune.workers import interpreters

__all__ = ["NO_ACCELERATOR", "PROGRAM", "WorkerFailure", "WorkerProcess", "Workers", "ask_once"]

PROGRAM = "isotune.workers.worker"
_log = logging.getLogger("isotune")
T = TypeVar("T")
R = TypeVar("R")
_TOLD: set[str] = set()  # warnings of workers, which may come from several
_REFUSALS = {kind.__name__: kind for kind in REFUSALS}
NO_ACCELERATOR = {"CUDA_VISIBLE_DEVICES": ""}


class WorkerProcess:
    """A running worker: requests go in, answers come out, one at a time.

    adapter: its name, with an engine or not; None: a process for work that needs no model. echo: what it and its
    libraries print, such as the progress of a download, goes to stderr too. wait: until it is `ready`.

    It ends with the process that started it, however that ends: the kernel says so (`worker.end_with`).
    """

    def __init__(
        self,
        adapter: str | None,
        *,
        threads: int | None = None,
        shared: bool = False,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
        echo: bool = False,
        wait: bool = True,
    ) -> None:
        self.adapter, self._python, self._echo = adapter, python, echo
        if python != sys.executable:
            interpreters.check(python)
        command = interpreters.command(PROGRAM, python)
        command += [adapter] if adapter else []
        command += ["--threads", str(threads)] if threads else []
        command += ["--shared"] if shared else []
        self._log: deque[str] = deque(maxlen=50)
        self._is_ready = False
        self._lifeline, other_end = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [*command, "--lifeline", str(other_end.fileno())],
                pass_fds=(other_end.fileno(),),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env=os.environ | dict(environment or {}),
            )
        except OSError as error:
            self._lifeline.close()
            raise UsageError(f"cannot start {python}: {error.strerror}") from None
        finally:
            other_end.close()
        self._reader = threading.Thread(target=self._keep_log, daemon=True)
        self._reader.start()
        if wait:
            self.ready()

    def ready(self) -> None:
        """Wait for its first answer, once. UsageError: its library is not installed, or cannot be used."""
        if self._is_ready:
            return
        try:
            self._answer(None)
            self._is_ready = True
        except BaseException as error:
            self.stop()
            if self._python != sys.executable and type(error) is UsageError:
                raise UsageError(f"{error}, in the environment of {self._python}") from None
            raise

    def ask(self, do: Callable[..., Any] | str, progress: Progress | None = None, **request: Any) -> Any:
        """Have the worker call a function with `request`, and wait for what it gives.

        do: a function that takes the worker first, `def run(worker: Worker, **request)`, or its MODULE:NAME; arguments
        and result are JSON. UsageError, WorkerFailure as the worker says; it may have died.
        """
        name = do if isinstance(do, str) else f"{do.__module__}:{do.__name__}"
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": name, "from": _here(), "with": request}) + "\n")
            self._process.stdin.flush()
        return self._answer(progress)

    def _answer(self, progress: Progress | None) -> Any:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            match answer["event"]:
                case "ready":
                    return None
                case "done":
                    return answer["result"]
                case "warning" if answer.get("once") and answer["message"] in _TOLD:
                    continue
                case "warning":
                    _TOLD.add(answer["message"])
                    _log.warning("%s", answer["message"], extra={"once": answer.get("once", False)})
                case "progress" if progress:
                    progress(answer["what"], answer["done"], answer["total"])
                case "error" if answer["kind"] in _REFUSALS:
                    raise self._refusal(answer)
                case "error":
                    raise WorkerFailure(answer["message"], answer["trace"])
        status = self._process.wait()
        self._reader.join(timeout=5)
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        how += ", as when memory runs out" if status == -signal.SIGKILL else ""
        last = next((line for line in reversed(self._log) if line.strip()), "it said nothing")
        where = "" if self._python == sys.executable else f" under {self._python}"
        what = f"the worker of {self.adapter}" if self.adapter else "the worker"
        raise WorkerFailure(f"{what}{where} ended {how}: {last.strip()[:300]}", "".join(self._log), died=True)

    def _refusal(self, answer: Mapping[str, str]) -> UsageError:
        """The worker's error, as the same class. What another environment lacks is said in the words that fit it: it
        has packages that the extra would bring."""
        if self._python != sys.executable and answer["package"]:
            return interpreters.lacks(self._python, [answer["package"]], interpreters.packages_of(answer["install"]))
        kind = _REFUSALS[answer["kind"]]
        error = kind.__new__(kind, answer["message"])  # the message is complete: __init__ would compose another
        for field in ("package", "install"):
            if answer[field]:
                setattr(error, field, answer[field])
        return error

    def _keep_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._log.append(line)
            if self._echo:
                sys.stderr.write(line)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @contextlib.contextmanager
    def ended_after(self, limit: float | None) -> Iterator[WorkerProcess]:
        """The worker, which is ended when it takes longer, and WorkerFailure says so. limit: seconds; None: there is
        none."""
        over = threading.Event()

        def end() -> None:
            over.set()
            self.kill()

        timer = threading.Timer(limit or 0, end)
        timer.daemon = True
        if limit is not None:
            timer.start()
        try:
            yield self
        except WorkerFailure as error:
            if over.is_set():
                raise WorkerFailure(f"given up after its time limit of {limit:g} s", error.trace, died=True) from None
            raise
        finally:
            timer.cancel()
            if over.is_set():
                self.stop()  # and is gone: the next cell is to have another

    def memory(self) -> int:
        """Bytes that it holds; 0 when it has ended."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def kill(self) -> None:
        """End the worker, from any thread: what another one asks of it fails."""
        if self.alive:
            self._process.kill()

    def stop(self) -> None:
        """End the worker; it finishes nothing."""
        self.kill()
        self._process.wait()
        self._reader.join(timeout=1)
        self._lifeline.close()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]


def _here() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # removed since
        return ""


def ask_once(do: Callable[..., Any] | str, progress: Progress | None = None, **request: Any) -> Any:
    """One request to a process of its own, without an adapter or an accelerator: work that needs a framework, where the
    calling process may hold another. Errors as of `WorkerProcess.ask`; a worker that dies is a UsageError here."""
    worker = WorkerProcess(None, environment=NO_ACCELERATOR, echo=sys.stderr.isatty())
    try:
        return worker.ask(do, progress, **request)
    except WorkerFailure as error:
        raise UsageError(str(error)) from error
    finally:
        worker.stop()


class Workers:
    """Workers by adapter, started when first asked for; a context that stops them all.

    environment: variables that they have beside this process's.
    Interrupted (Ctrl-C, a notebook's stop), a worker does not end by itself: whoever has the workers ends them.
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        shared: bool = False,
        pythons: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._threads, self._shared, self._pythons = threads, shared, dict(pythons or {})
        self._environment = dict(environment or {})
        self._running: dict[str, WorkerProcess] = {}
        self._ended = False

    def __getitem__(self, adapter: str) -> WorkerProcess:
        worker = self._begun(adapter)
        worker.ready()
        return worker

    def begin(self, adapters: Iterable[str]) -> None:
        """Have libraries imported while the caller does other work. What goes wrong is said when one is asked for."""
        with contextlib.suppress(UsageError, WorkerFailure):
            for adapter in adapters:
                self._begun(adapter)

    def _begun(self, adapter: str) -> WorkerProcess:
        """Its worker, which may not be ready."""
        if self._ended:
            raise WorkerFailure(f"the worker of {adapter} was ended")
        worker = self._running.get(adapter)
        if worker is None or not worker.alive:
            if worker is not None:
                worker.stop()
            python = self._pythons.get(adapter, sys.executable)
            worker = WorkerProcess(
                adapter, threads=self._threads, shared=self._shared, python=python, environment=self._environment,
                wait=False,
            )  # fmt: skip
            self._running[adapter] = worker  # known before it is ready, so that it can be ended meanwhile
            if self._ended:
                worker.kill()
        return worker

    def __contains__(self, adapter: str) -> bool:
        return adapter in self._running

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End them all; they finish nothing."""
        for worker in list(self._running.values()):
            worker.stop()
        self._running.clear()

    def end_larger(self, most: int) -> None:
        """End those that hold more than so many bytes of memory; the others stay as they are."""
        for worker in list(self._running.values()):
            if worker.alive and worker.memory() > most:
                worker.stop()

    def end(self) -> None:
        """End them all and start none any more: what threads still ask of them fails at once."""
        self._ended = True
        for worker in list(self._running.values()):
            worker.kill()

    def together(self, do: Callable[[T], R], things: Iterable[T], threads: int) -> list[R]:
        """What `do`, which asks these workers, gives of each thing, in so many threads. Interrupted, the workers are
        ended, so that no thread goes on."""
        with ThreadPoolExecutor(max(1, threads)) as pool:
            try:
                return list(pool.map(do, things))
            except KeyboardInterrupt:
                self.end()
                raise
