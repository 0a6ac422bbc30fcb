"""The checkpoint that both sides of a proof start from, drawn or taken by the worker of the first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isotune import names
from isotune.comparison.recorder import Recorder, is_buffer, network_axes
from isotune.conventions import NETWORK_AXES, REFERENCE_CONVENTIONS, Conventions
from isotune.conventions import resolve as resolve_axes
from isotune.models.checkpoints import architecture_of, resolve
from isotune.parity._proof_inputs import CLASSES, ProofInputs
from isotune.parity._recording import build
from isotune.protocols import SGD
from isotune.weights import HEAD, Weights, head_weights, random_weights

if TYPE_CHECKING:
    from isotune.adapters.base import Adapter, Model
    from isotune.workers.worker import Worker

Array = np.ndarray
NEAR = 1e-4  # standard deviations, and share of a variance: enough to tell running statistics from a batch's


def draw(worker: Worker, model: str, checkpoint: str, spec: str, inputs: dict[str, Any]) -> dict[str, object]:
    """Write the model's checkpoint to the file of the inputs, canonical, with a drawn head of CLASSES classes.

    Of `random:SEED` the BatchNorm statistics are drawn close around those of the batch (NEAR). Farther off, what
    one norm leaves wrong the next makes worse, and in inference a deep network magnifies every rounding: with 5 %
    the features of EfficientNetV2M parted at 4e-3, where its gradients agreed to 1e-12.
    spec: the conventions of both sides. Gives {"parameters", "architecture", "recipe"}.
    """
    name, adapter, given = names.parse(model), worker.adapter, ProofInputs.model_validate(inputs)
    worker.kept(Recorder).forget()
    if checkpoint.startswith("random:"):
        axes, recipe = _axes(adapter, name, spec, REFERENCE_CONVENTIONS)
        given = given.model_copy(update={"recipe": recipe})
        weights = _drawn(worker, model, int(checkpoint.partition(":")[2]), axes, given)
    else:
        taken = resolve(checkpoint, adapter, name, given.size)
        axes, recipe = _axes(adapter, name, spec, taken.conventions)
        built = build(adapter, name, taken.weights, axes, given)
        weights = built.weights()
        weights = Weights(weights.tensors, _known(built, axes), "", weights.origin)
    features = weights[f"{HEAD}.kernel"].shape[0]
    head = head_weights(features, CLASSES, "uniform-fan-in", given.seed)
    tensors = {key: array.astype(np.float32) for key, array in {**weights, **head}.items()}
    architecture = architecture_of(adapter, name)
    Weights(tensors, weights.conventions, architecture, weights.origin).write(Path(given.weights))
    counted = [array.size for key, array in tensors.items() if not is_buffer(key)]
    return {"parameters": sum(counted), "architecture": architecture, "recipe": recipe}


def _axes(
    adapter: Adapter, name: names.ModelName, spec: str, checkpoint: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `spec` comes to: (axes of the network, those of the recipe). What a library leaves open stays the
    checkpoint's, and so do the tensors that it has: one side's would be compared with nothing."""
    native = adapter.native_conventions(name.name, name.options)
    resolved = resolve_axes(spec, native=native, protocol={}, checkpoint=checkpoint)
    values = resolved.model_dump() | {"optional_tensors": "checkpoint"}
    recipe = {axis: values[axis] for axis in values if axis not in NETWORK_AXES}
    return dict(checkpoint) | network_axes(values), recipe


def _known(built: Model, axes: Mapping[str, Any]) -> dict[str, Any]:
    """The axes of the network, those that a library chose itself read off the model."""
    return network_axes(built.weights().conventions) | dict(axes)


def _drawn(worker: Worker, model: str, number: int, axes: Mapping[str, Any], inputs: ProofInputs) -> Weights:
    """Under the proof's own conventions, so that the model built for it serves the proof too."""
    built = worker.kept(Recorder).kept(
        (model, inputs), lambda: build(worker.adapter, names.parse(model), None, axes, inputs)
    )
    tensors = dict(random_weights({key: array.shape for key, array in built.weights().items()}, number))
    takes = built
    if not built.conventions.batchnorm_momentum:  # the buffers stand still, or not all move alike
        takes = build(worker.adapter, names.parse(model), None, {**axes, "batchnorm_momentum": 1.0}, inputs)
    takes.load(tensors)
    buffers = _batch_statistics(takes, inputs, tensors)
    stream = np.random.default_rng([number, 3])
    for key in sorted(buffers):
        layer, _, slot = key.rpartition(".")
        variance = np.maximum(buffers[f"{layer}.variance"], 1e-3)
        if slot == "variance":
            tensors[key] = variance * stream.uniform(1 - NEAR, 1 + NEAR, variance.shape)
        else:
            tensors[key] = buffers[key] + stream.normal(0.0, NEAR, variance.shape) * np.sqrt(variance)
    return Weights(tensors, _known(built, axes), "", f"random:{number}")


def _batch_statistics(model: Model, inputs: ProofInputs, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Mean and (biased) variance of a batch at every BatchNorm, from what one step at learning rate 0 adds to the
    buffers."""
    from isotune.adapters.base import Recipe

    everything = frozenset(layer.name for layer in model.layers())
    trainer = model.trainer(Recipe(SGD(name="sgd"), everything))
    float(trainer.step(inputs.images(), inputs.labels(), 0.0))
    axes: Conventions = model.conventions
    share = axes.batchnorm_momentum
    assert share, "the weight of the new batch"
    moved = {name: array for name, array in trainer.state().items() if "/" not in name}
    statistics = {name: (array - (1 - share) * tensors[name]) / share for name, array in moved.items()}
    if axes.batchnorm_running_variance == "unbiased":
        for layer, array in model.activations(inputs.images()):
            if (name := f"{layer}.variance") in statistics:
                values = array.size // array.shape[-1]
                statistics[name] = statistics[name] * (values - 1) / values
    return statistics
