"""Which published numbers match a cell, and which are merely near, and in what they deviate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from isotune.reference_results._conditions import Conditions, OfCell, conditions, with_stated
from isotune.reference_results._schema import TRUST, Reference
from isotune.reference_results._tables import on_dataset, recipes

# What an accuracy may be held against, if only as context: top-5 is another quantity altogether.
_COMPARABLE = {"top-1": ("top-1", "mean-per-class", "map-11-point")}
_ENGINES = {"keras": "tensorflow"}  # that a library's numbers were published on, where it is not torch


@dataclass(frozen=True)
class Deviation:
    """One named difference: `crop 0.875 against 0.95`."""

    what: str
    here: str
    published: str

    def __str__(self) -> str:
        return f"{self.what} {self.here} against {self.published}" if self.published else f"{self.what}: {self.here}"


@dataclass(frozen=True)
class Near:
    reference: Reference
    deviations: tuple[Deviation, ...]  # never empty

    @cached_property
    def distance(self) -> tuple[int, int]:
        """How much of what was measured is another thing, then in how many ways it was measured otherwise."""
        other = sum(deviation.what in ("library", "model", "checkpoint", "metric") for deviation in self.deviations)
        return other, len(self.deviations)

    def __str__(self) -> str:
        return f"{self.reference.name} {self.reference.value:g}: " + ", ".join(map(str, self.deviations))


@dataclass(frozen=True)
class Matches:
    """exact: measured under the same conditions, the most trusted first. near: the others of the same data set and
    architecture, those of the same weights first, then those with the fewest deviations; where a data set has none of
    that architecture, trained ones of any model."""

    exact: list[Reference]
    near: list[Near]


def matching(asked: OfCell | Conditions, **stated: Any) -> Matches:
    """The published numbers that match a cell, or conditions, and those near it.

    stated: fields of `Conditions` that the caller knows better, `dataset="hymenoptera"` of a folder of images.
    UsageError: a field that there is not.
    """
    here = with_stated(asked, stated) if isinstance(asked, Conditions) else conditions(asked, **stated)
    metrics = _COMPARABLE.get(here.metric, (here.metric,))
    of_data_set = [row for row in on_dataset(here.dataset) if row.metric in metrics]
    related = [row for row in of_data_set if _same_model(row, here) or row.architecture == here.architecture]
    context = related or [row for row in of_data_set if row.train and here.train]
    judged = [Near(row, deviations(row, here)) for row in context]
    return Matches(
        exact=sorted((each.reference for each in judged if not each.deviations), key=_by_trust),
        near=sorted(
            (each for each in judged if each.deviations),
            key=lambda each: (each.distance, _by_trust(each.reference)),
        ),
    )


def _same_model(row: Reference, here: Conditions) -> bool:
    return (row.adapter, row.model) == (here.adapter, here.model)


def _by_trust(row: Reference) -> tuple[int, str, str]:
    return TRUST.index(row.trust), row.source, row.location


def deviations(row: Reference, here: Conditions) -> tuple[Deviation, ...]:
    """In what a published number was measured otherwise; empty: in nothing that is stated on either side.

    What the source does not state is a deviation too: a number holds only under its own evaluation.
    """
    deviating = [
        *_subject(row, here),
        *_training(row, here),
        *_evaluation(row, here),
    ]
    if here.metric != row.metric:
        deviating.append(Deviation("metric", here.metric, row.metric))
    return tuple(deviating)


def _subject(row: Reference, here: Conditions) -> list[Deviation]:
    deviating = []
    if row.adapter != here.adapter:
        deviating.append(Deviation("library", here.adapter, row.adapter or row.measured_by))
    if row.architecture != here.architecture or (row.adapter == here.adapter and not _same_model(row, here)):
        deviating.append(Deviation("model", here.model, row.model))
    if row.checkpoint != here.checkpoint:
        deviating.append(Deviation("checkpoint", here.checkpoint, row.checkpoint))
    if row.split != here.split:
        deviating.append(Deviation("split", here.split or "not known", row.split))
    if here.test_images is not None:
        deviating.append(Deviation("test images", str(here.test_images), "all"))
    if here.engine not in (None, published := _ENGINES.get(row.adapter, "torch")):
        deviating.append(Deviation("engine", str(here.engine), published))
    if "," in here.conventions:
        deviating.append(Deviation("conventions", here.conventions, "the library's own"))
    if here.numeric_mode != "float32":
        deviating.append(Deviation("numeric mode", here.numeric_mode, "float32"))
    return deviating


def _training(row: Reference, here: Conditions) -> list[Deviation]:
    if row.protocol != here.protocol:
        return [Deviation("protocol", here.protocol, row.protocol), *_images(row, here)]
    deviating = _images(row, here)
    deviating += [Deviation("protocol changed", change, "") for change in here.changes]
    # Some deviations that isotune's protocol names are columns of the row: the metric, the epoch reported.
    accounted = recipes()[row.protocol].accounted
    deviating += [Deviation("isotune's protocol", said, "") for said in here.deviations if said not in accounted]
    if here.train and row.selection != here.selection:
        deviating.append(Deviation("epoch reported", here.selection, row.selection or "one not stated"))
    return deviating


def _images(row: Reference, here: Conditions) -> list[Deviation]:
    return [] if row.train == here.train else [Deviation("training images", here.train or "none", row.train or "none")]


def _evaluation(row: Reference, here: Conditions) -> list[Deviation]:
    deviating, unstated = [], []
    if row.size_px is None:
        unstated.append("size")
    elif row.size_px != here.size_px:
        deviating.append(Deviation("size", _shown(here.size_px), str(row.size_px)))
    if row.crop is None:
        unstated.append("crop")
    elif not _same_crop(row, here):
        deviating.append(Deviation("crop", _shown(here.crop), f"{row.crop:g}"))
    for what, published, ours in (
        ("resize", row.resize, here.resize), ("interpolation", row.interpolation, here.interpolation),
    ):  # fmt: skip
        if not published:
            unstated.append(what)
        elif published != ours:
            deviating.append(Deviation(what, ours or "not known", published))
    if unstated:
        deviating.append(Deviation("not stated by the source", ", ".join(unstated), ""))
    return deviating


def _same_crop(row: Reference, here: Conditions) -> bool:
    """Whether both crops ask for the same resized side, in whole pixels."""
    if here.crop is None or row.crop is None:
        return False
    size = row.size_px or here.size_px
    return abs(row.crop - here.crop) < 1e-4 if size is None else bool(_sides(size, row.crop) & _sides(size, here.crop))


def _sides(size: int, crop: float) -> set[int]:
    """The side, in pixels, that gives `size` after the crop: timm cuts the fraction off, others round.

    The slack is for crops that are printed with four digits.
    """
    return {math.floor(size / crop + 0.01), round(size / crop)}


def _shown(value: float | None) -> str:
    return "not known" if value is None else f"{value:.4g}"
