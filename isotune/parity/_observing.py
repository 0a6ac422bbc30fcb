"""What a worker does for a proof: draws a checkpoint, and puts its model through the motions of a trial.

What is observed goes into a folder one array at a time (`comparison.observations`): the weights of a large network fit
into memory a few times only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isotune import names
from isotune.comparison import observations
from isotune.conventions import NETWORK_AXES, REFERENCE_CONVENTIONS, Conventions
from isotune.conventions import resolve as resolve_axes
from isotune.models.checkpoints import architecture_of, resolve
from isotune.parity._trial import CLASSES, MOTIONS, SMOOTHING, STEPS, Motion, Trial
from isotune.protocols import SGD
from isotune.weights import HEAD, Weights, head_weights, random_weights

if TYPE_CHECKING:
    from isotune.adapters.base import Model
    from isotune.workers.worker import Worker

Array = np.ndarray
NEAR = 1e-4  # standard deviations, and share of a variance: enough to tell running statistics from a batch's


class Observer:
    """Belongs to one worker; keeps the model of the latest trial."""

    def __init__(self, worker: Worker) -> None:
        self.adapter = worker.adapter
        self._kept: tuple[tuple[str, Trial], Model] | None = None

    def draw(self, model: str, checkpoint: str, spec: str, trial: Trial) -> dict[str, object]:
        """Write the model's checkpoint to the trial's file, canonical, with a drawn head of CLASSES classes.

        Of `random:SEED` the BatchNorm statistics are drawn close around those of the batch (NEAR). Farther off, what
        one norm leaves wrong the next makes worse, and in inference a deep network magnifies every rounding: with 5 %
        the features of EfficientNetV2M parted at 4e-3, where its gradients agreed to 1e-12.
        spec: the conventions of both sides. Gives {"parameters", "architecture", "recipe"}.
        """
        name = names.parse(model)
        self._kept = None
        if checkpoint.startswith("random:"):
            axes, recipe = self._axes(name, spec, REFERENCE_CONVENTIONS)
            trial = trial.model_copy(update={"recipe": recipe})
            weights = self._drawn(model, int(checkpoint.partition(":")[2]), axes, trial)
        else:
            found = resolve(checkpoint, self.adapter, name, trial.size)
            axes, recipe = self._axes(name, spec, found.conventions)
            built = self._build(name, found.weights, axes, trial)
            weights = built.weights()
            weights = Weights(weights.tensors, _known(built, axes), "", weights.origin)
        features = weights[f"{HEAD}.kernel"].shape[0]
        head = head_weights(features, CLASSES, "uniform-fan-in", trial.seed)
        tensors = {key: array.astype(np.float32) for key, array in {**weights, **head}.items()}
        architecture = architecture_of(self.adapter, name)
        Weights(tensors, weights.conventions, architecture, weights.origin).write(Path(trial.weights))
        counted = [array.size for key, array in tensors.items() if not _is_buffer(key)]
        return {"parameters": sum(counted), "architecture": architecture, "recipe": recipe}

    def _axes(
        self, name: names.ModelName, spec: str, checkpoint: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What `spec` comes to: (axes of the network, those of the recipe). What a library leaves open stays the
        checkpoint's, and so do the tensors that it has: one side's would be compared with nothing."""
        native = self.adapter.native_conventions(name.name)
        found = resolve_axes(spec, native=native, protocol={}, checkpoint=checkpoint)
        values = found.model_dump() | {"optional_tensors": "checkpoint"}
        network = {axis: values[axis] for axis in NETWORK_AXES if values[axis] not in (None, "own")}
        return dict(checkpoint) | network, {axis: values[axis] for axis in values if axis not in NETWORK_AXES}

    def _drawn(self, model: str, number: int, axes: Mapping[str, Any], trial: Trial) -> Weights:
        """Under the trial's own conventions, so that the model built for it serves the trial too."""
        built = self._build(names.parse(model), None, axes, trial)
        tensors = dict(random_weights({key: array.shape for key, array in built.weights().items()}, number))
        built.load(tensors)
        buffers = _batch_statistics(built, trial, tensors)
        stream = np.random.default_rng([number, 3])
        for key in sorted(buffers):
            layer, _, slot = key.rpartition(".")
            variance = np.maximum(buffers[f"{layer}.variance"], 1e-3)
            if slot == "variance":
                tensors[key] = variance * stream.uniform(1 - NEAR, 1 + NEAR, variance.shape)
            else:
                tensors[key] = buffers[key] + stream.normal(0.0, NEAR, variance.shape) * np.sqrt(variance)
        weights = Weights(tensors, _known(built, axes), "", f"random:{number}")
        self._kept = (model, trial), built
        return weights

    def observe(self, model: str, trial: Trial, stage: str, steps: int, permuted: bool, folder: Path) -> None:
        """Put the model through one stage (`_trial.STAGES`), and write what is seen into `folder`."""
        built, initial = self._built(model, trial)
        order = trial.order(permuted)
        images, labels = trial.images()[order], trial.labels()[order]
        per_image = ("features/", "layers/", f"{stage} logits/")
        seen = self._seen(built, initial, stage, steps, images, labels)
        back = np.argsort(order)
        observations.write(
            folder, ((name, array[back] if name.startswith(per_image) else array) for name, array in seen)
        )

    def _built(self, model: str, trial: Trial) -> tuple[Model, Weights]:
        weights = Weights.read(Path(trial.weights))
        if self._kept is None or self._kept[0] != (model, trial):
            self._kept = None
            self._kept = (model, trial), self._build(names.parse(model), weights, weights.conventions, trial)
        self._kept[1].load(weights)
        return self._kept[1], weights

    def _build(
        self, name: names.ModelName, checkpoint: str | Weights | None, axes: Mapping[str, Any], trial: Trial
    ) -> Model:
        native = self.adapter.native_conventions(name.name)
        return self.adapter.build(
            name.name, classes=CLASSES, checkpoint=checkpoint, numeric_mode=trial.numeric_mode, image_size=trial.size,
            conventions=resolve_axes("identical", native=native, protocol=trial.recipe, checkpoint=axes),
            options=name.options,
        )  # fmt: skip

    def _seen(
        self, model: Model, initial: Weights, stage: str, steps: int, images: Array, labels: Array
    ) -> Iterator[tuple[str, Array]]:
        if stage == "inference":
            yield "features/features", model.features(images)
            for layer, array in model.activations(images):
                yield f"layers/{layer}", array
        elif stage == "gradients":
            yield "loss/loss", model.gradients(images, labels)["loss"]  # only one set of gradients is held at a time
            found = model.gradients(images, labels, SMOOTHING)
            yield "smoothed loss/loss", found.pop("loss")
            yield from ((f"gradients/{name}", array) for name, array in found.items())
        else:
            (motion,) = [motion for motion in MOTIONS if motion.name == stage]
            yield from _moved(model, initial, motion, steps, images, labels)


