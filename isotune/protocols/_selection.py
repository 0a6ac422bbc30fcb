"""How the number of a training is chosen: which step's it is, when the training ends, and with which hyper-parameters.

| report | the accuracy is that |
|---|---|
| last | after the last step |
| best | of the step that is best on held-out training images |
| mean-of-last | on average over the last few evaluations |
| best-on-test | of the step that is best on the test images, which test nothing then: it is never below the last |
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

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


def in_words(report: Report, last: int | None = None) -> str:
    """After "the accuracy". last: evaluations that a mean of the last is over."""
    return f"on average over the last {last} evaluations" if report == "mean-of-last" and last else REPORTS[report]


class Grid(Strict):
    """Hyper-parameters to choose among: every combination is trained and judged by the held-out images. With `refit`
    the chosen one is trained once more, on all training images, and that training's test accuracy counts; without, its
    own training's does."""

    learning_rate: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(None, min_length=1)
    weight_decay: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(None, min_length=1)
    rate_times_decay: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(
        None, min_length=1, description="in the place of weight_decay: what each rate's decay is when it is multiplied"
        " by the rate, as Kornblith and SFDA have it"
    )  # fmt: skip
    steps: tuple[Annotated[int, Field(gt=0)], ...] | None = Field(None, min_length=1)
    stage: Annotated[int, Field(gt=0)] | Literal["all"] | None = Field(
        None, description="the [[stage]] that has the values, from 1, or all of them; absent: the only one"
    )
    schedule: Literal["scaled", "kept"] | None = Field(
        None, description="with other steps: milestones, warm-up and drop_every are multiplied by the new steps over"
        " the stage's and rounded, to 1 at least, or stay what they are; absent: a stage that has any is refused"
    )  # fmt: skip
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
        if self.rate_times_decay and (self.weight_decay or not self.learning_rate):
            raise ValueError("rate_times_decay goes with learning_rate, and stands in the place of weight_decay")
        if self.schedule and not self.steps:
            raise ValueError(f'schedule = "{self.schedule}" is of a grid over steps: give steps, or leave it out')
        return self

    @model_serializer(mode="wrap")
    def without_what_came_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is not asked for, so that the keys of earlier cells stay."""
        values: dict[str, Any] = dump(self)
        late = ("rate_times_decay", "stage", "schedule")
        return {name: value for name, value in values.items() if name not in late or value is not None}

    @property
    def combinations(self) -> list[Values]:
        """Every one; the last field changes fastest."""
        lists = {name: values for name in _TRIED if (values := getattr(self, name)) is not None}
        return [_in_fields(dict(zip(lists, values, strict=True))) for values in product(*lists.values())]

    def stages(self, stages: Sequence[Stage], values: Values) -> tuple[Stage, ...]:
        """A protocol's stages with the values of a combination. UsageError: there can be no such stage."""
        if self.stage is None and len(stages) > 1:
            raise UsageError(
                f'stage is missing: there are {len(stages)}; give the number of the one that has the values, or "all"'
            )
        if isinstance(self.stage, int) and self.stage > len(stages):
            raise UsageError(f"stage = {self.stage}: there {_are(len(stages))}; give {len(stages)} at most")
        which = range(1, len(stages) + 1) if self.stage in (None, "all") else (self.stage,)
        return tuple(
            _with_values(stage, values, self.schedule) if number in which else stage
            for number, stage in enumerate(stages, 1)
        )


_TRIED = ("learning_rate", "weight_decay", "rate_times_decay", "steps")


def _in_fields(values: Values) -> Values:
    """Values of fields that a stage has."""
    if "rate_times_decay" not in values:
        return values
    others = {name: value for name, value in values.items() if name != "rate_times_decay"}
    return others | {"weight_decay": values["rate_times_decay"] / values["learning_rate"]}


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count}"


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
        None, gt=0, description="evaluations in a row without a new best, both of the last [[stage]], after which the"
        " training ends; absent: it goes to its end"
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
        if self.every is not None and self.held_out is None and self.reports == "last" and self.last is None:
            raise ValueError("every evaluates images that are held out, and none are; give held_out = 0.1, say")
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
    def keeps_out(self) -> bool:
        """Whether the training that counts leaves out what is held out."""
        return self.held_out is not None and not (self.grid and self.grid.refit)

    @property
    def measured(self) -> tuple[Report, ...]:
        """The accuracies that a run has, by name."""
        names: list[Report] = ["last"]
        if self.every is not None and self.reports == "best-on-test":
            names.append("best-on-test")
        elif self.every is not None and self.keeps_out:
            names.append("best")
        if self.last:
            names.append("mean-of-last")
        return tuple(names)


def _with_values(stage: Stage, values: Values, lengths: Literal["scaled", "kept"] | None) -> Stage:
    said: dict[str, Any] = stage.model_dump()
    if "learning_rate" in values:
        said["schedule"]["learning_rate"] = values["learning_rate"]
    if "weight_decay" in values:
        said["optimizer"]["weight_decay"] = values["weight_decay"]
    given = ", ".join(f"{name} = {value:g}" for name, value in values.items())
    try:
        if "steps" in values:
            said |= {"steps": int(values["steps"]), "epochs": None}
            said["schedule"] |= _of_length(stage, int(values["steps"]), lengths)
        return Stage(**said)
    except UsageError as error:
        raise UsageError(f"{given}: {str(error).removeprefix('Stage: ')}") from None


def _of_length(stage: Stage, steps: int, lengths: Literal["scaled", "kept"] | None) -> dict[str, Any]:
    """What of a schedule is counted in steps or epochs, for another length of the stage."""
    said = {name: value for name in _COUNTED if (value := getattr(stage.schedule, name))}
    if not said or steps == stage.steps or lengths == "kept":
        return {}
    fields = " and ".join(f"schedule.{name}" for name in said)
    length = f"{stage.epochs} epochs" if stage.steps is None else f"{stage.steps:,} steps"
    if lengths is None:
        raise UsageError(
            f'{fields}: stated for the stage\'s {length}, and not for others; give schedule = "scaled" in the grid, to'
            ' move with the steps, or "kept"'
        )
    if stage.steps is None:
        raise UsageError(f"{fields} cannot be scaled: the stage has {length}; give it steps in their place")
    factor = steps / stage.steps
    return {name: _scaled(value, factor) for name, value in said.items()}


_COUNTED = ("milestones", "warmup_steps", "warmup_epochs", "drop_every")


def _scaled(value: Any, factor: float) -> Any:
    if isinstance(value, tuple):
        return tuple(_scaled(each, factor) for each in value)
    return max(1, round(value * factor)) if isinstance(value, int) else value * factor
