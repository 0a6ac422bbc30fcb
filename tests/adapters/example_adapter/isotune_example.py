"""An isotune adapter in plain NumPy: a library with one model, two dense layers on a coarse image.

    image -> input scaling -> means over an 8 x 8 grid of cells [N, 192] -> 000.dense -> ReLU -> head

Two engines compute the products: `numpy` as matrices, `einsum` term by term; a proof holds one against the other.
It refuses what it cannot do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from isotune.adapters.base import INPUT, Adapter, Array, Engine, Model, ModelInfo, NumericMode, Recipe, Remedy, Trainer
from isotune.conventions import NETWORK_AXES, Conventions, affine
from isotune.errors import UsageError, nearest
from isotune.protocols import SGD, Adam
from isotune.weights import HEAD, Layer, Weights, check_fit, random_weights

GRID = 8
WIDTH = 256  # units of the hidden layer, unless the option `width` says otherwise
CHECKPOINT = "drawn"  # the library's one checkpoint: a draw from a fixed seed


class ExampleAdapter(Adapter):
    name = "example"
    title = "Example"
    colour = "#7F5AA8"
    engines: ClassVar = {
        "numpy": Engine(packages={"numpy": "isotune-example"}, flags=("OPENBLAS_CORETYPE",)),
        "einsum": Engine(packages={"numpy": "isotune-example"}),
    }
    hosts: ClassVar = {"Example's weights": "example.invalid"}

    @classmethod
    def split_name(cls, name: str) -> tuple[str, str]:
        """A checkpoint may be written behind a plus sign: "random-features+drawn"."""
        model, _, checkpoint = name.partition("+")
        return model, checkpoint

    @classmethod
    def remedy(cls, axis: str, value: object) -> Remedy:
        if axis == "head_initialisation" and value == "zeros":
            return Remedy("", "Example's head starts at zero by itself.")
        if axis == "batchnorm_epsilon":
            return Remedy("", "Example has no BatchNorm.")
        return Remedy(f"model.conventions.{axis} = {value!r}\n", "Before the first step.")

    def models(self) -> Iterable[ModelInfo]:
        return [ModelInfo("random-features", "random_features", (CHECKPOINT,), size=64)]

    def native_conventions(self, name: str, options: Mapping[str, str] | None = None) -> Conventions:
        model, given = self.split_name(name)
        _check(model, [info.name for info in self.models()], "model")
        if given:
            _check(given, [CHECKPOINT], "checkpoint")
        return Conventions(input_scaling="unit", head_initialisation="zeros")

    def placeless(self, name: str, options: Mapping[str, str] | None = None) -> frozenset[str]:
        return frozenset(NETWORK_AXES) - {"input_scaling"}

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
    ) -> ExampleModel:
        self.native_conventions(name)  # refuses an unknown name
        width = _width(options or {})
        if compiled or numeric_mode not in ("float32", "float64"):
            raise UsageError("example runs in float32 and float64, not compiled")
        if conventions.loss != "logits":
            raise UsageError(f"example computes the loss from logits only, not loss={conventions.loss}")
        if min(image_size) < GRID:
            raise UsageError(f"example needs images of at least {GRID} x {GRID} pixels, not {image_size}")
        own = checkpoint.outputs if isinstance(checkpoint, Weights) else None
        model = ExampleModel(width, classes or own or 1000, conventions, np.dtype(numeric_mode), self.engine)
        if isinstance(checkpoint, Weights):
            with_head = f"{HEAD}.kernel" in checkpoint
            layout = {key: array.shape for key, array in model.tensors.items() if with_head or HEAD not in key}
            check_fit(checkpoint, layout, name)
            model.load(checkpoint)
        elif checkpoint is not None:
            _check(checkpoint, ["pretrained", CHECKPOINT], "checkpoint")
        return model

    def load_file(
        self,
        name: str,
        path: Path,
        *,
        options: Mapping[str, str] | None = None,
        image_size: tuple[int, int] = (224, 224),
    ) -> Weights:
        raise UsageError(f"{path}: example has no file format of its own; give isotune's safetensors")

    def environment(self) -> dict[str, str]:
        return {"engine": self.engine, "device": "cpu"}


class ExampleModel(Model):
    def __init__(
        self, width: int, classes: int, conventions: Conventions, dtype: np.dtype[Any], engine: str = "numpy"
    ) -> None:
        self.conventions, self.dtype = conventions, dtype
        self._product = np.matmul if engine == "numpy" else partial(np.einsum, "ij,jk")
        layout = {"000.dense.kernel": (GRID * GRID * 3, width), "000.dense.bias": (width,)}
        self.tensors = {key: array.astype(dtype) for key, array in random_weights(layout, 0).items()}
        self.tensors |= {"head.kernel": np.zeros((width, classes), dtype), "head.bias": np.zeros(classes, dtype)}

    def layers(self) -> list[Layer]:
        return [Layer("000.dense", "dense", 0, "hidden"), Layer(HEAD, "dense", -1, "output")]

    def weights(self) -> Weights:
        return Weights({key: array.copy() for key, array in self.tensors.items()}, architecture="random_features")

    def load(self, weights: Mapping[str, Array]) -> None:
        for key, array in weights.items():
            _check(key, list(self.tensors), "tensor")
            check_fit({key: array}, {key: self.tensors[key].shape}, "load")
            self.tensors[key] = array.astype(self.dtype)

    def features(self, images: Array) -> Array:
        return np.maximum(self._hidden(self._cells(images)), 0)

    def logits(self, images: Array) -> Array:
        return self._output(self.features(images))

    def network_input(self, images: Array) -> Array:
        return self._cells(images).reshape(len(images), GRID, GRID, 3)

    def activations(
        self, images: Array, *, training: bool = False, replaced: Mapping[str, Array] | None = None
    ) -> Iterator[tuple[str, Array]]:
        given = replaced or {}
        hidden = self._hidden(given[INPUT].reshape(len(images), -1) if INPUT in given else self._cells(images))
        yield "000.dense", hidden
        yield HEAD, self._output(np.maximum(given.get("000.dense", hidden), 0))

    def gradients(
        self, images: Array, labels: Array, label_smoothing: float = 0.0, feature_mask: Array | None = None
    ) -> dict[str, Array]:
        cells = self._cells(images)
        hidden = self._hidden(cells)
        mask = 1 if feature_mask is None else feature_mask
        features = np.maximum(hidden, 0) * mask
        logits = self._output(features)
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        target = np.full_like(log_p, label_smoothing / log_p.shape[1])
        target[np.arange(len(labels)), labels] += 1 - label_smoothing
        d_logits = (np.exp(log_p) - target) / len(labels)
        d_hidden = self._product(d_logits, self.tensors["head.kernel"].T) * mask * (hidden > 0)
        return {
            "loss": np.asarray(-(target * log_p).sum(axis=1).mean()),
            "000.dense.kernel": self._product(cells.T, d_hidden),
            "000.dense.bias": d_hidden.sum(axis=0),
            "head.kernel": self._product(features.T, d_logits),
            "head.bias": d_logits.sum(axis=0),
        }

    def trainer(self, recipe: Recipe) -> ExampleTrainer:
        return ExampleTrainer(self, recipe)

    def synchronize(self) -> None:
        """NumPy has done what it was asked when the call returns."""

    def device_memory(self) -> int | None:
        return None

    def _cells(self, images: Array) -> Array:
        """Scaled means over the grid, [N, 192]. Pixels beyond a multiple of 8 are left out."""
        bgr, scale, offset = affine(self.conventions.input_scaling)
        side = [length // GRID * GRID for length in images.shape[1:3]]
        cut = images[:, : side[0], : side[1], :: -1 if bgr else 1].astype(self.dtype)
        grid = cut.reshape(len(cut), GRID, side[0] // GRID, GRID, side[1] // GRID, 3).mean(axis=(2, 4))
        return (grid * scale + offset).astype(self.dtype).reshape(len(grid), -1)

    def _hidden(self, cells: Array) -> Array:
        return self._product(cells, self.tensors["000.dense.kernel"]) + self.tensors["000.dense.bias"]

    def _output(self, features: Array) -> Array:
        return self._product(features, self.tensors["head.kernel"]) + self.tensors["head.bias"]


class ExampleTrainer(Trainer):
    """SGD, Adam, AdamW and RMSprop under every convention that bears on them."""

    def __init__(self, model: ExampleModel, recipe: Recipe) -> None:
        self.model, self.recipe, self.spec = model, recipe, recipe.optimizer
        self.axes = recipe.conventions or model.conventions
        self.trained = [key for key in model.tensors if key.rpartition(".")[0] in recipe.trained]
        self.slots: dict[str, dict[str, Array]] = {key: {} for key in self.trained}
        self.steps = 0

    def step(self, images: Array, labels: Array, learning_rate: float, feature_mask: Array | None = None) -> float:
        model, axes, spec = self.model, self.axes, self.spec
        gradients = model.gradients(images, labels, self.recipe.label_smoothing, feature_mask)
        loss = gradients.pop("loss")
        norms = {key: np.linalg.norm(gradients[key]) for key in self.trained}
        whole = np.linalg.norm(list(norms.values()))
        decay, self.steps = self._held(spec.weight_decay), self.steps + 1
        for key in self.trained:
            weight, gradient = model.tensors[key], gradients[key]
            if spec.clip_norm is not None:
                norm = whole if axes.clipping == "global-norm" else norms[key]
                gradient = gradient * min(1.0, spec.clip_norm / max(norm, 1e-30))
            rate_decay = decay if axes.weight_decay_on == "all" or key.endswith("kernel") else 0.0
            if axes.weight_decay_form == "coupled" and spec.name != "adamw":
                gradient = gradient + rate_decay * weight
            else:
                weight = weight - learning_rate * rate_decay * weight
            model.tensors[key] = (weight - self._change(key, gradient, learning_rate)).astype(model.dtype)
        return float(loss)

    def _change(self, key: str, gradient: Array, rate: float) -> Array:
        """What the optimizer takes off a tensor."""
        spec, axes = self.spec, self.axes
        if isinstance(spec, SGD):
            return self._velocity(key, gradient, rate, spec.momentum, spec.nesterov)
        if isinstance(spec, Adam):
            beta1, beta2 = self._held(spec.beta1), self._held(spec.beta2)
            first = self._slot(key, "first_moment", beta1, (1 - beta1) * gradient)
            root = np.sqrt(self._slot(key, "second_moment", beta2, (1 - beta2) * gradient**2))
            first_correction, root_correction = 1 - beta1**self.steps, np.sqrt(1 - beta2**self.steps)
            if axes.adam_epsilon == "after-correction":
                return rate * first / first_correction / (root / root_correction + spec.epsilon)
            return rate * root_correction / first_correction * first / (root + spec.epsilon)
        rho = self._held(spec.rho)
        square = self._slot(key, "second_moment", rho, (1 - rho) * gradient**2)
        inside = axes.rmsprop_epsilon == "inside-root"
        step = gradient / (np.sqrt(square + spec.epsilon) if inside else np.sqrt(square) + spec.epsilon)
        return self._velocity(key, step, rate, spec.momentum)

    def _velocity(self, key: str, step: Array, rate: float, momentum: float, nesterov: bool = False) -> Array:
        if not momentum:
            return rate * step
        held = self._held(momentum)
        if self.axes.momentum_form == "rate-inside":
            velocity = self._slot(key, "velocity", held, rate * step)
            return held * velocity + rate * step if nesterov else velocity
        velocity = self._slot(key, "velocity", held, step)
        return rate * (held * velocity + step if nesterov else velocity)

    def _slot(self, key: str, slot: str, share: float, new: Array) -> Array:
        """A slot, moved on: its old value keeps a share."""
        slots = self.slots[key]
        slots[slot] = share * slots.get(slot, np.zeros_like(new)) + new
        return slots[slot]

    def _held(self, value: float) -> float:
        """A hyper-parameter, in the precision that it is held in."""
        return float(np.dtype(self.axes.hyperparameters).type(value))

    def state(self) -> dict[str, Array]:
        return {f"{key}/{slot}": array.copy() for key, slots in self.slots.items() for slot, array in slots.items()}

    def snapshot(self) -> dict[str, Array]:
        return {**self.model.tensors, **self.state(), "steps": np.array(self.steps)}

    def restore(self, snapshot: Mapping[str, Array]) -> None:
        kept = dict(snapshot)
        if not {"steps", *self.model.tensors} <= set(kept):
            raise UsageError("tensors are missing")
        self.steps = int(kept.pop("steps"))
        for name, array in kept.items():
            key, _, slot = name.partition("/")
            (self.slots[key] if slot else self.model.tensors)[slot or key] = array


def _width(options: Mapping[str, str]) -> int:
    for key in options:
        _check(key, ["width"], "option")
    text = options.get("width", str(WIDTH))
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"option width={text}: must be a whole number from 1")
    return int(text)


def _check(word: str, valid: list[str], what: str) -> None:
    if word not in valid:
        raise UsageError(f"example has no {what} {word!r}; {nearest(word, valid)}")
