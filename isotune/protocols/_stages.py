"""Stages of training: optimizer, schedule, what is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from isotune.conventions import Feature, relevant
from isotune.protocols._strict import Strict


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
    """The learning rate of every step, computed once as one array (isotune.protocols.schedules.learning_rates).

    A warm-up starts at a share 0 of the peak in Keras, 0.01 in torchvision's references; timm's decay counts it.
    A one-cycle rises for 0.25 of the steps in fastai, whose final share comes one step after the last, and for 0.3 in
    torch, whose last step has it.
    """

    name: Literal["constant", "cosine", "linear", "step", "one-cycle"] = "constant"
    learning_rate: float = Field(gt=0, description="the peak")
    warmup_steps: int = Field(0, ge=0, description="linear, with every step")
    warmup_epochs: int = Field(0, ge=0, description="linear, as often as `per` says")
    start: float | None = Field(
        None, ge=0, lt=1, description="share of the peak at the first step;"
        " absent: one step's rise, so that no step has rate 0; one-cycle: 1/25"
    )  # fmt: skip
    warmup_counts: bool = Field(
        False, description="the decay has begun with the first step: the warm-up ends in the midst of it"
    )
    final: float = Field(
        0.0, ge=0, lt=1, description="cosine, linear and one-cycle: share of the peak that is left at the end"
    )
    rise: float = Field(0.25, gt=0, lt=1, description="one-cycle only: share of the steps up to the peak")
    anneal: Literal["cosine", "linear"] = Field("cosine", description="one-cycle only: how it rises and falls")
    reach: Literal["after", "last"] = Field(
        "after", description="one-cycle only: the final share would come one step after the last, or is that of"
        " the last step"
    )  # fmt: skip
    per: Literal["step", "epoch"] = Field("step", description="how often the rate changes")
    milestones: tuple[int, ...] = Field((), description="step only: epochs (per = epoch) or steps after which it drops")
    drop_every: float | None = Field(
        None, gt=0, description="step only: epochs or steps from one drop to the next, in the place of milestones"
    )
    gamma: float = Field(0.1, gt=0, description="step only: factor at each drop")

    @property
    def begins(self) -> float | None:
        """`start`, and where a one-cycle gives none its own: 1/25, fastai's div and torch's div_factor."""
        return 1 / 25 if self.name == "one-cycle" and self.start is None else self.start

    @model_validator(mode="after")
    def milestones_belong_to_step(self) -> Schedule:
        if self.drop_every is not None and (self.name != "step" or self.milestones):
            raise ValueError("drop_every belongs to name = 'step', in the place of milestones")
        if (self.name == "step") != bool(self.milestones or self.drop_every):
            raise ValueError("milestones belong to name = 'step', which needs them")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError("milestones must increase")
        if self.milestones and self.milestones[0] < 1:
            raise ValueError("milestones count from 1: the first epoch or step runs at the peak")
        if self.name != "step" and self.gamma != 0.1:
            raise ValueError("gamma belongs to name = 'step' only")
        return self

    @model_validator(mode="after")
    def one_warmup(self) -> Schedule:
        if self.warmup_steps and self.warmup_epochs:
            raise ValueError("give either warmup_steps or warmup_epochs")
        if self.name == "one-cycle":
            return self
        if not (self.warmup_steps or self.warmup_epochs) and (self.start is not None or self.warmup_counts):
            raise ValueError("start and warmup_counts belong to a warm-up: give warmup_steps or warmup_epochs")
        if self.final and self.name not in ("cosine", "linear"):
            raise ValueError("final belongs to name = 'cosine' or 'linear', or to 'one-cycle'")
        if self.warmup_counts and self.name not in ("cosine", "linear"):
            raise ValueError(
                "warmup_counts belongs to name = 'cosine' or 'linear'; milestones always count the warm-up"
            )
        return self

    @model_validator(mode="after")
    def one_cycle(self) -> Schedule:
        if self.name != "one-cycle":
            apart = {"rise": 0.25, "anneal": "cosine", "reach": "after"}
            if stray := next((name for name, value in apart.items() if getattr(self, name) != value), None):
                raise ValueError(f"{stray} belongs to name = 'one-cycle'")
            return self
        if self.warmup_steps or self.warmup_epochs or self.warmup_counts:
            raise ValueError("a one-cycle rises by itself: give rise in the place of a warm-up")
        if self.per == "epoch":
            raise ValueError("a one-cycle changes with every step: leave out per")
        if self.start == 0:
            raise ValueError("start of a one-cycle is above 0, 0.04 say: a step of rate 0 changes nothing")
        if self.reach == "last" and not self.final:
            raise ValueError('reach = "last" gives the last step what is left of the peak: give final, 4e-6 say')
        return self

    @model_serializer(mode="wrap")
    def without_what_came_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is not asked for, so that the keys of earlier cells stay."""
        values: dict[str, Any] = dump(self)
        unsaid = {
            "warmup_epochs": 0, "start": None, "warmup_counts": False, "final": 0.0, "rise": 0.25, "anneal": "cosine",
            "reach": "after", "drop_every": None,
        }  # fmt: skip
        return {name: value for name, value in values.items() if name not in unsaid or value != unsaid[name]}


