"""The ladder's last rung: accuracy over seeds, from what an attribution ran."""

from __future__ import annotations

from math import isnan

from isotune.attribution import Attribution
from isotune.investigation.findings import Rung, Verdict


def accuracy(attribution: Attribution) -> Rung:
    """The ladder's last rung: accuracy over seeds, and isolated with every axis switched; errors are shares of the test
    images. It holds where the 95 % interval of the difference holds 0; where nothing is drawn, where there is none."""
    gap, left_over = (attribution.end - attribution.begin).estimate, attribution.remainder.estimate
    parts = [not (each.low <= 0 <= each.high or each.mean == 0) for each in (gap, left_over)]
    unsure = any(isnan(each.low if attribution.drawn else each.mean) for each in (gap, left_over))
    verdict: Verdict = "not applicable" if unsure else "fails" if parts[1] else "inherits" if parts[0] else "holds"
    return Rung(
        name="accuracy", verdict=verdict, end_to_end=None if isnan(gap.mean) else abs(gap.mean) / 100,
        isolated=None if isnan(left_over.mean) else abs(left_over.mean) / 100, compared=len(attribution.seeds),
        failing=len(attribution.seeds) if verdict == "fails" else 0,
        remarks=(attribution.reason,) if unsure and attribution.reason else (),
    )  # fmt: skip
