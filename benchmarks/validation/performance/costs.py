"""What a step asks of a machine, counted from its operations, and what the machine gives: FLOPs and bytes.

A multiplication and an addition are two FLOPs; convolutions and matrix products count, forward and backward. Bytes are
those of every operation's inputs and outputs, as if no two were fused and no cache held anything: a share of the
bandwidth above 1 says that caches did.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import prod
from typing import Any

import bare_loop
import numpy as np
from bare_loop import Question

_FREE = {"Const", "Identity", "NoOp", "Placeholder", "ReadVariableOp", "Reshape", "Shape", "StridedSlice"}


def counted(library: str, network: str, question: Question, images: np.ndarray, labels: np.ndarray) -> tuple[int, int]:
    """(FLOPs, bytes) of one step of the bare float32 network."""
    count = _keras if library == "keras" else _torch
    return count(library, network, question, images, labels)


def _torch(library: str, network: str, question: Question, images: np.ndarray, labels: np.ndarray) -> tuple[int, int]:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import FlopCounterMode

    class Traffic(TorchDispatchMode):
        seen = 0

        def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = operation(*args, **(kwargs or {}))
            taken = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
            made = [each for each in tree_leaves(given) if isinstance(each, torch.Tensor)]
            places = {each.untyped_storage().data_ptr() for each in taken}
            is_view = any(each.untyped_storage().data_ptr() in places for each in made)
            if not is_view or operation._schema.is_mutable:
                self.seen += sum(each.numel() * each.element_size() for each in [*taken, *made])
            return given

    scaled, targets = bare_loop.torch_inputs(images, labels)
    model = bare_loop.torch_network(library, network).to(scaled.device).train(question == "training")
    right = {torch.ops.aten.convolution_backward: _convolution_backward}
    with FlopCounterMode(display=False, custom_mapping=right) as flops, Traffic() as traffic:
        if question == "training":
            torch.nn.functional.cross_entropy(model(scaled), targets).backward()
        else:
            with torch.no_grad():
                model(scaled)
    return int(flops.get_total_flops()), traffic.seen


def _convolution_backward(result: Any, given: Any, weight: Any, *further: Any, **_: Any) -> int:
    """Of the gradients that are asked for, from shapes: torch's own count takes no notice of groups."""
    return 2 * prod(result) * prod(weight[1:]) * sum(further[-1][:2])


def _keras(library: str, network: str, question: Question, images: np.ndarray, labels: np.ndarray) -> tuple[int, int]:
    import tensorflow as tf

    model = bare_loop.keras_network(network, images.shape[1:3])

    def step(inputs: Any, targets: Any) -> Any:
        if question == "inference":
            return model(inputs, training=False)
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))
        return tape.gradient(loss, [each.value for each in model.trainable_variables])

    shape, dtype = images.shape, tf.float32
    traced = tf.function(step, autograph=False).get_concrete_function(
        tf.TensorSpec(shape, dtype), tf.TensorSpec(labels.shape, tf.int64)
    )
    flops = size = 0
    for operation in traced.graph.get_operations():
        flops += _flops(operation)
        if operation.type not in _FREE:
            size += sum(_bytes(each) for each in [*operation.inputs, *operation.outputs])
    return flops, size


def _flops(operation: Any) -> int:
    """Of TensorFlow's convolutions and matrix products, from the shapes in the graph."""
    kind, inputs, outputs = operation.type, operation.inputs, operation.outputs
    if "Conv2d" in kind or "Conv2D" in kind:
        filters = outputs[0] if "Filter" in kind else inputs[1]
        result = inputs[2] if "Backprop" in kind else outputs[0]
        rows, columns, channels, _ = filters.shape
        return 2 * prod(result.shape) * rows * columns * (1 if "Depthwise" in kind else channels)
    if kind == "MatMul":
        inner = inputs[0].shape[0 if operation.get_attr("transpose_a") else 1]
        return 2 * prod(outputs[0].shape) * inner
    return 0


def _bytes(tensor: Any) -> int:
    known = tensor.shape.rank is not None and all(side is not None for side in tensor.shape)
    return prod(tensor.shape) * tensor.dtype.size if known else 0


def machine() -> dict[str, float]:
    """Medians of eleven: FLOP/s of a product of 2048 x 2048 matrices, bytes/s of a copy (read and written)."""
    import torch

    side, moved = 2048, 2**26
    square = torch.randn(side, side)
    narrow, source, target = square.bfloat16(), torch.randn(moved), torch.empty(moved)
    array = square.numpy()
    work: dict[str, tuple[Callable[[], Any], float]] = {
        "float32": (lambda: square @ square, 2 * side**3),
        "float32 (NumPy)": (lambda: array @ array, 2 * side**3),
        "bfloat16": (lambda: narrow @ narrow, 2 * side**3),
        "copy": (lambda: target.copy_(source), 8 * moved),
    }
    return {name: amount / _median_seconds(run) for name, (run, amount) in work.items()}


def _median_seconds(run: Callable[[], Any]) -> float:
    run()
    taken = []
    for _ in range(11):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))
