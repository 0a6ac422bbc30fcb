"""Mixtures of images: whether a loop makes them, and in the protocol's forms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from isotune.protocols import Mixing, Stage
from isotune.recordings._comparison import Cause, Outcome, together
from isotune.recordings.habits import Habits
from isotune.recordings.techniques._naming import named, plain

Array = np.ndarray
_RARE = 1e-3  # chance of what is seen, below which it is none
_FIELD = "augmentation.mixing"
_FEWEST = 8  # shares, of which a law is judged


def mixing(habits: Habits, wanted: Mixing | None, stage: Stage, steps: int) -> Outcome:
    """steps: that were recorded in full."""
    if "mixing" not in habits:
        return Outcome() if wanted is None else _none(habits, wanted, stage, steps)
    if wanted is None:
        words = f"{habits['mixing'].words}, and the protocol mixes none"
        return Outcome((Cause(name=_FIELD, rung="batch", left="mixed", right="none", words=words),))
    parts = [*_forms(habits, wanted), _law(habits, wanted), _area(habits, wanted), _shares(habits, wanted),
             _probability(habits, wanted)]  # fmt: skip
    return together(parts)


def _none(habits: Habits, wanted: Mixing, stage: Stage, steps: int) -> Outcome:
    """Nothing is seen to be mixed."""
    if hides_labels(habits):
        why = "the loss is not that of the labels that were told; tell the mixed ones: watching.loss(loss, labels)"
        return Outcome(unknown=(f"{_FIELD} ({why})",))
    if habits.value("label_smoothing") is None:
        return Outcome(unknown=(f"{_FIELD} (what the labels of the loss are does not show)",))
    if _missed(wanted, steps, stage.batch_size) > _RARE:
        return Outcome(unknown=(f"{_FIELD} (nothing is mixed in {steps} steps, which may be chance)",))
    words = "the loop mixes no images, and the protocol does"
    return Outcome((Cause(name=_FIELD, rung="batch", left="none", right=plain(wanted), words=words),))


def hides_labels(habits: Habits) -> bool:
    """Whether the loss may be of mixed labels that nothing shows: the loss alone was seen, and is of others."""
    return habits.value("loss") == "other" and "loss_reduction" not in habits and "mixing" not in habits


def _forms(habits: Habits, wanted: Mixing) -> Iterator[Outcome]:
    for name in ("per", "partner"):
        field, seen = f"augmentation.mixing.{name}", habits.value(f"mixing.{name}")
        if seen is None:
            yield Outcome(unknown=(f"{field} ({habits[f'mixing.{name}'].words})",))
        elif seen == getattr(wanted, name):
            yield Outcome(agreed=(field,))
        else:
            yield Outcome((named(field, "batch", seen, getattr(wanted, name)),))


def _law(habits: Habits, wanted: Mixing) -> Outcome:
    said = "both" if wanted.mixup and wanted.cutmix else "mixup" if wanted.mixup else "cutmix"
    seen = habits.value("mixing.law")
    if seen is None:
        return Outcome(unknown=("whether it is mixup or CutMix",))
    if seen == said:
        return Outcome(agreed=(f"augmentation.mixing ({seen})",))
    if said == "both":
        return Outcome(unknown=(f"whether it is mixup and CutMix (of these steps all are {seen})",))
    words = f"{habits['mixing.law'].words}, and the protocol says {said}"
    return Outcome((Cause(name=f"augmentation.mixing.{said}", rung="batch", left=seen, right=said, words=words),))


def _area(habits: Habits, wanted: Mixing) -> Outcome:
    if "mixing.area" not in habits or not wanted.cutmix:
        return Outcome()
    field, habit = "augmentation.mixing.cutmix, its area", habits["mixing.area"]
    if habit.value is None:
        return Outcome(unknown=(f"{field} ({habit.words})",))
    if habit.value == "left":
        return Outcome(agreed=(field,))
    return Outcome((Cause(name=field, rung="loss", left="drawn", right="left", words=habit.words),))


def _shares(habits: Habits, wanted: Mixing) -> Outcome:
    """Whether the shares are of mixup's law: the greater part of Beta(alpha, alpha), by Kolmogorov and Smirnov."""
    shares, field = habits.value("mixing.shares") or [], "augmentation.mixing.mixup"
    if not wanted.mixup or wanted.cutmix or habits.value("mixing.law") == "cutmix":
        of_both = ", augmentation.mixing.mixup and augmentation.mixing.switch" if wanted.mixup and wanted.cutmix else ""
        return Outcome(unknown=(f"the laws of the shares, augmentation.mixing.cutmix{of_both}",))
    if len(shares) < _FEWEST:
        return Outcome(unknown=(f"{field}, the law of its shares ({len(shares)} of them are too few)",))
    from scipy import stats

    law = stats.beta(wanted.mixup, wanted.mixup)
    least, most = 0.5, law.cdf(1 - 1e-3)  # a share above shows as none

    def greater(share: Array) -> Array:
        return np.asarray((law.cdf(share) - law.cdf(least)) / (most - law.cdf(least)))

    p = float(stats.kstest(shares, greater).pvalue)
    if p > _RARE:
        return Outcome(agreed=(f"the law of mixup's shares ({len(shares)} of them, p = {p:.2g})",))
    alpha = _alpha(shares)
    words = f"{len(shares)} shares are not of Beta({wanted.mixup:g}, {wanted.mixup:g}) (p = {p:.1g}), but as of"
    words = f"{words} Beta(a, a) with a near {alpha:.2g}"
    return Outcome((Cause(name=field, rung="batch", left=alpha, right=wanted.mixup, words=words),))


def _probability(habits: Habits, wanted: Mixing) -> Outcome:
    """Whether as many batches are mixed as the protocol says; of pairs and images it is not told."""
    field, seen = "augmentation.mixing.probability", habits.value("mixing.batches")
    if wanted.per != "batch" or habits.value("mixing.per") != "batch" or not seen:
        return Outcome(unknown=(field,) if wanted.probability < 1 else ())
    from scipy import stats

    mixed, batches = seen
    law = stats.binom(batches, wanted.probability * (1 - _hidden(wanted)))
    if min(law.cdf(mixed), law.sf(mixed - 1)) > _RARE:
        return Outcome(unknown=(f"{field} ({mixed} of {batches} batches are mixed)",) if wanted.probability < 1 else ())
    words = f"{mixed} of {batches} batches are mixed, and in the protocol each with the probability"
    words = f"{words} {wanted.probability:g}"
    return Outcome((Cause(name=field, rung="batch", left=mixed / batches, right=wanted.probability, words=words),))


def _alpha(shares: list[float]) -> float:
    """By moments: of Beta(a, a) the variance is 1 / (4 * (2a + 1)), about 1/2."""
    variance = float(np.mean((np.array(shares) - 0.5) ** 2))
    return max((1 / (4 * variance) - 1) / 2, 0.01) if variance else 1e3


def _missed(wanted: Mixing, steps: int, images: int) -> float:
    """Chance that nothing of so many steps shows as mixed."""
    draws = {"batch": 1, "pair": images // 2, "image": images}[wanted.per]
    return float((1 - wanted.probability * (1 - _hidden(wanted))) ** (draws * steps))


def _hidden(wanted: Mixing) -> float:
    """Chance that a share shows as none."""
    from scipy import stats

    return float(max(2 * stats.beta(alpha, alpha).cdf(1e-3) for alpha in (wanted.mixup, wanted.cutmix) if alpha))
