"""A grid of hyper-parameters: one training after another, judged by the held-out images.

Each begins from the same weights and draws from the same seeds. What was tried goes into the cell's draft, so that a
process that goes on trains none twice. Where the chosen values are not trained again on other images, the best training
until now is kept as it ended, in the draft too: the one that would come in the end would be it, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isotune.errors import UsageError
from isotune.protocols import Selection, Stage, Values
from isotune.runs.drafts import Kept
from isotune.runs.selection.evaluations import Evaluations, better
from isotune.runs.selection.finished import Finished
from isotune.runs.selection.selected import Tried
from isotune.runs.training import Among

Stages = tuple[Stage, ...]
Train = Callable[[Stages, Among], Finished]  # with the training's place among all
Restore = Callable[[Stages, Kept], Finished]  # of these stages, from a draft


class Search:
    """Of one cell. stages: that are trained, with a combination's values. planned: steps of each combination without
    the held-out images, and of the training on all of them, at most, where there is one. kept: the cell's draft, from
    which `restore` takes the best training; None: none is kept."""

    def __init__(
        self,
        rule: Selection,
        stages: Callable[[Values], Stages],
        planned: Sequence[int],
        kept: Kept | None,
        restore: Restore,
    ) -> None:
        assert rule.grid is not None
        self._rule, self.stages, self._planned = rule, stages, planned
        self.combinations: list[Values] = rule.grid.combinations
        self._kept = kept
        said: Mapping[str, Any] = kept.said if kept else {}
        self.tried = [Tried.model_validate(each) for each in said.get("tried", ())]
        self.before = self.seconds  # in former processes
        self.resumed: tuple[int, ...] = tuple(said.get("resumed", ()))
        self.finished: Finished | None = None  # the best, where it is kept
        if kept and rule.keeps_out and self._best is not None:
            self.finished = restore(self.stages(self.tried[self._best].values), kept)

    @property
    def seconds(self) -> float:
        return sum(one.seconds for one in self.tried)

    @property
    def deciding_seconds(self) -> float:
        """Of the trainings that only choose."""
        counts = self._best if self.finished else None
        return sum(one.seconds for number, one in enumerate(self.tried) if number != counts)

    def run(self, train: Train, reset: Callable[[], None]) -> None:
        """Train what is not tried yet. reset: gives the model its weights from before training."""
        for values in self.combinations[len(self.tried) :]:
            done = train(self.stages(values), self.place)
            result, evaluations = done.result, done.evaluations
            assert evaluations is not None
            self.resumed += result.resumed
            self.tried.append(
                Tried(
                    values=values, score=self._score(evaluations), steps=evaluations.last_step,
                    seconds=result.first_step + result.seconds + evaluations.seconds,
                )
            )  # fmt: skip
            if self._rule.keeps_out and self._best == len(self.tried) - 1:
                done.keep()
                self.finished = done
            result.trainer = None  # with what it holds in memory
            reset()

    def _score(self, evaluations: Evaluations) -> float | None:
        """By what the protocol reports, of the held-out images."""
        values = [value for _, value in evaluations.curve]
        if self._rule.reports == "best":
            return dict(evaluations.curve)[evaluations.best_step or 0]
        if self._rule.reports == "mean-of-last":
            last = values[-(self._rule.last or 1) :]
            return None if None in last else sum(value for value in last if value is not None) / len(last)
        return values[-1]

    @property
    def place(self) -> Among:
        """Of the training that comes next."""
        number = len(self.tried)
        kept = self._kept if self._kept and len(self._kept.said.get("tried", ())) == number else None
        said: dict[str, Any] = {"tried": [one.model_dump() for one in self.tried], "resumed": self.resumed}
        if self.finished is not None:
            said["chosen"] = self.finished.said
        return Among(
            before=sum(self._planned[:number]), total=sum(self._planned), kept=kept, said=said,
            parts=self.finished.parts if self.finished else {},
        )  # fmt: skip

    @property
    def _best(self) -> int | None:
        """Which of those tried is best; of equals the first; None: none was finite."""
        best: int | None = None
        for number, one in enumerate(self.tried):
            if one.score is not None and (best is None or better(self._rule, one.score, self.tried[best].score or 0.0)):
                best = number
        return best

    @property
    def chosen(self) -> Values:
        """UsageError: none was finite."""
        if self._best is None:
            raise UsageError(
                f"selection.grid: the {self._rule.metric} of the held-out images is not finite under any of"
                f" {len(self.tried)} combinations; try lower learning rates"
            )
        return self.tried[self._best].values
