"""Models that were measured, to choose one: `measured_models`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, overload

from isotune import defaults, reading
from isotune.errors import UsageError
from isotune.interface import arguments
from isotune.interface._runs import load_runs
from isotune.report import JSON, is_leaderboard, read_leaderboard
from isotune.report.analysis import measured
from isotune.report.analysis.measured import MeasuredModel

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

_MOST = 256 * reading.MIB  # of a report's JSON


class MeasuredModels(Sequence[MeasuredModel]):
    """Measured models (`MeasuredModel`), data set by data set and protocol by protocol, the best first. A notebook
    shows a table."""

    def __init__(self, models: Iterable[MeasuredModel]) -> None:
        self._models = tuple(models)

    @overload
    def __getitem__(self, place: int) -> MeasuredModel: ...
    @overload
    def __getitem__(self, place: slice) -> MeasuredModels: ...
    def __getitem__(self, place: int | slice) -> MeasuredModel | MeasuredModels:
        return MeasuredModels(self._models[place]) if isinstance(place, slice) else self._models[place]

    def __len__(self) -> int:
        return len(self._models)

    def __repr__(self) -> str:
        return f"<MeasuredModels: {', '.join(dict.fromkeys(each.model for each in self))}>"

    def frame(self) -> pd.DataFrame:
        """A pandas table with a row for each; accuracies in percent, rates in images/s, latency in ms, memory in
        bytes."""
        import pandas as pd

        return pd.DataFrame([asdict(each) for each in self], columns=list(MeasuredModel.__dataclass_fields__))

    def _repr_html_(self) -> str:
        html: str = self.frame().to_html(index=False, na_rep="", max_rows=60)
        return html


def measured_models(
    source: arguments.PathLike = defaults.STORE,
    pattern: str = "",
    *,
    adapters: str | Iterable[str] | None = None,
    architecture: str | None = None,
    under_ms: float | None = None,
    under_mib: float | None = None,
    sort: str = "accuracy",
) -> MeasuredModels:
    """Models with what they reached and what they cost, to choose one.

    source: a report's folder or its `leaderboard.json`, or what `isotune.load_runs` takes: a folder of records, the
    JSON of `pytest benchmarks/`. Speeds hold for the machine that the report names. pattern: part of a model's, an
    architecture's or a checkpoint's name. adapters, architecture: only these. under_ms: only models whose latency, the
    time of one image, is below. under_mib: whose process took less memory. sort: accuracy, training, inference,
    latency, memory or parameters, the best first.
    Errors: UsageError: there is no such source, or nothing is left; it names what comes nearest.

    The best of those that take less than 20 ms::

        isotune.measured_models("my-report", under_ms=20)[0].model
    """
    place = arguments.path(source, "source")
    text = {"pattern": pattern, "sort": sort, "architecture": architecture or ""}
    for argument, value in text.items():
        if not isinstance(value, str):
            raise arguments.wrong(argument, "a text", value)
    libraries = [] if adapters is None else arguments.several(adapters, "adapters", "a name", _is_text)
    return MeasuredModels(
        measured.chosen(
            _rows(place), pattern=pattern, adapters=libraries, architecture=architecture or "",
            under_ms=_limit(under_ms, "under_ms"), under_mib=_limit(under_mib, "under_mib"), sort=sort,
        )
    )  # fmt: skip


def _rows(place: Path) -> list[MeasuredModel]:
    """Those of a report's JSON; of runs, of the JSON that their report would have."""
    file = place / JSON if place.is_dir() else place
    content = reading.json(file, _MOST) if file.suffix == ".json" and file.is_file() else None
    if not is_leaderboard(content):
        content = load_runs(place).leaderboard().json()
    return measured.rows(read_leaderboard(content, str(file)))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _limit(value: float | None, argument: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UsageError(f"{argument}: takes a number above 0, not {value!r:.80}")
    return float(value)
