"""Records and speeds to the rows of a leaderboard: one section for each data set and protocol.

Nothing here is formatted. A section's rows are models, one row for each mode, checkpoint and content of the user's
files that these name, never mixed; the steps of an evaluation, and of a training the runs with one of its library's
defaults, belong to its row; accuracies are percentages, rates
images/s, memory bytes, times seconds (latency milliseconds).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import nan
from typing import Literal

from isotune import conventions
from isotune.protocols import Input, Protocol
from isotune.report.analysis.benchmark import Speed
from isotune.report.analysis.evaluations import evaluations, recipe, recipe_key
from isotune.report.analysis.speeds import Measured, SpeedTable
from isotune.report.analysis.titles import Contents, Recipe, contents, titles, versions
from isotune.runs.records import Record
from isotune.statistics import PERCENT, Estimate, Interval, estimate, wilson

Streams = tuple[int, ...]  # a seed for each of isotune.seeds.STREAMS
SetUpName = Literal["identical", "native"]
SET_UPS: tuple[SetUpName, ...] = ("identical", "native")


@dataclass(frozen=True)
class SetUp:
    """One model under `identical` or `native` conventions: accuracy by seed and over seeds, percent."""

    name: SetUpName
    records: dict[Streams, Record]  # by seed; those that are done
    failed: tuple[Streams, ...]  # seeds whose run failed

    @cached_property
    def by_seed(self) -> dict[Streams, float]:
        return {seed: 100 * record.metrics.accuracy for seed, record in self.records.items() if record.metrics}

    @property
    def runs(self) -> dict[Streams, float]:
        """`by_seed`, and NaN for each run that failed: those are no random part, so no test may leave them out."""
        return self.by_seed | dict.fromkeys(self.failed, nan)

    @cached_property
    def accuracy(self) -> Estimate:
        return estimate(list(self.by_seed.values()), within=PERCENT)

    @property
    def repeated(self) -> bool:
        """Whether these are the runs of the row's other set-up, to which it is equal in all that matters."""
        return all(record.same_as for record in self.records.values())

    @property
    def fixed(self) -> bool:
        """Whether nothing that is drawn at random reaches the predictions: every seed gave the same ones."""
        digests = {record.predictions_digest for record in self.records.values()}
        return self.first.cell.protocol.own_classifier is not None or (
            len(digests) == 1 and None not in digests and len(self.records) > 1 and not self.failed
        )

    @property
    def first(self) -> Record:
        return next(iter(self.records.values()))


def common_seeds(first: SetUp, second: SetUp) -> list[Streams]:
    """Those that both have done."""
    return [seed for seed in first.records if seed in second.records]


@dataclass(frozen=True)
class OwnDefault:
    """Runs of a row that are identical but for one axis, which has the value that the library's own users get."""

    what: str  # "stride2_padding=same"
    setup: SetUp


@dataclass(frozen=True)
class Row:
    model: str
    architecture: str
    checkpoint: str
    mode: str
    overrides: str  # conventions after "identical" or "native": "input_scaling=unit"
    version: str  # of files of the user's that other rows of the section name with another content: "network 3f2a91c0"
    identical: SetUp | None
    native: SetUp | None
    measured: Measured
    steps: tuple[Record, ...] = ()  # of an evaluation, each with one thing done otherwise
    defaults: tuple[OwnDefault, ...] = ()  # of a training

    @property
    def library(self) -> str:
        """Adapter with its engine."""
        return self.model.partition(":")[0]

    @cached_property
    def setups(self) -> list[SetUp]:
        """Those that ran, identical first."""
        return [setup for setup in (self.identical, self.native) if setup is not None]

    @property
    def distinct(self) -> list[SetUp]:
        """Those that ran, without one that only repeats the other's runs."""
        return [setup for setup in self.setups if setup is self.setups[0] or not setup.repeated]

    @property
    def evaluated(self) -> bool:
        """The checkpoint's own classifier: nothing is trained, and nothing drawn at random."""
        return self.setups[0].first.cell.protocol.own_classifier is not None

    @property
    def input(self) -> Input:
        return self.setups[0].first.cell.protocol.input

    @property
    def plain(self) -> bool:
        """float32, not compiled, no convention overridden."""
        return self.mode == "float32" and not self.overrides

    @property
    def rank(self) -> tuple[float | str, ...]:
        """Best accuracy first, under identical conventions where there are such runs; then native."""
        means = [-setup.accuracy.mean for setup in (self.setups[0], self.setups[-1])]
        return (*means, self.model, self.mode, self.checkpoint, self.overrides, self.version)


@dataclass(frozen=True)
class Section:
    dataset: str
    dataset_digest: str
    protocol: Protocol
    title: str
    slug: str
    rows: tuple[Row, ...]
    failed: tuple[Record, ...]
    train_images: int
    test_images: int
    speeds: SpeedTable = field(repr=False)

    @cached_property
    def checkpoints(self) -> list[str]:
        return sorted({row.checkpoint for row in self.rows})

    @property
    def evaluated(self) -> bool:
        """Checkpoints' own classifiers: nothing is trained."""
        return self.protocol.own_classifier is not None

    @property
    def of_the_images(self) -> Interval | None:
        """Wilson's 95 % interval of the first row's accuracy, percent, since other test images would give another.
        None: no row, or an evaluation of all test images that there are, in which nothing is drawn."""
        if not self.rows or (self.evaluated and self.protocol.images.test != self.test_images):
            return None
        low, high = wilson(self.rows[0].setups[0].accuracy.mean / 100, self.test_images)
        return Interval(100 * low, 100 * high)

    def twins(self) -> list[list[Row]]:
        """Rows that can be compared: those of one architecture and checkpoint, a file's content with it, best first."""
        groups: dict[tuple[str | None, ...], list[Row]] = defaultdict(list)
        for row in self.rows:
            cell = row.setups[0].first.cell
            groups[row.architecture, row.checkpoint, cell.weights_digest, cell.beside_digest].append(row)
        return list(groups.values())


