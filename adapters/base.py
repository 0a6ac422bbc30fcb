"""The interface that an adapter implements, and nothing else.

Arrays are NumPy. Images are uint8 [N, H, W, 3], RGB, already resized; input scaling is a convention and
belongs to the model. Canonical names and layouts are those of `isotune.weights`. Everything that is
random or that a library would decide for itself arrives from outside: batches, head weights, dropout
masks, the learning rate of each step.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, SupportsFloat

import numpy as np

from isotune.conventions import Conventions
from isotune.errors import MissingExtra, UsageError, nearest
from isotune.excerpts import Excerpt, NotWritten, OwnLines
from isotune.protocols import Layout, NumericMode, Optimizer, Stage
from isotune.weights import Layer, Limit, Weights

__all__ = [
    "INPUT",
    "IN_ORDER",
    "Adapter",
    "Array",
    "Ending",
    "Engine",
    "Layout",
    "LossScaling",
    "Model",
    "ModelInfo",
    "Names",
    "NumericMode",
    "Recipe",
    "Remedy",
    "Trainer",
]

Array = np.ndarray
IN_ORDER: Literal["in order"] = "in order"
Ending = Literal["", "softmax", "log-softmax", "sigmoid"]
Names = Mapping[str, str] | Literal["in order"] | None  # of a file's tensors, as `load_renamed` is told
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
    # False: gradients add up over the steps, as where nobody clears them. `trainer` may refuse that by a UsageError.
    cleared: bool = True
    rates: tuple[tuple[str, float], ...] = ()  # by what a trained layer's learning rate is multiplied; absent: 1
    parts: int = 1  # so many passes make a step, each of an equal part of its images: their gradients' mean


# Targets in the place of labels, with float32 images; `Recipe.parts`; `Recipe.rates`; `Model.branches`.
TECHNIQUES = frozenset({"mixed targets", "accumulated gradients", "rates of layers", "stochastic depth"})


@dataclass(frozen=True)
class LossScaling:
    """What became of a trainer's loss scale, in the numeric mode float16."""

    scale: float  # by which the next loss is multiplied
    skipped: int  # steps that changed nothing, since a gradient was not finite


@dataclass(frozen=True)
class Engine:
    """What computes a library's models, and what of an installation its results depend on."""

    # What must be installed, by the name that it is imported by, the library first: {"keras": "isotune[keras]"}. The
    # value is what pip installs to have it. Their versions go into every record; another one makes it stale.
    packages: Mapping[str, str]
    beside: tuple[str, ...] = ()  # packages whose versions matter too where `Adapter.environment` names them
    flags: tuple[str, ...] = ()  # environment variables that results depend on: ("XLA_FLAGS",)
    # Orders of a batch in memory that `Adapter.build` can be asked for, the one that a user gets by default first;
    # empty: it is asked for none, and records say none.
    layouts: tuple[Layout, ...] = ()


@dataclass(frozen=True)
class Remedy:
    """How to make a library do as a value of a convention axis says; at least one of the two is not empty."""

    code: str  # complete Python, imports included
    note: str  # what else to know, in plain sentences