class Averaging(Strict):
    """A moving average of the weights, evaluated in their place (isotune.protocols.averages, which says whose each form
    is). timm averages BatchNorm's statistics too; Keras and torch take those of the last update."""

    decay: float = Field(gt=0, lt=1, description="what is kept of the average at an update")
    every: int = Field(1, gt=0, description="steps between two updates")
    start: Literal["initial", "first", "zero"] = Field(
        "initial",
        description="from the weights before training, from those of the first update, or from zero, corrected",
    )
    warmup: Literal["none", "counted", "power"] = Field(
        "none", description="counted: at most (1+n)/(10+n) at update n; power: at most 1-(1+n)^(-2/3)"
    )
    statistics: Literal["averaged", "copied"] = Field(
        "averaged", description="BatchNorm's: averaged like weights, or those of the last update"
    )


class StochasticDepth(Strict):
    """Residual branches are left out at random in training, by masks drawn in NumPy (isotune.protocols.depth).

    Of the L blocks with a branch, from 0, block l has the rate l/(L-1) of the whole in `linear`: timm's vision
    transformers, ResNets and ConvNeXts, torchvision's Swins and ConvNeXts, Keras's ConvNeXts; (l+1)/L in
    `linear-from-first`: the paper, arXiv 1603.09382; l/L with every block counted, those without a branch too, in
    `linear-over-all`: the EfficientNets of all three.
    """

    rate: float = Field(gt=0, lt=1, description="share of the images without a branch: of the last, or of each")
    law: Literal["linear", "linear-from-first", "linear-over-all", "constant"] = Field(
        "linear", description="how the rate grows from block to block"
    )
    per: Literal["image", "batch"] = Field(
        "image", description="each image has its own draw, or the images of a pass share one"
    )
    scaled: bool = Field(
        True, description="a branch that is kept is divided by the share that is kept; false: it is not"
    )  # fmt: skip


class Stage(Strict):
    """One stretch of training. The optimizer starts afresh in each stage."""

    trained: str = Field("all", pattern=r"^(head|all|last:[1-9]\d*|from:\S+)$", description="what is not frozen")
    epochs: int | None = Field(None, gt=0)
    steps: int | None = Field(None, gt=0)
    batch_size: int = Field(gt=0)
    drop_last: bool = Field(False, description="leave out an epoch's last batch when it is short")
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    batchnorm: Literal["training", "inference", "frozen"] = Field(
        "training",
        description="of trained layers: batch statistics, or the running ones; frozen: the running ones, and no"
        " BatchNorm is trained",
    )
    head_dropout: float = Field(0.0, ge=0, lt=1, description="on the features; masks are drawn outside, in NumPy")
    stochastic_depth: StochasticDepth | None = Field(None, description="residual branches left out at random")
    accumulate: int = Field(
        1, gt=0, description="passes whose gradients' mean makes a step, each of an equal part of the batch"
    )
    layer_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="of the learning rate from each block to the one before it; the head has all of it",
    )
    body_rate: float = Field(1.0, gt=0, description="by what the learning rate of all but the head is multiplied")
    optimizer: Optimizer
    schedule: Schedule

    @property
    def statistics(self) -> Literal["training", "inference"]:
        """In which mode the BatchNorms of trained layers are."""
        return "training" if self.batchnorm == "training" else "inference"

    @model_validator(mode="after")
    def epochs_or_steps(self) -> Stage:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        if self.accumulate > 1 and (self.batch_size % self.accumulate or not self.drop_last):
            raise ValueError(
                f"accumulate = {self.accumulate} takes equal parts: batch_size a multiple of it, and drop_last = true"
            )
        if self.trained == "head" and (self.layer_decay is not None or self.body_rate != 1):
            raise ValueError('layer_decay and body_rate are of layers below the head, and trained = "head" trains none')
        schedule = self.schedule
        if self.steps is not None and schedule.warmup_steps > self.steps:
            raise ValueError(f"schedule.warmup_steps = {schedule.warmup_steps} is more than steps = {self.steps}")
        if self.epochs is not None and schedule.warmup_epochs > self.epochs:
            raise ValueError(f"schedule.warmup_epochs = {schedule.warmup_epochs} is more than epochs = {self.epochs}")
        length = self.epochs if schedule.per == "epoch" else self.steps
        if schedule.milestones and length is not None and schedule.milestones[-1] >= length:
            raise ValueError(
                f"schedule.milestones: {schedule.milestones[-1]} is never reached in {length} {schedule.per}s"
            )
        return self

    @model_serializer(mode="wrap")
    def without_what_came_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is not asked for, so that the keys of earlier cells stay."""
        values: dict[str, Any] = dump(self)
        unsaid = {"stochastic_depth": None, "accumulate": 1, "layer_decay": None, "body_rate": 1.0}
        return {name: value for name, value in values.items() if name not in unsaid or value != unsaid[name]}


def relevant_axes(stages: Sequence[Stage]) -> frozenset[str]:
    """The convention axes that can change what a library makes of these stages; without stages (a probe, inference)
    those of the input and of the network in inference mode. Forms of techniques are none: they change the stages."""
    return relevant(frozenset()).union(*(relevant(stage_features(stage)) for stage in stages))


def stage_features(stage: Stage) -> frozenset[Feature]:
    """The features of a stage to which axes of what a library computes can matter."""
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
