"""Test images as a draw: how far an accuracy on some images can be from that on others of their kind."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, inf

from isotune.statistics._images import wilson


@dataclass(frozen=True)
class Draw:
    """Our accuracy is of a draw of the test images, and theirs of all of them, or of a draw of its own.

    images: ours. theirs: of a published accuracy that was measured on other images; None: ours were drawn from theirs,
    whose accuracy is then what ours estimates (binomial, which is more than a draw without repetition has).
    Errors: ValueError for fewer than one image.
    """

    images: int
    theirs: int | None = None

    def __post_init__(self) -> None:
        if self.images < 1 or (self.theirs is not None and self.theirs < 1):
            raise ValueError(f"a draw is of at least one image: {self}")

    def reach(self, ours: float, published: float, tail: float) -> tuple[float, float]:
        """How far the interval of ours - published reaches below and above, percentage points; `tail` on each side.

        Of one share Wilson's interval; of two, those of both put together by Newcombe's method 10 (1998, Statistics in
        Medicine 17, 873-890). ours, published: percent.
        """
        low, high = self._sides(ours, self.images, tail)
        if self.theirs is None:
            return low, high
        below, above = self._sides(published, self.theirs, tail)
        return hypot(low, above), hypot(high, below)

    @staticmethod
    def _sides(accuracy: float, images: int, tail: float) -> tuple[float, float]:
        """How far Wilson's interval reaches below and above, points. Of a mean over seeds that is of no whole number of
        images, it is that of the nearest."""
        share = min(max(accuracy / 100, 0.0), 1.0)
        nearest = round(share * images) / images
        low, high = wilson(nearest, images, 1 - 2 * tail)
        return 100 * (nearest - low), 100 * (high - nearest)

    def variances(self, ours: float, published: float) -> tuple[float, float]:
        """Of ours and of theirs, percentage points squared; Agresti and Coull's (four images more, half of them right),
        so that none is 0."""
        of_ours = _variance(ours, self.images)
        return of_ours, 0.0 if self.theirs is None else _variance(published, self.theirs)


def _variance(accuracy: float, images: int | float) -> float:
    if images == inf:
        return 0.0
    share = (accuracy / 100 * images + 2) / (images + 4)
    return 1e4 * share * (1 - share) / (images + 4)
