"""Running the parts that need a framework, in a process of their own.

The caller may hold another framework, or none. The program gets its request as one line of JSON on
stdin; it answers in lines of JSON on stdout: `{"progress": [done, total, what]}`, and at the end
`{"answer": {...}}` or `{"error": KIND, "message": ...}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from isotune.errors import MissingExtra, NotCached, UsageError

Progress = Callable[[int, int, str], None]

_ERRORS: dict[str, type[UsageError]] = {kind.__name__: kind for kind in (UsageError, NotCached, MissingExtra)}


def run_module(module: str, request: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Run `python -m module` and give its answer; an error that it reports is raised here, as the same class.

    What the program and its libraries print appears on stderr when that is a terminal, and is kept for the
    error message otherwise.
    """
    shown = sys.stderr is not None and sys.stderr.isatty()
    with tempfile.TemporaryFile("w+") as log:
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
        with subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if shown else log,
            text=True,
            env=environment,
        ) as process:
            try:
                answer = _converse(process, request, progress)
            except BaseException:
                process.kill()
                raise
        if answer is not None:
            return answer
        log.seek(0)
        last = (log.read().strip().splitlines() or ["no message"])[-1]
    raise UsageError(f"{module} ended with status {process.returncode}: {last}")


def _converse(
    process: subprocess.Popen[str], request: dict[str, Any], progress: Progress | None
) -> dict[str, Any] | None:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(json.dumps(request))
    answer: dict[str, Any] | None = None
    for line in process.stdout:
        message = json.loads(line)
        if "progress" in message and progress is not None:
            progress(*message["progress"])
        if "answer" in message:
            answer = message["answer"]
        if "error" in message:
            kind = _ERRORS[message["error"]]
            raise kind.__new__(kind, message["message"])  # the message is complete: __init__ would compose another
    return answer


def serve(work: Callable[[dict[str, Any], Progress], dict[str, Any]]) -> None:
    """The program's side: read the request, work, answer. stdout is kept for the answer alone."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints goes to stderr

    def send(**message: Any) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    try:
        request = json.loads(sys.stdin.read())
        send(answer=work(request, lambda done, total, what: send(progress=[done, total, what])))
    except UsageError as error:
        send(error=type(error).__name__, message=str(error))