def sections(records: Sequence[Record], speeds: Iterable[Speed] = ()) -> list[Section]:
    """The sections, by protocol, then the one with most test images first."""
    pool = list(speeds)
    parts: dict[Recipe, list[Record]] = defaultdict(list)
    for record in records:
        cell = record.cell
        parts[Recipe(cell.dataset, cell.dataset_digest, cell.protocol.name, recipe_key(cell))].append(record)
    ordered = []
    for named, title in titles(sorted(parts)).items():
        part = parts[named]
        models = {record.cell.model for record in part}
        ordered.append(_section(part, title, SpeedTable(pool, part[0].cell.protocol, models)))
    ordered.sort(key=lambda section: (section.protocol.name, -section.test_images, section.title))
    return _with_unique_slugs(ordered)


def _section(part: Sequence[Record], title: str, speeds: SpeedTable) -> Section:
    groups: dict[tuple[Contents, str], list[Record]] = defaultdict(list)
    for record in part:
        groups[contents(record.cell), record.cell.mode].append(record)
    words = versions(record.cell for record in part)
    groups_in_order = sorted(groups.items())
    rows = [replace(row, version=words[of]) for (of, _), group in groups_in_order for row in _rows(group, speeds)]
    rows.sort(key=lambda row: row.rank)
    metrics = [record.metrics for record in part if _done(record) and record.metrics]
    cell = part[0].cell
    return Section(
        dataset=cell.dataset,
        dataset_digest=cell.dataset_digest,
        protocol=recipe(part),
        title=title,
        slug=re.sub(r"[^a-z0-9_\- ]", "", title.lower()).replace(" ", "-"),  # GitHub's anchor of the title
        rows=tuple(rows),
        failed=tuple(sorted((record for record in part if not _done(record)), key=_order)),
        train_images=max((m.train_images for m in metrics), default=0),
        test_images=max((m.test_images for m in metrics), default=0),
        speeds=speeds,
    )


def _rows(group: Sequence[Record], speeds: SpeedTable) -> Iterator[Row]:
    """Of the records of one model, checkpoint, mode and content of these; those alone that are done."""
    if group[0].cell.protocol.own_classifier is not None:
        for each in evaluations([record for record in group if _done(record)]):
            if row := _row(each.what, each.records, speeds):
                yield replace(row, steps=tuple(each.steps))
        return
    parts: dict[str, list[Record]] = defaultdict(list)
    for record in group:
        parts[_apart(record.cell.conventions)[1]].append(record)
    rows = {what: row for what, part in sorted(parts.items()) if (row := _row(what, part, speeds))}
    if plain := rows.get(""):
        own = {what: row.identical for what, row in rows.items() if row.identical and _is_own_default(what, row, plain)}
        yield replace(plain, defaults=tuple(OwnDefault(what, setup) for what, setup in own.items()))
        rows = {what: row for what, row in rows.items() if what and what not in own}
    yield from rows.values()


def _is_own_default(what: str, row: Row, plain: Row) -> bool:
    """Whether `row` is `plain`, identical, but for one axis, which has there what it has in the native runs."""
    native = plain.native and plain.native.first.conventions
    if not what or row.native or not row.identical or not plain.identical or not native:
        return False
    (axis, *others), ours = conventions.parse(f"identical,{what}")[1], row.identical.first.conventions
    same = not others and ours is not None and getattr(ours, axis) == getattr(native, axis)
    return same and bool(common_seeds(plain.identical, row.identical))


def _row(overrides: str, group: Sequence[Record], speeds: SpeedTable) -> Row | None:
    """None: no run of it is done."""
    setups: dict[str, SetUp] = {}
    for base in SET_UPS:
        runs = sorted((record for record in group if _apart(record.cell.conventions)[0] == base), key=_order)
        done = {record.cell.seeds.streams: record for record in runs if _done(record)}
        if done:
            setups[base] = SetUp(base, done, tuple(r.cell.seeds.streams for r in runs if not _done(r)))
    if not setups:
        return None
    main = setups.get("identical") or setups["native"]
    records = list(main.records.values())
    cell = main.first.cell
    return Row(
        model=cell.model,
        architecture=next((record.architecture for record in records if record.architecture), cell.model),
        checkpoint=cell.checkpoint,
        mode=cell.mode,
        overrides=overrides,
        version="",
        identical=setups.get("identical"),
        native=setups.get("native"),
        measured=speeds.measured(cell.model, cell.mode, _apart(cell.conventions)[1], records),
    )


def _done(record: Record) -> bool:
    return record.status == "done" and record.metrics is not None


def _apart(conventions: str) -> tuple[str, str]:
    """ "native, a=b" -> native, a=b."""
    base, _, overrides = conventions.partition(",")
    return base.strip(), overrides.strip()


def _order(record: Record) -> tuple[object, ...]:
    cell = record.cell
    return cell.model, cell.mode, *_apart(cell.conventions), cell.seeds.streams


def _with_unique_slugs(ordered: list[Section]) -> list[Section]:
    taken: dict[str, int] = {}
    unique = []
    for section in ordered:
        count = taken[section.slug] = taken.get(section.slug, 0) + 1
        slug = section.slug if count == 1 else f"{section.slug}-{count}"
        unique.append(replace(section, slug=slug))
    return unique
