"""What the calibration draws and what it counts: accuracies of runs, shares with their claims, tables of them.

An accuracy is drawn as runs give it: each run has its own true accuracy (training variance, normal), and a binomial
number of the test images right. Beside it plain normal values, for which the t interval is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np


@dataclass(frozen=True)
class Setting:
    """Accuracies with this mean, percent, on this many test images; without images they are normal."""

    mean: float
    images: int = 0
    outliers: float = 0.0  # share of the runs that are worse by five standard deviations

    @property
    def name(self) -> str:
        kind = f"{self.mean:g} %, {self.images:,} images" if self.images else f"normal, sd {self.training_sd:.2f}"
        return f"{kind}, {self.outliers:.0%} outlying" if self.outliers else kind

    @property
    def training_sd(self) -> float:
        """Percentage points: 0.5 at 50 %, 0.22 at 95 %, 0.07 at 99.5 %, about as large as seeds make it."""
        return sqrt(self.mean * (100 - self.mean)) / 100

    @property
    def expected(self) -> float:
        return self.mean - 5 * self.training_sd * self.outliers

    def draw(self, random: np.random.Generator, *shape: int, shared: np.ndarray | float = 0.0) -> np.ndarray:
        """Percent, of this shape. shared: training deviates (sd 1) to use in half of the training variance."""
        half = np.any(shared != 0)
        deviates = random.normal(size=shape)
        true = self.mean + self.training_sd * ((deviates + shared) / sqrt(2) if half else deviates)
        if self.outliers:
            true = true - 5 * self.training_sd * (random.random(shape) < self.outliers)
        if not self.images:
            return np.asarray(true)
        return 100 * random.binomial(self.images, np.clip(true / 100, 0, 1)) / self.images


NORMAL = Setting(75)
SETTINGS = (NORMAL, *(Setting(mean, images) for mean in (50, 75, 95, 99.5) for images in (1000, 10_000)))


@dataclass(frozen=True)
class Share:
    value: float
    runs: int  # simulated; 0: computed without simulation
    bounds: tuple[float, float] | None = None  # where it must lie; None: nothing is claimed

    @property
    def holds(self) -> bool:
        if self.bounds is None:
            return True
        low, high = self.bounds
        nearest = min(max(self.value, low), high)
        error = sqrt(nearest * (1 - nearest) / self.runs) if self.runs else 0.0
        return abs(self.value - nearest) <= 3 * error

    def __str__(self) -> str:
        text = f"{100 * self.value:.1f}"
        return text if self.holds else f"**{text}**"


@dataclass
class Table:
    title: str
    text: str
    first: str  # what the rows are
    cells: dict[tuple[str, str], Share] = field(default_factory=dict)  # by row and column

    def rows(self) -> list[str]:
        return list(dict.fromkeys(row for row, _ in self.cells))

    def lines(self) -> list[str]:
        rows, columns = self.rows(), sorted({column for _, column in self.cells}, key=self._order)
        lines = [f"## {self.title}", "", self.text, "", f"| {self.first} | " + " | ".join(columns) + " |"]
        lines.append("| --- |" + " ---: |" * len(columns))
        for row in rows:
            row_cells = (self.cells.get((row, column)) for column in columns)
            lines.append(f"| {row} | " + " | ".join("" if cell is None else str(cell) for cell in row_cells) + " |")
        return [*lines, ""]

    def _order(self, column: str) -> tuple[int, int]:
        """Numbers of runs or images ascending, other columns as they came."""
        number, seen = column.replace(",", "").split()[0], list(dict.fromkeys(column for _, column in self.cells))
        return (int(number), seen.index(column)) if number.isdigit() else (0, seen.index(column))

    def claimed(self) -> str:
        """The bounds, percent; several where columns differ in them."""
        bounds = dict.fromkeys(cell.bounds for cell in self.cells.values() if cell.bounds)
        exact = len(bounds) > 2  # each figure has a bound of its own
        texts = (f"at most {100 * high:g}" if low == 0 else f"{100 * low:g} to {100 * high:g}" for low, high in bounds)
        return "as computed" if exact else "; ".join(texts) or "nothing"

    def reached(self) -> str:
        """Least and largest, percent, in the order of `claimed`."""
        by_bounds: dict[tuple[float, float], list[float]] = {}
        several = len(self.claimed().split("; ")) > 1
        claims = [cell for cell in self.cells.values() if cell.bounds] or list(self.cells.values())
        for cell in claims:
            by_bounds.setdefault(cell.bounds if several and cell.bounds else (0, 0), []).append(cell.value)
        return "; ".join(f"{100 * min(values):.1f} to {100 * max(values):.1f}" for values in by_bounds.values())

    def failures(self) -> list[str]:
        return [
            f"{self.title}: {row}, {column}: {cell}" for (row, column), cell in self.cells.items() if not cell.holds
        ]


def share(hits: Sequence[bool] | np.ndarray, bounds: tuple[float, float] | None = None) -> Share:
    return Share(float(np.mean(hits)), len(hits), bounds)
