"""The share of each axis: how many points of accuracy it takes on the way from one set-up to another.

The axes that differ between two set-ups are switched on the left model, from the left's value to the right's. Every
set of switched axes is a run; an axis's share is its Shapley value, what it adds to the axes switched before it,
averaged over the orders in which they can be switched. So the shares sum to what all axes do together, and none
depends on an order that somebody chose. Up to EXACT axes every set is run, beyond that those of orders drawn at random,
others for each seed, so that the interval over seeds holds the error of drawing too.

What the right model's own accuracy still differs by is the remainder: what no axis explains.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isnan, nan
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from isotune import data, defaults, names, protocols
from isotune.attribution import _shapley
from isotune.attribution._attribution import Amount, Attribution, Failure, Step
from isotune.attribution._shapley import Coalition, Order
from isotune.attribution._switches import Aside, Plan, plan
from isotune.comparison.sides import Side
from isotune.data.sources.given import Given
from isotune.executors import Local, workers_for
from isotune.models import checkpoints
from isotune.progress import Progress, reporting
from isotune.protocols import Protocol
from isotune.runs import own_classifier, planning
from isotune.runs.driver import Driver
from isotune.runs.records import Record
from isotune.runs.store import Store
from isotune.statistics import PERCENT

EXACT = 6  # axes whose 2^n sets are all run
PAIRS = 4  # orders that are drawn for each seed beyond that, each with its reverse
_NONE: Coalition = frozenset()


def attribute(
    left: str,
    right: str,
    *,
    dataset: Given | data.Dataset = defaults.DATASET,
    protocol: str | PathLike[str] | Mapping[str, Any] | Protocol = defaults.PROTOCOL,
    checkpoint: str = defaults.CHECKPOINT,
    conventions: str = "native",
    right_conventions: str | None = None,
    seeds: int | str | Iterable[int] = defaults.SEEDS,
    store: str | PathLike[str] = defaults.STORE,
    jobs: int = 1,
    progress: bool | Progress = True,
) -> Attribution:
    """What each axis costs in which two models' set-ups differ; runs that are in the store are not run again.

    left, right: `adapter:name`. dataset: what `data.prepare` takes. protocol: what `protocols.load` takes. checkpoint:
    of both. conventions: of both, or of the left where the right's are given. seeds: of the runs; of an evaluation
    without training, which draws nothing, only one counts. store: folder of records. jobs: workers at the same time.
    A run that fails leaves what depends on it NaN. An axis that the left cannot be switched to at all is set aside. A
    training that diverges counts with the accuracy that it ends with, for that is what it costs.
    UsageError: a wrong name, or a model that cannot be built.
    """
    checkpoints.check_name(checkpoint)
    recipe = protocols.load(protocol)
    ours, theirs = (
        Side(model=str(names.parse(model)), checkpoint=checkpoint, conventions=spec, numeric_mode="float32").under({})
        for model, spec in ((left, conventions), (right, right_conventions or conventions))
    )
    wanted = planning.parse_seeds(seeds)[: 1 if recipe.own_classifier else None]
    with reporting(progress) as reporter, workers_for(jobs) as workers:
        images = data.prepare(dataset, progress=reporter)
        if recipe.own_classifier:
            own_classifier.check_dataset(images)
        else:
            planning.check_images(images, recipe)
        planned = plan(ours, theirs, images, recipe, workers)
        executor = Local(jobs=jobs, workers=workers)
        driver = Driver(Store(Path(store)), executor, progress=reporter, note=reporter.note)
        return run_plan(planned, wanted, driver)


def run_plan(planned: Plan, seeds: Sequence[int], driver: Driver) -> Attribution:
    """The runs of a plan, and what they say: both ends and each axis first, then the sets of those that ran."""
    runs = _Runs(planned, seeds, driver)
    axes = [switch.axis for switch in planned.switches]
    first = [_NONE, *(frozenset({axis}) for axis in axes), None]
    runs.add((switched, seed) for switched in first for seed in seeds)
    broken = runs.broken(axes)
    players = [axis for axis in axes if axis not in broken]
    orders = _orders(players, seeds)
    if not all(map(isnan, runs.amount(_NONE).by_seed)):  # else every share is unknown
        runs.add(_needed(players, seeds, orders))
    return _judged(runs, players, broken, orders)


def _orders(players: Sequence[str], seeds: Iterable[int]) -> dict[int, list[Order]]:
    """Of every seed its own; none where all sets are run."""
    if len(players) <= EXACT:
        return {}
    return {seed: _shapley.drawn(players, PAIRS, np.random.default_rng([seed, 0x5A91E7])) for seed in seeds}


def _needed(
    players: Sequence[str], seeds: Sequence[int], orders: Mapping[int, Sequence[Order]]
) -> Iterator[tuple[Coalition, int]]:
    """The runs, those of one set-up together, since a probe's features serve all seeds."""
    everything = frozenset(players)
    wanted: dict[Coalition, list[int]] = {}
    for seed in seeds:
        if orders:
            last = (everything - {player} for player in players)
            passed = (switched for order in orders[seed] for switched in _shapley.prefixes(order))
            sets = dict.fromkeys((*passed, *last))
        else:
            sets = dict.fromkeys(_shapley.coalitions(players))
        for switched in sets:
            wanted.setdefault(switched, []).append(seed)
    yield from ((switched, seed) for switched, those in wanted.items() for seed in those)


