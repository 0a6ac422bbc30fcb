"""What a recording's JSON files hold."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

VERSION: Literal[1] = 1
ABOUT, STEPS, STATISTICS, STEP = "recording.json", "steps.json", "statistics.jsonl", "step.json"


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class TensorEntry(_Kept):
    """A tensor of the network: a weight, or a running statistic of BatchNorm."""

    name: str = Field(description="canonical: 007.norm.scale")
    own: str = Field(description="what the framework calls it: features.0.1.weight")
    kind: str = Field(description="of its layer: conv, dense, norm, scale, other")
    shape: tuple[int, ...] = Field(description="canonical")
    dtype: str = Field("float32", description="in the framework")
    buffer: bool = False
    trained: bool = Field(True, description="whether a gradient is asked for, and the optimizer has it")
    block: int = -1

    @property
    def layer(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def slot(self) -> str:
        return self.name.rpartition(".")[2]


class Optimizer(_Kept):
    """What an optimizer says of itself, in the words of protocols and conventions."""

    own: str = Field(description="its class")
    family: Literal["sgd", "adam", "rmsprop", "unknown"] = "unknown"
    forms: dict[str, Any] = Field({}, description="axes whose values its class is known for")
    groups: tuple[dict[str, Any], ...] = Field(
        description="learning_rate, momentum, dampening, nesterov, weight_decay, beta1, beta2, rho, epsilon, clip_norm"
    )
    members: dict[str, int] = Field({}, description="tensor -> its group")
    steps_taken: int = Field(0, description="before this one")

    def of(self, tensor: str) -> dict[str, Any]:
        """The hyper-parameters of a tensor."""
        return self.groups[self.members.get(tensor, 0)]


class Batch(_Kept):
    """Fingerprint of what entered the network in one pass (`isotune.recordings._fingerprints`)."""

    shape: tuple[int, ...]
    mean: float
    deviation: float
    smallest: float
    largest: float
    images: tuple[tuple[float, ...], ...] = Field(description="of each: mean, deviation, values at set places")
    digests: tuple[str, ...]


class Pass(_Kept):
    """One forward pass; several before one step are accumulation."""

    batch: Batch | None = None
    labels: tuple[int, ...] | None = None
    loss: float | None = None


class Norm(_Kept):
    """What one BatchNorm did in a step."""

    training: bool = Field(description="whether it used the batch's statistics")
    frozen: bool = Field(description="whether its scale and shift get no gradient")
    momentum: float | None = Field(description="of new = (1 - momentum) * old + momentum * batch; None: cumulative")
    epsilon: float


class Draw(_Kept):
    """A layer that draws at random in training, as it was called in a step."""

    kind: Literal["dropout", "stochastic depth", "other"]
    own: str = Field(description="its class")
    rate: float | None = Field(None, description="what it drops, 0..1; None: it drops nothing")
    per: Literal["value", "map", "image", "batch", ""] = Field("", description="what one draw is for")
    scaled: bool = Field(True, description="whether what is kept is divided by the share that is kept")
    head: bool = Field(False, description="whether nothing with weights but the classifier comes after it")


class StepEntry(_Kept):
    """`step.json`."""

    step: int
    optimizer: Optimizer
    passes: tuple[Pass, ...] = ()
    raw: dict[str, tuple[float, float]] = Field(
        {}, description="tensor -> norm and largest value of its gradient as it was computed, before clipping"
    )
    norms: dict[str, Norm] = {}
    draws: dict[str, Draw] | None = Field(None, description="those in training mode, by name; None: not looked at")
    random: dict[str, dict[str, str]] = Field({}, description="moment -> generator -> digest of its state")
    eager: bool = Field(False, description="whether this step ran eagerly where others are compiled")
    files: tuple[str, ...] = ()


class About(_Kept):
    """`recording.json`."""

    version: Literal[1] = VERSION
    isotune: str
    framework: str
    network: str = Field(description="the class of the model")
    steps_per_epoch: int | None = None
    steps: tuple[int, ...] = Field(description="asked for in full")
    statistics: int = Field(description="every so many steps; 0: none")
    configuration: dict[str, Any] = Field(description="versions, flags, seeds, optimizer, layers that matter")
    tensors: tuple[TensorEntry, ...]
    order: Literal["execution", "registration"] = "execution"


class EveryStep(_Kept):
    """`steps.json`: (first step, value), where the value changed."""

    steps: int = Field(description="taken while it was watched")
    rates: tuple[tuple[int, float], ...] = Field((), description="of the optimizer's first group")
    images: tuple[tuple[int, int], ...] = Field((), description="of one step, all passes together")
    passes: tuple[tuple[int, int], ...] = ()
    complete: bool = Field(True, description="false: they changed too often to be kept to the end")
