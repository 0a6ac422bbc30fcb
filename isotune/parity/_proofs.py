"""Proofs as a user asks for them, and what comes of them: one object for a notebook, a test and the command line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isotune.models.counterparts import Family, check_pair, families
from isotune.parity import _report
from isotune.parity._answering import answer
from isotune.parity._asking import check_stages, chosen, parse_size, questions
from isotune.parity._results import Question, Result, ResultStore, as_json
from isotune.places import path
from isotune.progress import Progress, reporting

if TYPE_CHECKING:
    import pandas

DEFAULT_STORE = Path(".isotune/parity")
SizeGiven = str | int | tuple[int, int] | None


@dataclass(frozen=True)
class Proofs:
    """What became of one or several pairs of models; a `Result` for each, with a `Rung` for all that was compared."""

    results: tuple[Result, ...]
    families: tuple[Family, ...] = ()  # of a proof of all architectures: those that there are
    command: str = "isotune parity"  # that does the same

    @property
    def holds(self) -> bool:
        """Whether all pairs are identical on every rung that was tried, and none was left out by a failure."""
        return all(result.holds for result in self.results)

    @property
    def verdict(self) -> str:
        """A line for each pair: identical, or where it differs, or why it could not be carried out."""
        return "\n".join(_report.verdict_line(result) for result in self.results)

    def assert_identical(self) -> None:
        """For tests, of other projects too. AssertionError with the verdict of the pairs that are not identical."""
        if wrong := [_report.verdict_line(result) for result in self.results if not result.holds]:
            raise AssertionError("\n".join(wrong))

    def frame(self) -> pandas.DataFrame:
        """A row for each rung; the columns are those of `Rung`, with the pair and whether it holds."""
        import pandas

        columns = (
            "left",
            "right",
            "architecture",
            "rung",
            "error",
            "bound",
            "noise",
            "where",
            "tensors",
            "holds",
            "why",
        )
        rows = [
            (result.question.left, result.question.right, result.architecture, rung.name, rung.error, rung.bound,
             rung.noise, rung.where, rung.tensors, rung.holds, rung.why)
            for result in self.results for rung in result.rungs
        ]  # fmt: skip
        return pandas.DataFrame(rows, columns=list(columns))

    def as_json(self) -> dict[str, Any]:
        """What a program may read; reports/parity.json is the same."""
        return as_json(self.results)

    def write(self, folder: str | PathLike[str]) -> Path:
        """Write `parity.md`, whose path is given back, and `parity.json`. UsageError: the folder cannot be written."""
        return _report.write(self.results, self.families, path(folder, "folder"), self.command)

    def show(self) -> None:
        """Print each pair's rungs."""
        _report.show(self.results)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in ("pair", *_report.COLUMNS, "verdict"))
        rows = (
            "".join(f"<td>{escape(cell.replace('**', ''))}</td>" for cell in (row[0], *row[2:]))
            for row in _report.rows(self.results)
        )
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def prove(
    left: str,
    right: str,
    *,
    checkpoint: str = "random:0",
    conventions: str = "identical",
    size: SizeGiven = None,
    batch: int | None = None,
    seed: int = 0,
    numeric_mode: str = "float64",
    only: str | Iterable[str] = (),
    until_failure: bool = False,
    store: str | PathLike[str] = DEFAULT_STORE,
    fresh: bool = False,
    progress: bool | Progress = True,
) -> Proofs:
    """Prove that two models of one architecture are one function, and train as one, rung by rung.

    checkpoint: the left model's, which both start from. conventions: of both: the checkpoint's (`identical`), those
    native to the left model (`native`), with overrides. size: height and width of the images, pixels, `"77x99"`,
    `(77, 99)` or one side; None, like a batch of None, is the architecture's own. seed: of images, labels and the
    classifier. only: these stages: inference, gradients, and the optimizers'. until_failure: end at the first stage
    that does not hold. store: folder of results, a file a pair; what it has is not proved again unless `fresh`.
    What one model cannot do is in the result's `error`. UsageError: the two are no pair, or a value cannot be.
    """
    return _proved(
        [check_pair(left, right)], [left, right], 1, only=only, until_failure=until_failure, store=store, fresh=fresh,
        progress=progress, asked=_asked(checkpoint, conventions, size, batch, seed, numeric_mode),
    )  # fmt: skip