class Adapter(ABC):
    """One library's pretrained image models.

    What is known of the library without starting it stands in the class: importing an adapter's module imports no
    framework, so that reports can say names and colours, and `isotune doctor` what is missing. Methods import it.
    """

    name: ClassVar[str]  # "timm", as in its entry point
    title: ClassVar[str] = ""  # as people write it, "Keras"; empty: as `name`
    colour: ClassVar[str] = ""  # in figures, "#009E73"; empty: one is picked by the name
    engines: ClassVar[Mapping[str, Engine]]  # what can compute, by the word after @, the default first
    suffixes: ClassVar[tuple[str, ...]] = ()  # of its checkpoint files: (".h5", ".keras")
    hosts: ClassVar[Mapping[str, str]] = {}  # what it downloads, and from where: {"Keras's weights": "HOST"}
    # Libraries in which counterparts of its architectures are looked for, in this order: `isotune parity --all` proves
    # every architecture of a library that names some. Architectures are the same where their names are.
    counterparts: ClassVar[tuple[str, ...]] = ()
    # Of architectures that have no counterpart: in what the nearest model elsewhere is another network
    unlike: ClassVar[Mapping[str, str]] = {}
    # What it rounds by itself in float64, and its adapter computes otherwise in that mode: (who, what, how instead)
    rounds: ClassVar[tuple[tuple[str, str, str], ...]] = ()

    engine: str  # the one of `engines` that computes here

    def __init__(self, engine: str | None = None) -> None:
        """UsageError: no such engine. MissingExtra: one of its packages is not installed."""
        engine = engine or next(iter(self.engines))
        if engine not in self.engines:
            raise UsageError(f"{self.name} has no engine {engine!r}; {nearest(engine, self.engines)}")
        for package, install in self.engines[engine].packages.items():
            if importlib.util.find_spec(package) is None:
                raise MissingExtra(package, install)
        self.engine = engine

    # -- what is known of the library's names and habits; what is here holds for most

    @classmethod
    def downloads(cls) -> Mapping[str, Path]:
        """The folders in which the library keeps what it downloads, by a word for each: `isotune cache` shows them."""
        return {}

    @classmethod
    def split_name(cls, name: str) -> tuple[str, str]:
        """A model's name as `models` lists it, and the checkpoint that the name picks: ("resnet50", "a1_in1k")."""
        return name, ""

    @classmethod
    def is_remote(cls, name: str) -> bool:
        """Whether the name is of a model that the library loads from elsewhere, and does not list."""
        return False

    @classmethod
    def representative(cls, models: Sequence[str]) -> str:
        """Of its models of one architecture the one that is proved against other libraries'."""
        return min(models)

    @classmethod
    def engine_for_proofs(cls, architecture: str) -> str | None:
        """The engine on which proofs of an architecture run where nobody names one; None: the default."""
        return None

    @classmethod
    def layout_on(cls, engine: str | None = None, asked: Layout | None = None) -> Layout | None:
        """The layout in which a model is computed, on the default engine or another: the one asked for, or the one that
        the library's user gets; None: nothing is known. UsageError: the library has no such layout there."""
        name = engine or next(iter(cls.engines))
        layouts = cls.engines[name].layouts if name in cls.engines else ()
        if asked is None:
            return layouts[0] if layouts else None
        if asked not in layouts:
            on = f" on {name}" if len(cls.engines) > 1 else ""
            has = f"it has {' and '.join(layouts)} only" if layouts else "leave it out"
            raise UsageError(f"{cls.name}{on} has no layout {asked!r}; {has}")
        return asked

    @classmethod
    def resized_side(cls, size: int, crop: float) -> int:
        """Pixels of the shorter side, of which the library's evaluation takes the central `size`, by its `crop`."""
        return round(size / crop)

    @classmethod
    def remedy(cls, axis: str, value: object) -> Remedy:
        """The lines to write in the library for `axis` = `value`; None and "own" are what it builds by itself."""
        given = "own" if value is None else value
        override = f"`--conventions native,{axis}={given}`"
        return Remedy("", f"No lines are known for {cls.title or cls.name}; isotune does it with {override}.")

    @classmethod
    def own_lines(cls, rung: str, axes: Mapping[str, Any], stage: Stage, engine: str | None = None) -> OwnLines:
        """What the library does by itself at a rung of the recipe (an optimizer's steps, a loss, a resized image), as
        lines of a script that has the arrays (`isotune.investigation.reproducing`).

        axes: what a side has of the axes that are the cause. engine: of several. NotWritten: no few lines do it, or
        the library does not do so by itself.
        """
        raise NotWritten(f"no lines are known for {cls.title or cls.name}")

    def settings_kept(self) -> AbstractContextManager[None]:
        """While inside, lines of a script may set what the library has once for a process, such as its default dtype;
        on leaving it is as it was."""
        return nullcontext()

    # -- its models

    @abstractmethod
    def models(self) -> Iterable[ModelInfo]:
        """Every classification model of the library."""

    @abstractmethod
    def native_conventions(self, name: str, options: Mapping[str, str] | None = None) -> Conventions:
        """What a user of the library gets for this model, by default and with these options. UsageError: no such
        model; options that cannot be are left for `build` to refuse."""

    def placeless(self, name: str, options: Mapping[str, str] | None = None) -> frozenset[str]:
        """The network axes of which every value gives the same network of this model, bit by bit, since nothing in it
        has them: set-ups that differ in these alone are run once. Empty where nothing is known."""
        return frozenset()

    def stated_conventions(self, name: str) -> Mapping[str, object]:
        """The network axes that the user's own file states of the model `name`: they are nobody's to replace."""
        return {}

    def class_names(self, name: str, checkpoint: str | None) -> Sequence[str]:
        """What the outputs of the model's own classifier are called, in their order; empty where nothing is known.

        checkpoint: the library's name of one, "pretrained" among them; None: weights from elsewhere, of which only the
        user's own network may know.
        """
        return ()

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
        layout: Layout | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Model:
        """One network, ready.

        classes: outputs of a new, zero classifier; None keeps the library's own, or makes one with as many outputs as
            canonical weights have in theirs.
        checkpoint: "pretrained" or a checkpoint's name in the library, loaded by the library's own
            function; canonical weights (with or without a head); None: the library's initial weights.
        compiled: torch.compile, or XLA in Keras.
        numeric_mode: UsageError for one that the library or the device lacks.
        layout: one of the engine's, or None for the first of them; not given where the engine declares none.
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

    def load_renamed(
        self,
        name: str,
        path: Path,
        *,
        names: Names = None,
        options: Mapping[str, str] | None = None,
        image_size: tuple[int, int] = (224, 224),
    ) -> Weights:
        """As `load_file`, of a file whose tensors are called otherwise than the model's (`weights.matching`).

        names: the file's -> the model's, of tensors or modules; IN_ORDER: each is what stands in its place; None: by
            what there is of evidence. `notes` of the result say what they were taken by.
        Errors: as of `load_file`; WeightsMismatch: it is not the model's tensors under any names; Undecided: nothing
        says which of several is which.
        """
        raise UsageError(f"{path}: the adapter {self.name!r} takes tensors by the names of its library alone")

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
        """Settings that results depend on: `engine`, `device`, `threads` and what else there is. The versions of
        `Engine.packages` are added to them (`isotune.workers.environment`)."""


class Model(ABC):
    """One network in one numeric mode under one set of conventions."""

    conventions: Conventions  # those it was built under, every axis
    # Network axes as the library, or the user's function, built the network, before conventions were realised; what is
    # not one value is left out.
    own_axes: Mapping[str, object] = MappingProxyType({})
    # What of that network is not in this one, each in a few words: "dropout 0.5 (drop)".
    left_out: tuple[str, ...] = ()
    # Of what is left out, the rates at which the network drops something at random in training; None: they are kept, or
    # not known.
    random: Mapping[str, tuple[float, ...]] | None = None
    # The operations that change only some values, by canonical names of layers; None: not known.
    limits: tuple[Limit, ...] | None = None
    # What its trainers can do of a recipe beside the first forms of it: `TECHNIQUES`.
    techniques: frozenset[str] = frozenset()
    # What the library's network makes of the classifier's outputs in the end; "": no probabilities; None: not known.
    ending: Ending | None = None
    # Whether that is still there, so that `logits` are what comes out of it.
    ended: bool = False

    @abstractmethod
    def layers(self) -> list[Layer]:
        """The layers that own tensors, in the order of execution, the head last."""

    def branches(self) -> tuple[str, ...]:
        """The residual branches that a step may leave out, in the order of execution, each by the last layer in it. One
        that cannot be told exactly is a UsageError: then none of the network's can be left out."""
        raise UsageError("stochastic depth: this model's adapter knows no residual branches")

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
        """[N, classes], in inference mode, before any softmax unless `ended`."""

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
            that each layer is seen on its own: what follows is computed from them, whatever their height and width.
            INPUT replaces `network_input`. A layer that reads what cannot be handed on is left out (`handing_on`).
        """

    def excerpt(self, layer: str, images: Array, *, channels: int | None = None, training: bool = False) -> Excerpt:
        """The operations from the layers before `layer` on to what it gives in `activations`, as lines of a script.

        images: any, to see a pass with. channels: as many as that in every map and every tensor, instead of the
        layer's own. NotWritten: no few lines do it.
        """
        raise NotWritten("its adapter writes no lines of layers")

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

    def device_clocks(self) -> dict[str, float]:
        """What an accelerator says of its clocks (MHz) and temperature (Celsius) now; empty on the CPU."""
        return {}

    @abstractmethod
    def device_memory(self) -> int | None:
        """Peak bytes allocated on an accelerator since the model was built; None on the CPU."""


class Trainer(ABC):
    """One optimizer on one model."""

    @abstractmethod
    def step(
        self,
        images: Array,
        labels: Array,
        learning_rate: float,
        feature_mask: Array | None = None,
        branch_masks: Array | None = None,
    ) -> SupportsFloat:
        """One step of training; the mean loss before it, which may still be under way on the device.

        images: [N, H, W, 3] in 0..255, uint8, or float32 where pixels are mixed. labels: int64 [N], or targets, float64
        [N, classes] whose rows sum to 1. feature_mask: [N, D] multiplied into the features (dropout, already scaled).
        branch_masks: [N, B] multiplied into what each of `Model.branches` adds to its shortcut; given with "stochastic
        depth" alone.
        """

    @abstractmethod
    def state(self) -> dict[str, Array]:
        """Optimizer slots as `LAYER.SLOT/slot` (momentum, mean, square; named as in the literature:
        "velocity", "first_moment", "second_moment") and BatchNorm buffers as `LAYER.mean`, `LAYER.variance`."""

    @abstractmethod
    def snapshot(self) -> dict[str, Array]:
        """All that later steps depend on, in its own dtype and under names of the adapter's own: every tensor of the
        network, frozen ones and counters among its buffers too, the optimizer's slots and counts, the loss scale, a
        generator's state. The arrays may be views: they hold until the next step."""

    @abstractmethod
    def restore(self, snapshot: Mapping[str, Array]) -> None:
        """Take up the `snapshot` of another process's trainer: of the same recipe, on a model built alike. The steps
        that follow are those that would have followed there, to the bit.

        Errors: UsageError for one that does not fit; nothing is changed then.
        """

    def loss_scaling(self) -> LossScaling | None:
        """How the loss was scaled so far; None in modes that do without."""
        return None
