"""Records and speeds to the figures of a leaderboard: one section for each data set and protocol.

Nothing here is formatted. A section's rows are models, one row for each mode and checkpoint, never mixed;
accuracies are percentages, rates images/s, memory bytes, times seconds (latency milliseconds).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from math import isnan

import numpy as np
import pandas as pd

from isotune.errors import UsageError
from isotune.protocol import Protocol
from isotune.records import Cell, Record, predictions_digest
from isotune.report._benchmark import Speed
from isotune.report._speeds import Measured, SpeedTable
from isotune.statistics import Estimate, estimate, paired_difference, predictions_changed

Predictions = Callable[[Cell], np.ndarray]


@dataclass(frozen=True)
class SetUp:
    """One model under `identical` or `native` conventions: accuracy by seed and over seeds, percent."""

    records: dict[Hashable, Record]  # by seed

    @cached_property
    def by_seed(self) -> dict[Hashable, float]:
        return {seed: 100 * record.metrics.accuracy for seed, record in self.records.items() if record.metrics}

    @cached_property
    def accuracy(self) -> Estimate:
        return estimate(list(self.by_seed.values()))


@dataclass(frozen=True)
class Row:
    model: str
    architecture: str
    checkpoint: str
    mode: str
    overrides: str  # conventions after "identical" or "native": "input_scaling=unit"
    identical: SetUp | None
    native: SetUp | None
    measured: Measured

    @property
    def library(self) -> str:
        """Adapter with its engine."""
        return self.model.partition(":")[0]

    @cached_property
    def setups(self) -> list[tuple[str, SetUp]]:
        """Those that ran, by name, identical first."""
        pairs = (("identical", self.identical), ("native", self.native))
        return [(name, setup) for name, setup in pairs if setup is not None]

    @property
    def plain(self) -> bool:
        """float32, not compiled, no convention overridden."""
        return self.mode == "float32" and not self.overrides

    @property
    def rank(self) -> tuple[float | str, ...]:
        """Best accuracy first, under identical conventions where there are such runs; then native."""
        means = [-setup.accuracy.mean for _, setup in (self.setups[0], self.setups[-1])]
        return (*means, self.model, self.mode, self.checkpoint, self.overrides)


@dataclass(frozen=True)
class Changed:
    """Share (percent) of the test images that got another class, averaged over common seeds."""

    share: float
    at_least: bool  # the predictions themselves are not at hand: what the accuracies and digests prove


@dataclass(frozen=True)
class Comparison:
    """A row against the best plain row of the same architecture and checkpoint (None: it is that row itself)."""

    row: Row
    reference: Row | None
    identical: Estimate | None
    identical_changed: Changed | None
    native: Estimate | None
    native_changed: Changed | None
    defaults: Estimate | None  # native - identical, of the row itself


@dataclass(frozen=True)
class Section:
    dataset: str
    protocol: Protocol
    title: str
    slug: str
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    failed: tuple[Record, ...]
    train_images: int
    test_images: int
    speeds: SpeedTable = field(repr=False)

    def twins(self) -> dict[tuple[str, str], list[Comparison]]:
        """Comparisons by architecture and checkpoint, where there is more than one row."""
        groups: dict[tuple[str, str], list[Comparison]] = {}
        for comparison in self.comparisons:
            groups.setdefault((comparison.row.architecture, comparison.row.checkpoint), []).append(comparison)
        return {key: group for key, group in groups.items() if len(group) > 1}


def latest(records: Iterable[Record]) -> list[Record]:
    """One record a cell, the last to finish, whatever the order given."""
    kept: dict[str, Record] = {}
    for record in records:
        key = record.cell.key
        if key not in kept or _succeeds(record, kept[key]):
            kept[key] = record
    return [kept[key] for key in sorted(kept)]


def _succeeds(record: Record, other: Record) -> bool:
    """Finished later; of two that finished at once the one that is done, then any, but always the same."""
    ages = [moment(each.finished) for each in (record, other)]
    if ages[0] != ages[1]:
        return ages[0] > ages[1]
    ranks = [(each.status == "done", each.model_dump_json()) for each in (record, other)]
    return ranks[0] > ranks[1]


def moment(time: datetime) -> datetime:
    """A time that can be compared; one without a zone is taken as UTC."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def sections(
    records: Sequence[Record], speeds: Iterable[Speed] = (), predictions: Predictions | None = None
) -> list[Section]:
    """The sections, by protocol, then the one with most test images first."""
    if not records:
        return []
    pool = list(speeds)
    frame = _frame(records)
    found = []
    titles = frame.drop_duplicates(["dataset", "digest", "protocol"]).groupby(["dataset", "protocol_name"]).size()
    for (dataset, digest, protocol), part in frame.groupby(["dataset", "digest", "protocol"], sort=True):
        recipe: Protocol = part["record"].iloc[0].cell.protocol
        title = f"{dataset}, {recipe.name}"
        if titles[dataset, recipe.name] > 1:  # same names, other data or another recipe
            title += f" ({hashlib.sha256((digest + protocol).encode()).hexdigest()[:8]})"
        found.append(_section(part, recipe, title, SpeedTable(pool, recipe, set(part["model"])), predictions))
    found.sort(key=lambda section: (section.protocol.name, -section.test_images, section.title))
    return _with_unique_slugs(found)


