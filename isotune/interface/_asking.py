"""What a run is asked for: the arguments of a call, or a sweep file, as one object."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from isotune import defaults, sweeps
from isotune.errors import UsageError
from isotune.executors import Executor, Spec
from isotune.interface import arguments
from isotune.interface._executing import named as named_executor
from isotune.interface.arguments import Conventions, Dataset, Expectation, Model, PathLike, Protocol
from isotune.models import patterns
from isotune.protocols import Expected
from isotune.protocols import Protocol as Recipe
from isotune.runs.planning import Matrix, parse_seeds
from isotune.sweeps import Sweep

_LOCAL = Spec("local")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Request:
    """datasets: not prepared yet, unless they came so. lines: about patterns. source: where it came from, in a word.
    checked: whether every model is known to its library. expected: published numbers, each with where it stands.
    listed: those that protocols list, which may be about other runs."""

    sweep: Sweep
    datasets: Sequence[Any]
    lines: Sequence[str]
    source: str
    store: Path
    jobs: int | None
    executor: Spec | Executor
    checked: bool
    expected: Sequence[tuple[str, Expected]] = ()
    listed: Sequence[tuple[str, Expected]] = ()


def asked(
    models: Model | Iterable[Model],
    datasets: Dataset | Iterable[Dataset] | Mapping[str, Dataset],
    protocols: Protocol | Iterable[Protocol],
    seeds: int | str | Iterable[int],
    conventions: Conventions | Iterable[Conventions],
    *,
    checkpoint: PathLike,
    numeric_mode: str,
    layout: str | None,
    compiled: bool,
    store: PathLike,
    jobs: int | None,
    executor: str | Executor | None = None,
    expect: Expectation | Iterable[Expectation] = (),
) -> Request:
    """Arguments as of `isotune.run`. UsageError: one is wrong."""
    place, jobs = arguments.path(store, "store"), None if jobs is None else arguments.count(jobs, "jobs")
    runs_in = named_executor(executor)
    if isinstance(models, str | os.PathLike) and os.fspath(models).endswith(".toml"):
        others = {"datasets": (datasets, defaults.DATASET), "protocols": (protocols, defaults.PROTOCOL),
                  "seeds": (seeds, defaults.SEEDS), "conventions": (conventions, defaults.CONVENTIONS),
                  "checkpoint": (checkpoint, defaults.CHECKPOINT), "numeric_mode": (numeric_mode, "float32"),
                  "layout": (layout or None, None), "compiled": (compiled, False)}  # fmt: skip
        for name, (value, default) in others.items():
            if value is not default and not (isinstance(value, str | int) and value == default):
                raise UsageError(f"{name}: {os.fspath(models)} says what is run; write it there")
        return _of_file(Path(models), place, jobs, runs_in, arguments.expectations(expect))
    held = arguments.checkpoint(checkpoint)
    named, lines = patterns.expanded(arguments.models(models), held)
    recipes, specs = arguments.recipes(protocols), arguments.specs(conventions)
    wanted = arguments.datasets(datasets)
    mode = arguments.mode(numeric_mode, layout, compiled)
    matrix = Matrix(named, [each.name for each in wanted], recipes, specs, parse_seeds(seeds), held, mode)
    return Request(
        Sweep((matrix,)), wanted, lines, "isotune run", place, jobs, runs_in or _LOCAL, checked=False,
        expected=[("expect", each) for each in arguments.expectations(expect)], listed=[*_of_protocols(recipes)],
    )  # fmt: skip


def _of_protocols(recipes: Iterable[object]) -> Iterator[tuple[str, Expected]]:
    """What protocols say that is expected of them."""
    for recipe in recipes:
        if isinstance(recipe, Recipe):
            for each in recipe.expected:
                named = each if each.protocol else each.model_copy(update={"protocol": recipe.name})
                yield f"protocol {recipe.name}: expected", named


def _of_file(
    path: Path, store: Path, jobs: int | None, executor: Spec | Executor | None, expected: Sequence[Expected]
) -> Request:
    """What the call says of store, jobs and executor comes before what the file says."""
    file = sweeps.read(path)
    if store == defaults.STORE and file.store:
        store = arguments.path(file.store, "store").expanduser()
    jobs = file.jobs if jobs is None else jobs
    wanted = [arguments.dataset(name) for name in file.sweep.datasets]
    recipes = {id(recipe): recipe for matrix in file.sweep.matrices for recipe in matrix.protocols}
    said = [*(("expect", each) for each in expected), *file.expected]
    return Request(
        file.sweep, wanted, file.lines, path.name, store, jobs, executor or file.executor or _LOCAL, checked=True,
        expected=said, listed=[*_of_protocols(recipes.values())],
    )  # fmt: skip


_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
          "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}  # fmt: skip


def size(value: str | int | None, argument: str) -> int | None:
    """ "10GB", "500 MB", "1.5GiB", or a number of bytes."""
    right = "give a size such as 10GB or 500MB"
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < 10**18:
            raise UsageError(f"{argument}: {value} is no size; {right}")
        return value
    if not isinstance(value, str):
        raise arguments.wrong(argument, "a size such as '10GB'", value)
    said = re.fullmatch(r"(\d{1,15}(?:\.\d{1,3})?) ?([a-z]*)", value.strip().lower())
    if not said or said[2] not in _BYTES:
        raise UsageError(f"{argument}: {value!r} is no size; {right}")
    return int(Decimal(said[1]) * _BYTES[said[2]])


def seconds(value: str | float | None, argument: str = "stop_after") -> float | None:
    """ "90s", "30m", "2h", "1d", "1h30m", or a number of seconds."""
    if value is None or value == "":
        return None
    right = "give a time such as 90s, 30m, 2h or 1h30m"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 < value < 1e9:
            raise UsageError(f"{argument}: {value} is no time; {right}")
        return float(value)
    if not isinstance(value, str):
        raise arguments.wrong(argument, "a time such as '2h'", value)
    parts = re.findall(r"(\d{1,6}(?:\.\d{1,3})?) ?(min|[smhd])", text := value.strip().lower())
    if not parts or re.sub(r"[\s.]", "", "".join(map("".join, parts))) != re.sub(r"[\s.]", "", text):
        raise UsageError(f"{argument}: {value!r} is no time; {right}")
    if not (total := sum(float(number) * _SECONDS[unit] for number, unit in parts)):
        raise UsageError(f"{argument}: {value!r} is no time; {right}")
    return total
