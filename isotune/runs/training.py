"""Training by a protocol's stages: the one loop that every library goes through.

All that is random is drawn here, in NumPy, from the seeds of the cell: the order of the images from
(order, stage, epoch), masks of dropout and stochastic depth from (their seed, stage, step), so that a position is a
number. The learning rates of all steps are one array. A trainer only ever receives finished batches.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, SupportsFloat

import numpy as np

from isotune.data.augmentation import Augmenter
from isotune.errors import UsageError
from isotune.progress import Progress
from isotune.protocols import Stage
from isotune.protocols.depth import branch_masks, drop_rates
from isotune.protocols.schedules import learning_rates
from isotune.protocols.trained import trained_layers
from isotune.runs.drafts import Draft, Kept, Parts
from isotune.runs.selection.averaging import Average
from isotune.runs.selection.evaluations import Evaluations
from isotune.seeds import Seeds
from isotune.weights import HEAD, Layer
from isotune.workers.disturbance import Disturbance, Watch

if TYPE_CHECKING:
    from isotune.adapters.base import Model, Trainer

DROPOUT = 0xD409  # separates the masks' streams from the order's


@dataclass
class Training:
    """What the stages gave, seconds by the worker's clock; of a training that went on from drafts, of all its parts."""

    first_step: float = 0.0  # compilation included; of several stages, and parts, the sum
    seconds: float = 0.0
    images: int = 0
    losses: list[float] = field(default_factory=list)  # mean of every epoch, nats
    loss_scale: float | None = None  # at the end; None: the loss was not scaled
    skipped_steps: int | None = None  # of all stages
    disturbance: Disturbance | None = None
    resumed: tuple[int, ...] = ()  # steps, of all stages, after which it went on from a draft
    before: float = 0.0  # of first_step and seconds, what was before the last of them
    alone: bool = True  # in the parts before
    trainer: Trainer | None = None  # of the last stage, as it ended


@dataclass(frozen=True)
class Among:
    """A training's place among several of one cell. before, total: steps of those before it, and of all; said, parts:
    what a draft is to tell and to hold of those before; kept: the cell's draft, where it is of this training."""

    before: int
    total: int
    said: Mapping[str, Any]
    kept: Kept | None = None
    parts: Parts = field(default_factory=dict)


def sample_order(
    images: int, batch_size: int, drop_last: bool, seeds: Seeds, stage: int, start: int = 0
) -> Iterator[tuple[int, np.ndarray]]:
    """Batches of sample indices with their epoch, from step `start` on, without end; every epoch is a new
    permutation."""
    begins = range(0, images - batch_size + 1 if drop_last else images, batch_size)
    epoch, over = divmod(start, len(begins))
    while True:
        order = np.random.default_rng([seeds.order, stage, epoch]).permutation(images)
        for begin in begins[over:]:
            yield epoch, order[begin : begin + batch_size]
        epoch, over = epoch + 1, 0


def dropout_mask(seeds: Seeds, stage: int, step: int, shape: tuple[int, int], rate: float) -> np.ndarray | None:
    """Inverted dropout's mask, float32: 0 with probability `rate`, else 1/(1-rate). None at rate 0."""
    if not rate:
        return None
    kept = np.random.default_rng([seeds.of("dropout"), stage, step, DROPOUT]).random(shape) >= rate
    return (kept / (1 - rate)).astype(np.float32)


def layer_rates(layers: Sequence[Layer], stage: Stage) -> dict[str, float]:
    """By what the learning rate of each layer is multiplied: layer_decay ** (blocks behind it, the head being one), as
    BEiT's and MAE's fine-tunings have it (Clark et al. 2020, arXiv 2003.10555), and body_rate for all but the head."""
    blocks = max((layer.block for layer in layers), default=0)
    decay = 1.0 if stage.layer_decay is None else stage.layer_decay
    return {
        layer.name: 1.0 if layer.name == HEAD else stage.body_rate * decay ** (blocks - layer.block + 1)
        for layer in layers
    }


def steps_of(stage: Stage, images: int) -> tuple[int, int]:
    """(steps in all, steps an epoch) of a stage on this many images. UsageError when there is no step."""
    an_epoch = images // stage.batch_size if stage.drop_last else -(-images // stage.batch_size)
    if not an_epoch:
        raise UsageError(
            f"batch_size = {stage.batch_size} with drop_last = true leaves no batch of {images} training images"
        )
    return (stage.steps if stage.steps is not None else stage.epochs * an_epoch), an_epoch  # type: ignore[operator]


def trainer_of(model: Model, stage: Stage) -> Trainer:
    """One that has not begun."""
    from isotune.adapters.base import Recipe

    layers = model.layers()
    trained = frozenset(trained_layers(stage, layers, model.weights))
    rates = tuple((name, rate) for name, rate in layer_rates(layers, stage).items() if name in trained and rate != 1)
    recipe = Recipe(
        stage.optimizer, trained, stage.label_smoothing, stage.statistics, rates=rates, parts=stage.accumulate
    )
    return model.trainer(recipe)


