"""One side of a comparison: its runs by what was asked, its speeds, and under what they were computed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any, Literal

from isotune.changes._timings import Clock, Rounds, of_cells, of_suite
from isotune.models import told
from isotune.protocols import Protocol
from isotune.report import Speed
from isotune.report.analysis.answers import Predictions
from isotune.report.analysis.sections import Streams
from isotune.runs.earlier import version_4
from isotune.runs.records import Cell, Record, latest
from isotune.seeds import Seeds

Kind = Literal["records", "report"]
Environment = dict[str, dict[str, frozenset[str]]]  # setting: adapter: the values that it had


@dataclass(frozen=True, order=True)
class Subject:
    """What was asked of runs that differ in their seeds alone. Files of the user's own stand with their names, which
    may have another content on the other side; data stands with its content."""

    model: str
    checkpoint: str
    dataset: str  # its kind; what follows a colon may be a path
    dataset_digest: str
    protocol: str  # JSON
    conventions: str
    mode: str


@dataclass(frozen=True)
class Run:
    """One cell. accuracy: percent, NaN where it failed. predictions: their digest. repeats: it is the run of another
    set-up, equal in all that matters. record: None of a report's."""

    accuracy: float
    predictions: str | None
    error: str | None = None
    repeats: bool = False
    record: Record | None = None


@dataclass(frozen=True)
class Named:
    """What a subject is called by where it is shown, beside its own fields."""

    dataset: str
    protocol: Protocol
    test_images: int


@dataclass(frozen=True)
class Side:
    """name: as it was given. predictions: gives a record's classes; None: they are not there. weights: digests of the
    canonical weights by model and checkpoint; networks: those of the user's own files by model."""

    name: str
    kind: Kind
    runs: Mapping[Subject, Mapping[Streams, Run]]
    named: Mapping[Subject, Named]
    clocks: Mapping[Clock, Rounds]
    machines: Mapping[Clock, frozenset[tuple[str, ...]]]
    environment: Environment
    weights: Mapping[tuple[str, str], frozenset[str]]
    networks: Mapping[str, frozenset[str]]
    predictions: Predictions | None = None
    left_out: tuple[str, ...] = ()
    cells: int = 0


def of_records(
    name: str,
    records: Iterable[Record],
    speeds: Iterable[Speed] = (),
    predictions: Predictions | None = None,
    damaged: Sequence[str] = (),
) -> Side:
    """A side from records, of each cell the last, and the suite's speeds. damaged: a line for each that cannot be
    read, which is told."""
    kept, timed = latest(records), list(speeds)
    runs: dict[Subject, dict[Streams, Run]] = defaultdict(dict)
    named: dict[Subject, Named] = {}
    weights: dict[tuple[str, str], set[str]] = defaultdict(set)
    networks: dict[str, set[str]] = defaultdict(set)
    cells = _as_asked([record.cell for record in kept])
    several = _ambiguous(cells)
    for record, cell in zip(kept, cells, strict=True):
        subject = _of_cell(cell, several)
        runs[subject][cell.seeds.streams] = _run(record)
        images = max(record.metrics.test_images if record.metrics else 0, _images(named.get(subject)))
        named[subject] = Named(told.dataset(cell.dataset), cell.protocol, images)
        if record.checkpoint_digest:
            weights[subject.model, subject.checkpoint].add(record.checkpoint_digest)
        if cell.network_digest:
            networks[subject.model].add(cell.network_digest)
    clocks, machines = of_suite(timed)
    for subject, of_subject in runs.items():
        done = [run.record for run in of_subject.values() if run.record is not None and not run.repeats]
        of_cells(done, subject, f"{named[subject].dataset}, {recipe(named[subject].protocol)}", clocks, machines)
    settings = [(record.cell.adapter, record.environment) for record in kept]
    settings += [(speed.model.partition(":")[0], speed.environment) for speed in timed]
    return Side(
        name, "records", dict(runs), named, clocks, machines, _environment(settings),
        {key: frozenset(digests) for key, digests in weights.items()},
        {key: frozenset(digests) for key, digests in networks.items()},
        predictions, tuple(damaged), len(kept),
    )  # fmt: skip


def of_report(name: str, board: Any) -> Side:
    """A side from what `isotune.report.read` gave. It holds no predictions and none of the cells' own timings."""
    runs: dict[Subject, dict[Streams, Run]] = defaultdict(dict)
    named: dict[Subject, Named] = {}
    for section in board.sections:
        for version, model, checkpoint, conventions, mode, seeds, protocol, run in _runs_of(section):
            subject = _subject(model, checkpoint, section, conventions, mode, protocol)
            subject = replace(subject, model=f"{subject.model} {version}".strip())
            runs[subject][seeds.streams] = run
            named[subject] = Named(told.dataset(section.dataset), protocol, section.test_images)
    weights: dict[tuple[str, str], set[str]] = defaultdict(set)
    for checkpoint, digests in board.checkpoints.items():
        for digest, models in digests.items():
            for model in models:
                weights[told.model(model), told.checkpoint(checkpoint)].add(digest)
    suite = board.suite or ()
    clocks, machines = of_suite(suite)
    environment: Environment = defaultdict(dict)
    for setting, values in board.environments.items():
        adapters = sorted({adapter for each in values.values() for adapter in each})
        for adapter in adapters:
            environment[setting][adapter] = frozenset(value for value, whose in values.items() if adapter in whose)
    out = list(board.left_out)
    if board.suite is None:
        out.append("its speeds are not compared: it was written before a report kept their rounds")
    return Side(
        name, "report", dict(runs), named, clocks, machines, dict(environment),
        {key: frozenset(digests) for key, digests in weights.items()}, {}, None, tuple(out), board.cells,
    )  # fmt: skip


