"""The dataflow of a functional Keras model, nested models opened."""

from __future__ import annotations

import math
from typing import Any

import keras

from isotune.adapters._keras.graph.limits import own_limit
from isotune.adapters.execution_order import Node, Step, execution_order, limits
from isotune.adapters.residual import Branch, branches, unknown
from isotune.weights import Limit

_SILENT = ("InputLayer", "Identity", "Dropout", "Flatten", "Reshape", "Transpose", "Cast", "GetItem")


def trace(model: Any) -> list[Step]:
    """The layers of `model` that own tensors, as (name of the Keras layer, form), in the order of execution.

    form is "depthwise" and "pointwise" for the two convolutions of a SeparableConv2D, "" for all others.
    """
    return execution_order(Graph().of(model.outputs[0]))


def is_layer(operation: Any) -> bool:
    """Whether it owns tensors that are trained, or is a BatchNorm; constants of a layer of its own make none."""
    weights = getattr(operation, "weights", ())
    return any(variable.trainable for variable in weights) or (
        bool(weights) and isinstance(operation, keras.layers.BatchNormalization)
    )


def trace_end(model: Any) -> Step:
    """What follows the last layers of `model` that own tensors, as the step of a layer that reads its output."""
    return execution_order(Node([Graph().of(model.outputs[0])], ["end"]))[-1]


def trace_branches(model: Any) -> list[tuple[Branch, Any]]:
    """The residual branches of `model`, each with the operation that adds it to its shortcut. UsageError: not known
    exactly."""
    graph = Graph()
    known = branches(graph.of(model.outputs[0]))
    operations = graph.operations()
    adding = [operations[branch.sum] for branch in known]
    if len(set(map(id, adding))) < len(adding):
        raise unknown("one layer adds several to their shortcuts")
    return list(zip(known, adding, strict=True))


def trace_limits(model: Any) -> tuple[Limit, ...]:
    """What changes only some values in `model`."""
    return limits(Graph().of(model.outputs[0]))


class Graph:
    """Nodes of Keras's operations by (operation, index of the call). Keras has no public way to a graph's edges."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[int, int], Node] = {}
        self._operations: dict[Node, Any] = {}
        self._instead: dict[int, Any] = {}  # id of a nested model's tensor -> the tensor that it stands for

    def of(self, tensor: Any) -> Node:
        end = self.resolved(tensor)
        stack = [end]
        while stack:
            operation, index = stack[-1]
            given = [self.resolved(other) for other in operation._inbound_nodes[index].input_tensors]
            if waiting := [call for call in given if _key(call) not in self._nodes]:
                stack += waiting
                continue
            stack.pop()
            inputs = [self._nodes[_key(call)] for call in given]
            node = self._nodes.setdefault(_key((operation, index)), _node(operation, inputs))
            self._operations[node] = operation
        return self._nodes[_key(end)]

    def operations(self) -> dict[Node, Any]:
        """Of the nodes so far."""
        return self._operations

    def resolved(self, tensor: Any) -> tuple[Any, int]:  # of tensors that `of` has come by
        """(operation, index of its call) that makes the tensor, within nested models."""
        while True:
            tensor = self._instead.get(id(tensor), tensor)
            operation, index, place = tensor._keras_history
            if not isinstance(operation, keras.Model):
                return operation, index
            inner = operation._functional if isinstance(operation, keras.Sequential) else operation
            for inside, outside in zip(inner.inputs, operation._inbound_nodes[index].input_tensors, strict=True):
                self._instead[id(inside)] = outside
            self._instead[id(tensor)] = inner.outputs[place]


def _key(call: tuple[Any, int]) -> tuple[int, int]:
    return id(call[0]), call[1]


def _node(operation: Any, inputs: list[Node]) -> Node:
    if isinstance(operation, keras.layers.SeparableConv2D):
        depthwise = Node(inputs, [(operation.name, "depthwise")], _depthwise_shape(operation.depthwise_kernel))
        shape = tuple(operation.pointwise_kernel.shape)
        return Node([depthwise], [(operation.name, "pointwise")], shape, limit=own_limit(operation))
    if not is_layer(operation):
        return Node(inputs, name=_name(operation), limit=own_limit(operation))
    largest = max(operation.weights, key=lambda variable: math.prod(variable.shape))
    is_depthwise = isinstance(operation, keras.layers.DepthwiseConv2D)
    shape = _depthwise_shape(operation.kernel) if is_depthwise else tuple(largest.shape)
    return Node(inputs, [(operation.name, "")], shape, limit=own_limit(operation))


def _name(operation: Any) -> str:
    """The class, of an Activation its function; empty for what does not compute."""
    kind = type(operation).__name__
    if isinstance(operation, keras.layers.Activation):
        return str(getattr(operation.activation, "__name__", kind))
    return "" if kind in _SILENT else kind


def _depthwise_shape(kernel: Any) -> tuple[int, ...]:
    height, width, channels, multiplier = kernel.shape
    return height, width, 1, channels * multiplier