def train(
    model: Model,
    stages: tuple[Stage, ...],
    augmenter: Augmenter,
    labels: np.ndarray,
    seeds: Seeds,
    progress: Progress,
    draft: Draft | None = None,
    *,
    alone: bool = True,
    average: Average | None = None,
    evaluations: Evaluations | None = None,
    among: Among | None = None,
) -> Training:
    """Run all stages on the model, from a draft on where there is one; bitwise the same end. labels: int64 [N], in the
    order of the augmenter's images. alone: no other worker runs meanwhile. average: is kept up. evaluations: are taken,
    and may end it. among: of several trainings, this one's place. LeftOff: as `Draft.write` says."""
    check(model, stages, mixes=augmenter.mixes)
    if among is None:
        total = sum(steps_of(stage, len(labels))[0] for stage in stages)
        among = Among(0, total, {}, draft.read(total) if draft is not None else None)
    loop = _Loop(model, stages, augmenter, labels, seeds, progress, draft, among, alone, average, evaluations)
    kept = among.kept
    if kept is not None and (trainer := loop.resumed(kept)) is not None:
        return loop.run(kept.said["stage"], kept.said["step"], trainer)
    return loop.run()


def check(model: Model, stages: Sequence[Stage], *, mixes: bool) -> None:
    """UsageError: the model has not the layers that a stage trains, or nothing of which branches are left out; or its
    adapter was written before a technique, and would leave it out without a word. mixes: batches bring mixed targets.
    """
    asked = {
        "mixed targets": mixes,
        "accumulated gradients": any(stage.accumulate > 1 for stage in stages),
        "rates of layers": any(stage.layer_decay is not None or stage.body_rate != 1 for stage in stages),
        "stochastic depth": (drops := any(stage.stochastic_depth for stage in stages)),
    }
    if missing := [technique for technique, needed in asked.items() if needed and technique not in model.techniques]:
        raise UsageError(
            f"this model's adapter trains without {', '.join(missing)}; take another, or the protocol's out"
        )
    layers = model.layers()
    for number, stage in enumerate(stages):
        try:
            trained_layers(stage, layers, model.weights)
        except UsageError as error:
            raise UsageError(f"stage.{number}: {error}") from None
    if drops:
        model.branches()  # refuses a network of which they are not known


