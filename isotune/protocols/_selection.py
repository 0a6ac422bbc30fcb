"""How the number of a training is chosen: which step's it is, when the training ends, and with which hyper-parameters.

| report | the accuracy is that |
|---|---|
| last | after the last step |
| best | of the step that is best on held-out training images |
| mean-of-last | on average over the last few evaluations |
| best-on-test | of the step that is best on the test images, which test nothing then: it is never below the last |
"""

from __future__ import annotations

from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from isotune.errors import UsageError
from isotune.protocols._stages import Stage
from isotune.protocols._strict import Strict

Report = Literal["last", "best", "mean-of-last", "best-on-test"]
# In words, after "the accuracy".
REPORTS: dict[Report, str] = {
    "last": "after the last step",
    "best": "at the step that is best on held-out images",
    "mean-of-last": "on average over the last evaluations",
    "best-on-test": "at the step that is best on the test images",
}
Values = dict[str, float]


class Grid(Strict):
    """Hyper-parameters to choose among: every combination is trained and judged by the held-out images. The chosen one
    is trained once more, and that training's test accuracy counts."""

    learning_rate: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(None, min_length=1)
    weight_decay: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(None, min_length=1)
    steps: tuple[Annotated[int, Field(gt=0)], ...] | None = Field(None, min_length=1)
    refit: bool = Field(
        True, description="the chosen one is trained on all training images; false: without those held out"
    )

    @model_validator(mode="after")
    def something_is_tried(self) -> Grid:
        names = [name for name in _TRIED if getattr(self, name) is not None]
        if not names:
            raise ValueError(f"says no values to try; give {', '.join(_TRIED)}, or some of them, each a list")
        for name in names:
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} = {list(values)} says a value twice")
        return self

    @property
    def combinations(self) -> list[Values]:
        """Every one; the last field changes fastest."""
        lists = {name: values for name in _TRIED if (values := getattr(self, name)) is not None}
        return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]


_TRIED = tuple(name for name in Grid.model_fields if name != "refit")


class Selection(Strict):
    """What is held out of the training images, and what is chosen by it. The test images are looked at when all is
    chosen, but where `reports` says otherwise."""

    held_out: float | None = Field(
        None, gt=0, lt=1, description="share of the training images, stratified by class, drawn from the order seed;"
        " absent: none"
    )  # fmt: skip
    every: Annotated[int, Field(gt=0)] | Literal["epoch"] | None = Field(
        None, description="steps between two evaluations, or epoch; absent: after the last step alone"
    )
    metric: Literal["accuracy", "mean_per_class", "loss"] = Field(
        "accuracy", description="of the images that are evaluated while training; of equals the earliest is the best"
    )
    reports: Report = Field("last", description="which accuracy is that of the run; the others stand beside it")
    patience: int | None = Field(
        None, gt=0, description="evaluations in a row without a new best, after which the training ends; absent: it"
        " goes to its end"
    )  # fmt: skip
    last: int | None = Field(
        None, gt=1, description="evaluations that mean-of-last is over; the weights of each are kept in memory until"
        " the end"
    )  # fmt: skip
    grid: Grid | None = None

    @model_validator(mode="after")
    def what_is_asked_can_be(self) -> Selection:
        if self.reports == "best-on-test":
            unfit = [name for name in ("held_out", "patience", "grid") if getattr(self, name) is not None]
            if unfit:
                raise ValueError(f'reports = "best-on-test" chooses on the test images; leave out {", ".join(unfit)}')
        goes_by = {'reports = "best"': self.reports == "best", "patience": self.patience, "grid": self.grid}
        if self.held_out is None and (name := next((name for name, asked in goes_by.items() if asked), None)):
            raise ValueError(f"{name} goes by images that are held out, and none are; give held_out = 0.1, say")
        evaluates = {
            f'reports = "{self.reports}"': self.reports != "last", "patience": self.patience, "last": self.last
        }  # fmt: skip
        if self.every is None and (name := next((name for name, asked in evaluates.items() if asked), None)):
            raise ValueError(f'{name} needs evaluations while training; give every = "epoch", or a number of steps')
        if self.reports == "mean-of-last" and self.last is None:
            raise ValueError('reports = "mean-of-last" needs to know of how many evaluations; give last = 5, say')
        if self.patience and self.last and self.last > self.patience + 1:
            raise ValueError(
                f"last = {self.last} may be more evaluations than there are: patience = {self.patience} can end the"
                f" training after {self.patience + 1}"
            )
        if self.held_out is None and self.reports == "last" and self.last is None:
            raise ValueError("selects nothing; give held_out, last or reports, or leave the table out")
        return self

    @model_validator(mode="after")
    def what_is_refitted_has_nothing_held_out(self) -> Selection:
        if self.grid and self.grid.refit:
            asked = "patience" if self.patience else f'reports = "{self.reports}"' if self.reports == "best" else ""
            if asked:
                raise ValueError(
                    f"grid.refit = true trains on all images, and {asked} needs some that are held out;"
                    " write refit = false"
                )
        return self

    @property
    def needs_one_stage(self) -> str:
        """What of it is of one stage alone; empty: nothing."""
        return "grid" if self.grid else "patience" if self.patience else ""

    @property
    def keeps_out(self) -> bool:
        """Whether the training that counts leaves out what is held out."""
        return self.held_out is not None and not (self.grid and self.grid.refit)


def with_values(stage: Stage, values: Values) -> Stage:
    """The stage with the values of a combination. UsageError: there can be no such stage."""
    said: dict[str, Any] = stage.model_dump()
    if "learning_rate" in values:
        said["schedule"]["learning_rate"] = values["learning_rate"]
    if "weight_decay" in values:
        said["optimizer"]["weight_decay"] = values["weight_decay"]
    if "steps" in values:
        said |= {"steps": values["steps"], "epochs": None}
    try:
        return Stage(**said)
    except UsageError as error:
        given = ", ".join(f"{name} = {value:g}" for name, value in values.items())
        raise UsageError(f"{given}: {str(error).removeprefix('Stage: ')}") from None
