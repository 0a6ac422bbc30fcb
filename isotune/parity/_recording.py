"""What a worker records for a proof: its model is put through one stage, with everybody's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isotune import names
from isotune.comparison import observations, recorder
from isotune.comparison.batch import Batch
from isotune.comparison.observations import Observations
from isotune.comparison.recorder import Named, Recorder
from isotune.models.axes import resolved
from isotune.parity._proof_inputs import CLASSES, OPTIMIZER_CASES, SMOOTHING, STEPS, OptimizerCase, ProofInputs
from isotune.weights import Weights

if TYPE_CHECKING:
    from isotune.adapters.base import Adapter, Model
    from isotune.workers.worker import Worker

Array = np.ndarray


def record(
    worker: Worker,
    model: str,
    inputs: dict[str, Any],
    stage: str,
    steps: int,
    permuted: bool,
    folder: str,
    apart: str = "",
) -> None:
    """Put the model through one stage (`STAGES`), and write what it shows into `folder`.

    apart: the folder of what it showed in inference; each layer is given that again, with the batch in reverse and
    without its first image.
    """
    given = ProofInputs.model_validate(inputs)
    weights = Weights.read(Path(given.weights))
    built = worker.kept(Recorder).kept(
        (model, given), lambda: build(worker.adapter, names.parse(model), weights, weights.conventions, given)
    )
    built.load(weights)
    if apart:
        observations.write(Path(folder), _apart(built, Observations(Path(apart), "layers/"), given.apart()))
        return
    batch = given.arranged(permuted=permuted)
    per_image = ("features/", "layers/", f"{stage} logits/")
    shown = _shown(built, weights, stage, steps, batch)
    recorder.write(Path(folder), batch, shown, lambda name: name.startswith(per_image))


def build(
    adapter: Adapter,
    name: names.ModelName,
    checkpoint: str | Weights | None,
    axes: Mapping[str, Any],
    inputs: ProofInputs,
) -> Model:
    """The model of a proof. axes: of its network, which are everybody's."""
    return adapter.build(
        name.name, classes=CLASSES, checkpoint=checkpoint, numeric_mode=inputs.numeric_mode, image_size=inputs.size,
        conventions=resolved("identical", adapter, name, protocol=inputs.recipe, checkpoint=axes),
        options=name.options,
    )  # fmt: skip


def _apart(model: Model, shown: Mapping[str, Array], batch: Batch) -> Named:
    replaced = {layer: batch.arranged(np.asarray(array)) for layer, array in shown.items()}
    yield from model.activations(batch.images, replaced=replaced)


def _shown(model: Model, initial: Weights, stage: str, steps: int, batch: Batch) -> Named:
    images, labels = batch.images, batch.labels
    if stage == "inference":
        yield "features/features", model.features(images)
        yield from ((f"layers/{layer}", array) for layer, array in model.activations(images))
    elif stage == "gradients":
        yield "loss/loss", model.gradients(images, labels)["loss"]  # only one set of gradients is held at a time
        yield from recorder.gradients(
            model, images, labels, SMOOTHING, loss="smoothed loss/loss", prefix="gradients/"
        )  # fmt: skip
    else:
        (case,) = [case for case in OPTIMIZER_CASES if case.name == stage]
        yield from _trained(model, initial, case, steps, batch)


def _trained(model: Model, initial: Mapping[str, Array], case: OptimizerCase, steps: int, batch: Batch) -> Named:
    """A fresh optimizer's steps on the checkpoint, and what is left of them."""
    from isotune.adapters.base import Recipe

    model.load(initial)
    axes = case.conventions(model.conventions)
    trainer = model.trainer(Recipe(case.optimizer, case.trained(model.layers()), SMOOTHING, conventions=axes))
    batches = ((batch.images, batch.labels, rate) for rate in case.rates[:steps])
    for step, name, loss in recorder.losses(trainer, batches):
        rung = f"{case.name} {'1 step' if step == 1 else '10 steps'}"
        yield f"{rung}/{name}", loss
        if step in (1, STEPS):
            yield from ((f"{rung}/{tensor}", array) for tensor, array in recorder.parameters(model))
    yield from recorder.state(trainer, f"{case.name} buffers", f"{case.name} slots")
    yield f"{case.name} logits/logits", model.logits(batch.images)
    model.load(initial)
