"""`KerasModel`: the adapter's interface over a `Network` and an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Protocol, SupportsFloat

import keras
import numpy as np

from isotune.adapters._keras.axes import norms
from isotune.adapters._keras.axes.input import own_scaling, scaling_layers, settle_scaling
from isotune.adapters._keras.axes.loss import Loss
from isotune.adapters._keras.axes.optimizers import make_optimizer, reset
from isotune.adapters._keras.layers import SCALING, Part, Tensor, flatten, is_buffer, layer_names, tensors
from isotune.adapters._keras.network import Network
from isotune.adapters._keras.numeric import numeric
from isotune.adapters._keras.trainer import KerasTrainer
from isotune.adapters.base import INPUT, TECHNIQUES, Array, Model, NumericMode, Recipe, Trainer
from isotune.adapters.handing_on import Pass, shown
from isotune.conventions import Conventions
from isotune.errors import UsageError, nearest
from isotune.excerpts import Excerpt
from isotune.weights import HEAD, Layer, Weights


class Engine(Protocol):
    """What computes: TensorFlow, JAX or PyTorch. Arrays are NumPy's; `loss` is called with logits and labels."""

    def infer(self, images: Array) -> tuple[Array, Array]:
        """(features, logits) in inference mode."""

    def make_gradients(self, loss: Loss) -> Callable[[Array, Array], tuple[SupportsFloat, list[Any]]]:
        """gradients(images, labels): loss in training mode, and its gradients by the variables trainable now."""

    def make_step(
        self, optimizer: Any, loss: Loss, training: bool, parts: int
    ) -> Callable[[Array, Array, float, Array | None, Array | None], SupportsFloat]:
        """step(images, labels, learning rate, feature mask, branch masks) for what is trainable now; training: whether
        BatchNorm uses and tracks batch statistics; parts: as in `Recipe`."""

    def synchronize(self) -> None: ...

    def device_memory(self) -> int | None: ...


