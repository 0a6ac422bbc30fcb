"""What the runs answered, image by image, as far as it is kept: predictions, labels, and what follows from them.

Predictions count only where their digest is the record's, and labels only where they give the record's accuracy, so
that nothing here can contradict the tables. Labels are those of the data set in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from isotune.errors import UsageError
from isotune.report.analysis.sections import SetUp, Streams, common_seeds
from isotune.runs.records import Cell, Record, predictions_digest
from isotune.sealing import Damaged
from isotune.statistics import McNemar, mcnemar, predictions_changed

Predictions = Callable[[Record], np.ndarray]

_CHECKED = 2_000
_KEPT = 256  # arrays that stay in memory: more than a group of rows that are compared has


@dataclass(frozen=True)
class Changed:
    """Share (percent) of the test images that got another class, averaged over common seeds."""

    share: float
    at_least: bool  # the predictions themselves are not at hand: what the accuracies and digests prove


class Answers:
    """The predictions and labels of runs, read when they are asked for."""

    def __init__(self, predictions: Predictions | None) -> None:
        """predictions: the classes that a run predicted; None, or UsageError from it: they are not kept.

        damaged: a line for each run whose predictions are not what was written.
        """
        self._predictions = predictions
        self.damaged: list[str] = []
        self._kept: dict[str, np.ndarray] = {}  # by digest
        self._gone: set[str] = set()  # keys of cells
        self._labels: dict[tuple[str, int | None], np.ndarray | None] = {}

    def check(self, records: Sequence[Record]) -> None:
        """Read the predictions of all runs, so that what is damaged is said, also where nothing is compared with it.
        With more than 2,000 runs it would take longer than the rest; then only those count that are compared."""
        if self._predictions is None or len(records) > _CHECKED:
            return
        for record in records:
            try:
                if record.predictions_digest is not None:
                    self._predictions(record)
            except Damaged as error:
                self.damaged.append(str(error))
                self._gone.add(record.cell.key)
            except (UsageError, OSError):
                continue  # not kept

    def changed(self, first: SetUp, second: SetUp) -> Changed | None:
        """None without common seeds, or where a record holds no digest."""
        pairs = [(first.records[seed], second.records[seed]) for seed in common_seeds(first, second)]
        shares = [share for one, two in pairs if (share := self.changed_between(one, two)) is not None]
        if not shares or len(shares) < len(pairs):
            return None
        return Changed(float(np.mean([share.share for share in shares])), any(share.at_least for share in shares))

    def right_by_one(self, first: SetUp, second: SetUp) -> dict[Streams, McNemar]:
        """By common seed: how many images only one of the two runs gets right; empty where one is not known."""
        by_seed = {}
        for seed in common_seeds(first, second):
            tested = self.tested(first.records[seed], second.records[seed])
            if tested is None:
                return {}
            by_seed[seed] = tested
        return by_seed

    def tested(self, first: Record, second: Record) -> McNemar | None:
        """How many images only one of two runs gets right; None where one is not known."""
        one, two = self._right(first), self._right(second)
        if one is None or two is None or one.shape != two.shape:
            return None
        return mcnemar(one, two, np.ones_like(one))

    def pair(self, first: Record, second: Record) -> tuple[np.ndarray | None, np.ndarray, np.ndarray] | None:
        """Labels, None where they are not known, and what two runs of one data set predicted, int64 [images] each; None
        where that is not at hand."""
        one, two = self._of(first), self._of(second)
        if one is None or two is None or one.shape != two.shape:
            return None
        known = self._right(first) is not None and self._right(second) is not None
        return self.labels(first.cell) if known else None, one, two

    def right(self, setup: SetUp) -> np.ndarray | None:
        """bool [seeds, images]: which test images each run got right; None where one is not known."""
        known: list[np.ndarray] = []
        for record in setup.records.values():
            row = self._right(record)
            if row is None or (known and row.shape != known[0].shape):
                return None
            known.append(row)
        return np.array(known)

    def changed_between(self, first: Record, second: Record) -> Changed | None:
        """Of two runs; None where one holds no digest."""
        if first.predictions_digest is None or second.predictions_digest is None:
            return None
        if first.predictions_digest == second.predictions_digest:
            return Changed(0.0, False)
        one, two = self._of(first), self._of(second)
        if one is not None and two is not None and one.shape == two.shape:
            return Changed(100 * predictions_changed(one, two), False)
        accuracies = [record.metrics.of_predictions for record in (first, second) if record.metrics]
        return Changed(100 * abs(accuracies[0] - accuracies[1]), True)

    def _right(self, record: Record) -> np.ndarray | None:
        labels = self.labels(record.cell)
        answers = None if labels is None else self._of(record)
        if answers is None or labels is None or answers.shape != labels.shape or record.metrics is None:
            return None
        right: np.ndarray = answers == labels
        return right if abs(right.mean() - record.metrics.of_predictions) < 1e-9 else None

    def _of(self, record: Record) -> np.ndarray | None:
        """The record's own predictions, or None: not kept, damaged, or those of another run of the cell."""
        digest = record.predictions_digest
        if self._predictions is None or digest is None or record.cell.key in self._gone:
            return None
        if digest in self._kept:
            return self._kept[digest]
        try:
            predictions = self._predictions(record)
        except Damaged as error:
            self.damaged.append(str(error))
            predictions = None
        except (UsageError, OSError):
            predictions = None
        if predictions is None or predictions_digest(predictions) != digest:
            self._gone.add(record.cell.key)
            return None
        if len(self._kept) == _KEPT:
            self._kept.clear()
        self._kept[digest] = predictions.astype(np.int32)
        return self._kept[digest]

    def test_images(self, cell: Cell) -> int | None:
        """Of the whole data set; None: it is not in the cache."""
        from isotune import data

        try:
            return len(data.load(cell.dataset, cell.dataset_digest).test)
        except (UsageError, OSError):
            return None

    def labels(self, cell: Cell) -> np.ndarray | None:
        """Of the test images in the runs' order; None: the data set is not in the cache."""
        from isotune import data

        key = cell.dataset_digest, cell.protocol.images.test
        if key not in self._labels:
            try:
                labels = data.load(cell.dataset, cell.dataset_digest).test.labels
                self._labels[key] = labels[data.subset(labels, cell.protocol.images.test)]
            except (UsageError, OSError):
                self._labels[key] = None
        return self._labels[key]
