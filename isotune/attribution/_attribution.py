"""What an attribution gives: every axis with its share, and what is left over."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isnan
from typing import Any

from isotune import statistics
from isotune.attribution._switches import Aside, Switch


@dataclass(frozen=True)
class Amount:
    """Percent of the test images or points, of every seed. NaN: a run that it needs failed. limits: between which it
    lies."""

    by_seed: tuple[float, ...]
    limits: statistics.Interval = statistics.POINTS

    @cached_property
    def estimate(self) -> statistics.Estimate:
        """Mean and 95 % t interval over seeds; NaN where a seed's is, and without an interval for one seed."""
        return statistics.estimate(self.by_seed, within=self.limits)

    @property
    def known(self) -> bool:
        return not isnan(self.estimate.mean)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(tuple(a - b for a, b in zip(self.by_seed, other.by_seed, strict=True)))


@dataclass(frozen=True)
class Step:
    """One axis and its share of the difference, points of accuracy."""

    switch: Switch
    share: Amount  # its Shapley value
    first: Amount  # switched first, in the left's own set-up
    last: Amount  # switched last, when all others are: what undoing it there would give back
    same: bool  # no run with it gave another prediction than the run without it: its share is exactly 0


@dataclass(frozen=True)
class Failure:
    run: str
    error: str


@dataclass(frozen=True)
class Attribution:
    """From the left's accuracy by way of every axis to the right's. Accuracies are percentages, shares points."""

    left: str
    right: str
    left_spec: str
    right_spec: str
    checkpoint: str
    dataset: str
    dataset_digest: str
    protocol: str
    seeds: tuple[int, ...]
    begin: Amount  # the left under its own set-up
    steps: tuple[Step, ...]  # the largest first
    switched: Amount  # the left with all of them switched
    end: Amount  # the right under its own set-up
    aside: tuple[Aside, ...]  # axes that differ too
    orders: int  # that were drawn for each seed; 0: every set of axes was run
    runs: int
    test_images: int  # 0: no run was done
    met: bool  # with all of them switched the left predicts what the right does, at every seed: the remainder is 0
    same_weights: bool | None  # both start from equal tensors; None: not known
    failed: tuple[Failure, ...]
    drawn: bool = True  # whether a seed draws anything; an evaluation without training gives what it gives

    @property
    def remainder(self) -> Amount:
        """What no axis explains."""
        return self.end - self.switched

    @property
    def reason(self) -> str:
        """Why something is not known, in one line; empty where all is."""
        if self.failed:
            return f"{len(self.failed)} of {self.runs} runs failed"
        alone = self.drawn and len(self.seeds) == 1
        return "one seed says nothing about spread: at least two are needed" if alone else ""


def as_json(attribution: Attribution) -> dict[str, Any]:
    """What a program may read: amounts with every seed's value, accuracies in percent, shares in points; None where
    nothing is known."""

    def switch(of: Switch) -> dict[str, Any]:
        return {"axis": of.axis, "left": of.left, "right": of.right}

    plain = (
        "checkpoint",
        "dataset",
        "dataset_digest",
        "protocol",
        "orders",
        "runs",
        "test_images",
        "same_weights",
        "met",
    )
    return {
        "left": {
            "model": attribution.left,
            "conventions": attribution.left_spec,
            "accuracy": _amount(attribution.begin),
        },
        "right": {
            "model": attribution.right,
            "conventions": attribution.right_spec,
            "accuracy": _amount(attribution.end),
        },
        **{name: getattr(attribution, name) for name in plain},
        "seeds": list(attribution.seeds),
        "steps": [
            {
                **switch(step.switch),
                "share": _amount(step.share),
                "first": _amount(step.first),
                "last": _amount(step.last),
                "same_predictions": step.same,
            }
            for step in attribution.steps
        ],
        "switched": _amount(attribution.switched),
        "remainder": _amount(attribution.remainder),
        "aside": [{**switch(each.switch), "why": each.why} for each in attribution.aside],
        "failed": [{"run": each.run, "error": each.error} for each in attribution.failed],
        "reason": attribution.reason,
    }


def _amount(amount: Amount) -> dict[str, Any]:
    estimate = amount.estimate
    numbers = {name: getattr(estimate, name) for name in ("mean", "sd", "low", "high")}
    return {
        **{name: None if isnan(value) else value for name, value in numbers.items()},
        "by_seed": [None if isnan(value) else value for value in amount.by_seed],
    }