class KerasModel(Model):
    """One network of keras.applications with a head of its own."""

    techniques = TECHNIQUES

    def __init__(
        self,
        network: Network,
        parts: list[Part],
        engine: Engine,
        *,
        size: tuple[int, int],
        conventions: Conventions,
        network_axes: Mapping[str, Any],
        numeric_mode: NumericMode,
        architecture: str,
        origin: str,
    ) -> None:
        self.network, self.engine, self.conventions = network, engine, conventions
        self._parts, self._size, self._mode = parts, size, numeric_mode
        self._axes, self._architecture, self._origin = dict(network_axes), architecture, origin
        self._dtype = np.dtype(np.float64 if numeric_mode == "float64" else np.float32)
        self._tensors = bind(parts, network)
        self._trained = frozenset(part.layer.name for part in parts)
        self._gradients: dict[tuple[frozenset[str], float], Any] = {}
        self._steps: dict[Recipe, tuple[Any, Any]] = {}

    # -- structure and weights

    def layers(self) -> list[Layer]:
        return [part.layer for part in self._parts]

    def branches(self) -> tuple[str, ...]:
        names = layer_names(self._parts)
        return tuple(names[layer] for layer in self.network.branches().layers)

    def weights(self) -> Weights:
        with self.numeric():
            arrays = {name: np.array(tensor.read(), self._dtype) for name, tensor in self._tensors.items()}
        return Weights(arrays, self._axes, self._architecture, self._origin)

    def portable(self) -> Weights:
        weights = self.weights()
        scaling = own_scaling(self.network.base, rescaled=False)
        if scaling is None:
            return weights
        kept = {name: array for name, array in weights.items() if not name.startswith(f"{SCALING}.")}
        axes = {**weights.conventions, "input_scaling": scaling}
        return Weights(kept, axes, weights.architecture, weights.origin)

    def load(self, weights: Mapping[str, Array]) -> None:
        for name, array in weights.items():
            if name not in self._tensors:
                raise UsageError(f"the model has no tensor {name!r}; {nearest(name, self._tensors)}")
            if tuple(array.shape) != self._tensors[name].shape:
                raise UsageError(f"tensor {name!r} is {tuple(array.shape)}, the model's is {self._tensors[name].shape}")
        with self.numeric():
            for name, array in weights.items():
                self._tensors[name].write(array)
            if any(name.startswith(f"{SCALING}.") for name in weights):
                settle_scaling(self.network.base)

    # -- inference

    def features(self, images: Array) -> Array:
        return self._infer(images)[0]

    def logits(self, images: Array) -> Array:
        return self._infer(images)[1]

    def network_input(self, images: Array) -> Array:
        with self.numeric():
            pixels = self.network.scaled(keras.ops.convert_to_tensor(self.checked(images)))
            for layer in scaling_layers(self.network.base):
                pixels = layer(pixels)
            return np.asarray(keras.ops.convert_to_numpy(pixels)).astype(self._dtype)

    def activations(
        self, images: Array, *, training: bool = False, replaced: Mapping[str, Array] | None = None
    ) -> Iterator[tuple[str, Array]]:
        """As in the base class, computed eagerly; layers of nested models and the depthwise half of a separable
        convolution included."""
        places = dict(replaced or {})
        wanted: dict[str, list[Part]] = {}
        for part in self._parts:
            wanted.setdefault(part.owner, []).append(part)
        owners = [layer for layer in [*flatten(self.network.base), self.network.head] if layer.name in wanted]

        def through(one: Pass) -> None:
            with self.numeric(), ExitStack() as stack:
                if training:
                    stack.enter_context(self._trained_and_put_back())
                pixels = self.network.scaled(keras.ops.convert_to_tensor(self.checked(images)))
                if INPUT in places:
                    pixels = given = keras.ops.convert_to_tensor(places[INPUT].astype(self._dtype))
                    for layer in scaling_layers(self.network.base):  # it is scaled already
                        stack.enter_context(_calling(layer, lambda _inputs, *_args, **_kwargs: given))
                for owner in owners:
                    stack.enter_context(_recording(owner, wanted[owner.name], one))
                self.network.head(self.network.base(pixels, training=training))

        for name, array in shown(self.layers(), places, through):
            yield name, array.astype(self._dtype)

    def excerpt(self, layer: str, images: Array, *, channels: int | None = None, training: bool = False) -> Excerpt:
        from isotune.adapters._keras.excerpts.layers import excerpt

        return excerpt(self, layer, channels=channels, training=training)

    # -- training

    @contextmanager
    def _trained_and_put_back(self) -> Iterator[None]:
        """Every layer is trainable while inside; then frozen layers and the buffers are as they were."""
        trained, buffers = self._trained, {n: t.read().copy() for n, t in self._tensors.items() if is_buffer(n)}
        self.freeze(frozenset(part.layer.name for part in self._parts))
        try:
            yield
        finally:
            for name, before in buffers.items():
                self._tensors[name].write(before)
            self.freeze(trained)

    def gradients(self, images: Array, labels: Array, label_smoothing: float = 0.0) -> dict[str, Array]:
        """As in the base class. What is compiled for it is kept."""
        buffers = {name: tensor for name, tensor in self._tensors.items() if not tensor.variable.trainable}
        trainable = self.network.trainable_variables
        key = (self._trained, label_smoothing)
        with self.numeric():
            if key not in self._gradients:
                self._gradients[key] = self.engine.make_gradients(Loss(self.conventions.loss, float(label_smoothing)))
            before = {name: tensor.read().copy() for name, tensor in buffers.items()}
            value, raw = self._gradients[key](self.checked(images), np.asarray(labels, np.int64))
            for name, tensor in buffers.items():
                tensor.write(before[name])
            by_variable = {id(variable): gradient for variable, gradient in zip(trainable, raw, strict=True)}
            raw.clear()
            gradients = {"loss": np.asarray(float(value), self._dtype)}
            for name, tensor in self._tensors.items():
                # one after the other, so that a large network's gradients are not held twice
                if (gradient := by_variable.pop(id(tensor.variable), None)) is not None:
                    gradients[name] = tensor.canonical(keras.ops.convert_to_numpy(gradient)).astype(self._dtype)
        return gradients

    def trainer(self, recipe: Recipe) -> Trainer:
        """As in the base class. Tracing a step takes seconds, so the model keeps it with its optimizer, and a
        later trainer of an equal recipe starts that optimizer afresh: only the latest of them may be used."""
        if not recipe.trained:
            raise UsageError("nothing is left to train: the recipe trains no layer")
        if not recipe.cleared:
            raise UsageError("Keras makes its gradients anew at every step, and has none that would not be cleared")
        with self.numeric():
            self.freeze(recipe.trained)
            if recipe not in self._steps:
                kernels = [tensor.variable for name, tensor in self._tensors.items() if name.endswith(".kernel")]
                variables = self.network.trainable_variables
                factors = dict(recipe.rates)
                rates = {
                    id(tensor.variable): factors[name.rpartition(".")[0]]
                    for name, tensor in self._tensors.items()
                    if factors.get(name.rpartition(".")[0], 1) != 1
                }
                optimizer = make_optimizer(
                    recipe.optimizer, recipe.conventions or self.conventions, kernels, variables, rates
                )
                loss = Loss(self.conventions.loss, recipe.label_smoothing)
                self._steps[recipe] = (
                    optimizer,
                    self.engine.make_step(optimizer, loss, recipe.batchnorm == "training", recipe.parts),
                )
            optimizer, step = self._steps[recipe]
            reset(optimizer)
        return KerasTrainer(self, recipe, optimizer, step)

    def freeze(self, trained: frozenset[str]) -> None:
        """Make exactly the layers named trainable; a frozen BatchNorm has a convention of its own (`norms.freeze`)."""
        if trained == self._trained:
            return
        if unknown := trained - {part.layer.name for part in self._parts}:
            name = min(unknown)
            raise UsageError(f"the model has no layer {name!r}; {nearest(name, [p.layer.name for p in self._parts])}")
        owners = {part.owner for part in self._parts if part.layer.name in trained}
        for layer in [*flatten(self.network.base), self.network.head]:
            if isinstance(layer, keras.layers.BatchNormalization):
                norms.freeze(layer, layer.name in owners, self.conventions)
            else:
                layer.trainable = layer.name in owners
        self._trained = trained

    # -- device

    def synchronize(self) -> None:
        self.engine.synchronize()

    def device_memory(self) -> int | None:
        return self.engine.device_memory()

    # -- within the adapter

    def numeric(self) -> AbstractContextManager[None]:
        """The numeric mode's settings, where running (not only building) needs them."""
        return numeric("float64") if self._mode == "float64" else nullcontext()

    def named_tensors(self) -> dict[str, Tensor]:
        return self._tensors

    def _infer(self, images: Array) -> tuple[Array, Array]:
        with self.numeric():
            features, logits = self.engine.infer(self.checked(images))
        return np.asarray(features, self._dtype), np.asarray(logits, self._dtype)

    def checked(self, images: Array, *, mixed: bool = False) -> Array:
        """The images, of the model's size and uint8, or float32 where they may be mixed."""
        expected = (*self._size, 3)
        if (
            images.ndim != 4
            or images.shape[1:] != expected
            or images.dtype not in ((np.uint8, np.float32) if mixed else (np.uint8,))
        ):
            raise UsageError(
                f"images are {images.dtype} {images.shape}; the model takes uint8 [N, {expected[0]}, {expected[1]}, 3]"
            )
        return images


