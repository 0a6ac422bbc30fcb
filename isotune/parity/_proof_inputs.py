"""What both models of a proof get: one checkpoint, the same images, and the same cases of optimizers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from isotune.comparison.batch import Batch
from isotune.conventions import Conventions
from isotune.protocols import SGD, Adam, Optimizer, RMSprop
from isotune.weights import Layer

Array = np.ndarray
CLASSES = 10
SMOOTHING = 0.1
STEPS = 10
WHOLE_BELOW = 30_000_000  # parameters: below, every rung; above, one step of one optimizer
LONGEST = "nesterov"  # the optimizer's case that is tried where not all are, with a rate that changes and clipping


class ProofInputs(BaseModel):
    """What both sides get. Everything random is drawn from the seed, in NumPy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str  # path of canonical weights, which carry the axes of the network
    recipe: dict[str, Any] = {}  # the other axes, but for those that an optimizer case has its own value of
    size: tuple[int, int]  # height and width, pixels
    batch: int
    seed: int
    numeric_mode: Literal["float64", "float32"] = "float64"

    def images(self) -> Array:
        """uint8 [batch, height, width, 3]."""
        stream = np.random.default_rng([self.seed, 1])
        return stream.integers(0, 256, (self.batch, *self.size, 3), dtype=np.uint8)

    def labels(self) -> Array:
        return np.random.default_rng([self.seed, 2]).integers(0, CLASSES, self.batch)

    def arranged(self, *, permuted: bool) -> Batch:
        """Images and labels, as drawn or in reverse."""
        return Batch.of(self.images(), self.labels(), permuted=permuted)

    def apart(self) -> Batch:
        """In reverse, without the first image."""
        return Batch.of(self.images(), self.labels(), apart=True)


class OptimizerCase(BaseModel):
    """An optimizer with the forms that it is tried in, and its learning rates.

    The rates are small: under larger ones a network with BatchNorm over few values amplifies rounding step by step, and
    ten steps would prove little. Between them the cases have both forms of every axis of the optimizers: weight decay
    in the gradient and beside it, on all tensors and on kernels, clipping of all gradients and of each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    optimizer: Optimizer
    form: dict[str, str] = {}
    frozen: bool = False  # the first half of the layers
    rates: tuple[float, ...]

    def trained(self, layers: Sequence[Layer]) -> frozenset[str]:
        """Names of the layers that the case trains."""
        return frozenset(layer.name for layer in layers[len(layers) // 2 if self.frozen else 0 :])

    def conventions(self, axes: Conventions) -> Conventions:
        return Conventions.model_validate(axes.model_dump() | self.form)


def _falling(rate: float) -> tuple[float, ...]:
    return tuple(rate * (1 - step / (2 * STEPS)) for step in range(STEPS))


OPTIMIZER_CASES = (
    OptimizerCase(
        name="sgd",
        title="SGD, momentum, coupled decay",
        optimizer=SGD(name="sgd", momentum=0.9, weight_decay=1e-3),
        rates=(1e-4,) * STEPS,
    ),
    OptimizerCase(
        name="nesterov",
        title="SGD, Nesterov, rate changing at every step, decoupled decay, clipped together",
        optimizer=SGD(name="sgd", momentum=0.9, nesterov=True, weight_decay=1e-3, clip_norm=1.0),
        form={"weight_decay_form": "decoupled"},
        rates=_falling(2e-3),
    ),
    OptimizerCase(
        name="adam",
        title="Adam, coupled decay, each gradient clipped",
        optimizer=Adam(name="adam", weight_decay=1e-3, clip_norm=0.1),
        form={"clipping": "per-variable"},
        rates=(1e-5,) * STEPS,
    ),
    OptimizerCase(
        name="adamw",
        title="AdamW, rate changing at every step, decay on kernels",
        optimizer=Adam(name="adamw", weight_decay=1e-2),
        form={"weight_decay_on": "kernels"},
        rates=_falling(1e-5),
    ),
    OptimizerCase(
        name="rmsprop",
        title="RMSprop, momentum, coupled decay, the first half of the layers frozen",
        frozen=True,
        optimizer=RMSprop(name="rmsprop", rho=0.9, momentum=0.9, epsilon=1e-3, weight_decay=1e-3),
        rates=(1e-4,) * STEPS,
    ),
)

ALONE = ("alone, left", "alone, right")  # rungs of inference: each layer of a side, with fewer images in another order

# What is recorded at once, and the rungs of the table that it fills.
STAGES: dict[str, tuple[str, ...]] = {
    "inference": ("features", "layers"),
    "gradients": ("loss", "smoothed loss", "gradients"),
    **{
        case.name: tuple(f"{case.name} {rung}" for rung in ("1 step", "10 steps", "buffers", "slots", "logits"))
        for case in OPTIMIZER_CASES
    },
}


def stages(parameters: int, *, one_code: bool = False) -> Iterator[tuple[str, int]]:
    """(stage, steps) for a network of so many parameters.

    one_code: the same lines train both sides. Then what an optimizer makes of a gradient and its slots, step after
    step, is no question of the network; which tensors it is given and with what is, and one step shows it. Several
    steps of the network are taken with one optimizer.
    """
    whole = parameters < WHOLE_BELOW
    yield from (("inference", 0), ("gradients", 0))
    for case in OPTIMIZER_CASES:
        if whole or case.name == LONGEST:
            yield case.name, STEPS if whole and (case.name == LONGEST or not one_code) else 1