class _Runs:
    """Records by the axes that are switched and the seed; None in place of the axes is the right."""

    def __init__(self, planned: Plan, seeds: Sequence[int], driver: Driver) -> None:
        self.plan, self.seeds = planned, tuple(seeds)
        self.records: dict[tuple[Coalition | None, int], Record] = {}
        self._driver = driver

    def add(self, wanted: Iterable[tuple[Coalition | None, int]]) -> None:
        """Run what is not here yet."""
        cells = {
            (switched, seed): self.plan.theirs(seed) if switched is None else self.plan.ours(switched, seed)
            for switched, seed in wanted
            if (switched, seed) not in self.records
        }
        each_once = {cell.key: cell for cell in cells.values()}  # the right may be the left with an axis switched
        records = {record.cell.key: record for record in self._driver.run(each_once.values())}
        self.records |= {place: records[cell.key] for place, cell in cells.items()}

    def accuracy(self, switched: Coalition | None, seed: int) -> float:
        """Percent; NaN of a run that failed, or was not made because its left failed."""
        record = self.records.get((switched, seed))
        return nan if record is None or record.metrics is None else 100 * record.metrics.accuracy

    def amount(self, switched: Coalition | None) -> Amount:
        return Amount(tuple(self.accuracy(switched, seed) for seed in self.seeds), PERCENT)

    def broken(self, axes: Iterable[str]) -> dict[str, str]:
        """Axes that ran with no seed, though the left by itself did with all: why."""
        reasons: dict[str, str] = {}
        if any(map(isnan, self.amount(_NONE).by_seed)):
            return reasons
        for axis in axes:
            only = frozenset({axis})
            if all(map(isnan, self.amount(only).by_seed)):
                reasons[axis] = self.records[only, self.seeds[0]].error or "no metrics"
        return reasons

    def same(self, axis: str) -> bool:
        """Whether no run with the axis predicts otherwise than that without it."""
        return all(
            self.agree(switched - {axis}, switched, seed)
            for switched, seed in self.records
            if switched is not None and axis in switched and (switched - {axis}, seed) in self.records
        )

    def agree(self, first: Coalition | None, second: Coalition | None, seed: int) -> bool:
        """Whether both runs were done, with the same predictions."""
        a, b = (self.records.get((each, seed)) for each in (first, second))
        return a is not None and b is not None and a.predictions_digest == b.predictions_digest is not None


def _judged(
    runs: _Runs, players: Sequence[str], broken: Mapping[str, str], orders: Mapping[int, Sequence[Order]]
) -> Attribution:
    shares = [_shares(runs, players, seed, orders.get(seed)) for seed in runs.seeds]
    everything = frozenset(players)
    begin, switched = runs.amount(_NONE), runs.amount(everything)
    steps, aside = [], list(runs.plan.aside)
    for switch in runs.plan.switches:
        axis = switch.axis
        if axis in broken:
            aside.append(Aside(switch, f"the left cannot be switched: {broken[axis]}"))
            continue
        first, last = runs.amount(frozenset({axis})) - begin, switched - runs.amount(everything - {axis})
        share = Amount(tuple(each[axis] for each in shares))
        steps.append(Step(switch, share, first, last, runs.same(axis)))
    left, right, recipe = runs.plan.left, runs.plan.right, runs.plan.protocol
    records = list({record.cell.key: record for record in runs.records.values()}.values())
    weights = {runs.records[end, runs.seeds[0]].checkpoint_digest for end in (_NONE, None)}
    return Attribution(
        left=left.model,
        right=right.model,
        left_spec=left.conventions,
        right_spec=right.conventions,
        checkpoint=left.checkpoint,
        dataset=runs.plan.dataset.name,
        dataset_digest=runs.plan.dataset.digest,
        protocol=recipe.name,
        seeds=runs.seeds,
        begin=begin,
        steps=tuple(sorted(steps, key=_size)),
        switched=switched,
        end=runs.amount(None),
        aside=tuple(aside),
        orders=len(orders[runs.seeds[0]]) if orders else 0,
        runs=len(records),
        test_images=max((record.metrics.test_images for record in records if record.metrics), default=0),
        met=all(runs.agree(everything, None, seed) for seed in runs.seeds),
        same_weights=None if None in weights else len(weights) == 1,
        failed=tuple(
            Failure(str(record.cell), record.error or "no metrics") for record in records if record.metrics is None
        ),
        drawn=recipe.own_classifier is None,
    )


def _shares(runs: _Runs, players: Sequence[str], seed: int, orders: Sequence[Order] | None) -> dict[str, float]:
    """Of one seed."""
    if orders:
        passed = (switched for order in orders for switched in _shapley.prefixes(order))
        return _shapley.over_orders(orders, {switched: runs.accuracy(switched, seed) for switched in passed})
    sets = _shapley.coalitions(players)
    return _shapley.exact(players, {switched: runs.accuracy(switched, seed) for switched in sets})


def _size(step: Step) -> tuple[float, str]:
    """Largest first, what is not known last."""
    mean = step.share.estimate.mean
    return (1.0 if isnan(mean) else -abs(mean)), step.switch.axis