def prove_all(
    architectures: Sequence[str] = (),
    *,
    libraries: Sequence[str] = (),
    kept: bool = False,
    jobs: int = 2,
    checkpoint: str = "random:0",
    conventions: str = "identical",
    size: SizeGiven = None,
    batch: int | None = None,
    seed: int = 0,
    numeric_mode: str = "float64",
    only: str | Iterable[str] = (),
    until_failure: bool = False,
    store: str | PathLike[str] = DEFAULT_STORE,
    fresh: bool = False,
    progress: bool | Progress = True,
) -> Proofs:
    """`prove` for every architecture that has counterparts, or for those named, the smallest networks first; what was
    done before is not done again.

    libraries: the first's models against those of the others; () is every library whose adapter names counterparts.
    kept: prove nothing, give what the store has. jobs: architectures at the same time, each of one to two cores.
    UsageError: libraries that cannot be compared, an architecture that none of them has.
    """
    words = ["--all", *(["--libraries", ",".join(libraries)] if libraries else [])]
    words += ["--architecture", ",".join(architectures)] if architectures else []
    named, asked = chosen(families(libraries), list(architectures)), (checkpoint, conventions, size, batch, seed)
    return _proved(
        named, words, jobs, only=only, until_failure=until_failure, store=store, fresh=fresh, progress=progress,
        kept=kept, asked=_asked(*asked, numeric_mode),
    )  # fmt: skip


def _asked(
    checkpoint: str, conventions: str, size: SizeGiven, batch: int | None, seed: int, numeric_mode: str
) -> dict[str, Any]:
    if isinstance(size, str | int):
        size = parse_size(str(size))
    return {
        "checkpoint": checkpoint, "spec": conventions, "size": size, "batch": batch, "seed": seed,
        "numeric_mode": numeric_mode,
    }  # fmt: skip


def _proved(
    proved: Sequence[Family],
    words: Sequence[str],
    jobs: int,
    *,
    only: str | Iterable[str],
    until_failure: bool,
    store: str | PathLike[str],
    fresh: bool,
    progress: bool | Progress,
    asked: Mapping[str, Any],
    kept: bool = False,
) -> Proofs:
    named = only.split(",") if isinstance(only, str) else only
    stages = check_stages([stage.strip() for stage in named if stage.strip()])
    groups = [questions(family, **asked) for family in proved]
    known = ResultStore(Path(store))
    if kept:
        results = [result for group in groups for asked_of in group if (result := known.read(asked_of)) is not None]
    else:
        how = {"fresh": fresh, "until_failure": until_failure, "only": stages}
        results = _answered(groups, proved, known, jobs, progress, **how)
    command = " ".join(["isotune parity", *words])
    command += f" --conventions {asked['spec']}" if asked["spec"] != "identical" else ""
    return Proofs(tuple(results), tuple(proved) if "--all" in words else (), command)


def _answered(
    groups: Sequence[Sequence[Question]],
    proved: Sequence[Family],
    store: ResultStore,
    jobs: int,
    progress: bool | Progress,
    **how: Any,
) -> list[Result]:
    """Answers in the order of the groups, though the smallest networks are proved first."""
    smallest_first = sorted(range(len(groups)), key=lambda number: proved[number].parameters or math.inf)
    parameters = {family.first: family.parameters for family in proved if family.parameters}
    with reporting(progress) as reporter:
        reporter.parts("pairs", sum(map(len, groups)))
        results = answer(
            [groups[number] for number in smallest_first], store, jobs=jobs, parameters=parameters, progress=reporter,
            ended=lambda result: reporter.ended(result.line), **how,
        )  # fmt: skip
    by_question = {result.question.key: result for result in results}
    return [by_question[question.key] for group in groups for question in group]
