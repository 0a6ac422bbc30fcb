"""The techniques of a protocol, held against what a loop does: accumulation, mixtures, an average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

import numpy as np

from isotune.protocols import Averaging, Mixing, Protocol, Stage, forms
from isotune.protocols.averages import decays
from isotune.recordings._comparison import Cause, Outcome, together
from isotune.recordings._reading import Recording
from isotune.recordings.habits import Habits
from isotune.recordings.habits.averages import Kept, kept

Array = np.ndarray
_RARE = 1e-3  # chance of what is seen, below which it is none
_FEWEST = 8  # shares, of which a law is judged
_NEAR = 1e-6  # two decays are one, beside what rounding leaves
_DIGITS = 4


def _cause(field: str, rung: str, left: Any, right: Any, also: str = "") -> Cause:
    """field: of a protocol, in words of which its forms are told."""
    words = forms.Difference(field, left, right).words("the loop", "the protocol")
    return Cause(name=field.removeprefix("stage."), rung=rung, left=left, right=right, words=words + also)


def accumulation(habits: Habits, stage: Stage) -> Outcome:
    """Passes make another step where BatchNorm sees each, or where the protocol asks for them."""
    passes, wanted = habits.value("passes"), stage.accumulate
    if passes is None:
        return Outcome(unknown=("accumulate (no pass is recorded)",) if wanted > 1 else ())
    if passes == wanted:
        return Outcome(agreed=("accumulate",) if wanted > 1 else ())
    if habits.value("batchnorm") != "training" and wanted == 1:
        return Outcome(agreed=(f"accumulate ({passes} passes, which no BatchNorm sees)",))
    return Outcome((_cause("stage.accumulate", "gradients", passes, wanted),))


def unseen(stage: Stage) -> Outcome:
    """Techniques of which a recording shows nothing that is looked at."""
    techniques = {"head_dropout": stage.head_dropout, "stochastic_depth": stage.stochastic_depth}
    return Outcome(unknown=tuple(name for name, asked in techniques.items() if asked))


# -- mixtures


def mixing(habits: Habits, wanted: Mixing | None, stage: Stage, steps: int) -> Outcome:
    """steps: that were recorded in full."""
    where = "augmentation.mixing"
    if "mixing" not in habits:
        if wanted is None:
            return Outcome()
        if "label_smoothing" not in habits or habits.value("label_smoothing") is None:
            return Outcome(unknown=(f"{where} (what the labels of the loss are does not show)",))
        if _missed(wanted, steps, stage.batch_size) > _RARE:
            return Outcome(unknown=(f"{where} (nothing is mixed in {steps} steps, which may be chance)",))
        words = "the loop mixes no images, and the protocol does"
        return Outcome((Cause(name=where, rung="batch", left="none", right=_plain(wanted), words=words),))
    if wanted is None:
        words = f"{habits['mixing'].words}, and the protocol mixes none"
        return Outcome((Cause(name=where, rung="batch", left="mixed", right="none", words=words),))
    parts = [*_forms(habits, wanted), _law(habits, wanted), _area(habits, wanted), _shares(habits, wanted)]
    return together(parts)


def _forms(habits: Habits, wanted: Mixing) -> Iterator[Outcome]:
    for name in ("per", "partner"):
        field, seen = f"augmentation.mixing.{name}", habits.value(f"mixing.{name}")
        if seen is None:
            yield Outcome(unknown=(f"{field} ({habits[f'mixing.{name}'].words})",))
        elif seen == getattr(wanted, name):
            yield Outcome(agreed=(field,))
        else:
            yield Outcome((_cause(field, "batch", seen, getattr(wanted, name)),))


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
        return Outcome(unknown=("the law of CutMix's shares",))
    if len(shares) < _FEWEST:
        return Outcome(unknown=(f"the law of mixup's shares ({len(shares)} of them are too few)",))
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


def _alpha(shares: list[float]) -> float:
    """By moments: of Beta(a, a) the variance is 1 / (4 * (2a + 1)), about 1/2."""
    variance = float(np.mean((np.array(shares) - 0.5) ** 2))
    return max((1 / (4 * variance) - 1) / 2, 0.01) if variance else 1e3


def _missed(wanted: Mixing, steps: int, images: int) -> float:
    """Chance that nothing of so many steps shows as mixed."""
    from scipy import stats

    draws = {"batch": 1, "pair": images // 2, "image": images}[wanted.per]
    hidden = max(2 * stats.beta(alpha, alpha).cdf(1e-3) for alpha in (wanted.mixup, wanted.cutmix) if alpha)
    return float((1 - wanted.probability * (1 - hidden)) ** (draws * steps))


def _plain(part: Any) -> Any:
    return part.model_dump(mode="json")


# -- an average of the weights


def average(recording: Recording, protocol: Protocol) -> Outcome:
    """Whether each update of a recorded average has the decay that the protocol's has."""
    wanted, seen = protocol.average, kept(recording)
    if wanted is None:
        words = "the loop keeps an average of the weights, and the protocol has none"
        return Outcome((_of_average("kept", "none", words),)) if seen else Outcome()
    if not seen:
        return Outcome(unknown=("average (none is recorded: watching.average(model) shows it)",))
    return together((_updates(wanted, seen), _statistics(seen, wanted)))


