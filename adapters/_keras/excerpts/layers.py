"""From a functional model to an excerpt: the operations between layers, each as lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from isotune.adapters._keras.axes.input import scaling_layers
from isotune.adapters._keras.dataflow import Graph
from isotune.adapters._keras.excerpts._calls import activation_call, layer_call, operation_call, written
from isotune.adapters._keras.layers import Part, flatten, is_buffer
from isotune.adapters.base import INPUT
from isotune.excerpts import Differentiated, Excerpt, Given, NotWritten, Operation, narrowed
from isotune.weights import HEAD

_IMAGES = 2  # in shapes; a script's are made smaller
_ENGINE = 'os.environ["KERAS_BACKEND"] = "{}"'
_GIVEN = "OUT = keras.ops.convert_to_tensor(IN0)"
_TAKEN = "keras.ops.convert_to_numpy(OUT)"
_GRADIENTS = {
    "tensorflow": Differentiated(
        imports=("import tensorflow as tf",), made=_GIVEN.removeprefix("OUT = "), leaf="OUT = tf.constant(IN0)",
        opening=("with tf.GradientTape() as tape:", "    tape.watch([LEAVES])"),
        loss=("loss = keras.ops.sum(OUT ** 3)",),
        gradients=('gradients = tape.gradient(loss, [LEAVES], unconnected_gradients="zero")',),
    ),
    "torch": Differentiated(
        imports=("import torch",), made=_GIVEN.removeprefix("OUT = "),
        leaf="OUT = torch.tensor(IN0, requires_grad=True)",
        # the second part is zero: a loss that nothing leads to has no gradient
        loss=("loss = keras.ops.sum(OUT ** 3) + 0 * sum(each.sum() for each in [LEAVES])",),
        gradients=("gradients = torch.autograd.grad(loss, [LEAVES])",),
    ),
    "jax": Differentiated(
        made=_GIVEN.removeprefix("OUT = "), opening=("def loss(LEAVES):",), loss=("return keras.ops.sum(OUT ** 3)",),
        gradients=("gradients = jax.grad(loss, tuple(range(COUNT)))(ARRAYS)",),
    ),
}  # fmt: skip
_Call = tuple[Any, int]  # an operation, and which of its calls


def excerpt(model: Any, layer: str, *, channels: int | None = None, training: bool = False) -> Excerpt:
    """The operations from the layers before `layer` on to what it gives, before an activation of its own.

    model: a `KerasModel`.
    channels: as many everywhere. training: BatchNorm uses the batch. NotWritten: no lines do it.
    """
    part = next((each for each in model._parts if each.layer.name == layer), None)
    if part is None or part.form == "depthwise":
        raise NotWritten(f"{layer} is no layer that is called by itself")
    return _Writer(model, part, channels, training).written()


class _Writer:
    """Writes the operations that one layer's output comes from."""

    def __init__(self, model: Any, part: Part, channels: int | None, training: bool) -> None:
        self._model, self._part, self._channels, self._training = model, part, channels, training
        self._graph = Graph()
        self._graph.of(model.network.base.outputs[0])
        self._scaling = {layer.name for layer in scaling_layers(model.network.base)}
        self._places = {each.owner: each.layer.name for each in model._parts}
        self._given: dict[str, Given] = {}
        self._done: list[tuple[_Call | None, Operation]] = []
        self._numbers: dict[tuple[int, int], Any] = {}  # of a call: ("given", name), or ("done", place)
        self._lines_at_top: dict[str, None] = {}
        backend = keras.backend.backend()
        self._imports = {
            "import os": None, _ENGINE.format(backend): None, "import keras": None,
        }  # fmt: skip

    def written(self) -> Excerpt:
        if self._part.layer.name == HEAD:
            source = self._value(self._model.network.base.outputs[0])
            self._add(None, self._layer_lines(self._model.network.head), [source], self._model.network.head.output_shape
                      if hasattr(self._model.network.head, "output_shape") else (_IMAGES, 1))  # fmt: skip
        else:
            self._value(self._end())
        names = {key: place for place, key in enumerate(self._given)}
        count = len(names)

        def number(value: Any) -> int:
            kind, key = value
            return names[key] if kind == "given" else count + key

        operations = tuple(
            operation.model_copy(update={"inputs": tuple(number(value) for value in operation.inputs)})
            for _, operation in self._done
        )
        wide = ['keras.config.set_floatx("float64")', 'keras.config.set_dtype_policy("float64")']
        if keras.backend.backend() == "jax":
            wide = ["import jax", 'jax.config.update("jax_enable_x64", True)', *wide]
        return Excerpt(
            imports=(*self._imports, *self._lines_at_top, *wide), given=tuple(self._given.values()),
            operations=operations, tensors=dict(self._shapes()), buffers=dict(self._buffers()),
            differentiated=_GRADIENTS.get(keras.backend.backend()),
        )  # fmt: skip

    # -- the graph

    def _end(self) -> Any:
        """What the layer gives, as a symbolic tensor."""
        owner = next(layer for layer in flatten(self._model.network.base) if layer.name == self._part.owner)
        return owner.output

    def _value(self, tensor: Any) -> Any:
        call = self._graph.resolved(tensor)
        return self._of_call(call, tensor)

    def _of_call(self, call: _Call, tensor: Any) -> Any:
        operation, index = call
        key = (id(operation), index)
        if key in self._numbers:
            return self._numbers[key]
        name = getattr(operation, "name", "")
        is_target = name == self._part.owner
        if isinstance(operation, keras.layers.InputLayer) or name in self._scaling:
            self._numbers[key] = self._take(INPUT, tensor)
        elif name in self._places and not is_target:
            value = self._take(self._places[name], tensor)
            activation = getattr(operation, "activation", None)
            if activation is not None and activation is not keras.activations.linear:
                value = self._add(call, [f"OUT = {activation_call(activation, 'IN0')}"], [value], tensor.shape)
            self._numbers[key] = value
        else:
            self._numbers[key] = self._operation(call, tensor)
        return self._numbers[key]

    def _take(self, name: str, tensor: Any) -> Any:
        if name not in self._given:
            shape = self._narrow(_sized(tensor.shape))
            self._given[name] = Given(name=name, shape=shape, line=_GIVEN)
        return ("given", name)

    def _operation(self, call: _Call, tensor: Any) -> Any:
        operation, index = call
        node = operation._inbound_nodes[index]  # Keras has no public way to it
        inputs: list[Any] = []

        def word(value: Any) -> str:
            if isinstance(value, keras.KerasTensor):
                number = self._value(value)
                if number not in inputs:
                    inputs.append(number)
                return f"IN{inputs.index(number)}"
            if isinstance(value, tuple | list) and any(isinstance(part, keras.KerasTensor) for part in value):
                return f"[{', '.join(map(word, value))}]"
            return written(value)

        args = [word(value) for value in node.arguments.args]
        keywords = {key: word(value) for key, value in node.arguments.kwargs.items() if value is not None}
        if type(operation).__name__ == "ConvertToTensor":  # of what is one already, to the dtype it was traced in
            return self._numbers.setdefault((id(operation), index), inputs[0])
        if not isinstance(operation, keras.layers.Layer):
            return self._add(call, [f"OUT = {operation_call(operation, args, keywords)}"], inputs, tensor.shape)
        keywords.pop("training", None)
        rest = ", ".join([*args, *(f"{key}={value}" for key, value in keywords.items())])
        if operation.name == self._part.owner:
            return self._add(call, self._layer_lines(operation, rest), inputs, tensor.shape)
        if isinstance(operation, keras.layers.Dropout | keras.layers.Identity):
            return self._numbers.setdefault((id(operation), index), inputs[0])
        activation = getattr(operation, "activation", None)
        if isinstance(operation, keras.layers.Activation):
            return self._add(call, [f"OUT = {activation_call(activation, args[0])}"], inputs, tensor.shape)
        made, lines = layer_call(operation)
        self._lines_at_top |= dict.fromkeys(lines)
        return self._add(call, [f"OUT = {made}({rest})"], inputs, tensor.shape)

    def _add(self, call: _Call | None, lines: list[str], inputs: list[Any], shape: Any) -> Any:
        operation = Operation(
            lines=tuple(lines), inputs=(), shape=self._narrow(_sized(shape)), taken=_TAKEN, line=_GIVEN
        ).model_copy(update={"inputs": tuple(inputs)})  # numbered when all is known
        self._done.append((call, operation))
        return ("done", len(self._done) - 1)

    def _narrow(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape if self._channels is None or not shape else (*shape[:-1], self._channels)

    # -- the layer itself

    def _layer_lines(self, layer: Any, rest: str = "IN0") -> list[str]:
        made, lines = layer_call(layer, self._channels, without_activation=True)
        self._lines_at_top |= dict.fromkeys(lines)
        called = f"layer({rest}, training=True)" if self._training else f"layer({rest})"
        return [
            f"layer = {made}", f"layer.build(tuple({rest.partition(',')[0]}.shape))",
            f"layer.set_weights([{', '.join(self._tensors(layer))}])", f"OUT = {called}",
        ]  # fmt: skip

    def _shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        prefix = f"{self._part.layer.name}."
        depthwise = isinstance(self._owner(), keras.layers.DepthwiseConv2D)
        for name, tensor in self._model.named_tensors().items():
            if name.startswith(prefix):
                slot = name.removeprefix(prefix)
                shape = tensor.shape
                if self._channels is not None:
                    shape = narrowed(slot, shape, self._channels, depthwise=depthwise)
                yield slot, shape

    def _buffers(self) -> Iterator[tuple[str, str]]:
        prefix = f"{self._part.layer.name}."
        places = {id(variable): place for place, variable in enumerate(self._owner().weights)}
        for name, tensor in self._model.named_tensors().items():
            if name.startswith(prefix) and is_buffer(name) and id(tensor.variable) in places:
                taken = f"keras.ops.convert_to_numpy(layer.weights[{places[id(tensor.variable)]}])"
                yield name.removeprefix(prefix), taken

    def _owner(self) -> Any:
        if self._part.layer.name == HEAD:
            return self._model.network.head
        return next(layer for layer in flatten(self._model.network.base) if layer.name == self._part.owner)

    def _tensors(self, layer: Any) -> Iterator[str]:
        """The layer's weights in its own order, from the canonical arrays."""
        prefix = f"{self._part.layer.name}."
        named = {
            id(tensor.variable): (name.removeprefix(prefix), tensor)
            for name, tensor in self._model.named_tensors().items()
            if name.startswith(prefix)
        }
        for variable in layer.weights:
            if id(variable) not in named:
                raise NotWritten(f"its {variable.name} has no name in other libraries")
            slot, tensor = named[id(variable)]
            shape, own = tensor.shape, tuple(variable.shape)
            if own == shape:
                yield slot
            elif len(own) == len(shape) == 4 and shape[2] == 1 and own[3] == 1:
                yield f"{slot}.transpose(0, 1, 3, 2)"  # depthwise
            elif self._channels is None:
                axes = tensor.rows.axes if tensor.rows is not None else tuple(range(len(shape)))
                ordered = f".transpose{axes}" if axes != tuple(range(len(shape))) else ""
                yield f"{slot}{ordered}.reshape({written(own)})"
            else:
                raise NotWritten(f"the layout of {slot}")


def _sized(shape: Any) -> tuple[int, ...]:
    return tuple(_IMAGES if side is None else int(side) for side in shape)