def _moved(
    model: Model, initial: Mapping[str, Array], motion: Motion, steps: int, images: Array, labels: Array
) -> Iterator[tuple[str, Array]]:
    """A fresh optimizer's steps on the checkpoint, and what is left of them."""
    from isotune.adapters.base import Recipe

    model.load(initial)
    axes = motion.conventions(model.conventions)
    trainer = model.trainer(Recipe(motion.optimizer, motion.trained(model.layers()), SMOOTHING, conventions=axes))
    for step, rate in enumerate(motion.rates[:steps]):
        loss = float(trainer.step(images, labels, rate))
        rung = f"{motion.name} {'1 step' if step == 0 else '10 steps'}"
        yield f"{rung}/loss {step + 1}", np.array(loss)
        if step in (0, STEPS - 1):
            yield from ((f"{rung}/{name}", array) for name, array in model.weights().items() if not _is_buffer(name))
    for name, array in trainer.state().items():
        yield f"{motion.name} {'slots' if '/' in name else 'buffers'}/{name}", array
    yield f"{motion.name} logits/logits", model.logits(images)
    model.load(initial)


def _known(built: Model, axes: Mapping[str, Any]) -> dict[str, Any]:
    """The axes of the network, those that a library chose itself read off the model."""
    own = dict(built.weights().conventions)
    return {axis: value for axis, value in own.items() if axis in NETWORK_AXES and value not in (None, "own")} | dict(
        axes
    )


def _is_buffer(name: str) -> bool:
    return name.endswith((".mean", ".variance"))


def _batch_statistics(model: Model, trial: Trial, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Mean and (biased) variance of a batch at every BatchNorm, from what one step at learning rate 0 adds to the
    buffers."""
    from isotune.adapters.base import Recipe

    everything = frozenset(layer.name for layer in model.layers())
    trainer = model.trainer(Recipe(SGD(name="sgd"), everything))
    float(trainer.step(trial.images(), trial.labels(), 0.0))
    axes: Conventions = model.conventions
    share = axes.batchnorm_momentum or 0.0
    moved = {name: array for name, array in trainer.state().items() if "/" not in name}
    found = {name: (array - (1 - share) * tensors[name]) / share for name, array in moved.items()}
    if axes.batchnorm_running_variance == "unbiased":
        for layer, array in model.activations(trial.images()):
            if (name := f"{layer}.variance") in found:
                values = array.size // array.shape[-1]
                found[name] = found[name] * (values - 1) / values
    return found
