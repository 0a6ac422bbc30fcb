"""A cell's fine-tuning, from its images to its scores: choice by held-out images, training, evaluation.

The test images are read when all is chosen, unless the protocol reports the step that is best on them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from isotune import data
from isotune.data.augmentation import Augmenter
from isotune.progress import Progress, untold
from isotune.protocols import Protocol, Report, Selection, Stage, Values, form_axes
from isotune.runs.drafts import Draft, Kept
from isotune.runs.records import Cell
from isotune.runs.scores import scores
from isotune.runs.selection.averaging import Average
from isotune.runs.selection.evaluations import Evaluations, Score, Tensors, due
from isotune.runs.selection.finished import Finished
from isotune.runs.selection.holding_out import split
from isotune.runs.selection.search import Search
from isotune.runs.selection.views import Passed, Views, views
from isotune.runs.training import Among, steps_of, train

if TYPE_CHECKING:
    from isotune.adapters.base import Model
    from isotune.models.building import Built

Scores = dict[str, Any]


class Tuned(NamedTuple):
    """logits: [N, classes] of the test images, of the weights that are reported, of several the last; truth: int64 [N];
    metrics, timings: fields of a record's, beside what the logits decide and before it."""

    logits: np.ndarray
    truth: np.ndarray
    metrics: dict[str, Any]
    timings: dict[str, Any]


