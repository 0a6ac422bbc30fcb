"""Activations of straight pieces: the slope of LeakyReLU and the constants of the hard sigmoid. Realised, read off, and
how to write them. The values: `_torch.axes.piecewise`.

keras.applications writes MobileNetV3's gates as operations, ReLU(6)(x + 3) * (1/6)
(keras/src/applications/mobilenet_v3.py): there another ReLU takes its place.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from isotune.adapters._keras.axes.lines import COMPILED, LAYERS
from isotune.adapters.remedies import ITSELF, Table
from isotune.conventions import Conventions, agreed

_LEAKY_OPERATION, _HARD_OPERATION = "LeakyRelu", "HardSigmoid"  # keras.ops.leaky_relu and hard_sigmoid, as nodes


def substitute(layer: Any, conventions: Conventions) -> Any:
    """The class that takes the place of a gate's ReLU; None: the layer stays."""
    from isotune.adapters._keras.axes.substitutes import GATES

    wanted = conventions.hard_sigmoid
    return GATES[wanted] if wanted != "own" and _gate(layer) not in (None, wanted) else None


def realise(model: Any, conventions: Conventions) -> None:
    """Give LeakyReLUs and hard sigmoids what `conventions` say, in place; own leaves the library's."""
    from isotune.adapters._keras.layers import operations

    for layer in operations(model):
        if conventions.leaky_relu_slope is not None and _slope(layer) is not None:
            _set_slope(layer, conventions.leaky_relu_slope)
        if conventions.hard_sigmoid != "own" and _form(layer) not in (None, conventions.hard_sigmoid):
            _set_form(layer, conventions.hard_sigmoid)


def describe(model: Any) -> dict[str, Any]:
    """The slope, and the form of the hard sigmoid."""
    from isotune.adapters._keras.layers import operations

    layers = list(operations(model))
    return {
        "leaky_relu_slope": agreed("leaky_relu_slope", [_slope(layer) for layer in layers]),
        "hard_sigmoid": agreed("hard_sigmoid", [_form(layer) or _gate(layer) for layer in layers]),
    }


# -- LeakyReLU


def _slope(layer: Any) -> float | None:
    import keras

    if isinstance(layer, keras.layers.LeakyReLU) or type(layer).__name__ == _LEAKY_OPERATION:
        return float(layer.negative_slope)
    if isinstance(layer, keras.layers.ReLU):
        return float(layer.negative_slope) or None
    function: Any = getattr(layer, "activation", None)
    given: dict[str, Any] = {}
    if isinstance(function, functools.partial):
        function, given = function.func, function.keywords
    leaky = function is keras.activations.leaky_relu or function is keras.ops.leaky_relu
    return float(given.get("negative_slope", 0.2)) if leaky else None


def _set_slope(layer: Any, slope: float) -> None:
    import keras

    called = type(layer).__name__ == _LEAKY_OPERATION
    if called or isinstance(layer, keras.layers.LeakyReLU | keras.layers.ReLU):
        layer.negative_slope = slope
    else:
        layer.activation = functools.partial(keras.activations.leaky_relu, negative_slope=slope)


# -- hard sigmoid


def _form(layer: Any) -> str | None:
    import keras

    if type(layer).__name__ == _HARD_OPERATION:
        return getattr(layer, "form", "sixth")
    activation = getattr(layer, "activation", None)
    if activation is keras.ops.hard_sigmoid:
        return "sixth"
    return next((form for form, function in _forms().items() if activation is function), None)


def _set_form(layer: Any, form: str) -> None:
    if type(layer).__name__ == _HARD_OPERATION:
        layer.call, layer.form = _forms()[form], form
    else:
        layer.activation = _forms()[form]


@functools.cache
def _forms() -> dict[str, Callable[[Any], Any]]:
    """Always the same objects; Keras's own is the first."""
    import keras
    from keras import ops

    def fifth(x: Any) -> Any:
        return ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    def half(x: Any) -> Any:
        return ops.clip(0.5 * x + 0.5, 0.0, 1.0)

    return {"sixth": keras.activations.hard_sigmoid, "fifth": fifth, "half": half}


def _gate(layer: Any) -> str | None:
    """The form of a ReLU that is one third of a hard sigmoid: between x + 3 and a product with 1/6."""
    import keras

    if not isinstance(layer, keras.layers.ReLU) or layer.max_value != 6.0 or layer.negative_slope:
        return None
    made = (tensor._keras_history for node in layer._inbound_nodes for tensor in node.input_tensors)
    before = any(_takes(each.operation._inbound_nodes[each.node_index], "Add", 3.0) for each in made)
    behind = any(_takes(node, "Multiply", 1 / 6) or _takes(node, "Divide", 6.0) for node in layer._outbound_nodes)
    return getattr(layer, "form", "sixth") if before and behind else None


def _takes(node: Any, operation: str, number: float) -> bool:
    """Whether an operation takes this number beside a tensor; Keras has no public way to a graph's nodes."""
    given = [value for value in node.arguments.args if isinstance(value, int | float)]
    return type(node.operation).__name__.endswith(operation) and any(abs(value - number) < 1e-9 for value in given)


# -- the lines to write


_LEAKY = f"""
import keras

{LAYERS}

for layer in layers_of(model):
    if isinstance(layer, keras.layers.LeakyReLU):
        layer.negative_slope = VALUE
"""


_HARD = f"""
import keras

{LAYERS}

@keras.saving.register_keras_serializable()
def hard_sigmoid_of_STEEPNESS(x):
    return keras.ops.clip(STEEPNESS * x + 0.5, 0.0, 1.0)


for layer in layers_of(model):
    if getattr(layer, "activation", None) is keras.activations.hard_sigmoid:
        layer.activation = hard_sigmoid_of_STEEPNESS
"""
_WRITTEN = f"MobileNetV3's gates are operations, which isotune rebuilds with OVERRIDE. {COMPILED}"


def _hard(steepness: str) -> str:
    return _HARD.replace("of_STEEPNESS", f"of_{steepness.replace('.', '_')}").replace("STEEPNESS", steepness)


REMEDIES: Table = {
    "leaky_relu_slope": {"*": (_LEAKY, COMPILED)},
    "hard_sigmoid": {
        "sixth": ("", ITSELF.format("Keras")),
        "fifth": (_hard("0.2"), _WRITTEN),
        "half": (_hard("0.5"), _WRITTEN),
    },
}
