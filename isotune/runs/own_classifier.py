"""Evaluation of a checkpoint's own classifier on ImageNet's classes, nothing trained.

What is evaluated is planned here, one cell a set-up: the evaluation that the checkpoint's number was published with,
and beside it each step of preprocessing done as another library does it (`Step`). Seeds play no role, so a matrix of
several is planned as one.

**Classes.** An ImageNet-1k classifier has 1,000 outputs in the order of the synset ids (torchvision's categories and
timm's label names are in it, which tests check; Keras keeps its list on a server, so there it is taken on trust). A
data set's classes are found among them by synset id, and the logits are cut down to those columns: a prediction is the
best of the data set's classes, as the authors of ImageNet-A and -R evaluate (Hendrycks et al. 2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from isotune import data, names
from isotune.errors import UsageError, nearest
from isotune.models import embedded
from isotune.protocols import Input, OwnClassifier, Protocol
from isotune.reference_results import Reference, conditions, references
from isotune.weights import HEAD, random_weights

if TYPE_CHECKING:
    from isotune.adapters.base import Adapter, Model
    from isotune.runs.records import Cell

OUTPUTS = 1000  # of an ImageNet-1k classifier
_TRUST = ("high", "medium", "low")
_OWN = 'in a copy of own-classifier.toml write input = "protocol" under [own_classifier], and an [input]'


def check_dataset(dataset: data.Dataset) -> None:
    """Refuse a data set that a checkpoint's own classifier cannot be evaluated on: UsageError, before anything runs."""
    data.outputs(dataset.classes, dataset.name)
    if data.was_split(dataset.note):
        path = dataset.name.partition(":")[2]
        raise UsageError(
            f"own-classifier: {dataset.name} would be evaluated on a fifth of its images, since isotune split it;"
            f" imagenet-subset:{path} (or imagenet:{path} and the like) evaluates all of them"
        )


def setups(cell: Cell) -> Iterator[Cell]:
    """The cells that a cell of such a protocol stands for: itself under its evaluation, and beside it each step.

    Steps are added to plain `identical` only; a step that leaves the input as it is gives no cell.
    UsageError: `published`, and no published number says how it was measured.
    """
    recipe = cell.protocol
    classes_to_build(cell.checkpoint)  # refuses what has no classifier
    assert recipe.own_classifier is not None
    plain = recipe.own_classifier.model_copy(update={"beside": (), "step": ""})
    base = published_input(cell)[0] if recipe.own_classifier.input == "published" else recipe.input
    yield cell.model_copy(update={"protocol": _evaluated(recipe, base, plain)})
    for step in recipe.own_classifier.beside if cell.conventions == "identical" else ():
        changed = base.model_copy(update=step.input.model_dump(exclude_none=True))
        if changed == base and not step.conventions:
            continue
        # A step of conventions alone is the cell that `--conventions identical,axis=value` asks for.
        named = plain if changed == base else plain.model_copy(update={"step": step.name})
        yield cell.model_copy(
            update={"protocol": _evaluated(recipe, changed, named), "conventions": step.spec("identical")}
        )


def _evaluated(recipe: Protocol, input: Input, own_classifier: OwnClassifier) -> Protocol:
    return recipe.model_copy(update={"input": input, "own_classifier": own_classifier})


