"""Evaluations while training: their curve, the weights of the best, those of the last few, and when to stop.

What they keep is in the canonical form of weights, in NumPy, and goes into a draft with the rest: a part `best`, and
`recent-0`, `recent-1`, ... from the earliest on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isotune.protocols import Selection
from isotune.runs.selection.averaging import Average

if TYPE_CHECKING:
    from isotune.adapters.base import Model, Trainer

Tensors = Mapping[str, np.ndarray]
Score = Callable[["Model"], float | None]  # by the protocol's metric; None: it is not finite


def due(rule: Selection, lengths: Iterable[tuple[int, int]]) -> list[int]:
    """After which steps, counted from 1 over all stages, there is an evaluation; the last step is among them.

    lengths: of each stage, steps and steps an epoch. An epoch that a stage ends in ends with it.
    """
    after: set[int] = set()
    total = 0
    for steps, an_epoch in lengths:
        if rule.every == "epoch":
            after.update(range(total + an_epoch, total + steps + 1, an_epoch), [total + steps])
        total += steps
    if isinstance(rule.every, int):
        after.update(range(rule.every, total + 1, rule.every))
    return sorted(after | {total})


class Evaluations:
    """Those of one training.

    after: steps, as `due` gives them. since: steps of the stages before the last, of whose evaluations patience counts
    none. score: of a model's weights; None: nothing is evaluated, and weights are kept
    alone. keeps: weights, which a training that only chooses hyper-parameters needs not. seconds: that they took;
    before: of these, in the parts of the training before this one.
    """

    def __init__(
        self, rule: Selection, after: Iterable[int], score: Score | None, *, since: int = 0, keeps: bool = True
    ) -> None:
        self._rule, self._after, self._score, self._since = rule, frozenset(after), score, since
        self.curve: list[tuple[int, float | None]] = []
        self.best: Tensors | None = None
        self.best_step: int | None = None
        self.recent: deque[Tensors] = deque(maxlen=(rule.last or 0) if keeps else 0)
        self.seconds = self.before = 0.0
        self._keeps_best = keeps and rule.every is not None and score is not None

    def is_due(self, step: int) -> bool:
        return step in self._after

    @property
    def stop(self) -> bool:
        """Whether the training is to end here: no new best in so many evaluations of the last stage."""
        if self._rule.patience is None:
            return False
        values = [value for step, value in self.curve if step > self._since]
        return bool(values) and len(values) - 1 - _best(self._rule, values) >= self._rule.patience

    @property
    def last_step(self) -> int:
        """After which the latest was."""
        return self.curve[-1][0]

    @property
    def stopped(self) -> int | None:
        """Steps after which the training was ended before its time."""
        return self.last_step if self.stop and self.last_step < max(self._after) else None

    def take(self, step: int, model: Model, trainer: Trainer, average: Average | None) -> None:
        """Evaluate, after so many steps. Where there is an average it is what is evaluated, and kept; the training
        goes on as if nothing had been."""
        began = time.perf_counter()
        if average is None:
            self._take(step, model, model.weights)
        else:
            tensors = average.tensors
            # copies: what a trainer gives may be a view of its variables, which the average is put into
            state = {name: np.array(array) for name, array in trainer.snapshot().items()}
            model.load(tensors)
            self._take(step, model, lambda: tensors)
            trainer.restore(state)
        self.seconds += time.perf_counter() - began

    def _take(self, step: int, model: Model, weights: Callable[[], Tensors]) -> None:
        value = self._score(model) if self._score is not None else None
        self.curve.append((step, value))
        best = self._score is not None and _best(self._rule, [each for _, each in self.curve]) == len(self.curve) - 1
        kept: Tensors = {}
        if self.recent.maxlen or (best and self._keeps_best):
            kept = {name: np.array(array) for name, array in weights().items()}
        self.recent.append(kept)
        if best:
            self.best_step, self.best = step, kept if self._keeps_best else None

    # -- in a draft

    @property
    def said(self) -> dict[str, Any]:
        return {"curve": self.curve, "best_step": self.best_step, "seconds": self.seconds}

    @property
    def parts(self) -> dict[str, Tensors]:
        parts = {f"recent-{place}": tensors for place, tensors in enumerate(self.recent)}
        return parts if self.best is None else {"best": self.best, **parts}

    def restore(self, said: Mapping[str, Any], parts: Mapping[str, Tensors]) -> None:
        """As it was in a draft."""
        self.curve = [(step, value) for step, value in said["curve"]]
        self.best_step, self.seconds = said["best_step"], said["seconds"]
        self.before = self.seconds
        self.best = parts.get("best")
        self.recent.clear()
        self.recent.extend(parts[f"recent-{place}"] for place in range(len(self.curve)) if f"recent-{place}" in parts)


def better(rule: Selection, value: float, than: float) -> bool:
    """By the protocol's metric."""
    return value < than if rule.metric == "loss" else value > than


def _best(rule: Selection, values: Sequence[float | None]) -> int:
    """Which is best: the first of equals; what is finite is better than what is not."""
    best = 0
    for place, value in enumerate(values):
        former = values[best]
        if value is not None and (former is None or better(rule, value, former)):
            best = place
    return best
