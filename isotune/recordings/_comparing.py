"""Two recordings compared: configuration, habits, then step by step and rung by rung."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from isotune.errors import UsageError, listed
from isotune.recordings import _rates
from isotune.recordings._comparison import Cause, Comparison, Rung
from isotune.recordings._ladder import walk
from isotune.recordings._pairing import Pairing, paired
from isotune.recordings._reading import RecordedStep, Recording
from isotune.recordings.habits import NEAR, Habits, judge
from isotune.recordings.habits.averages import Kept, is_recorded, kept

# Where a habit shows first; those that are not here show at the step
_SHOWS = {
    "batch_size": "batch", "passes": "batch", "learning_rate": "rate", "loss": "gradients", "label_smoothing": "loss",
    "loss_reduction": "loss", "regularization": "loss", "accumulation": "gradients", "clipping": "gradients",
    "clip_norm": "gradients", "trained": "gradients", "left_out": "gradients", "batchnorm": "layers",
    "batchnorm_epsilon": "layers", "frozen_batchnorm": "layers", "batchnorm_momentum": "statistics after",
    "batchnorm_running_variance": "statistics after", "mixing": "batch", "mixing.per": "batch",
    "mixing.partner": "batch", "mixing.law": "batch", "mixing.area": "loss", "dropout": "layers",
    "stochastic_depth": "layers", "random_layers": "layers",
}  # fmt: skip
# Told by the rates of every step; drawn, so that they differ
_CONSEQUENCES = {"learning_rate", "mixing.shares", "mixing.batches"}


def compare(left: Recording, right: Recording) -> Comparison:
    """Where two recordings part, and why. UsageError: they are of two networks, or have no step in common."""
    pairing = paired(left, right)
    common = [number for number in left.steps if number in right.steps]
    if not common:
        shown = [listed(list(map(str, side.steps)), most=5) or "none" for side in (left, right)]
        raise UsageError(
            f"no step is in both recordings: {left.name} has {shown[0]}, {right.name} {shown[1]}; record the same steps"
        )
    habits = judge(left), judge(right)
    rungs = list(_rungs(left, right, pairing, common, masked=_draw_alike(*habits)))
    causes = [*_rate_causes(left, right), *_habit_causes(*habits, left.name, right.name)]
    causes = _in_the_loss(causes, *habits, left.name, right.name)
    causes += _average_causes(left, right)
    causes += _batch_causes(rungs, causes)
    causes += _patterns(left.steps[common[0]], right.steps[common[0]], pairing, rungs, causes)
    order = ["batch", "rate", "weights before", "layers", "loss", "gradients", "statistics after", "step"]
    causes.sort(key=lambda cause: order.index(cause.rung) if cause.rung in order else len(order))
    judged = {rung.name for rung in rungs if rung.verdict != "not judged"}
    unseen = {rung.name: rung.words for rung in rungs if rung.name not in judged}
    named = {cause.name for cause in causes}
    unknown = [name for name in sorted({*habits[0], *habits[1]} - named)
               if any(name in side and side[name].value is None for side in habits)]  # fmt: skip
    left_out = [*(f"the {name} ({why})" for name, why in unseen.items()),
                *(f"{name} ({_unseen(name, *habits)})" for name in unknown),
                *(f"no partner: {listed(pairing.alone, most=3)}" for _ in pairing.alone[:1])]  # fmt: skip
    if len(left.steps) != len(common) or len(right.steps) != len(common):
        left_out.append("steps that one side alone recorded")
    alike = [name for name in habits[0] if name in habits[1] and habits[0].value(name) is not None
             and _equal(habits[0].value(name), habits[1].value(name))]  # fmt: skip
    return Comparison(
        kind="recordings", left=_name(left, right), right=_name(right, left), configuration=_configuration(left, right),
        pairing=pairing.words + (" The order is that of registration on one side." if _registered(left, right) else ""),
        rungs=tuple(rungs), causes=tuple(causes), agreed=tuple(alike), not_compared=tuple(left_out),
    )  # fmt: skip


def _unseen(name: str, *habits: Habits) -> str:
    return next(side[name].words for side in habits if name in side and side[name].value is None)


def _batch_causes(rungs: list[Rung], causes: list[Cause]) -> Iterator[Cause]:
    """What enters the network, where it differs and no number of images says so."""
    failing = next((rung for rung in rungs if rung.verdict == "fails"), None)
    if failing is not None and failing.name == "batch" and not any(cause.rung == "batch" for cause in causes):
        yield Cause(name="images", rung="batch", left=None, right=None, words=failing.words, steps=(failing.step,))


def _name(recording: Recording, other: Recording) -> str:
    return recording.name if recording.name != other.name else f"{recording.folder.parent.name}/{recording.name}"


def _registered(left: Recording, right: Recording) -> bool:
    return "registration" in (left.about.order, right.about.order)


def _configuration(left: Recording, right: Recording) -> dict[str, tuple[Any, Any]]:
    sides = [{"framework": side.about.framework, "network": side.about.network, **side.about.configuration}
             for side in (left, right)]  # fmt: skip
    names = dict.fromkeys([*sides[0], *sides[1]])
    return {name: (a, b) for name in names if (a := sides[0].get(name)) != (b := sides[1].get(name))}


def _rungs(left: Recording, right: Recording, pairing: Pairing, common: list[int], *, masked: bool) -> Iterator[Rung]:
    """Of every common step up to the first that parts. masked: both draw at random in their passes, by one law."""
    alike = _alike(left, right)
    for number in common:
        sides = left.steps[number], right.steps[number]
        rungs = list(walk(*sides, pairing, first=number == common[0], alike=alike))
        if masked:
            shown = _BEFORE_DRAWS if number == common[0] else _BEFORE_DRAWS[:2]
            rungs = [rung if rung.name in shown or rung.verdict == "holds" else _not_judged(rung) for rung in rungs]
        yield from rungs
        if any(rung.verdict == "fails" for rung in rungs):
            return


_BEFORE_DRAWS = ("batch", "rate", "weights before", "slots before", "statistics before")


def _not_judged(rung: Rung) -> Rung:
    words = "both draw at random, each by its own generator"
    return rung.model_copy(update={"verdict": "not judged", "words": words})


def _draw_alike(ours: Habits, theirs: Habits) -> bool:
    """Whether both draw masks in their passes, of which nothing says that they are not of one law."""
    drawn = ("dropout", "stochastic_depth", "random_layers")
    alike = all(_equal(ours.value(name), theirs.value(name)) for name in drawn)
    return alike and any(ours.value(name) not in (None, [], "none") for name in drawn)


def _alike(left: Recording, right: Recording) -> bool:
    """Whether one framework of one version computed both, on devices of one kind."""
    ours, theirs = (side.about for side in (left, right))
    names = (ours.framework, "engine", "device", "dtype", "autocast")
    same = all(ours.configuration.get(name) == theirs.configuration.get(name) for name in names)
    return ours.framework == theirs.framework and same


def _rate_causes(left: Recording, right: Recording) -> Iterator[Cause]:
    per_epoch = left.about.steps_per_epoch or right.about.steps_per_epoch
    if (parted := _rates.parting(right.rates, left.rates, per_epoch)) is not None:
        step, words = parted
        a, b = float(left.rates[step]), float(right.rates[step])
        yield Cause(name="schedule", rung="rate", left=a, right=b, steps=(step,),
                    words=f"the learning rate from step {step} on: of {right.name} {words}")  # fmt: skip


def _average_causes(left: Recording, right: Recording) -> Iterator[Cause]:
    """Averages of the weights, by what an update keeps of them; of steps that both show."""
    has = is_recorded(left), is_recorded(right)
    if has[0] != has[1]:
        who = left.name if has[0] else right.name
        yield Cause(name="average", rung="evaluation", left=has[0], right=has[1],
                    words=f"average: {who} alone shows one of the weights")  # fmt: skip
        return
    ours, theirs = kept(left), kept(right)
    for number in (step for step in ours if step in theirs):
        a, b = ours[number], theirs[number]
        if _decays_differ(a, b):
            words = [f"{side.name}: {_share(each)}" for side, each in ((left, a), (right, b))]
            yield Cause(name="average", rung="evaluation", left=a.decay, right=b.decay, steps=(number,),
                        words=f"average: after step {number} it keeps of what it was, {'; '.join(words)}")  # fmt: skip
            return
        if a.statistics and b.statistics and a.statistics != b.statistics:
            yield Cause(name="average.statistics", rung="evaluation", left=a.statistics, right=b.statistics,
                        words=f"average.statistics: {left.name}: {a.statistics}; {right.name}: {b.statistics}",
                        steps=(number,))  # fmt: skip
            return


def _decays_differ(ours: Kept, theirs: Kept) -> bool:
    if ours.decay is None or theirs.decay is None:
        return ours.decay is not theirs.decay
    return abs(ours.decay - theirs.decay) > 4 * (ours.error + theirs.error) + NEAR


def _share(each: Kept) -> str:
    return "no share" if each.decay is None else f"{each.decay:.6g}"


def _habit_causes(ours: Habits, theirs: Habits, left: str, right: str) -> Iterator[Cause]:
    for name in ours:
        if name not in theirs or name in _CONSEQUENCES:
            continue
        a, b = ours[name], theirs[name]
        known = a.value is not None and b.value is not None
        if name == "clipping" and (a.value is None) != (b.value is None):
            known = True  # one clips, and the other does not in these steps
        if not known or _equal(a.value, b.value):
            continue
        yield Cause(name=name, rung=_SHOWS.get(name, "step"), left=a.value, right=b.value, steps=a.steps,
                    words=f"{name}: {left}: {a.words}; {right}: {b.words}")  # fmt: skip
    for name in ("frozen_batchnorm", "between_steps", "step", "loss", "accumulation", "regularization", "mixing",
                 "random_layers"):  # fmt: skip
        for mine, others, who in ((ours, theirs, left), (theirs, ours, right)):
            if name in mine and name not in others:
                yield Cause(name=name, rung=_SHOWS.get(name, "step"), left=ours.value(name), right=theirs.value(name),
                            words=f"{name}: {who} alone: {mine[name].words}")  # fmt: skip


def _in_the_loss(causes: list[Cause], ours: Habits, theirs: Habits, left: str, right: str) -> list[Cause]:
    """L2 inside one side's loss, and weight decay in the other's optimizer: one difference, of the decay's form."""
    for mine, others, who, other in ((ours, theirs, left, right), (theirs, ours, right, left)):
        part, decay = mine.value("regularization"), others.value("weight_decay")
        if not part or not decay or others.value("regularization") or mine.value("weight_decay"):
            continue
        forms = "in-loss", others.value("weight_decay_form") or "in the optimizer"
        words = (f"weight_decay_form: {who}: {mine['regularization'].words}; {other}: a weight_decay of {decay:.6g} in"
                 f" the optimizer ({forms[1]}), {in_the_optimizer(part, decay, forms[1])}")  # fmt: skip
        values = forms if who == left else forms[::-1]
        rest = [cause for cause in causes if cause.name not in _DECAY]
        return [*rest, Cause(name="weight_decay_form", rung="loss", left=values[0], right=values[1], words=words)]
    return causes


