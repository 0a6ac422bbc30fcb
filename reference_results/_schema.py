"""One row of published numbers: its columns, what each may contain, and the dataclass it becomes.

Text in, `Reference` out; nothing here reads a file. What is wrong raises `ValueError` with the column's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from isotune.protocols import Expected

TRUST = ("high", "medium", "low")
SPREAD_KINDS = ("none", "sd", "standard-error", "range")
STATISTICS = ("single", "mean", "median", "range", "not-stated")
RESIZES = ("", "shorter-side", "squash", "none")
INTERPOLATIONS = ("", "nearest", "bilinear", "bicubic")
SETTINGS = ("view", "resize-rule", "device", "batch", "precision", "layout", "compiled", "framework", "repeats")


class Metric(NamedTuple):
    """What a metric is counted in, and between which values it must lie."""

    unit: str
    least: float
    most: float


METRICS = {
    "top-1": Metric("percent", 0, 100),
    "top-5": Metric("percent", 0, 100),
    "mean-per-class": Metric("percent", 0, 100),  # accuracy, mean over the classes
    "map-11-point": Metric("percent", 0, 100),  # Pascal VOC's mean average precision
    "mean-top-1": Metric("percent", 0, 100),  # over several data sets
    "top-1-range": Metric("percent", 0, 100),  # greatest less least top-1 of the runs
    "training-throughput": Metric("images/s", 0.01, 1e6),
    "inference-throughput": Metric("images/s", 0.01, 1e6),
    "inference-time": Metric("ms", 0.01, 1e6),  # a batch
    "pearson-r": Metric("1", -1, 1),
    "r-squared": Metric("1", 0, 1),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A published number. Columns that the source leaves open are None or ""."""

    adapter: str  # torchvision, timm, keras; "": code that isotune has no adapter for
    model: str  # the library's name, options after it: "MobileNet:alpha=0.25"
    checkpoint: str  # the library's name; otherwise what it was trained on: imagenet-21k
    architecture: str  # isotune's name of it
    default: bool  # the library's `pretrained` means this checkpoint
    dataset: str
    split: str  # that it was evaluated on
    train: str  # images that it was trained on; "": nothing was trained
    metric: str
    value: float  # in `unit`
    unit: str
    rounding: float  # one unit of the last digit printed, in `unit`
    runs: int | None
    statistic: str  # what the value is of the runs
    spread: float | None  # over the runs, in `unit`; a range's is greatest less least
    spread_kind: str
    low: float | None  # of a range
    high: float | None
    protocol: str  # explained in protocols.csv; isotune's name where isotune has it
    selection: str  # the epoch that is reported: last, best, best of N, best held out, mean of last N, epoch N
    size_px: int | None  # side of the network's input
    crop: float | None  # size over the resized side
    resize: str
    interpolation: str
    evaluation: str  # what else is known: key=value; key=value
    measured_by: str
    trust: str
    source: str  # key in sources.bib
    location: str  # within the source
    note: str
    file: str  # that the row is in
    expected: Expected | None = None  # of one that is handed in, and stands in no file

    @property
    def half_unit(self) -> float:
        """Half a unit of the published rounding: how far the unrounded number can lie from `value`."""
        return self.rounding / 2

    @property
    def sd(self) -> float | None:
        """Standard deviation over the runs, in `unit`, as published or from a published standard error.

        With the divisor that the source used; None for a range, or when no spread was published.
        """
        if self.spread is None or self.spread_kind == "range":
            return None
        return self.spread * (self.runs or 1) ** 0.5 if self.spread_kind == "standard-error" else self.spread

    @property
    def setting(self) -> dict[str, str]:
        """`evaluation` taken apart: {"device": "Tesla A100", "batch": "32"}."""
        return parse_evaluation(self.evaluation)

    @property
    def name(self) -> str:
        """`keras:ResNet50`, or the bare model where isotune has no adapter."""
        return f"{self.adapter}:{self.model}" if self.adapter else self.model


_ADDED = ("low", "high", "file", "expected")  # not columns: the first two are in `spread`
COLUMNS = tuple(field.name for field in fields(Reference) if field.name not in _ADDED)

# Two rows that agree in all of these are one number entered twice.
IDENTITY = tuple(
    name
    for name in COLUMNS
    if name not in ("value", "unit", "rounding", "spread", "spread_kind", "trust", "note", "default", "architecture")
)