@dataclass
class FineTuning:
    """Of one cell. forms: axes of its techniques' forms, under which its protocol is trained. reset: gives the model
    its weights from before training. alone: no other worker runs meanwhile."""

    cell: Cell
    forms: Mapping[str, Any]
    built: Built
    dataset: data.Dataset
    reset: Callable[[], None]
    progress: Progress
    draft: Draft | None
    alone: bool
    before: float = field(default=0.0, init=False)  # seconds of trainings in former processes

    def run(self) -> Tuned:
        """LeftOff: as `Draft.write` says."""
        search = self._searched(self._rule) if self._rule and self._rule.grid else None
        run = search.finished if search else None
        if run is None:
            stages, among = self._protocol.stage, None
            if search is not None:
                stages, among = search.stages(search.chosen), search.place
            run = self._train(stages, self._last_numbers, self._last_evaluated, among)
            resumed = (search.resumed if search else ()) + run.result.resumed
        else:  # as if it were trained again
            assert search is not None
            run.put_back(self.built.model, search.stages(search.chosen))
            resumed = search.resumed
        run.result.trainer = None
        began = time.perf_counter()
        passed, metrics = self._scored(run)
        result, evaluations = run.result, run.evaluations
        if self._rule is not None:
            metrics["selected"] |= self._choice(run, search)
        metrics |= {
            "train_images": len(self._last_numbers), "train_loss": tuple(result.losses),
            "loss_scale": result.loss_scale, "skipped_steps": result.skipped_steps,
        }  # fmt: skip
        timings: dict[str, Any] = {
            "first_step": result.first_step,
            "training": result.seconds,
            "training_images": result.images,
            "disturbance": result.disturbance,
            "evaluation": time.perf_counter() - began,
            "resumed": resumed,
            "before": self.before + (search.before if search else 0.0),
            "alone": result.alone,
        }
        if passed.centre is not None:
            metrics["centre_accuracy"] = scores(passed.centre, self._test.labels)["accuracy"]
            timings["crops"] = passed.seconds
        if self._rule is not None:
            while_training = evaluations.seconds if evaluations else 0.0
            timings["choosing"] = while_training + (search.deciding_seconds if search else 0.0)
            timings["trainings"] = (0 if search and search.finished else 1) + (len(search.tried) if search else 0)
        return Tuned(passed.logits, self._test.labels, metrics, timings)

    # -- images

    @cached_property
    def _protocol(self) -> Protocol:
        return form_axes.under(self.cell.protocol, self.forms)

    @property
    def _rule(self) -> Selection | None:
        return self.cell.protocol.selection

    @cached_property
    def _augmenter(self) -> Augmenter:
        protocol, axes = self._protocol, self.built.conventions
        return Augmenter(
            self.dataset, protocol.images, protocol.input, protocol.augmentation, resize=axes.resize,
            decode=axes.decode, scaling=axes.input_scaling,
        )  # fmt: skip

    @cached_property
    def _parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the training images that are left, and of those held out."""
        labels = self._augmenter.labels
        if self._rule is None or self._rule.held_out is None:
            return np.arange(len(labels)), np.arange(0)
        return split(labels, self._rule.held_out, self.cell.seeds.order, "selection.held_out")

    @property
    def _last_numbers(self) -> np.ndarray:
        """Of the images of the training that counts."""
        return self._parts[0] if self._rule and self._rule.keeps_out else np.arange(len(self._augmenter))

    @cached_property
    def _held_out(self) -> Views:
        return self._views("train", self._parts[1])

    @cached_property
    def _test(self) -> Views:
        return self._views("test")

    @property
    def _last_evaluated(self) -> Views | None:
        """The images that the training that counts is evaluated on while it goes on."""
        if self._rule and self._rule.reports == "best-on-test":
            return self._test
        return self._held_out if self._rule and self._rule.keeps_out else None

    def _views(self, part: data.SplitName, numbers: np.ndarray | None = None) -> Views:
        protocol, axes = self.cell.protocol, self.built.conventions

        def inputs(place: data.Place) -> tuple[np.ndarray, np.ndarray]:
            return data.inputs(
                self.dataset, part, protocol.images, protocol.input, resize=axes.resize, decode=axes.decode,
                place=place,
            )  # fmt: skip

        return views(inputs, protocol.evaluation.views, protocol.evaluation.batch_size, numbers)

    # -- training

    def _searched(self, rule: Selection) -> Search:
        assert rule.grid is not None
        fitted = self._parts[0]
        tried = [self._stages(values) for values in rule.grid.combinations]
        planned = [self._length(stages, len(fitted)) for stages in tried]
        if not rule.keeps_out:  # another training comes
            planned.append(max(self._length(stages, len(self._last_numbers)) for stages in tried))

        def one(stages: tuple[Stage, ...], among: Among) -> Finished:
            return self._train(stages, fitted, self._held_out, among, searching=True)

        def restored(stages: tuple[Stage, ...], kept: Kept) -> Finished:
            average, evaluations = self._beside(stages, len(fitted), self._held_out)
            return Finished.restored(kept.said["chosen"], kept.parts, evaluations, average)

        search = Search(rule, self._stages, planned, self._kept(sum(planned)), restored)
        search.run(one, self.reset)
        return search

    def _stages(self, values: Values) -> tuple[Stage, ...]:
        """With a combination of the grid, and then its forms: a rate may be a share of another peak."""
        recipe = self.cell.protocol
        assert recipe.selection is not None
        assert recipe.selection.grid is not None
        stages = recipe.selection.grid.stages(recipe.stage, values)
        return tuple(form_axes.stage_under(recipe, stage, self.forms) for stage in stages)

    def _kept(self, total: int) -> Kept | None:
        return self.draft.read(total) if self.draft else None

    @staticmethod
    def _length(stages: tuple[Stage, ...], images: int) -> int:
        """Steps of all stages."""
        return sum(steps_of(stage, images)[0] for stage in stages)

    def _train(
        self, stages: tuple[Stage, ...], numbers: np.ndarray, evaluated: Views | None, among: Among | None,
        searching: bool = False,
    ) -> Finished:  # fmt: skip
        """The model is as before training, and as after it in the end."""
        average, evaluations = self._beside(stages, len(numbers), evaluated, searching)
        augmenter = self._augmenter.only(numbers)
        result = train(
            self.built.model, stages, augmenter, augmenter.labels, self.cell.seeds, self.progress, self.draft,
            alone=self.alone, average=average, evaluations=evaluations, among=among,
        )  # fmt: skip
        self.before += result.before + (evaluations.before if evaluations else 0.0)
        return Finished(result, evaluations, average)

    def _beside(
        self, stages: tuple[Stage, ...], images: int, evaluated: Views | None, searching: bool = False
    ) -> tuple[Average | None, Evaluations | None]:
        """What goes beside a training. searching: it chooses hyper-parameters; where another one comes after it, it
        keeps no weights and has no evaluations that decide nothing."""
        lengths = [steps_of(stage, images) for stage in stages]
        total = sum(steps for steps, _ in lengths)
        average, rule = None, self._rule
        if (averaging := self._protocol.average) is not None:
            average = Average(averaging, self.built.model.weights(), total)
        if rule is None or (evaluated is None and not rule.last):
            return average, None
        score = None if evaluated is None else self._score(evaluated, rule.metric)
        after, only_chooses = due(rule, lengths), searching and not rule.keeps_out
        if only_chooses and rule.reports == "last" and not rule.patience:
            after = after[-1:]
        return average, Evaluations(rule, after, score, since=total - lengths[-1][0], keeps=not only_chooses)

    def _score(self, images: Views, metric: str) -> Score:
        def score(model: Model) -> float | None:
            value: float | None = scores(images.logits(model, untold), images.labels)[metric]
            return value

        return score

    # -- evaluation

    def _scored(self, run: Finished) -> tuple[Passed, dict[str, Any]]:
        """Of what is reported, and what is measured of it and beside it."""
        last, metrics = self._passed(None), dict[str, Any]()
        if run.average is not None:
            metrics["last_accuracy"] = scores(last.logits, self._test.labels)["accuracy"]
            last = self._passed(run.average.tensors)
        if self._rule is None:
            return last, metrics
        reported, every = last, dict[Report, list[Scores]]()
        every["last"] = [scores(last.logits, self._test.labels)]
        evaluations = run.evaluations
        if evaluations is not None and self._rule.last:
            earlier = [self._passed(tensors).logits for tensors in list(evaluations.recent)[:-1]]
            every["mean-of-last"] = [*(scores(each, self._test.labels) for each in earlier), *every["last"]]
        if evaluations is not None and evaluations.best is not None:
            name: Report = "best-on-test" if self._rule.reports == "best-on-test" else "best"
            at_the_end = evaluations.best_step == evaluations.last_step
            best = last if at_the_end else self._passed(evaluations.best)
            every[name] = [scores(best.logits, self._test.labels)]
            reported = best if self._rule.reports == name else last
        by_name = {
            metric: {name: float(np.mean([each[metric] for each in of])) for name, of in every.items()}
            for metric in ("accuracy", "mean_per_class")
        }
        metrics |= {metric: shares[self._rule.reports] for metric, shares in by_name.items()}
        return reported, metrics | {"selected": {"reports": self._rule.reports, **by_name}}

    def _passed(self, tensors: Tensors | None) -> Passed:
        """The test images, under these weights; None: under the model's own."""
        if tensors is not None:
            self.built.model.load(tensors)
        return self._test.passed(self.built.model, self.progress)

    def _choice(self, run: Finished, search: Search | None) -> dict[str, Any]:
        said: dict[str, Any] = {"held_out_images": len(self._parts[1])}
        if search is not None:
            said |= {"chosen": search.chosen, "tried": tuple(search.tried)}
        if (evaluations := run.evaluations) is not None:
            said |= {"curve": tuple(evaluations.curve), "best_step": evaluations.best_step}
            said["stopped"] = evaluations.stopped
        return said