def _frame(records: Sequence[Record]) -> pd.DataFrame:
    """One line a record: what it is grouped by."""
    lines = []
    for record in records:
        cell = record.cell
        base, _, overrides = cell.conventions.partition(",")
        lines.append(
            {
                "dataset": cell.dataset,
                "digest": cell.dataset_digest,
                "protocol": cell.protocol.model_dump_json(),
                "protocol_name": cell.protocol.name,
                "model": cell.model,
                "checkpoint": cell.checkpoint,
                "mode": cell.mode,
                "base": base.strip(),
                "overrides": overrides.strip(),
                "seed": (cell.seeds.head, cell.seeds.order, cell.seeds.augmentation),
                "done": record.status == "done" and record.metrics is not None,
                "record": record,
            }
        )
    return pd.DataFrame(lines)


def _section(
    part: pd.DataFrame, protocol: Protocol, title: str, speeds: SpeedTable, predictions: Predictions | None
) -> Section:
    done = part[part["done"]]
    rows = [_row(group, speeds) for _, group in done.groupby(["model", "checkpoint", "mode", "overrides"], sort=True)]
    rows.sort(key=lambda row: row.rank)
    metrics = [record.metrics for record in done["record"]]
    return Section(
        dataset=str(part["dataset"].iloc[0]),
        protocol=protocol,
        title=title,
        slug=re.sub(r"[^a-z0-9_\- ]", "", title.lower()).replace(" ", "-"),  # GitHub's anchor of the title
        rows=tuple(rows),
        comparisons=tuple(_compare(rows, predictions)),
        failed=tuple(part[~part["done"]].sort_values(["model", "mode", "base", "overrides", "seed"])["record"]),
        train_images=max((m.train_images for m in metrics), default=0),
        test_images=max((m.test_images for m in metrics), default=0),
        speeds=speeds,
    )


def _row(group: pd.DataFrame, speeds: SpeedTable) -> Row:
    model, checkpoint, mode, overrides = (
        str(group[column].iloc[0]) for column in ("model", "checkpoint", "mode", "overrides")
    )
    setups: dict[str, SetUp] = {}
    for base in ("identical", "native"):
        chosen = group[group["base"] == base].sort_values("seed")
        if len(chosen):
            setups[base] = SetUp(dict(zip(chosen["seed"], chosen["record"], strict=True)))
    main = setups.get("identical") or setups["native"]
    records = list(main.records.values())
    return Row(
        model=model,
        architecture=next((record.architecture for record in records if record.architecture), model),
        checkpoint=checkpoint,
        mode=mode,
        overrides=overrides,
        identical=setups.get("identical"),
        native=setups.get("native"),
        measured=speeds.measured(model, mode, overrides, records),
    )


def _compare(rows: Sequence[Row], predictions: Predictions | None) -> Iterable[Comparison]:
    best: dict[tuple[str, str], Row] = {}
    for row in sorted(rows, key=lambda row: (not row.plain, row.identical is None)):  # stable: the best stays first
        best.setdefault((row.architecture, row.checkpoint), row)
    for row in rows:
        reference = best[row.architecture, row.checkpoint]
        other = None if reference is row else reference
        yield Comparison(
            row,
            other,
            *_against(other.identical if other else None, row.identical, predictions),
            *_against(other.native if other else None, row.native, predictions),
            _gap(row.identical, row.native),
        )


def _against(
    reference: SetUp | None, setup: SetUp | None, predictions: Predictions | None
) -> tuple[Estimate | None, Changed | None]:
    return _gap(reference, setup), _changed(reference, setup, predictions)


def _gap(first: SetUp | None, second: SetUp | None) -> Estimate | None:
    """second - first, points, paired by seed; None without common seeds."""
    if first is None or second is None:
        return None
    gap = paired_difference(first.by_seed, second.by_seed)
    return None if isnan(gap.mean) else gap


def _changed(first: SetUp | None, second: SetUp | None, predictions: Predictions | None) -> Changed | None:
    if first is None or second is None:
        return None
    seeds = [seed for seed in first.records if seed in second.records]
    shares = [_share(first.records[seed], second.records[seed], predictions) for seed in seeds]
    known = [share for share in shares if share is not None]
    if not known or len(known) < len(shares):
        return None
    return Changed(float(np.mean([share.share for share in known])), any(share.at_least for share in known))


def _share(first: Record, second: Record, predictions: Predictions | None) -> Changed | None:
    if first.predictions_digest is None or second.predictions_digest is None:
        return None
    if first.predictions_digest == second.predictions_digest:
        return Changed(0.0, False)
    arrays = [_stored(record, predictions) for record in (first, second)]
    if arrays[0] is not None and arrays[1] is not None and arrays[0].shape == arrays[1].shape:
        return Changed(100 * predictions_changed(arrays[0], arrays[1]), False)
    accuracies = [record.metrics.accuracy for record in (first, second) if record.metrics]
    return Changed(100 * abs(accuracies[0] - accuracies[1]), True)


def _stored(record: Record, predictions: Predictions | None) -> np.ndarray | None:
    """The record's own predictions, or None: not kept, or those of another run of the cell."""
    if predictions is None:
        return None
    try:
        array = predictions(record.cell)
    except (UsageError, OSError):  # gone or damaged
        return None
    return array if predictions_digest(array) == record.predictions_digest else None


def _with_unique_slugs(found: list[Section]) -> list[Section]:
    taken: dict[str, int] = {}
    unique = []
    for section in found:
        count = taken[section.slug] = taken.get(section.slug, 0) + 1
        slug = section.slug if count == 1 else f"{section.slug}-{count}"
        unique.append(replace(section, slug=slug))
    return unique
