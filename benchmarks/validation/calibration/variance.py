"""The simulations of variance behind reports/calibration.md: components by source, and the share of the test set."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from calibration.simulations import COVERS
from calibration.tables import Share, Table, share
from isotune import statistics as s

WIDEST = "head + order + augmentation"  # holds the noise where cells are not repeated
PRESENT = ("head", "order", "head + order", "same seeds", WIDEST)  # sources that are there
DESIGNS: tuple[tuple[str, tuple[int, int, int], int], ...] = (
    ("3 x 3 x 3", (3, 3, 3), 1),
    ("4 x 4 x 4", (4, 4, 4), 1),
    ("5 x 5 x 5", (5, 5, 5), 1),
    ("10 x 10", (10, 10, 1), 1),
    ("4 x 4 x 4, twice", (4, 4, 4), 2),
)


def components(runs: int, images: int = 0, designs: Sequence[tuple[str, tuple[int, int, int], int]] = DESIGNS) -> Table:
    kind = f"counted on {images:,} test images at 90 %" if images else "normal"
    table = Table(
        f"Variance by source, {kind}",
        "Coverage of the true component by `variance_by_source`, percent. Standard deviations, points: head 0.5, order "
        "0.3, augmentation 0 (none), head and order together 0.2, same seeds 0.3"
        + ("" if not images else ", and the binomial's, which is that of reruns")
        + ". As an interval is cut off at 0, a component that is not there, or is small against the noise, is covered "
        "more often than 95: claimed is 93 to 97 for head and same seeds, and at least 93 for the others.",
        "design",
    )
    true = {("head",): 0.25, ("order",): 0.09, ("augmentation",): 0.0, ("head", "order"): 0.04, (): 0.09}
    if images:
        true[()] += 90 * 10 / images
    for name, levels, repeats in designs:
        hits: dict[tuple[str, ...], list[bool]] = {}
        random = np.random.default_rng(sum(levels))
        for _ in range(runs):
            for part in s.variance_by_source(_design(random, levels, repeats, images)).components:
                full = len(part.streams) == sum(level > 1 for level in levels)
                wanted = true.get(part.streams, 0.0) + (true[()] if full and repeats == 1 else 0.0)
                hits.setdefault(part.streams, []).append(wanted in part.interval)
        for streams, covered in hits.items():
            exact = streams in (("head",), ())
            table.cells[name, " + ".join(streams) or "same seeds"] = share(covered, COVERS if exact else (0.93, 1.0))
    return table


def _design(random: np.random.Generator, levels: tuple[int, int, int], repeats: int, images: int) -> list[s.Run]:
    head, order = 0.5 * random.normal(size=levels[0]), 0.3 * random.normal(size=levels[1])
    both = 0.2 * random.normal(size=levels[:2])
    table = 90 + (head[:, None] + order + both)[:, :, None, None] + 0.3 * random.normal(size=(*levels, repeats))
    if images:
        table = 100 * random.binomial(images, np.clip(table / 100, 0, 1)) / images
    return [
        s.Run({"head": i, "order": j, "augmentation": k}, again, float(value))
        for (i, j, k, again), value in np.ndenumerate(table)
    ]


def split(runs: int) -> Table:
    table = Table(
        "Test-set noise and training variance",
        "The mean of `split_variance` over simulations, as percent of the true variance, 10 runs. Claimed: 100, within "
        "three standard errors. 1,000 images that differ in difficulty.",
        "training sd, points",
    )
    images = 1000
    random = np.random.default_rng(1)
    middle = 0.05 + 0.9 * random.beta(4, 1, size=images)  # chance of each image over all runs
    for training in (0.0, 1.0, 3.0):
        splits = []
        for _ in range(runs):
            shift = training / 100 * random.choice((-1, 1), size=(10, 1))
            splits.append(s.split_variance(random.random((10, images)) < middle + shift))
        noise, true = float(np.mean(middle * (1 - middle))) / images, (training / 100) ** 2 * (1 - 1 / images)
        _ratio(table, f"{training:g}", "test set", [told.test_set or 0.0 for told in splits], noise)
        if training:
            _ratio(table, f"{training:g}", "training", [told.training or 0.0 for told in splits], true)
    return table


def _ratio(table: Table, row: str, column: str, values: Sequence[float], true: float) -> None:
    ratio = float(np.mean(values)) / true
    allowed = 3 * float(np.std(values)) / sqrt(len(values)) / true
    table.cells[row, column] = Share(ratio, 0, (1 - allowed, 1 + allowed))