@dataclass
class _Loop:
    """One training, or a part of one. taken: its steps, of all stages; begun: of these, when this part began."""

    model: Model
    stages: tuple[Stage, ...]
    augmenter: Augmenter
    labels: np.ndarray
    seeds: Seeds
    progress: Progress
    draft: Draft | None
    among: Among
    alone: bool
    average: Average | None = None
    evaluations: Evaluations | None = None
    result: Training = field(default_factory=Training)
    pending: list[SupportsFloat] = field(default_factory=list)  # losses of the epoch
    taken: int = 0
    begun: int = 0
    earlier: Disturbance | None = None

    def resumed(self, kept: Kept) -> Trainer | None:
        """The trainer as it was when the draft was written, and the model; None: the draft does not fit."""
        assert self.draft is not None
        trainer = trainer_of(self.model, self.stages[kept.said["stage"]])
        try:
            trainer.restore(kept.parts["trainer"])
        except UsageError as error:
            self.draft.refuse(str(error))
            return None
        said = dict(kept.said["training"])
        if self.average is not None:
            self.average.restore(kept.parts["average"])
        if self.evaluations is not None:
            self.evaluations.restore(kept.said["evaluations"], kept.parts)
        self.earlier = Disturbance.model_validate(said.pop("disturbance"))
        self.taken = self.begun = kept.said["done"]
        resumed = (*said.pop("resumed"), self.among.before + self.taken)
        self.result = Training(**said, resumed=resumed, losses=kept.parts["losses"]["epochs"].tolist())
        self.result.before = self.result.first_step + self.result.seconds
        self.pending = list(kept.parts["losses"]["steps"])
        return trainer

    def run(self, first: int = 0, start: int = 0, trainer: Trainer | None = None) -> Training:
        """From a step of a stage on, whose trainer is ready; from the beginning."""
        self.since = time.perf_counter()
        with Watch(self.model.device_clocks) as self.watch:
            features = self.model.weights()[f"{HEAD}.kernel"].shape[0]
            epochs = 0
            for number, stage in enumerate(self.stages):
                steps, an_epoch = steps_of(stage, len(self.labels))
                if number >= first:
                    self.result.trainer = trainer or trainer_of(self.model, stage)
                    self._stage(number, start, epochs, features, self.result.trainer)
                    start, trainer = 0, None
                epochs += -(-steps // an_epoch)
        self.result.disturbance = self._of_all_parts(self.watch.seen)
        return self.result

    def _stage(self, number: int, start: int, epochs: int, features: int, trainer: Trainer) -> None:
        """epochs: of the stages before. An epoch's number for the augmentation counts on: no draw comes twice."""
        stage, labels, result = self.stages[number], self.labels, self.result
        steps, an_epoch = steps_of(stage, len(labels))
        rates = learning_rates(stage.schedule, steps, an_epoch)
        drop = None
        if (depth := stage.stochastic_depth) is not None:
            drop = drop_rates(depth, self.model.layers(), self.model.branches())
        every = sample_order(len(labels), stage.batch_size, stage.drop_last, self.seeds, number, start)
        order = list(islice(every, steps - start))
        numbered = [(epochs + epoch, chosen) for epoch, chosen in order]
        batches = self.augmenter.batches(numbered, self.seeds)
        began = time.perf_counter()
        for step, ((_, chosen), (images, targets)) in enumerate(zip(order, batches, strict=True), start):
            mask = dropout_mask(self.seeds, number, step, (len(chosen), features), stage.head_dropout)
            branches = []
            if depth is not None and drop is not None:
                branches = [branch_masks(depth, drop, self.seeds, number, step, len(chosen), stage.accumulate)]
            self.pending.append(trainer.step(images, targets, float(rates[step]), mask, *branches))
            if step == start:
                self.model.synchronize()
                result.first_step += time.perf_counter() - began
                began = time.perf_counter()
            else:
                result.images += len(chosen)
            if step + 1 == steps or (step + 1) % an_epoch == 0:
                self._end_epoch()
            self.taken += 1
            if self.average is not None and self.average.is_due(self.taken):
                self.average.update(self.taken, self.model.weights())
            self.progress("training", self.among.before + self.taken, self.among.total)
            if self.evaluations is not None and self.evaluations.is_due(self.taken):
                self.model.synchronize()
                result.seconds += time.perf_counter() - began
                self.evaluations.take(self.taken, self.model, trainer, self.average)
                began = time.perf_counter()
                if self.evaluations.stop:
                    break
            if self.draft is not None and step + 1 < steps and self.draft.due(self._left()):
                self.model.synchronize()
                result.seconds += time.perf_counter() - began
                self._keep(self.draft, number, step + 1, trainer)
                began = time.perf_counter()
        self._end_epoch()
        self.model.synchronize()
        result.seconds += time.perf_counter() - began
        if (scaling := trainer.loss_scaling()) is not None:
            result.loss_scale = scaling.scale
            result.skipped_steps = (result.skipped_steps or 0) + scaling.skipped

    def _end_epoch(self) -> None:
        if self.pending:
            self.result.losses.append(float(np.mean([float(loss) for loss in self.pending])))
            self.pending.clear()

    def _keep(self, draft: Draft, stage: int, step: int, trainer: Trainer) -> None:
        """Write the draft, before step `step` of a stage."""
        self.pending = [float(loss) for loss in self.pending]
        losses = {"epochs": np.array(self.result.losses), "steps": np.array(self.pending)}
        said = {name: value for name, value in vars(self.result).items() if name not in ("losses", "before", "trainer")}
        said |= {
            "disturbance": self._of_all_parts(self.watch.look()).model_dump(),
            "alone": self.alone and self.result.alone,
        }
        position = {"stage": stage, "step": step, "done": self.taken, "training": said, **self.among.said}
        if self.evaluations is not None:
            position["evaluations"] = self.evaluations.said

        def parts() -> Parts:
            averages = {} if self.average is None else {"average": self.average.tensors}
            evaluated = {} if self.evaluations is None else self.evaluations.parts
            return {"trainer": trainer.snapshot(), "losses": losses, **averages, **evaluated, **self.among.parts}

        draft.write(self.among.before + self.taken, self.among.total, position, parts, self._left())

    def _left(self) -> float:
        """Seconds that this training and those after it take still, at the pace of this part."""
        left = self.among.total - self.among.before - self.taken
        return (time.perf_counter() - self.since) / (self.taken - self.begun) * left

    def _of_all_parts(self, seen: Disturbance) -> Disturbance:
        return seen if self.earlier is None else seen.after(self.earlier, self.watch.seconds, self.result.before)


def logits_in_batches(
    model: Model, images: np.ndarray, batch_size: int, progress: Progress, numbers: np.ndarray | None = None
) -> np.ndarray:
    """[N, classes] in inference mode. numbers: of the images that are evaluated, int64 [N]; absent: all."""
    parts = []
    total = len(images) if numbers is None else len(numbers)
    for start in range(0, total, batch_size):
        batch = slice(start, start + batch_size)
        parts.append(model.logits(np.ascontiguousarray(images[batch if numbers is None else numbers[batch]])))
        progress("evaluating", min(start + batch_size, total), total)
    return np.concatenate(parts)
