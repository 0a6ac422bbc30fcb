"""A user's Keras network as one flat functional model, which is what the adapter reads and changes.

Keras keeps a graph of what is called on symbolic tensors. A nested model, a subclassed one, a layer made of layers or a
Lambda is one operation in it; here its `call` is run on symbolic tensors instead, so that the layers inside become
operations of their own. It takes keras.layers and keras.ops; what an engine's own functions compute leaves no graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

import keras

from isotune.adapters._keras.layers import copied
from isotune.adapters.file_function import one_line
from isotune.errors import UsageError

_BEFORE = (
    "InputLayer", "Rescaling", "Normalization", "ZeroPadding2D", "Identity", "Pad", "Cast", "ConvertToTensor",
    "GetItem",  # of channels: a network for grey images takes one of three that are equal
    "Flatten",  # where the first layer is dense
)  # fmt: skip


def opened(network: Any, size: tuple[int, int], what: str) -> Any:
    """`network` for [height, width, 3] input as a functional model with one output, through the network's own layers.

    UsageError: it takes no such images, gives no [N, D] or [N, h, w, D], cannot be run on symbolic tensors, draws at
    random otherwise than in dropout, computes on the image before its first layer otherwise than by scaling,
    padding or taking channels, or has tensors outside of layers.
    """
    _check_input(network, size, what)
    image = keras.Input((*size, 3))
    try:
        network(image)  # builds what is not built yet
        with _opening():
            output = network(image)
        _check_output(output, what)
        _name_apart(output)
        model = keras.Model(image, output, name=network.name)
    except UsageError:
        raise
    except Exception as error:  # a user's network may fail in any way
        raise UsageError(
            f"{what} cannot be read as a graph of keras.layers and keras.ops on images of {size[0]}x{size[1]}:"
            f" {type(error).__name__}: {one_line(error)}"
        ) from error
    _check_graph(model, what)
    held = {id(variable) for layer in model.layers for variable in layer.weights}
    if stray := [variable for variable in network.weights if id(variable) not in held]:
        raise UsageError(f"{what}: {stray[0].path} is no tensor of a layer that is called, and has no place")
    return model


def fresh(model: Any, what: str) -> Any:
    """A copy of a functional model, each layer of it called as there and nowhere else, with all of them trainable."""

    def trainable(layer: Any) -> Any:
        known = "trainable" in layer.get_config()  # TensorFlow settles it when a variable is made
        return copied(layer, {"trainable": True} if known else {})

    try:
        copy = keras.models.clone_model(model, clone_function=trainable)
    except Exception as error:  # a user's layer without a configuration
        raise UsageError(f"{what} has a layer that cannot be copied: {one_line(error)}") from error
    carry_weights(model, copy)
    return copy


def carry_weights(model: Any, copy: Any) -> None:
    """Give a model the weights of another, layer by layer."""
    for layer in model.layers:
        if layer.weights:
            copy.get_layer(layer.name).set_weights(layer.get_weights())


def _check_input(network: Any, size: tuple[int, int], what: str) -> None:
    inputs = getattr(network, "inputs", None)  # of a graph
    if not inputs:
        return
    if len(inputs) > 1:
        raise UsageError(f"{what} has {len(inputs)} inputs; images are one, [height, width, 3]")
    shape = tuple(inputs[0].shape[1:])
    if len(shape) == 3 and shape[-1] == 1:
        raise UsageError(
            f"{what} takes one channel, and images have three, which are equal where they are grey; have the function"
            f" take one of them: image = keras.Input(({shape[0]}, {shape[1]}, 3)); return"
            " keras.Model(image, network(image[..., :1]))"
        )
    if len(shape) != 3 or shape[-1] not in (None, 3):
        raise UsageError(f"{what} takes {list(shape)}; images are [height, width, 3]")
    if any(own not in (None, asked) for own, asked in zip(shape, size, strict=False)):
        raise UsageError(
            f"{what} takes images of {shape[0]}x{shape[1]}, not of {size[0]}x{size[1]}; write"
            " keras.Input((None, None, 3)), or give the function an argument input_shape"
        )


def _check_output(output: Any, what: str) -> None:
    if not keras.utils.is_keras_tensor(output):
        raise UsageError(f"{what} gives a {type(output).__name__}; wanted is one output: classes, features or a map")
    if len(output.shape) not in (2, 4):
        shape = ", ".join(str(side or "N") for side in output.shape)
        raise UsageError(f"{what} gives [{shape}]; wanted are classes or features [N, D], or a map [N, h, w, D]")


def _check_graph(model: Any, what: str) -> None:
    for layer in model.layers:
        drawn = any(isinstance(value, keras.random.SeedGenerator) for value in vars(layer).values())
        if drawn and not isinstance(layer, keras.layers.Dropout) and not hasattr(layer, "drop_path_rate"):
            raise UsageError(
                f"{what}: {layer.name} ({type(layer).__name__}) draws at random, which is done outside of the network"
                " here, by the protocol; leave it out"
            )
    for operation in takewhile(lambda each: not getattr(each, "weights", ()) or _is_before(each), model.operations):
        if not _is_before(operation):
            raise UsageError(
                f"{what}: {operation.name} ({type(operation).__name__}) works on the image before the first layer; a"
                " scaling is a keras.layers.Rescaling or Normalization, or INPUT_SCALING of the file"
            )


def _is_before(operation: Any) -> bool:
    return type(operation).__name__ in _BEFORE


@contextmanager
def _opening() -> Iterator[None]:
    """While inside, calling a layer that consists of others runs its `call` and leaves no node of its own."""
    own = keras.layers.Layer.__call__

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return layer.call(*args, **kwargs) if consists_of_others(layer) else own(layer, *args, **kwargs)

    keras.layers.Layer.__call__ = call
    try:
        yield
    finally:
        keras.layers.Layer.__call__ = own


def consists_of_others(layer: Any) -> bool:
    """Whether the layer's call is opened."""
    inside = layer._flatten_layers(include_self=False)  # Keras has no public way to them
    return isinstance(layer, keras.Model | keras.layers.Lambda) or any(other.weights for other in inside)


def _name_apart(output: Any) -> None:
    """Have no two operations of a graph one name: layers that share one are named by their place, `block_1_conv`."""
    operations = _operations(output)
    shared = Counter(operation.name for operation in operations)
    taken = {name for name, count in shared.items() if count == 1}
    for operation in operations:
        if shared[operation.name] > 1:
            path = getattr(operation, "path", None) or operation.name
            stem = name = path.partition("/")[2].replace("/", "_") or operation.name
            number = 1
            while name in taken:
                number += 1
                name = f"{stem}_{number}"
            operation.name = name
            taken.add(name)


def _operations(output: Any) -> list[Any]:
    """Each operation that `output` depends on, once, those before it first."""
    seen: dict[int, Any] = {}
    stack = [output]
    while stack:
        operation, index, _ = stack.pop()._keras_history
        if id(operation) not in seen:
            seen[id(operation)] = operation
            stack += operation._inbound_nodes[index].input_tensors
    return list(seen.values())[::-1]