def _runs_of(section: Any) -> Iterator[tuple[str, str, str, str, str, Seeds, Protocol, Run]]:
    """Of every run of a report's section: the content of its files where there are several, model, checkpoint,
    conventions, mode, seeds and protocol, and what it gave. The steps of an evaluation, and a library's defaults each
    by itself, stand apart from the rows there."""
    errors = {}
    for failure in section.failed:
        errors[failure.model, failure.checkpoint, failure.conventions, failure.mode, failure.seeds] = failure.error
    setups = [(row, base, row.overrides, setup, row.protocol or section.protocol) for row in section.rows
              for base, setup in (("identical", row.identical), ("native", row.native)) if setup]  # fmt: skip
    setups += [(each.row, "identical", each.what, each.setup, section.protocol) for each in section.defaults]
    for row, base, overrides, setup, protocol in setups:
        conventions = setup.conventions or (f"{base},{overrides}" if overrides else base)
        for run in setup.runs:
            what = (row.model, row.checkpoint, conventions, row.mode, run.seeds)
            accuracy = nan if run.accuracy is None else run.accuracy
            gave = Run(accuracy, run.predictions, errors.pop(what, None), setup.repeated)
            yield row.version, *what, protocol, gave
    for price in section.prices:
        if price.what != "native":  # which is a row's too
            what = (price.row.model, price.row.checkpoint, price.conventions, price.row.mode, price.seeds)
            yield price.row.version, *what, price.protocol, Run(price.accuracy, price.predictions, None, price.same)
    for what, error in errors.items():  # of rows of which no run is done
        yield "", *what, section.protocol, Run(nan, None, error)


def _ambiguous(cells: Iterable[Cell]) -> set[Subject]:
    """Subjects that several files of one name are, which only their content tells apart."""
    digests: dict[Subject, set[tuple[str | None, str | None]]] = defaultdict(set)
    for cell in cells:
        digests[_of_cell(cell)].add((cell.network_digest, cell.weights_digest))
    return {subject for subject, several in digests.items() if len(several) > 1}


def _as_asked(cells: Sequence[Cell]) -> list[Cell]:
    """`native` of before the forms of techniques were axes as `native`, where the side has none of today."""
    specs = [version_4.asked(cell.conventions) for cell in cells]
    former = [cell.conventions != spec for cell, spec in zip(cells, specs, strict=True)]
    if not any(former):
        return list(cells)
    today = {_of_cell(cell) for cell, was in zip(cells, former, strict=True) if not was}
    asked = [cell.model_copy(update={"conventions": spec}) for cell, spec in zip(cells, specs, strict=True)]
    return [
        then if was and _of_cell(then) not in today else cell
        for cell, then, was in zip(cells, asked, former, strict=True)
    ]


def _of_cell(cell: Cell, several: Container[Subject] = ()) -> Subject:
    subject = _subject(cell.model, cell.checkpoint, cell, cell.conventions, cell.mode, cell.protocol)
    if subject not in several:
        return subject
    return replace(
        subject,
        model=" ".join(filter(None, (subject.model, (cell.network_digest or "")[:8]))),
        checkpoint=" ".join(filter(None, (subject.checkpoint, (cell.weights_digest or "")[:8]))),
    )


def _images(named: Named | None) -> int:
    return named.test_images if named else 0


def _subject(model: str, checkpoint: str, of: Any, conventions: str, mode: str, protocol: Protocol) -> Subject:
    """of: a cell, or a section of a report."""
    return Subject(
        model=told.model(model),
        checkpoint=told.checkpoint(checkpoint),
        dataset=of.dataset.partition(":")[0],
        dataset_digest=of.dataset_digest,
        protocol=protocol.model_dump_json(),
        conventions=conventions.replace(" ", ""),
        mode=mode,
    )


def recipe(protocol: Protocol) -> str:
    """A protocol's name, with the step of preprocessing that an evaluation does as another library."""
    own = protocol.own_classifier
    return f"{protocol.name} {own.step}" if own and own.step else protocol.name


def _run(record: Record) -> Run:
    done = record.status == "done" and record.metrics is not None
    accuracy = 100 * record.metrics.accuracy if done and record.metrics else nan
    return Run(accuracy, record.predictions_digest if done else None, record.error, bool(record.same_as), record)


def _environment(settings: Iterable[tuple[str, Mapping[str, str]]]) -> Environment:
    seen: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for adapter, environment in settings:
        for setting, value in environment.items():
            seen[setting][adapter].add(value)
    return {
        setting: {adapter: frozenset(values) for adapter, values in adapters.items()}
        for setting, adapters in seen.items()
    }
