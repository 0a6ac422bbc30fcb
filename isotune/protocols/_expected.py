"""A number that somebody published, handed in with what is run: in options, a protocol, a sweep, a claim file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from isotune.errors import UsageError
from isotune.protocols._explaining import explain
from isotune.protocols._selection import Report
from isotune.protocols._strict import Strict

# Fields of a record's metrics that are shares, in the words of a report.
METRICS = {"accuracy": "accuracy", "top5": "top-5", "mean_per_class": "mean per-class accuracy"}
ERROR = "error"  # what is published in the place of an accuracy, of which it is the rest
EXAMPLE = "accuracy=85.0,source=https://example.org/table-2"
_NUMBER = re.compile(r"(\d{1,3}(?:\.\d{1,12})?) ?(%?)")
_Name = Annotated[str, Field(min_length=1, max_length=1000)]
_Percent = str | float | int


def _percent(value: _Percent | None) -> str | None:
    """As it was written. ValueError: it is no number in percent."""
    if value is None:
        return None
    text = str(value).strip()
    if isinstance(value, bool) or not (said := _NUMBER.fullmatch(text)):
        raise ValueError("takes a number in percent, such as 85.0")
    number = Decimal(said[1])
    if number > 100:
        raise ValueError("is more than 100 %")
    if 0 < number <= 1 and not said[2]:
        meant = f"{number.scaleb(2):f}"
        raise ValueError(f"takes percent, from 0 to 100; write {meant}, or {text}% if that is meant")
    return said[1] + said[2]


class Expected(Strict):
    """A published accuracy, its source, and what was published of its uncertainty.

    >>> isotune.protocols.Expected(accuracy="85.0", source="https://example.org/table-2").rounding
    0.1
    """

    accuracy: _Percent | None = Field(
        None, description='top-1, percent; in quotes, "85.00", its last digits are kept, which say how it was rounded'
    )
    top5: _Percent | None = Field(None, description="top-5, percent; one of the three is given")
    mean_per_class: _Percent | None = Field(None, description="accuracy, mean over the classes, percent")
    at: Report | None = Field(None, description="which accuracy of a training it is; absent: that after the last step")
    last: int | None = Field(None, gt=1, description="evaluations that a mean-of-last is over")
    source: _Name = Field(description="where it is published: a URL, a DOI, title and table")
    spread: float | None = Field(None, ge=0, le=100, description="standard deviation over the seeds, points")
    seeds: int | None = Field(None, ge=1, le=1_000_000, description="runs that it is the mean of")
    images: int | None = Field(None, ge=1, le=10**9, description="test images that it was measured on; absent: all")
    at_least: bool = Field(False, description="a bound: as high or higher")
    test: Literal["same", "subset", "other"] | None = Field(
        None, description="our test images are the same as theirs, a part of theirs, or others; absent: by their number"
    )
    margin: float | None = Field(
        None, gt=0, le=100, description="points that it may differ by; absent: the protocol's, or as of any published"
        " number"
    )  # fmt: skip
    predictions: _Name | None = Field(
        None, description="their result image by image, a .npy file [test images]: classes, or whether each is right"
    )
    model: _Name | None = Field(None, description="which of the models that run it is of")
    checkpoint: _Name | None = None
    dataset: _Name | None = None
    protocol: _Name | None = None
    conventions: _Name | None = Field(None, description="identical or native; absent: both, without overrides")

    @model_validator(mode="before")
    @classmethod
    def of_an_error(cls, values: Any) -> Any:
        """An `error`, percent, is an accuracy that is printed with as many digits."""
        if not isinstance(values, Mapping) or ERROR not in values:
            return values
        rest = {name: value for name, value in values.items() if name != ERROR}
        if "accuracy" in rest:
            raise ValueError("accuracy and error say the same; give one of the two")
        try:
            said = _percent(values[ERROR]) or ""
        except ValueError as problem:
            raise ValueError(f"{ERROR}: {problem}") from None
        return rest | {"accuracy": f"{100 - Decimal(said.rstrip('%')):f}%"}

    @field_validator(*METRICS)
    @classmethod
    def in_percent(cls, value: _Percent | None) -> str | None:
        """As it was written."""
        return _percent(value)

    @model_validator(mode="after")
    def says_one_thing(self) -> Self:
        given = [name for name in METRICS if getattr(self, name) is not None]
        if len(given) != 1:
            said = f"{' and '.join(given)} are {len(given)}" if given else "there is no number"
            raise ValueError(f"{said}; give one of {', '.join(METRICS)}, in percent: {EXAMPLE}")
        if not self.source.strip():
            raise ValueError(f"source: is empty; say where the number is published: {EXAMPLE}")
        if self.at == "mean-of-last" and self.last is None:
            raise ValueError('last: is missing; at = "mean-of-last" is over how many evaluations? Give last = 5, say')
        if self.last is not None and self.at != "mean-of-last":
            raise ValueError('last: is of at = "mean-of-last"; leave one out, or give both')
        if self.at_least and self.margin is not None:
            raise ValueError("margin: a bound (at-least) has none; leave one of the two out")
        if self.test == "other" and self.images is None:
            raise ValueError("images: is missing; of other test images (test=other) say how many there were")
        return self

    @property
    def metric(self) -> str:
        return next(name for name in METRICS if getattr(self, name) is not None)

    @property
    def text(self) -> str:
        """The number as it was written, without its unit."""
        return str(getattr(self, self.metric)).rstrip("%")

    @property
    def value(self) -> float:
        """Percent."""
        return float(self.text)

    @property
    def rounding(self) -> float:
        """One unit of the last digit; a bound is not rounded."""
        return 0.0 if self.at_least else float(Decimal(1).scaleb(-self.decimals))

    @property
    def decimals(self) -> int:
        """Digits behind the point, as it was written."""
        return len(self.text.partition(".")[2])

    def __str__(self) -> str:
        return f"{'at least ' if self.at_least else ''}{self.text} %"


_FLAGS = {"at-least": "at_least"}
_KEYS = sorted([*Expected.model_fields, ERROR])
_PARTS = re.compile(r",\s*(?=([a-z][a-z0-9_-]*)\s*(?:=|,|$))")  # a source may hold commas


def expected(value: str | Mapping[str, Any] | Expected, where: str = "expect") -> Expected:
    """A published number from what a user gives: text as of `--expect`, a dictionary as of a TOML table, or as it is.

    >>> expected("accuracy=80,at-least,source=https://example.org/rules").value
    80.0

    UsageError: it says no number, no source, a number in another unit, or something that there is not.
    """
    if isinstance(value, Expected):
        return value
    if isinstance(value, str):
        value = _from_text(value, where)
    if not isinstance(value, Mapping):
        raise UsageError(f"{where}: takes a text such as {EXAMPLE!r}, or a dictionary, not {type(value).__name__}")
    if not any(key in value for key in ("source", ERROR, *METRICS)):
        raise UsageError(f"{where}: says no published number; {EXAMPLE} does")
    if value.get("source") in (None, ""):
        raise UsageError(f"{where}: source is missing: say where the number is published, source=URL")
    try:
        return Expected.model_validate(dict(value))
    except ValidationError as error:
        raise UsageError(f"{where}: {explain(error, Expected)}") from None


def _from_text(text: str, where: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for part in _parts(text.strip()):
        key, sign, value = (each.strip() for each in part.partition("="))
        if not sign and (key in _FLAGS or key in _FLAGS.values()):
            key, value = _FLAGS.get(key, key), "true"
        elif not sign or not value:
            raise UsageError(f"{where}: {part[:80]!r} is not KEY=VALUE; {EXAMPLE} is right, and so is at-least")
        if key in values:
            raise UsageError(f"{where}: {key} is said twice")
        values[key] = value
    return values


def _parts(text: str) -> list[str]:
    """Split before what is a key, or nearly one: what else follows a comma belongs to the value before it."""
    begins = [0]
    ends = []
    for comma in _PARTS.finditer(text):
        if get_close_matches(comma[1], [*_KEYS, *_FLAGS], n=1, cutoff=0.75):
            ends.append(comma.start())
            begins.append(comma.end())
    return [text[begin:end] for begin, end in zip(begins, [*ends, len(text)], strict=True)]
