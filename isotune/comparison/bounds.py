"""When two sides count as the same: what the errors of a rung may be, and why.

In float64 BOUND is allowed, or NOISE_FACTOR times what the reference shows against itself with the batch permuted,
which sums in another order: its rounding, as the network amplifies it. NOISE_CAP is the most that this excuses: five
digits that agree are eleven fewer than float64 has. A reference that moves by more (steps of training that amplify each
other, BatchNorm over a handful of values) judges nothing, and an error that its noise could explain is doubtful:
neither the same nor different. What depends on the order of the batch is no noise; whether a network does is found
layer by layer (`errors.depends`), and then there is no such excuse.

In other numeric modes the float64 run is the referee, and REFEREE_FACTOR times the reference's own error is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from isotune.comparison.errors import Error, worst

BOUND = 1e-9  # relative, float64
NOISE_CAP = 1e-5  # relative, float64: what noise can excuse at most
NOISE_FACTOR = 10  # of what the same library shows against itself with the batch permuted
REFEREE_FACTOR = 4  # float32: of the first model's own error against its float64 run


@dataclass(frozen=True)
class Bound:
    """What an error may be, and by what it was measured."""

    allowed: float = BOUND
    measured: float | None = None  # the noise, or the reference's own error; None: neither was needed
    why: str = "float64"


def bound_by_noise(noise: float) -> Bound:
    """float64: what the reference shows against itself with the batch permuted."""
    return Bound(max(BOUND, min(NOISE_FACTOR * noise, NOISE_CAP)), noise, "noise")


def bound_by_referee(own: float) -> Bound:
    """Other numeric modes: the reference's own error against its float64 run."""
    return Bound(REFEREE_FACTOR * own, own, "referee")


def beyond_excuse(error: float, noise: float | None) -> bool:
    """float64: whether noise could explain the error, and is more than may be excused."""
    return noise is not None and NOISE_CAP < error <= NOISE_FACTOR * noise


@dataclass(frozen=True)
class Judgement:
    """Errors of a rung against what is allowed."""

    errors: tuple[Error, ...]
    bound: Bound = Bound()

    @property
    def worst(self) -> float:
        return worst(self.errors).relative

    @property
    def failing(self) -> list[Error]:
        return [error for error in self.errors if not error.relative <= self.bound.allowed]

    @property
    def holds(self) -> bool:
        return not self.failing

    @property
    def doubtful(self) -> bool:
        """Whether it does not hold, and noise beyond what is excused could be why."""
        noise = self.bound.measured if self.bound.why == "noise" else None
        return not self.holds and beyond_excuse(self.worst, noise)


def judge(
    errors: Sequence[Error], *, noise: Callable[[], float] | None = None, own: Sequence[Error] | None = None
) -> Judgement:
    """The errors of a rung with their bound: the one place where it is decided.

    noise: measures the noise of the reference in float64, which is done only where BOUND does not hold; None: there is
    no such excuse. own: in other numeric modes, the reference's errors against its float64 run, which judges.
    """
    if own is not None:
        return Judgement(tuple(errors), bound_by_referee(worst(own).relative))
    judged = Judgement(tuple(errors))
    if judged.holds or noise is None:
        return judged
    return Judgement(judged.errors, bound_by_noise(noise()))
