"""Protocols: the whole recipe of a run, read from TOML.

A protocol says what is trained, with which optimizer and schedule, on what input, and how it is
evaluated. It is a *probe* (logistic regression on frozen features), a list of training *stages*, or
*zero-shot* (the checkpoint's own classifier, nothing trained). Everything in it is validated on
reading; an unknown key or an impossible combination is a `UsageError` that names the file, the field
and what would be valid.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from isotune.conventions import NETWORK_AXES, Conventions
from isotune.conventions import parse as parse_conventions
from isotune.errors import UsageError, nearest
from isotune.validation import explain

INPUT_AXES = ("decode", "resize", "input_scaling")  # conventions that an image meets before the network


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Images(Strict):
    """How many images of the data set are used; drawn once, stratified by class, the same for every seed."""

    train: int | None = Field(None, gt=0, description="training images at most; absent: all")
    test: int | None = Field(None, gt=0, description="test images at most; absent: all")


class Input(Strict):
    """From an image of any size to the network's input, [size, size, 3] uint8."""

    size: int = Field(224, ge=8, description="side of the network's input, pixels")
    resize: int | Literal["squash"] = Field(
        "squash", description="shorter side before the centre crop, pixels; squash: straight to size x size"
    )
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"

    @model_validator(mode="after")
    def crop_fits(self) -> Input:
        if self.resize != "squash" and self.resize < self.size:
            raise ValueError(f"a crop of size={self.size} is larger than the image resized to resize={self.resize}")
        return self


class Augmentation(Strict):
    """Random changes of the training images, drawn in NumPy from the augmentation seed."""

    random_resized_crop: tuple[float, float] | None = Field(
        None, description="least and greatest share of the area; aspect ratio 3/4 to 4/3 (torchvision's)"
    )
    horizontal_flip: float = Field(0.0, ge=0, le=1, description="probability")

    @model_validator(mode="after")
    def scale_is_a_range(self) -> Augmentation:
        if self.random_resized_crop and not 0 < self.random_resized_crop[0] <= self.random_resized_crop[1] <= 1:
            raise ValueError("random_resized_crop must be [least, greatest] with 0 < least <= greatest <= 1")
        return self


class _Optimizer(Strict):
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float | None = Field(None, gt=0)


class SGD(_Optimizer):
    name: Literal["sgd"]
    momentum: float = Field(0.0, ge=0, lt=1)
    nesterov: bool = False

    @model_validator(mode="after")
    def nesterov_needs_momentum(self) -> SGD:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov = true needs momentum > 0")
        return self


class Adam(_Optimizer):
    """Adam, or AdamW: the same step with decoupled weight decay whatever the conventions say."""

    name: Literal["adam", "adamw"]
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    epsilon: float = Field(1e-8, gt=0)


class RMSprop(_Optimizer):
    name: Literal["rmsprop"]
    rho: float = Field(0.99, ge=0, lt=1, description="smoothing constant (torch calls it alpha)")
    epsilon: float = Field(1e-8, gt=0)
    momentum: float = Field(0.0, ge=0, lt=1)


Optimizer = Annotated[SGD | Adam | RMSprop, Field(discriminator="name")]


class Schedule(Strict):
    """The learning rate of every step, computed once as one array (isotune.schedules.learning_rates)."""

    name: Literal["constant", "cosine", "step"] = "constant"
    learning_rate: float = Field(gt=0, description="the peak")
    warmup_steps: int = Field(0, ge=0, description="linear, from learning_rate/warmup_steps; never a step at rate 0")
    per: Literal["step", "epoch"] = Field("step", description="how often the rate changes")
    milestones: tuple[int, ...] = Field((), description="step only: epochs (per = epoch) or steps after which it drops")
    gamma: float = Field(0.1, gt=0, description="step only: factor at each milestone")

    @model_validator(mode="after")
    def milestones_belong_to_step(self) -> Schedule:
        if (self.name == "step") != bool(self.milestones):
            raise ValueError("milestones are needed by name = 'step', and by no other schedule")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError("milestones must rise")
        if self.milestones and self.milestones[0] < 1:
            raise ValueError("milestones count from 1: the first epoch or step runs at the peak")
        if self.name != "step" and self.gamma != 0.1:
            raise ValueError("gamma belongs to name = 'step', and to no other schedule")
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
        "training", description="of trained layers: batch statistics, or the running ones (Keras: training=False)"
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
    axes = {"decode", "resize", "optional_tensors", *NETWORK_AXES} - {"batchnorm_momentum"}
    for stage in stages:
        optimizer = stage.optimizer
        axes |= {"head_initialisation", "loss", "hyperparameters"}
        if stage.batchnorm == "training":
            axes |= {"batchnorm_momentum", "batchnorm_running_variance"}
            axes |= {"frozen_batchnorm"} if stage.trained != "all" else set()
        axes |= {"momentum_form"} if getattr(optimizer, "momentum", 0) else set()
        axes |= {"weight_decay_form", "weight_decay_on"} if optimizer.weight_decay else set()
        axes |= {"adam_epsilon"} if isinstance(optimizer, Adam) else set()
        axes |= {"rmsprop_epsilon"} if isinstance(optimizer, RMSprop) else set()
        axes |= {"clipping"} if optimizer.clip_norm else set()
    return frozenset(axes)


class Probe(Strict):
    """Multinomial logistic regression on frozen features, by L-BFGS (scikit-learn), float64.

    The held-out part, drawn from the order seed and stratified, chooses the L2 strength; then the
    classifier is fitted again on everything when `refit`, else the held-out part stays unused.
    """

    l2: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        description="strengths to try: the objective is mean cross-entropy + l2/2 * |W|^2", min_length=1
    )
    held_out: float = Field(0.2, gt=0, lt=1)
    refit: bool = True
    standardise: bool = Field(False, description="features to variance 1 on the training part; they are always centred")
    max_iterations: int = Field(1000, gt=0)


