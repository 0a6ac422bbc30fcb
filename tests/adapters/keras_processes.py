"""Where the scripts of keras_scripts run: Keras has one engine in a process, and importing it takes seconds, so each
engine has one process for all of them. Tests that use it are of one xdist group, `keras`."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

SERVER = Path(__file__).parent / "keras_scripts" / "serve.py"
SCRATCH = Path(tempfile.mkdtemp(prefix="keras-processes-"))
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)
# Waiting threads cost more than small networks gain. JAX compiles every experiment anew, and XLA's optimizations would
# take longer than what they speed up; hundreds of small kernels are the same in the next process.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "KERAS_HOME": str(SCRATCH / "home"),
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "JAX_COMPILATION_CACHE_DIR": str(SCRATCH / "jax"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


class KerasProcess:
    """A process that runs scripts; `said` is what stands on its standard error since the last was started."""

    def __init__(self) -> None:
        environment = os.environ | ENVIRONMENT
        environment.pop("TF_CPP_MIN_LOG_LEVEL", None)  # JAX, imported by another test of this process, sets it to 1
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [sys.executable, SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )

    def run(self, script: str | Path, *arguments: Any) -> str:
        """Run a script of the folder; what it wrote to standard error. AssertionError: it failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        begin = self._log.seek(0, os.SEEK_END)
        self._process.stdin.write(json.dumps([str(script), *map(str, arguments)]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        self._log.seek(begin)
        said = self._log.read()
        assert answer, f"{script} ended the process: {said[-3000:]}"
        assert not (trace := json.loads(answer)), trace[-3000:]
        return said

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()


@cache
def process_of(engine: str) -> KerasProcess:
    """The process of `tensorflow`, `jax` or `torch`."""
    process = KerasProcess()
    atexit.register(process.end)
    return process