_DECAY = ("regularization", "weight_decay", "weight_decay_form", "weight_decay_on")


def in_the_optimizer(part: float, decay: float, form: str) -> str:
    """What a decay in an optimizer is beside an L2 part of a loss. part: the coupled decay that the part is."""
    ratio = decay / part
    size = "the same number" if math.isclose(ratio, 1, rel_tol=1e-3) else f"{ratio:.4g} times as much"
    if math.isclose(ratio, 0.5, rel_tol=1e-3):
        size = "half of it: the gradient of lambda * sum(w^2) is twice lambda * w"
    if form == "coupled":
        return size
    return f"{size}, and past what the optimizer makes of gradients (momentum, Adam's scale)"


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=NEAR, abs_tol=1e-12)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return all(map(_equal, a, b))
    return bool(a == b)


def _patterns(
    ours: RecordedStep, theirs: RecordedStep, pairing: Pairing, rungs: list[Rung], causes: list[Cause]
) -> Iterator[Cause]:
    """Of gradients that differ where all before them holds: by one factor, or by the weights (L2 inside the loss)."""
    failing = next((rung for rung in rungs if rung.verdict == "fails"), None)
    if failing is None or failing.step != ours.entry.step or failing.name not in ("gradients", "loss"):
        return
    a, b = (step.tensors("gradients") for step in (ours, theirs))
    before = ours.tensors("before")
    pairs = [(one, np.asarray(a[one.name], np.float64), np.asarray(b[other.name], np.float64))
             for one, other in pairing.pairs if one.name in a and other.name in b]  # fmt: skip
    factors = [float((x * y).sum() / (x * x).sum()) for _, x, y in pairs if (x * x).sum() > 0]
    left = [float(np.linalg.norm(y - f * x) / np.linalg.norm(y)) for (_, x, y), f in zip(pairs, factors, strict=False)]
    if factors and max(left) < 1e-3 and np.ptp(factors) < 1e-3 * abs(np.median(factors)):
        factor = float(np.median(factors))
        if not any(cause.rung in ("gradients", "loss") for cause in causes):
            yield Cause(name="gradient factor", rung="gradients", left=1.0, right=factor,
                        words=f"all gradients of the right side are {factor:.6g} times the left's")  # fmt: skip
        return
    shares = []
    for entry, x, y in pairs:
        w = np.asarray(before[entry.name], np.float64) if entry.name in before else np.zeros_like(x)
        if entry.slot == "kernel" and (length := float((w * w).sum())):
            part = float(((y - x) * w).sum()) / length
            gone = float(np.linalg.norm(y - x - part * w)), float(np.linalg.norm(y - x))
            shares.append((part, gone[0] / gone[1] if gone[1] else 0.0))
    parts = [part for part, _ in shares]
    if any(cause.rung == "loss" and cause.name in _DECAY for cause in causes):
        return
    if shares and max(rest for _, rest in shares) < 0.05 and np.ptp(parts) < 0.02 * abs(parts[0]):
        part = float(np.median(parts))
        yield Cause(name="regularization", rung="loss", left=0.0, right=part,
                    words=f"gradients of kernels differ by {part:.6g} times the weights: L2 inside the loss, of factor"
                    f" {part / 2:.6g}, which acts as a coupled weight decay of {part:.6g}")  # fmt: skip
