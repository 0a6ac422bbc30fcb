"""Where a run is computed: an executor, from what the caller says of it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from isotune.errors import UsageError
from isotune.executors import Executor, Local, Spec, find
from isotune.interface import arguments
from isotune.workers.process import Workers


def named(value: str | Executor | None, argument: str = "executor") -> Spec | Executor | None:
    """An executor as it is given to a call, not made yet. UsageError: it is none."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return Spec.parse(value)
    if not callable(getattr(value, "run", None)) or isinstance(value, type):
        raise arguments.wrong(
            argument, "a name, such as 'local' or 'ray:HOST:6379', or an isotune.executors.Executor", value
        )
    return value


def made(
    asked: Spec | Executor, jobs: int | None, interpreters: dict[str, str], workers: Workers | None, stack: ExitStack
) -> tuple[Executor, Workers | None]:
    """The executor, and the workers of this machine in which models can be tried before; None: it has none here.

    UsageError: it does not take what is asked.
    """
    more: dict[str, Any] = {"jobs": jobs} if jobs is not None else {}
    more |= {"pythons": interpreters} if interpreters else {}
    if isinstance(asked, Spec):
        if workers is not None and asked.name != "local":
            raise UsageError(f"workers: are of this machine, and the executor is {asked.name!r}; leave one of them out")
        executor = find(asked, **more)
    elif more or workers is not None:
        what = "workers" if workers is not None else next(iter(more))
        raise UsageError(f"{what}: the executor that is given says that itself; leave {what} out")
    else:
        executor = asked
    if not isinstance(executor, Local):
        return executor, None
    return executor, stack.enter_context(executor.warm(workers))
