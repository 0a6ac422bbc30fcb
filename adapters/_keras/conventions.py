"""Network conventions realised on a Keras model, and read off it.

Each group of axes has a module in `axes`, under the same name for every framework. What a layer's configuration fixes
needs a clone of the model; the rest is set in place. Dropout and stochastic depth are taken out: what is random is
drawn outside.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras

from isotune.adapters import randomness
from isotune.adapters._keras.axes import activations, norms, padding, piecewise, pooling, strides
from isotune.adapters._keras.axes.input import own_scaling, scaling_layers, settle_scaling
from isotune.adapters._keras.layers import copied, flatten
from isotune.adapters._keras.opening import consists_of_others
from isotune.conventions import IMAGENET_STD, Conventions

_CHANGING = ("Softmax", "LogSoftmax", "Sigmoid", "Activation")  # behind a classifier, what changes its values
_LISTED = 3  # names; of more only how many
_MODULES = (padding, pooling, strides, norms, activations, piecewise)


def realise(
    model: Any,
    conventions: Conventions,
    rescaled: bool = False,
    tensors: Mapping[str, Mapping[str, bool]] | None = None,
) -> Any:
    """A model that computes as `model` does, under `conventions`; the same object where no layer must change.

    rescaled: add EfficientNet's second Rescaling, by 1/sqrt(std), after its Normalization. Keras builds it only
    with `weights="imagenet"` (keras/src/applications/efficientnet.py), and such weights mean it.
    tensors: name of a layer -> what of its configuration changes so that it has other tensors (`use_bias`, `scale`);
    these layers get initial weights.
    """
    model = strides.rebuilt(model, conventions)
    wanted = _Changes(model, conventions, rescaled and conventions.input_scaling == "none", tensors or {})
    if wanted.rescaled or any(wanted.touches(layer) for layer in flatten(model)):
        clone = keras.models.clone_model(model, clone_function=wanted.clone, call_function=wanted.call)
        for layer in model.layers:
            if layer.weights and layer.name not in wanted.scaling and layer.name not in wanted.tensors:
                clone.get_layer(layer.name).set_weights(layer.get_weights())
        model = clone
    settle_scaling(model)
    norms.realise(model, conventions)
    activations.realise(model, conventions)
    piecewise.realise(model, conventions)
    remove_randomness(model)
    return model


def describe(model: Any) -> dict[str, Any]:
    """The network axes of `model` but for the input scaling. `own` or None: none such, or not all alike."""
    return {name: value for axes in _MODULES for name, value in axes.describe(model).items()}


def remove_randomness(model: Any) -> None:
    """Set every probability of dropping something to zero, in place."""
    for layer in flatten(model):
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
        elif hasattr(layer, "drop_path_rate"):  # ConvNeXt's StochasticDepth
            layer.drop_path_rate = 0.0


class _Changes:
    """What clone_model asks for: each layer's replacement, and what goes before and after it."""

    def __init__(
        self, model: Any, conventions: Conventions, rescaled: bool, tensors: Mapping[str, Mapping[str, bool]]
    ) -> None:
        self.conventions, self.rescaled, self.tensors = conventions, rescaled, tensors
        scaled_outside = conventions.input_scaling != "none"
        self.scaling = {layer.name for layer in scaling_layers(model)} if scaled_outside else set()
        own = padding.windows(model)
        wanted = {name: pooling.under(padding.under(each, conventions), conventions) for name, each in own.items()}
        opened = {own[name].source for name in own if wanted[name] != own[name]} - {None}
        self.opened = opened  # ZeroPadding2Ds whose windows pad for themselves in the clone
        self.windows = {name: wanted[name] for name in own if wanted[name] != own[name] or own[name].source in opened}

    def touches(self, layer: Any) -> bool:
        return (
            layer.name in self.windows
            or layer.name in self.tensors
            or self.substitute(layer) is not None
            or layer.name in self.scaling
        )

    def clone(self, layer: Any) -> Any:
        if layer.name in self.scaling or layer.name in self.opened:
            return keras.layers.Identity(name=layer.name)
        changes: dict[str, Any] = dict(self.tensors.get(layer.name, {}))
        if layer.name in self.windows:
            changes["padding"] = "valid"
        return copied(layer, changes, self.substitute(layer))

    def substitute(self, layer: Any) -> Any:
        return norms.substitute(layer, self.conventions) or piecewise.substitute(layer, self.conventions)

    def call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        changed: padding.Window | None = self.windows.get(layer.name)
        if changed is not None:
            args = (padding.padded(changed, args[0]), *args[1:])
        outputs = layer(*args, **kwargs)
        if changed is not None and changed.kind == "average" and not changed.counted:
            outputs = pooling.without_padding(changed, outputs)
        if self.rescaled and isinstance(layer, keras.layers.Normalization):
            outputs = keras.layers.Rescaling([1 / math.sqrt(std) for std in IMAGENET_STD])(outputs)
        return outputs


