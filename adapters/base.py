"""The interface that an adapter implements, and nothing else.

Arrays are NumPy. Images are uint8 [N, H, W, 3], RGB, already resized; input scaling is a convention and
belongs to the model. Canonical names and layouts are those of `isotune.weights`. Everything that is
random or that a library would decide for itself arrives from outside: batches, head weights, dropout
masks, the learning rate of each step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, SupportsFloat

import numpy as np

from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.protocols import Optimizer
from isotune.weights import Layer, Weights

Array = np.ndarray
NumericMode = Literal["float32", "bfloat16", "float64"]
INPUT = "input"  # what `Model.network_input` gives, among activations


@dataclass(frozen=True)
class ModelInfo:
    """What a library says of one of its models, without building it."""

    name: str  # the library's name
    architecture: str  # what models of several libraries have in common: "mobilenet_v2"
    checkpoints: tuple[str, ...]  # the library's names of its checkpoints, the default first; may be none
    top1: Mapping[str, float] = field(default_factory=dict)  # checkpoint -> ImageNet top-1 in percent, as published
    parameters: int | None = None  # with the ImageNet classifier
    size: int | None = None  # the input that the default checkpoint was evaluated at, pixels


@dataclass(frozen=True)
class Recipe:
    """What a trainer must know beyond the batches: `Stage` of a protocol, resolved."""

    optimizer: Optimizer
    trained: frozenset[str]  # names of the layers that are not frozen (isotune.weights.select_trained)
    label_smoothing: float = 0.0
    batchnorm: Literal["training", "inference"] = "training"  # of trained layers; frozen ones have a convention
    conventions: Conventions | None = None  # the optimizer's axes are these; None: the model's


class Adapter(ABC):
    """One library's pretrained image models."""

    name: ClassVar[str]  # "timm"
    engines: ClassVar[tuple[str, ...]]  # what can compute: ("tensorflow", "jax", "torch"), the default first
    engine: str  # the one of them that computes here; __init__ takes `engine=` when there are several

    @abstractmethod
    def models(self) -> Iterable[ModelInfo]:
        """Every classification model of the library."""

    @abstractmethod
    def native_conventions(self, name: str) -> Conventions:
        """What a user of the library gets by default for this model. UsageError: no such model."""

    @abstractmethod
    def build(
        self,
        name: str,
        *,
        classes: int | None,
        checkpoint: str | Weights | None,
        conventions: Conventions,
        numeric_mode: NumericMode = "float32",
        image_size: tuple[int, int] = (224, 224),
        compiled: bool = False,
        options: Mapping[str, str] | None = None,
    ) -> Model:
        """One network, ready.

        classes: outputs of a new, zero classifier; None keeps the library's own.
        checkpoint: "pretrained" or a checkpoint's name in the library, loaded by the library's own
            function; canonical weights (with or without a head); None: the library's initial weights.
        compiled: torch.compile, or XLA in Keras.
        options: the library's own arguments, as given in `adapter:name:option=value`.
        Errors: UsageError for a name, option or checkpoint that does not exist or fit; NotCached when it
        must be downloaded and cannot be.
        """

    @abstractmethod
    def load_file(
        self,
        name: str,
        path: Path,
        *,
        options: Mapping[str, str] | None = None,
        image_size: tuple[int, int] = (224, 224),
    ) -> Weights:
        """Canonical weights of one of the library's own checkpoint files for the model `name`.

        `conventions` of the result are those that the file names (`save_file`), else the model's native network axes.
        Nothing in the file is executed.
        Errors: UsageError for a file that is cut off, holds more than plain tensors, or does not fit (the
        first layer that differs, and both shapes).
        """

    def save_file(
        self,
        name: str,
        weights: Weights,
        path: Path,
        *,
        options: Mapping[str, str] | None = None,
        image_size: tuple[int, int] = (224, 224),
    ) -> None:
        """Write canonical weights as one of the library's own checkpoint files, for the model `name` as the library
        builds it; what the library's network lacks is folded into its neighbours (`weights.folding`). The conventions
        go along where the format has a place for them, and `load_file` takes them up.

        Errors: UsageError for weights that do not fit, or a suffix that is none of the library's.
        """
        raise UsageError(
            f"the adapter {self.name!r} writes no files; leave out the second model for the canonical form"
        )

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Versions and settings that results depend on: library, engine, device, threads, flags."""


class Model(ABC):
    """One network in one numeric mode under one set of conventions."""

    @abstractmethod
    def layers(self) -> list[Layer]:
        """The layers that own tensors, in the order of execution, the head last."""

    @abstractmethod
    def weights(self) -> Weights:
        """All tensors in canonical form, float32 (float64 in that mode)."""

    def portable(self) -> Weights:
        """`weights`, for other libraries: without tensors of a scaling inside the network, which is a convention."""
        return self.weights()

    @abstractmethod
    def load(self, weights: Mapping[str, Array]) -> None:
        """Set the tensors named; others stay. UsageError: an unknown name, a wrong shape."""

    @abstractmethod
    def features(self, images: Array) -> Array:
        """What the classifier receives, [N, D], in inference mode."""

    @abstractmethod
    def logits(self, images: Array) -> Array:
        """[N, classes], in inference mode, before any softmax."""

    @abstractmethod
    def network_input(self, images: Array) -> Array:
        """The images as scaled, [N, H, W, 3]: what the network proper gets, after a scaling inside of it too."""

    @abstractmethod
    def activations(
        self, images: Array, *, training: bool = False, replaced: Mapping[str, Array] | None = None
    ) -> Iterator[tuple[str, Array]]:
        """Output of every layer of `layers()` by canonical name, NHWC; of a layer with an activation of its own, what
        it is before.

        training: as in a step of training, all layers trained; the model is left as it was.
        replaced: arrays by layer, as given here, that take the place of what the layer gives once that is kept, so
            that each layer is seen on its own: what follows is computed from them. INPUT replaces `network_input`.
            An array of another size replaces nothing.
        """

    @abstractmethod
    def gradients(self, images: Array, labels: Array, label_smoothing: float = 0.0) -> dict[str, Array]:
        """Gradient of the mean loss by canonical name, in training mode, for every trainable tensor;
        the loss itself under "loss". The model is left as it was, BatchNorm buffers included."""

    @abstractmethod
    def trainer(self, recipe: Recipe) -> Trainer:
        """A fresh optimizer on this model; freezes what the recipe does not train."""

    @abstractmethod
    def synchronize(self) -> None:
        """Return when the device has done all that was asked of it."""

    @abstractmethod
    def device_memory(self) -> int | None:
        """Peak bytes allocated on an accelerator since the model was built; None on the CPU."""


class Trainer(ABC):
    """One optimizer on one model."""

    @abstractmethod
    def step(
        self, images: Array, labels: Array, learning_rate: float, feature_mask: Array | None = None
    ) -> SupportsFloat:
        """One step of training; the mean loss before it, which may still be under way on the device.

        labels: int64 [N]. feature_mask: [N, D] multiplied into the features (dropout, already scaled).
        """

    @abstractmethod
    def state(self) -> dict[str, Array]:
        """Optimizer slots as `LAYER.SLOT/slot` (momentum, mean, square; named as in the literature:
        "velocity", "first_moment", "second_moment") and BatchNorm buffers as `LAYER.mean`, `LAYER.variance`."""
