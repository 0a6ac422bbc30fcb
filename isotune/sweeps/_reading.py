"""A sweep from its file, checked whole: what is wrong is told with file, line and what would be right.

    models = ["timm:mobilenetv3*", "architecture:mobilenet_v2"]
    datasets = ["digits"]
    seeds = 5

    [[exclude]]
    models = ["keras:*"]
    conventions = ["native"]

    [[entry]]                 # a matrix; what it does not say is as above
    protocols = ["quick"]

    [[entry]]
    protocols = ["quick-fine-tune"]
    seeds = 3

    [[expected]]              # a published number, of which the names say which row it is of
    accuracy = "94.0"
    source = "https://example.org/table-2"
    model = "timm:mobilenetv3_small_100"

Without an entry the keys above are the one matrix.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isotune import conventions, defaults, names, protocols, reading
from isotune.data.sources import given
from isotune.errors import UsageError
from isotune.executors import Spec, WrongOption, find
from isotune.models import checkpoints, patterns
from isotune.protocols import Mode
from isotune.runs.planning import Matrix, parse_seeds
from isotune.sweeps._sweep import Exclusion, Sweep, check_size

_MOST = reading.MIB  # of a sweep file
T = TypeVar("T")
Names = list[str]
_Path = tuple[str | int, ...]  # of keys and places in lists


class _Axes(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    models: Names | None = Field(None, description="names, patterns of names, `architecture:PATTERN`")
    checkpoints: Names | None = None
    datasets: Names | None = None
    protocols: Names | None = None
    conventions: Names | None = None
    modes: Names | None = Field(None, description="NUMERIC_MODE[-LAYOUT][-compiled]: float32, bfloat16-channels_last")
    seeds: int | str | list[int] | None = Field(None, description="how many, which, or a range: 3, [0, 4], '5-9'")


class _Document(_Axes):
    store: str | None = Field(None, description="folder of records")
    jobs: int | None = Field(None, ge=1, le=1000, description="workers at the same time")
    executor: str | dict[str, Any] | None = Field(
        None, description="where cells run: its name, or a table of its name and options"
    )
    entry: list[_Axes] = Field([], description="matrices; what one does not say is as at the top")
    exclude: list[_Axes] = Field([], description="cells that match something of each axis that is given are left out")
    expected: list[dict[str, Any]] = Field([], description="published numbers that runs are held against")


AXES = tuple(_Axes.model_fields)


@dataclass(frozen=True)
class SweepFile:
    """A sweep file: the sweep, how it is to be run, and a line about each pattern."""

    path: Path
    sweep: Sweep
    store: str | None
    jobs: int | None
    executor: Spec | None
    lines: Sequence[str]
    expected: Sequence[tuple[str, protocols.Expected]] = ()  # published numbers, each with where it stands


def read(path: Path) -> SweepFile:
    """The sweep of a TOML file. UsageError: anything in it is wrong, before anything runs; libraries are asked for the
    models that they list."""
    source = reading.text(path, _MOST, str(path))
    values = reading.toml(source, str(path))
    place = _Place(path, source)
    try:
        document = _Document.model_validate(values)
    except ValidationError as error:
        raise place.explained(error) from None
    parts: list[tuple[_Axes, _Path]] = [(each, ("entry", number)) for number, each in enumerate(document.entry)]
    place.check_all_used(document)
    matrices: list[Matrix] = []
    lines: list[str] = []
    for part, where in parts or [(document, ())]:
        said = {axis: (document, ()) if getattr(part, axis) is None else (part, where) for axis in AXES}
        for matrix in _matrices(said, place, lines):
            matrices.append(matrix)
            check_size(matrices, f"{place.at((*where, 'seeds'))}: ")
    exclude = [_exclusion(each, ("exclude", number), place) for number, each in enumerate(document.exclude)]
    expected = []
    for number, each in enumerate(document.expected):
        at = place.at(("expected", number))
        expected.append((at, protocols.expected(each, at)))
    executor = _executor(document, place)
    return SweepFile(path, Sweep(matrices, exclude), document.store, document.jobs, executor, lines, expected)


def _executor(document: _Document, place: _Place) -> Spec | None:
    """Made once, which checks its options."""
    if (said := document.executor) is None:
        return None
    with place.told(("executor",)):
        options = {} if isinstance(said, str) else {key: value for key, value in said.items() if key != "name"}
        name = said if isinstance(said, str) else said.get("name")
        if not isinstance(name, str):
            raise UsageError("name is missing, such as 'local'")
        named = Spec.parse(name)
        spec = replace(named, options={**named.options, **options})
    try:
        find(spec, **({} if document.jobs is None else {"jobs": document.jobs}))
    except UsageError as error:
        where = [error.option] if isinstance(error, WrongOption) and error.option in options else []
        raise UsageError(f"{place.at(('executor', *where))}: {error}") from None
    return spec


def _matrices(said: Mapping[str, tuple[_Axes, _Path]], place: _Place, lines: list[str]) -> Iterator[Matrix]:
    """Of one entry: a matrix for each checkpoint and mode."""

    def axis(name: str, check: Callable[[str], T], otherwise: Sequence[str] = ()) -> list[T]:
        part, where = said[name]
        return place.each(getattr(part, name), (*where, name), check, otherwise)

    recipes = axis("protocols", protocols.load, (defaults.PROTOCOL,))
    datasets = axis("datasets", lambda name: given.source(name).name, (defaults.DATASET,))
    specs = axis("conventions", _spec, defaults.CONVENTIONS)
    modes = axis("modes", Mode.parse, ("float32",))
    part, where = said["seeds"]
    with place.told((*where, "seeds")):
        seeds = parse_seeds(defaults.SEEDS if part.seeds is None else part.seeds)
    for checkpoint in axis("checkpoints", _checkpoint, (defaults.CHECKPOINT,)):
        models = itertools.chain(*axis("models", partial(_models, checkpoint=checkpoint, lines=lines)))
        named = tuple(dict.fromkeys(models))
        for mode in modes:
            yield Matrix(named, datasets, recipes, specs, seeds, checkpoint, mode)


def _models(text: str, checkpoint: str, lines: list[str]) -> list[str]:
    named, told = patterns.expanded([text], checkpoint)
    lines += (line for line in told if line not in lines)
    patterns.check_listed(named)
    return named


def _checkpoint(text: str) -> str:
    checkpoints.check_name(text)
    return text


def _spec(text: str) -> str:
    conventions.parse(text)
    return text


def _exclusion(part: _Axes, where: _Path, place: _Place) -> Exclusion:
    said = {axis: value for axis in AXES if (value := getattr(part, axis)) is not None}
    if not said:
        raise UsageError(f"{place.at(where)}: is empty; say what is excluded: {', '.join(AXES)}")
    checks: dict[str, Callable[[str], Any]] = {"models": patterns.of_architecture}
    for axis, value in said.items():
        if axis == "seeds":
            with place.told((*where, axis)):
                said[axis] = parse_seeds(value)
        else:
            said[axis] = place.each(value, (*where, axis), checks.get(axis, str))
    if "models" in said:
        said["models"] = list(itertools.chain(*said["models"]))
    return Exclusion(**said, where=place.at(where))


class _Place:
    """Where things stand in a file, for what is said of them."""

    def __init__(self, path: Path, source: str) -> None:
        self._path, self._source = path, source

    def at(self, path: Sequence[str | int]) -> str:
        """ "sweep.toml, line 3, entry 2: seeds"."""
        words = ""
        for part in path:
            words += f" {part + 1}" if isinstance(part, int) else f"{': ' if words else ''}{part}"
        return f"{self._path}, line {reading.line_of(self._source, path)}" + (f": {words}" if words else "")

    @contextmanager
    def told(self, path: Sequence[str | int]) -> Iterator[None]:
        """A UsageError within gets its place."""
        try:
            yield
        except UsageError as error:
            error.args = (f"{self.at(path)}: {error}",)
            raise

    def each(
        self, given: list[str] | None, path: _Path, check: Callable[[str], T], otherwise: Sequence[str] = ()
    ) -> list[T]:
        """What `check` makes of every member of a list."""
        if given is None and not otherwise:
            raise UsageError(f"{self.at(path)}: is missing; give at least one, such as {names.DEFAULT_MODELS[0]!r}")
        if given is not None and not given:
            raise UsageError(f"{self.at(path)}: is empty; give at least one, or leave it out")
        made = []
        for number, member in enumerate(otherwise if given is None else given):
            with self.told(path if given is None else (*path, number)):
                if not member.strip():
                    raise UsageError("is empty; give a name")
                made.append(check(member))
        return made

    def check_all_used(self, document: _Document) -> None:
        """Refuse what is said at the top and again by every entry, and so would be of none."""
        for axis in AXES:
            overruled = [entry for entry in document.entry if getattr(entry, axis) is not None]
            if getattr(document, axis) is not None and overruled and len(overruled) == len(document.entry):
                raise UsageError(
                    f"{self.at((axis,))}: every [[entry]] has {axis} of its own; make this an [[entry]] too, or remove"
                    " it"
                )

    def explained(self, error: ValidationError) -> UsageError:
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        path = [part for part in first["loc"] if part not in ("int", "str", "list[int]", "dict[str,any]")]
        told = protocols.explain(error, _Document)
        return UsageError(f"{self._path}, line {reading.line_of(self._source, path)}: {told}")