_SLUG = re.compile(r"[a-z0-9][a-z0-9.-]*")
_CITATION = re.compile(r"[A-Za-z0-9][\w.-]*")
_SELECTION = r"(|last|best( of [1-9][0-9]*| held out)?|(mean of last|epoch) [1-9][0-9]*)"
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def parse(row: Mapping[str, str], file: str = "") -> Reference:
    """A reference from one row of text. ValueError: which column is wrong, and why."""
    if problem := next((name for name in COLUMNS if not isinstance(row.get(name), str)), None):
        raise ValueError(f"{problem}: the column is missing")
    for name in ("model", "checkpoint", "split", "measured_by", "location"):
        _check(bool(row[name]), name, "is empty")
    for name in COLUMNS:
        _check(row[name] == row[name].strip(), name, "begins or ends with a space")
    for name in ("dataset", "protocol"):
        _check(bool(_SLUG.fullmatch(row[name])), name, f"{row[name]!r} is not lower-case letters, digits, dashes, dots")
    _check(bool(_CITATION.fullmatch(row["source"])), "source", f"{row['source']!r} is not a citation key")
    for name, allowed in (("trust", TRUST), ("statistic", STATISTICS), ("resize", RESIZES), ("default", ("", "yes")),
                          ("interpolation", INTERPOLATIONS), ("metric", tuple(METRICS))):  # fmt: skip
        _check(row[name] in allowed, name, f"{row[name]!r} is none of {', '.join(filter(None, allowed))}")
    metric = METRICS[row["metric"]]
    _check(row["unit"] == metric.unit, "unit", f"{row['unit']!r} where {row['metric']} is in {metric.unit}")
    value, rounding = parse_value(row["value"], row["rounding"])
    _check(metric.least <= value <= metric.most, "value", f"{value:g} {metric.unit} is out of range")
    _check(bool(re.fullmatch(_SELECTION, row["selection"])), "selection",
           f"{row['selection']!r} is none of last, best [of N, held out], mean of last N, epoch N")  # fmt: skip
    runs = _whole(row, "runs", 1, 1_000_000)
    _check((row["statistic"] == "single") == (runs == 1), "statistic", f"{row['statistic']!r} of {runs} runs")
    spread, low, high = parse_spread(row["spread"], row["spread_kind"])
    _check(spread is None or (runs or 0) > 1, "spread", "needs a number of runs above 1")
    if low is not None and high is not None:
        _check(low <= value <= high, "spread", f"{value:g} lies outside {row['spread']}")
    parse_evaluation(row["evaluation"])
    return Reference(
        **{name: row[name] for name in COLUMNS if name not in _CONVERTED},  # type: ignore[arg-type]
        architecture=row["architecture"] or row["model"],
        default=row["default"] == "yes",
        value=value, rounding=rounding, runs=runs, spread=spread, low=low, high=high,
        size_px=_whole(row, "size_px", 8, 4096),
        crop=_crop(row["crop"]),
        file=file,
    )  # fmt: skip


_CONVERTED = ("architecture", "default", "value", "rounding", "runs", "spread", "size_px", "crop")


def parse_value(text: str, rounding: str) -> tuple[float, float]:
    """A value and its rounding: ("75.672", "0.001").

    ValueError: either is no plain number, or the value has other digits than its rounding says.
    """
    try:
        value, unit = Decimal(text), Decimal(rounding)
    except InvalidOperation:
        raise ValueError(f"value: {text!r} rounded to {rounding!r} are not two numbers") from None
    _check(bool(_NUMBER.fullmatch(text)), "value", f"{text!r} is not a plain number")
    _check(bool(_NUMBER.fullmatch(rounding)) and unit > 0, "rounding", f"{rounding!r} is not a plain number above 0")
    _check(
        value.as_tuple().exponent == unit.as_tuple().exponent and not value % unit,
        "value",
        f"{text} has other digits than its rounding, {rounding}",
    )
    return float(value), float(unit)


def parse_spread(text: str, kind: str) -> tuple[float | None, float | None, float | None]:
    """Spread, least and greatest, from a spread's text and its kind.

    >>> parse_spread("52.5..60.25", "range")
    (7.75, 52.5, 60.25)
    >>> parse_spread("0.4", "standard-error")
    (0.4, None, None)

    ValueError: the text does not fit the kind.
    """
    _check(kind in SPREAD_KINDS, "spread_kind", f"{kind!r} is none of {', '.join(SPREAD_KINDS)}")
    if kind == "none":
        _check(text == "", "spread", f"{text!r} where the kind is none")
        return None, None, None
    parts = text.split("..")
    _check(len(parts) == (2 if kind == "range" else 1) and all(map(_NUMBER.fullmatch, parts)), "spread",
           f"{text!r} is not {'LOW..HIGH' if kind == 'range' else 'a plain number'}")  # fmt: skip
    numbers = [Decimal(part) for part in parts]
    if kind == "range":
        low, high = numbers
        _check(low <= high, "spread", f"{text!r} falls")
        return float(high - low), float(low), float(high)
    _check(numbers[0] >= 0, "spread", f"{text!r} is below 0")
    return float(numbers[0]), None, None


def parse_evaluation(text: str) -> dict[str, str]:
    """`"device=Tesla A100; batch=32"` as a mapping. ValueError: another form, an unknown or repeated key."""
    settings: dict[str, str] = {}
    for part in text.split("; ") if text else ():
        key, sign, value = part.partition("=")
        _check(bool(sign) and bool(value.strip()), "evaluation", f"{part!r} is not key=value")
        _check(key in SETTINGS, "evaluation", f"{key!r} is none of {', '.join(SETTINGS)}")
        _check(key not in settings, "evaluation", f"{key!r} appears twice")
        settings[key] = value
    return settings


def _whole(row: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    if row[name] == "":
        return None
    _check(bool(re.fullmatch(r"[0-9]{1,9}", row[name])), name, f"{row[name]!r} is not a whole number")
    _check(least <= int(row[name]) <= most, name, f"{row[name]} is not between {least} and {most}")
    return int(row[name])


def _crop(text: str) -> float | None:
    if text == "":
        return None
    _check(bool(_NUMBER.fullmatch(text)), "crop", f"{text!r} is not a plain number")
    # Above 1 the image is resized below the crop, then padded.
    _check(0.4 <= float(text) <= 1.2, "crop", f"{text} is not between 0.4 and 1.2")
    return float(text)


def _check(holds: bool, column: str, otherwise: str) -> None:
    if not holds:
        raise ValueError(f"{column}: {otherwise}")
