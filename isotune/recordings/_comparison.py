"""What comes of comparing a recording: with another, or with a protocol."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from isotune import cache, file_names, places
from isotune.errors import UsageError, listed

VERSION: Literal[1] = 1  # of the JSON
Verdict = Literal["holds", "fails", "inherits", "not judged"]


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Rung(_Kept):
    """One thing that both sides show alike in one step, or do not."""

    step: int
    name: str
    verdict: Verdict
    error: float | None = Field(None, description="worst relative error")
    bound: float | None = None
    words: str = ""


class Cause(_Kept):
    """One way in which two loops differ, or a loop and a protocol."""

    name: str = Field(description="an axis, a field of a stage, or the thing itself")
    rung: str = Field(description="where it shows first")
    left: Any
    right: Any
    words: str
    steps: tuple[int, ...] = ()


class Outcome(NamedTuple):
    """What came of holding one thing against a protocol: causes, what is alike, what could not be told."""

    causes: tuple[Cause, ...] = ()
    agreed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """Of several things, each in its order."""
    parts = list(outcomes)
    return Outcome(
        tuple(cause for part in parts for cause in part.causes),
        tuple(what for part in parts for what in part.agreed),
        tuple(what for part in parts for what in part.unknown),
    )


class Comparison(_Kept):
    """Where two loops, a loop and a protocol, or two protocols part, why, and what was not compared."""

    version: Literal[1] = VERSION
    kind: Literal["recordings", "protocol", "protocols"]
    left: str
    right: str
    configuration: dict[str, tuple[Any, Any]] = Field({}, description="what differs of versions, flags, settings")
    pairing: str = ""
    rungs: tuple[Rung, ...] = ()
    causes: tuple[Cause, ...] = ()
    agreed: tuple[str, ...] = Field((), description="what was held against each other and is alike")
    not_compared: tuple[str, ...] = ()

    @property
    def interrupted(self) -> bool:
        """Never: nothing is run."""
        return False

    @property
    def first_failure(self) -> Rung | None:
        """The first step and rung where they part."""
        return next((rung for rung in self.rungs if rung.verdict == "fails"), None)

    @property
    def same(self) -> bool:
        """Whether nothing that was compared differs. What was not compared is in `not_compared`."""
        return self.first_failure is None and not self.causes

    @property
    def verdict(self) -> str:
        """In a few sentences: whether they part, where, why, and what was left out."""
        return " ".join(self._sentences())

    def _sentences(self) -> Iterator[str]:
        if self.kind == "protocol":
            if self.causes:
                yield (
                    f"{self.left} does not do what the protocol {self.right} says: "
                    + "; ".join(cause.words for cause in self.causes)
                    + "."
                )
            else:
                yield f"In what was compared, {self.left} does what the protocol {self.right} says."
        elif self.kind == "protocols":
            said = "are one recipe: they differ in nothing that a run depends on"
            if self.causes:
                said = "differ: " + "; ".join(cause.words for cause in self.causes)
            yield f"{self.left} and {self.right} {said}."
        else:
            yield from self._of_recordings()
        if self.not_compared:
            yield f"Not compared: {'; '.join(self.not_compared)}."

    def _of_recordings(self) -> Iterator[str]:
        if failure := self.first_failure:
            where = f"in step {failure.step}, at the {failure.name}"
            yield f"{self.left} and {self.right} part {where}: {failure.words}."
        elif not self.causes:
            worst = max((rung.error or 0.0 for rung in self.rungs), default=0.0)
            yield f"{self.left} and {self.right} are alike in all that was compared, to {worst:.1e}."
        else:
            yield f"{self.left} and {self.right} do not part in the steps that both recorded."
        if self.causes:
            yield "They differ in " + "; ".join(cause.words for cause in self.causes) + "."
        elif self.first_failure:
            yield "No known cause explains it."

    def as_json(self) -> dict[str, Any]:
        """Everything, unrounded."""
        return self.model_dump(mode="json") | {"verdict": self.verdict, "same": self.same}

    def show(self) -> None:
        """Print what differs of the configuration, the steps and rungs, the causes, the verdict."""
        from rich.console import Console

        console = Console(width=None if Console().is_terminal else 160)
        for line in self._lines():
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _lines(self) -> Iterator[str]:
        if self.configuration:
            width = max(map(len, self.configuration))
            yield f"Configuration that differs ({self.left}, {self.right}):"
            for name, (ours, theirs) in self.configuration.items():
                yield f"  {name:<{width}}  {_short(ours)}  |  {_short(theirs)}"
        if self.pairing:
            yield self.pairing
        for rung in self.rungs:
            error = "" if rung.error is None else f"  {rung.error:.1e}"
            yield f"  step {rung.step}  {rung.name:<18} {rung.verdict:<10}{error}  {rung.words}".rstrip()
        for cause in self.causes:
            yield f"  {cause.name} ({cause.rung}): {cause.words}"
        if self.agreed:
            yield f"Alike: {', '.join(self.agreed)}."
        yield self.verdict

    def write(self, folder: str | Path, name: str = "") -> Path:
        """Write `NAME.md`, whose path is given back, and `NAME.json`. UsageError: the folder cannot be written."""
        name = file_names.checked(name or file_names.of_words(f"{self.left}-vs-{self.right}", keep="._"), "name")
        folder = places.path(folder, "folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for ending, text in (("json", json.dumps(self.as_json(), indent=1)), ("md", "\n".join(self._document()))):
                with cache.draft_file(folder / f"{name}.{ending}") as draft:
                    draft.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"the report cannot be written to {folder}: {error.strerror}; choose another") from None
        return folder / f"{name}.md"

    def _document(self) -> Iterator[str]:
        yield from (f"# {self.left} and {self.right}", "", self.verdict, "")
        causes = ([cause.name, cause.rung, cause.left, cause.right, cause.words] for cause in self.causes)
        yield from _table("What differs", ["what", "shows at", self.left, self.right, "in words"], causes)
        rungs = (
            [rung.step, rung.name, rung.verdict, _power(rung.error), _power(rung.bound), rung.words]
            for rung in self.rungs
        )  # fmt: skip
        yield from _table("Step by step", ["step", "rung", "verdict", "error", "bound", "where"], rungs)
        yield from (self.pairing, "") if self.pairing else ()
        settings = ([name, *values] for name, values in self.configuration.items())
        yield from _table("Configuration that differs", ["what", self.left, self.right], settings)
        if self.agreed:
            yield from ("## Alike", "", ", ".join(self.agreed) + ".")

    def _repr_html_(self) -> str:
        from html import escape

        return "".join(f"<p>{escape(line)}</p>" for line in self._lines())


def _table(title: str, columns: list[str], rows: Iterable[list[Any]]) -> Iterator[str]:
    lines = [f"| {' | '.join(_short(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    if lines:
        yield from (f"## {title}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *lines, "")


def _power(number: float | None) -> str:
    return "" if number is None else f"{number:.1e}"


def _short(value: Any) -> str:
    if isinstance(value, list | tuple) and len(value) > 6:
        return listed([str(each) for each in value], most=4)
    return str(value)
