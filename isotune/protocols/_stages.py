"""Stages of training: optimizer, schedule, what is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from isotune.conventions import Feature, relevant
from isotune.errors import UsageError
from isotune.protocols._explaining import explain

if TYPE_CHECKING:
    _Model = BaseModel
else:

    class _InOneLine(type(BaseModel)):
        """Of classes that users call: what is wrong is a UsageError. Validation as such, `model_validate`, raises
        pydantic's error, so that a part's error is told with the path to it."""

        def __call__(cls, *args: Any, **values: Any) -> Any:
            try:
                return super().__call__(*args, **values)
            except ValidationError as error:
                raise UsageError(f"{cls.__name__}: {explain(error, cls)}") from None

    class _Model(BaseModel, metaclass=_InOneLine):
        """Named values, checked."""


class Strict(_Model):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Optimizer(Strict):
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float | None = Field(None, gt=0)


class SGD(_Optimizer):
    """Stochastic gradient descent; its convention axes say where the learning rate enters and how weights decay."""

    name: Literal["sgd"] = "sgd"
    momentum: float = Field(0.0, ge=0, lt=1)
    nesterov: bool = False

    @model_validator(mode="after")
    def nesterov_needs_momentum(self) -> SGD:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov = true needs momentum > 0")
        return self


class Adam(_Optimizer):
    """Adam, or AdamW: the same step with decoupled weight decay whatever the conventions say."""

    name: Literal["adam", "adamw"] = "adam"
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    epsilon: float = Field(1e-8, gt=0)


class RMSprop(_Optimizer):
    """RMSprop (Hinton 2012); a convention axis says where epsilon is added."""

    name: Literal["rmsprop"] = "rmsprop"
    rho: float = Field(0.99, ge=0, lt=1, description="smoothing constant, which some call alpha")
    epsilon: float = Field(1e-8, gt=0)
    momentum: float = Field(0.0, ge=0, lt=1)


Optimizer = Annotated[SGD | Adam | RMSprop, Field(discriminator="name")]


class Schedule(Strict):
    """The learning rate of every step, computed once as one array (isotune.protocols.schedules.learning_rates)."""

    name: Literal["constant", "cosine", "step"] = "constant"
    learning_rate: float = Field(gt=0, description="the peak")
    warmup_steps: int = Field(0, ge=0, description="linear, from learning_rate/warmup_steps; never a step at rate 0")
    per: Literal["step", "epoch"] = Field("step", description="how often the rate changes")
    milestones: tuple[int, ...] = Field((), description="step only: epochs (per = epoch) or steps after which it drops")
    gamma: float = Field(0.1, gt=0, description="step only: factor at each milestone")

    @model_validator(mode="after")
    def milestones_belong_to_step(self) -> Schedule:
        if (self.name == "step") != bool(self.milestones):
            raise ValueError("milestones belong to name = 'step', which needs them")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError("milestones must increase")
        if self.milestones and self.milestones[0] < 1:
            raise ValueError("milestones count from 1: the first epoch or step runs at the peak")
        if self.name != "step" and self.gamma != 0.1:
            raise ValueError("gamma belongs to name = 'step' only")
        return self


class Stage(Strict):
    """One stretch of training. The optimizer starts afresh in each stage."""

    trained: str = Field("all", pattern=r"^(head|all|last:[1-9]\d*|from:\S+)$", description="what is not frozen")
    epochs: int | None = Field(None, gt=0)
    steps: int | None = Field(None, gt=0)
    batch_size: int = Field(gt=0)
    drop_last: bool = Field(False, description="leave out an epoch's last batch when it is short")
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    batchnorm: Literal["training", "inference"] = Field(
        "training", description="of trained layers: batch statistics, or the running ones"
    )
    head_dropout: float = Field(0.0, ge=0, lt=1, description="on the features; masks are drawn outside, in NumPy")
    optimizer: Optimizer
    schedule: Schedule

    @model_validator(mode="after")
    def epochs_or_steps(self) -> Stage:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        schedule = self.schedule
        if self.steps is not None and schedule.warmup_steps > self.steps:
            raise ValueError(f"schedule.warmup_steps = {schedule.warmup_steps} is more than steps = {self.steps}")
        length = self.epochs if schedule.per == "epoch" else self.steps
        if schedule.milestones and length is not None and schedule.milestones[-1] >= length:
            raise ValueError(
                f"schedule.milestones: {schedule.milestones[-1]} is never reached in {length} {schedule.per}s"
            )
        return self


def relevant_axes(stages: Sequence[Stage]) -> frozenset[str]:
    """The convention axes that can change what these stages give; without stages (a probe, inference) those of the
    input and of the network in inference mode."""
    return relevant(frozenset()).union(*(relevant(_features(stage)) for stage in stages))


def _features(stage: Stage) -> frozenset[Feature]:
    features: dict[Feature, bool] = {
        "batch statistics": stage.batchnorm == "training", "frozen layers": stage.trained != "all"
    }  # fmt: skip
    return optimizer_features(stage.optimizer).union(feature for feature, has in features.items() if has)


def optimizer_features(optimizer: Optimizer) -> frozenset[Feature]:
    """The features of training that an optimizer brings, to which axes can matter (isotune.conventions.relevant)."""
    features: dict[Feature, object] = {
        "training": True,
        "momentum": getattr(optimizer, "momentum", 0),
        "weight decay": optimizer.weight_decay,
        "adam": isinstance(optimizer, Adam),
        "rmsprop": isinstance(optimizer, RMSprop),
        "clipping": optimizer.clip_norm,
    }
    return frozenset(feature for feature, has in features.items() if has)
