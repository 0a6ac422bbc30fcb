"""The ladder's last rung: accuracy over seeds, from what an attribution ran."""

from __future__ import annotations

from math import isnan

from isotune.attribution import Price
from isotune.investigation._findings import Rung, Verdict


def accuracy(price: Price) -> Rung:
    """The ladder's last rung: accuracy over seeds, and alone with every axis switched; errors are shares of the test
    images. It holds where the 95 % interval of the difference, or a difference of nothing, holds 0."""
    gap, alone = (price.end - price.begin).estimate, price.remainder.estimate
    parts = [not (found.low <= 0 <= found.high or found.mean == 0) for found in (gap, alone)]
    unsure = isnan(gap.low) or isnan(alone.low)
    verdict: Verdict = "not applicable" if unsure else "fails" if parts[1] else "inherits" if parts[0] else "holds"
    return Rung(
        name="accuracy", verdict=verdict, error=None if isnan(gap.mean) else abs(gap.mean) / 100,
        alone=None if isnan(alone.mean) else abs(alone.mean) / 100, compared=len(price.seeds),
        failing=len(price.seeds) if verdict == "fails" else 0,
        remarks=(price.reason,) if unsure and price.reason else (),
    )  # fmt: skip
