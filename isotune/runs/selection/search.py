"""A grid of hyper-parameters: one training after another, judged by the held-out images.

Each begins from the same weights and draws from the same seeds. What was tried goes into the cell's draft, so that a
process that goes on trains none twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isotune.errors import UsageError
from isotune.protocols import Selection, Stage, Values
from isotune.runs.drafts import Kept
from isotune.runs.selection.evaluations import Evaluations, better
from isotune.runs.selection.selected import Tried
from isotune.runs.training import Among, Training

# (stages, the training's place among all) -> what it gave, and its evaluations
Train = Callable[[tuple[Stage, ...], Among], tuple[Training, Evaluations]]


class Search:
    """Of one cell. stage: that is trained, with a combination's values. planned: steps of each combination without the
    held-out images, and of the last training, which counts, at most. kept: the cell's draft."""

    def __init__(
        self, rule: Selection, stage: Callable[[Values], Stage], planned: Sequence[int], kept: Kept | None
    ) -> None:
        assert rule.grid is not None
        self._rule, self._stage, self._planned = rule, stage, planned
        self.combinations: list[Values] = rule.grid.combinations
        self._kept = kept
        said: Mapping[str, Any] = kept.said if kept else {}
        self.tried = [Tried.model_validate(each) for each in said.get("tried", ())]
        self.before = self.seconds  # in former processes
        self.resumed: tuple[int, ...] = tuple(said.get("resumed", ()))

    @property
    def seconds(self) -> float:
        return sum(one.seconds for one in self.tried)

    def run(self, train: Train) -> None:
        """Train what is not tried yet."""
        for values in self.combinations[len(self.tried) :]:
            stages = (self._stage(values),)
            result, evaluations = train(stages, self.place)
            self.resumed += result.resumed
            self.tried.append(
                Tried(
                    values=values, score=self._score(evaluations), steps=evaluations.last_step,
                    seconds=result.first_step + result.seconds + evaluations.seconds,
                )
            )  # fmt: skip

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
        return Among(
            before=sum(self._planned[:number]), total=sum(self._planned), kept=kept,
            said={"tried": [one.model_dump() for one in self.tried], "resumed": self.resumed},
        )  # fmt: skip

    @property
    def chosen(self) -> Values:
        """The best; of equals the first. UsageError: none was finite."""
        best: Tried | None = None
        for one in self.tried:
            if one.score is not None and (best is None or better(self._rule, one.score, best.score or 0.0)):
                best = one
        if best is None:
            raise UsageError(
                f"selection.grid: the {self._rule.metric} of the held-out images is not finite under any of"
                f" {len(self.tried)} combinations; try lower learning rates"
            )
        return best.values