def _of_average(left: Any, right: Any, words: str) -> Cause:
    return Cause(name="average", rung="evaluation", left=left, right=right, words=words)


def _updates(wanted: Averaging, seen: dict[int, Kept]) -> Outcome:
    if strange := [number for number, each in seen.items() if each.decay is None]:
        words = f"after step {strange[0]} the average is no mean of what it was and the weights"
        return Outcome((_of_average("other", _plain(wanted), words),))
    fitting = {size: [change for change in _changes(wanted, seen, size) if _gives(_changed(wanted, change), seen)]
               for size in (1, 2)}  # fmt: skip
    if _gives(wanted, seen):
        hidden = dict.fromkeys(name for change in fitting[1] for name, _ in change)
        shown = f"; they do not show {', '.join(hidden)}" if hidden else ""
        return Outcome(agreed=(f"average (after steps {', '.join(map(str, seen))}{shown})",))
    changes = fitting[1] or fitting[2]
    if len(changes) == 1:
        return Outcome(tuple(_cause(f"average.{name}", "evaluation", value, getattr(wanted, name))
                             for name, value in changes[0]))  # fmt: skip
    number = next(number for number, each in seen.items() if not _near(each, _expected(wanted, number)))
    words = f"after step {number} the average keeps {seen[number].decay:.6g} of what it was, and the protocol's"
    words = f"{words} {_expected(wanted, number):.6g}"
    if changes:
        either = " or ".join(", ".join(f"{name} = {value}" for name, value in change) for change in changes)
        words = f"{words}, as of {either}, which these steps do not tell apart"
    return Outcome((_of_average(seen[number].decay, _plain(wanted), words),))


def _statistics(seen: dict[int, Kept], wanted: Averaging) -> Outcome:
    told = {each.statistics for each in seen.values() if each.statistics}
    field = "average.statistics"
    if len(told) != 1:
        return Outcome(unknown=(f"{field} (no step tells averaged and copied apart)",))
    (value,) = told
    if value == wanted.statistics:
        return Outcome(agreed=(field,))
    return Outcome((_cause(field, "evaluation", value, wanted.statistics),))


Change = tuple[tuple[str, Any], ...]


def _changes(wanted: Averaging, seen: dict[int, Kept], size: int) -> Iterator[Change]:
    """So many fields of an average with other values, those that the decays themselves show included."""
    updates = [each.decay for each in seen.values() if each.decay is not None and 0 < each.decay < 1]
    values: dict[str, list[Any]] = {
        "start": ["initial", "first", "zero"],
        "warmup": ["none", "counted", "power"],
        "every": [*range(1, 1 + max(seen, default=0)), 32],
        "decay": [float(f"{decay:.{_DIGITS}g}") for decay in updates[-1:]],
    }
    for names in combinations(values, size):
        for chosen in product(*(values[name] for name in names)):
            change = tuple(zip(names, chosen, strict=True))
            if all(getattr(wanted, name) != value for name, value in change):
                yield change


def _changed(wanted: Averaging, change: Change) -> Averaging:
    return Averaging(**wanted.model_dump() | dict(change))


def _gives(averaging: Averaging, seen: dict[int, Kept]) -> bool:
    return all(_near(each, _expected(averaging, number)) for number, each in seen.items())


def _expected(averaging: Averaging, step: int) -> float:
    """What is kept of an average at the update after a step, from 0; 1 where there is none."""
    updates, rest = divmod(step + 1, averaging.every)
    return 1.0 if rest else float(decays(averaging, updates)[-1])


def _near(seen: Kept, decay: float) -> bool:
    return seen.decay is not None and abs(seen.decay - decay) <= 4 * seen.error + _NEAR