class InputChange(Strict):
    """Fields of `Input` that a step does otherwise; None leaves the field."""

    resize: Literal["squash"] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic"] | None = None


class Step(Strict):
    """One step of preprocessing done as another library does it; the rest stays."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    input: InputChange = InputChange()
    conventions: dict[str, str] = Field(default_factory=dict, description="axes of the input: decode, resize, scaling")

    @model_validator(mode="after")
    def something_changes(self) -> Step:
        if self.input == InputChange() and not self.conventions:
            raise ValueError(f"step {self.name!r} changes nothing; give input or conventions")
        if stray := next((axis for axis in self.conventions if axis not in INPUT_AXES), None):
            raise ValueError(f"conventions.{stray} is not an axis of the input; {nearest(stray, INPUT_AXES)}")
        try:
            parse_conventions(self.spec("identical"))
        except UsageError as error:
            raise ValueError(str(error)) from None
        return self

    def spec(self, base: str) -> str:
        """`"identical,resize=plain"`: the conventions `base` with the step's."""
        return ",".join([base, *(f"{axis}={value}" for axis, value in self.conventions.items())])


class ZeroShot(Strict):
    """The checkpoint's own ImageNet classifier is evaluated; nothing is trained (isotune.zero_shot)."""

    input: Literal["published", "protocol"] = Field(
        "published", description="the evaluation that the checkpoint's number was published with, or the protocol's"
    )
    beside: tuple[Step, ...] = Field((), description="planned as cells of their own; a cell holds none")
    step: str = Field("", description="of a cell: the step whose input it has; empty: the evaluation itself")


class Evaluation(Strict):
    batch_size: int = Field(64, gt=0)
    margin: float | None = Field(
        None, gt=0, description="of verdicts against published numbers, percentage points; absent: a point or the"
        " published spread, whichever is larger, and half a unit of its last digit"
    )  # fmt: skip


class Protocol(Strict):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    source: str = Field(description="where the recipe comes from")
    deviations: tuple[str, ...] = Field((), description="in what it differs from its source")
    images: Images = Images()
    input: Input = Input()
    augmentation: Augmentation = Augmentation()
    probe: Probe | None = None
    stage: tuple[Stage, ...] = ()
    zero_shot: ZeroShot | None = None
    evaluation: Evaluation = Evaluation()
    conventions: dict[str, Any] = Field(default_factory=dict, description="recipe axes; the rest are torch's")

    @model_validator(mode="after")
    def one_kind(self) -> Protocol:
        if sum(map(bool, (self.probe, self.stage, self.zero_shot))) != 1:
            raise ValueError("give either [probe] or at least one [[stage]], or [zero_shot]")
        if self.zero_shot and (self.augmentation != Augmentation() or self.images.train is not None):
            raise ValueError("zero_shot trains nothing: it cannot have [augmentation] or images.train")
        if self.probe and self.augmentation != Augmentation():
            raise ValueError("a probe's features are computed once: it cannot have [augmentation]")
        return self

    @model_validator(mode="after")
    def conventions_are_recipe_axes(self) -> Protocol:
        recipe = [axis for axis in Conventions.model_fields if axis not in NETWORK_AXES]
        for axis in self.conventions:
            if axis not in recipe:
                raise ValueError(f"conventions.{axis} is not a recipe axis; {nearest(axis, recipe)}")
        try:
            Conventions.model_validate(self.conventions)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"conventions.{first['loc'][0]} = {first['input']!r}: {first['msg']}") from None
        return self

    @model_serializer(mode="wrap")
    def without_what_came_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `zero_shot` and `evaluation.margin` where there is none, so that the keys of earlier cells stay what
        they were."""
        values: dict[str, Any] = dump(self)
        if values.get("zero_shot") is None:
            values.pop("zero_shot", None)
        if "evaluation" in values and values["evaluation"].get("margin") is None:
            values["evaluation"].pop("margin", None)
        return values


def builtin() -> list[str]:
    """Names of the protocols that come with isotune."""
    folder = resources.files("isotune.protocols")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load(name_or_path: str) -> Protocol:
    """A protocol by its name, or from a TOML file (anything that ends in .toml or has a slash)."""
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        path = Path(name_or_path)
        try:
            return parse(path.read_text(encoding="utf-8"), str(path))
        except OSError as error:
            raise UsageError(f"protocol file {name_or_path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UsageError(f"protocol file {name_or_path}: not UTF-8 text") from None
    if name_or_path not in builtin():
        raise UsageError(f"protocol {name_or_path!r} is unknown; {nearest(name_or_path, builtin())}")
    file = f"{name_or_path}.toml"
    return parse(resources.files("isotune.protocols").joinpath(file).read_text(encoding="utf-8"), file)


def parse(text: str, where: str) -> Protocol:
    """A protocol from TOML text; errors are prefixed with `where`.

    Types are taken as written: "10" and true are no numbers.
    """
    try:
        values = tomllib.loads(text)
        # By way of JSON, pydantic's strict mode takes an array for a tuple and an integer for a float.
        found = Protocol.model_validate_json(json.dumps(values, default=str), strict=True)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: not TOML: {error}") from None
    except ValidationError as error:
        raise UsageError(f"{where}: {explain(error, Protocol)}") from None
    if found.zero_shot and found.zero_shot.input == "published" and "input" in values:
        raise UsageError(f'{where}: input: zero_shot.input = "published" finds it; leave one out')
    return found