# -- what of the network is left out or replaced, in words


def words(model: Any, behind: Iterable[Any]) -> tuple[str, ...]:
    """model: as it was built, before its classifier was split off. behind: what stood behind that."""
    layers = list(flatten(model))
    said = [f"{type(each).__name__} behind the classifier ({each.name})" for each in behind if _changes(each)]
    for what, dropping in _dropping(layers).items():
        said.append(f"{randomness.words(what, list(dropping.values()))} {_named(list(dropping))}")
    if frozen := [layer.name for layer in layers if layer.weights and not layer.trainable]:
        said.append(f"that the function freezes {_named(frozen)}")
    return tuple(said)


def unreached(network: Any) -> tuple[str, ...]:
    """Of a network whose calls are opened: the losses that those calls add."""
    adding = [each for each in network._flatten_layers() if consists_of_others(each) and each._losses]
    return (f"what add_loss adds to the loss in {_named([each.name for each in adding])}",) if adding else ()


def classifier_words(classifier: Any, *, renewed: bool) -> tuple[str, ...]:
    """renewed: a head takes its place; else it keeps its tensors as the head, without what follows them."""
    activation = getattr(classifier.activation, "__name__", "linear")
    if not renewed:
        return () if activation == "linear" else (f"the {activation} of the classifier ({classifier.name})",)
    parts = [type(classifier).__name__, f"{classifier.kernel.shape[-1]} classes"]
    parts += [activation] if activation != "linear" else []
    parts += ["without bias"] if classifier.bias is None else []
    return (f"the classifier {classifier.name} ({', '.join(parts)}), for a new head",)


def scaling_words(base: Any, scaling: str, rescaled: bool) -> tuple[str, ...]:
    """base: before conventions are realised. scaling: the one outside of it that takes the place of its own."""
    layers = scaling_layers(base)
    if scaling == "none" or not layers or own_scaling(base, rescaled) == scaling:
        return ()
    return (f"the scaling inside the network {_named([layer.name for layer in layers])}, for {scaling} outside",)


def _changes(operation: Any) -> bool:
    kind = type(operation).__name__
    return kind in _CHANGING and getattr(getattr(operation, "activation", None), "__name__", kind) != "linear"


def random_rates(model: Any) -> randomness.Rates:
    """model: as it was built."""
    return randomness.rates({what: each.values() for what, each in _dropping(list(flatten(model))).items()})


def _dropping(layers: Sequence[Any]) -> dict[str, dict[str, float]]:
    """What is dropped -> the layers that do, with their rates."""
    named: dict[str, dict[str, float]] = {}
    for layer in layers:
        if isinstance(layer, keras.layers.Dropout) and layer.rate:
            whole = set((layer.noise_shape or ())[1:]) == {1}  # an image or none of it, as EfficientNet writes it
            named.setdefault("stochastic depth" if whole else "dropout", {})[layer.name] = float(layer.rate)
        elif rate := getattr(layer, "drop_path_rate", 0):
            named.setdefault("stochastic depth", {})[layer.name] = float(rate)
    return named


def _named(names: Sequence[str]) -> str:
    return f"({', '.join(names)})" if len(names) <= _LISTED else f"({len(names)} layers)"
