"""Dropout and stochastic depth: whether a loop has them, by the layers that are in training mode, and with which rates.
Their masks are each side's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isotune.protocols import Stage, StochasticDepth
from isotune.recordings._comparison import Cause, Outcome, together
from isotune.recordings.habits import Habit, Habits
from isotune.recordings.techniques._naming import named, plain

_NEAR = 1e-4  # of a rate, which a network holds rounded
_BRANCHES = 2  # at most, of one block: a transformer's
_BLOCKS = 200  # at most, of a network in which each counts


def dropping(habits: Habits, stage: Stage) -> Outcome:
    """Dropout before the classifier, and residual branches left out."""
    return together((_dropout(habits, stage), _depth(habits, stage), _others(habits)))


def _dropout(habits: Habits, stage: Stage) -> Outcome:
    wanted = stage.head_dropout
    hidden = _hidden(habits, "dropout")
    if hidden is not None:
        return Outcome(unknown=(f"head_dropout ({hidden})",) if wanted or "dropout" in habits else ())
    seen: list[tuple[float, str]] = [(rate, where) for rate, where in habits.value("dropout")]
    before = [rate for rate, where in seen if where == "head"]
    if [rate for rate, where in seen if where != "head"] or len(before) > 1:
        words = f"{habits['dropout'].words}, and the protocol drops {_share(wanted)}"
        return Outcome((Cause(name="dropout", rung="layers", left=seen, right=wanted, words=words),))
    rate = before[0] if before else 0.0
    if abs(rate - wanted) <= _NEAR:
        return Outcome(agreed=("head_dropout",) if wanted else ())
    return Outcome((named("stage.head_dropout", "layers", rate, wanted),))


def _share(wanted: float) -> str:
    return f"{wanted:g} of the features before the classifier" if wanted else "nothing"


def _hidden(habits: Habits, name: str) -> str | None:
    """Why a technique is not seen; None: it is, or it is seen that there is none."""
    habit: Habit | None = habits.get(name)
    if habit is None:
        return "the recording does not show it"
    return habit.words if habit.value is None else None


def _others(habits: Habits) -> Outcome:
    """Layers of the network that change images or values at random, behind what is recorded of a batch."""
    if "random_layers" not in habits:
        return Outcome()
    habit = habits["random_layers"]
    words = f"{habit.words}, behind the batch as it is recorded, and the protocol's network has none such"
    return Outcome((Cause(name="random_layers", rung="layers", left=habit.value, right="none", words=words),))


# -- stochastic depth


def _depth(habits: Habits, stage: Stage) -> Outcome:
    wanted, field = stage.stochastic_depth, "stage.stochastic_depth"
    hidden = _hidden(habits, "stochastic_depth")
    if hidden is not None:
        return Outcome(unknown=(f"stochastic_depth ({hidden})",) if wanted else ())
    seen = habits.value("stochastic_depth")
    if seen == "none" and wanted is None:
        return Outcome()
    if seen == "none" or wanted is None:
        left = "none" if seen == "none" else habits["stochastic_depth"].words
        return Outcome((named(field, "layers", left, "none" if wanted is None else plain(wanted)),))
    return together((_rates(seen["rates"], wanted), *(_form(name, seen[name], wanted) for name in ("per", "scaled"))))


def _form(name: str, seen: Any, wanted: StochasticDepth) -> Outcome:
    field, expected = f"stage.stochastic_depth.{name}", getattr(wanted, name)
    if seen is None:
        return Outcome(unknown=(f"stochastic_depth.{name} (its layers differ in it)",))
    if seen == expected:
        return Outcome(agreed=(f"stochastic_depth.{name}",))
    return Outcome((named(field, "layers", seen, expected),))


def _rates(rates: Sequence[float], wanted: StochasticDepth) -> Outcome:
    """Whether the branches' rates are of the protocol's law. Of the laws that grow by equal steps which it is cannot be
    told: a branch of rate 0 is no layer in timm."""
    most = max(rates)
    if _of_law(rates, wanted.law, wanted.rate):
        few = len(rates) < 2 or (len(set(rates)) == 1 and wanted.law != "constant")
        why = "so few branches do not show it" if few else "" if wanted.law == "constant" else "others grow alike"
        unknown = (f"stochastic_depth.law ({why})",) if why else ()
        return Outcome(agreed=(f"stochastic_depth.rate ({len(rates)} branches)",), unknown=unknown)
    if wanted.law != "linear-over-all" and _of_law(rates, wanted.law, most):
        return Outcome((named("stage.stochastic_depth.rate", "layers", most, wanted.rate),))
    laws = {"constant": most, "linear": most, "linear-over-all": wanted.rate}
    law = next((law for law, rate in laws.items() if _of_law(rates, law, rate)), "other")
    causes = [named("stage.stochastic_depth.law", "layers", law, wanted.law)]
    if laws.get(law, most) == most and wanted.law != "linear-over-all" and abs(most - wanted.rate) > _NEAR:
        causes.append(named("stage.stochastic_depth.rate", "layers", most, wanted.rate))
    return Outcome(tuple(causes))


def _of_law(rates: Sequence[float], law: str, rate: float) -> bool:
    """Whether these could be the rates above 0 of a network's branches."""
    distinct = np.unique(np.round(rates, 6))
    if law == "constant":
        return bool((np.abs(distinct - rate) <= _NEAR).all())
    if len(distinct) == 1 and len(rates) > _BRANCHES:  # of several blocks
        return False
    if law == "linear-over-all":  # of some blocks there is no branch
        steps = [distinct * count / rate for count in range(len(distinct) + 1, _BLOCKS)]
        return any(bool((np.abs(each - np.round(each)) * rate <= _NEAR * count).all() and each.max() < count - 0.5)
                   for count, each in enumerate(steps, len(distinct) + 1))  # fmt: skip
    return bool((np.abs(distinct - rate * np.arange(1, len(distinct) + 1) / len(distinct)) <= _NEAR).all())