def bind(parts: list[Part], network: Network) -> dict[str, Tensor]:
    """Canonical tensors of a network, the head last."""
    bound = tensors([part for part in parts if part.layer.name != HEAD], network.base)
    for slot, variable in (("kernel", network.head.kernel), ("bias", network.head.bias)):
        bound[f"{HEAD}.{slot}"] = Tensor(variable, tuple(variable.shape))
    return bound


@contextmanager
def _calling(layer: Any, call: Callable[..., Any]) -> Iterator[None]:
    """While inside, the layer computes `call` instead."""
    own, layer.call = layer.call, call
    try:
        yield
    finally:
        layer.call = own


@contextmanager
def _recording(owner: Any, parts: list[Part], one: Pass) -> Iterator[None]:
    """While inside, what `owner` gives when called goes into a pass under the names of its parts, before an activation
    of its own, and the network goes on with what the pass says."""
    call = owner.call
    activation = getattr(owner, "activation", None)

    def recorded(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = call(inputs, *args, **kwargs)
        for part in parts:
            first_half = part.form == "depthwise"
            given = _depthwise(owner, inputs) if first_half else outputs
            own = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(given, owner.variable_dtype)))
            instead = one.instead(part.layer.name, own)
            if instead is not None:
                values = keras.ops.cast(keras.ops.convert_to_tensor(np.ascontiguousarray(instead)), outputs.dtype)
                outputs = _pointwise(owner, values) if first_half else values
        return outputs if activation is None else activation(outputs)

    if activation is not None:
        owner.activation = keras.activations.linear
    try:
        with _calling(owner, recorded):
            yield
    finally:
        if activation is not None:
            owner.activation = activation


def _depthwise(owner: Any, inputs: Any) -> Any:
    """What the first half of a separable convolution gives."""
    return keras.ops.depthwise_conv(
        inputs,
        keras.ops.cast(owner.depthwise_kernel, inputs.dtype),
        strides=owner.strides,
        padding=owner.padding,
        dilation_rate=owner.dilation_rate,
    )


def _pointwise(owner: Any, inputs: Any) -> Any:
    """What the second half makes of what the first gives."""
    outputs = keras.ops.conv(inputs, keras.ops.cast(owner.pointwise_kernel, inputs.dtype), padding="valid")
    return outputs if owner.bias is None else outputs + keras.ops.cast(owner.bias, outputs.dtype)