def published_input(cell: Cell) -> tuple[Input, Reference]:
    """How the number of a cell's model and checkpoint was measured, and that number.

    The data set's own number is preferred, else ImageNet's is taken; the library's own to others' measurements; the
    most trusted; at the smallest size, which is the library's default (as `published_top1`).
    UsageError: there is none, none says its size, crop, resize and interpolation, or `Input` cannot express it.
    """
    here = conditions(cell)
    model, tag = here.model, here.checkpoint
    if tag == "pretrained":
        model, picked = _facts(here.adapter).split_name(model)
        tag = picked or tag
    who = f"own-classifier: {cell.model} with checkpoint {cell.checkpoint!r}"
    rows = [
        row
        for row in references(
            adapter=here.adapter, model=model, checkpoint=tag, protocol="own-classifier", metric="top-1", unit="percent"
        )
        if row.dataset in (here.dataset, "imagenet")
    ]
    if not rows and model not in (known := {row.model for row in references(adapter=here.adapter)}):
        raise UsageError(f"{who}: there are no published numbers of that model; {nearest(model, known)}; {_OWN}")
    if not rows:
        raise UsageError(f"{who} has no published number whose evaluation could be used; {_OWN}")
    stated = [row for row in rows if row.size_px and row.crop and row.resize and row.interpolation]
    if not stated:
        raise UsageError(f"{who}: no published number states size, crop, resize and interpolation; {_OWN}")
    ranked = sorted(stated, key=lambda row: (row.dataset != here.dataset, *_preference(row)))
    row = next((row for row in ranked if as_input(row) is not None), None)
    if row is None:
        first = ranked[0]
        raise UsageError(
            f"{who}: published with {first.resize} and crop {first.crop:g}, which [input] cannot express; {_OWN}"
        )
    input = as_input(row)
    assert input is not None
    return input, row


def _preference(row: Reference) -> tuple[bool, int, int, str]:
    return row.measured_by.lower() != row.adapter, _TRUST.index(row.trust), row.size_px or 0, row.source


def as_input(row: Reference) -> Input | None:
    """The input of a published evaluation; None where `Input` cannot express it (a squash that is then cropped, a crop
    that is padded)."""
    if not (row.size_px and row.crop):
        return None
    side = _facts(row.adapter).resized_side(row.size_px, row.crop)
    values: Mapping[str, object] = {
        "size": row.size_px, "resize": "squash" if row.resize == "squash" else side, "interpolation": row.interpolation
    }  # fmt: skip
    if row.resize not in ("shorter-side", "squash") or (row.resize == "squash" and row.crop != 1):
        return None
    try:
        return Input.model_validate(values)
    except ValidationError:
        return None


def _facts(adapter: str) -> type[Adapter]:
    """What is known of a library; of one whose adapter is not installed, what holds for most."""
    from isotune.adapters.base import Adapter

    return names.facts(adapter) or Adapter


def classes_to_build(checkpoint: str) -> int | None:
    """`classes` for `Adapter.build`: None keeps the checkpoint's classifier; random weights are drawn without one."""
    if embedded.find(checkpoint):
        raise UsageError(f"checkpoint {checkpoint!r} has no classifier of its own; use --checkpoint pretrained")
    return OUTPUTS if checkpoint.startswith("random:") else None


def drawn_head(checkpoint: str, initial: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A random checkpoint's classifier, float32, the same in every library; empty for others, which have their own."""
    if not checkpoint.startswith("random:"):
        return {}
    layout = {name: tuple(array.shape) for name, array in initial.items() if name.startswith(f"{HEAD}.")}
    return dict(random_weights(layout, int(checkpoint.partition(":")[2])))


def check_outputs(outputs: int, model: str, checkpoint: str) -> None:
    """UsageError: a classifier that is not ImageNet-1k's: 21,841 classes, or 1,001 with a background class."""
    if outputs != OUTPUTS:
        raise UsageError(
            f"own-classifier: the classifier of {model} with checkpoint {checkpoint!r} has {outputs} outputs, and"
            f" ImageNet-1k's has {OUTPUTS}; use a checkpoint trained on ImageNet-1k"
        )


def outputs_of(model: Model, size: int) -> int:
    """How many outputs a model's classifier has, from one grey image."""
    return int(model.logits(np.full((1, size, size, 3), 128, np.uint8)).shape[1])


def top5(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """Share (0..1) of images whose class is among the five greatest logits; None for five classes or fewer.

    logits: [N, classes]; labels: int64 [N]. Of equal logits the earlier counts as greater, as `argmax` has it; NaN is
    greater than any, and never right.
    """
    if logits.shape[1] <= 5:
        return None
    own = np.take_along_axis(logits, labels[:, np.newaxis], axis=1)
    earlier = (logits == own) & (np.arange(logits.shape[1]) < labels[:, np.newaxis])
    return float(np.mean((~(own >= logits) | earlier).sum(axis=1) < 5))
