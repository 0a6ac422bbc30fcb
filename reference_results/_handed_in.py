"""A published number that a user hands in, as a row of the tables: so it is judged as they are."""

from __future__ import annotations

from isotune.protocols import Expected
from isotune.reference_results._conditions import SELECTIONS, OfCell, conditions
from isotune.reference_results._schema import Reference

METRICS = {
    "accuracy": "top-1",
    "top5": "top-5",
    "mean_per_class": "mean-per-class",
}  # a record's field: the tables' word


def handed_in(expected: Expected, cell: OfCell) -> Reference:
    """The number that was measured as a cell measures it, which is what handing it in with that cell says."""
    here = conditions(cell)
    runs = expected.seeds
    return Reference(
        adapter=here.adapter, model=here.model, checkpoint=here.checkpoint, architecture=here.architecture,
        default=False, dataset=here.dataset, split=here.split or "test", train=here.train,
        metric=METRICS[expected.metric], value=expected.value, unit="percent",
        rounding=expected.rounding or 10.0**-expected.decimals,
        runs=runs, statistic="single" if runs == 1 else "mean" if runs else "not-stated",
        spread=expected.spread, spread_kind="none" if expected.spread is None else "sd", low=None, high=None,
        protocol=here.protocol, selection=_selection(expected), size_px=here.size_px, crop=here.crop,
        resize=here.resize or "", interpolation=here.interpolation or "", evaluation="",
        measured_by="handed in", trust="low", source=expected.source, location="", note="", file="", expected=expected,
    )  # fmt: skip


def _selection(expected: Expected) -> str:
    said = SELECTIONS[expected.at or "last"]
    return f"{said} {expected.last}" if expected.last else said
