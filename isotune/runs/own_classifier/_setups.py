"""Evaluation of a checkpoint's own classifier, nothing trained.

What is evaluated is planned here, one cell a set-up: the evaluation that the checkpoint's number was published with, or
that stands beside its file (`_stated`), and next to it each step of preprocessing done as another library does it
(`Step`). Seeds play no role, so a matrix of several is planned as one.

Which output stands for which class: `classes`. An ImageNet-1k classifier has 1,000 outputs in the order of the synset
ids (torchvision's categories and timm's label names are in it, which tests check; Keras keeps its list on a server, so
there it is taken on trust).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from isotune import data, names
from isotune.errors import UsageError, nearest
from isotune.models import contents, embedded
from isotune.protocols import Input, OwnClassifier, Protocol
from isotune.reference_results import Reference, conditions, references
from isotune.runs.own_classifier import classes
from isotune.runs.own_classifier._stated import stated_input
from isotune.weights import HEAD, random_weights

if TYPE_CHECKING:
    from isotune.adapters.base import Adapter, Model
    from isotune.runs.records import Cell

_TRUST = ("high", "medium", "low")
_OWN = 'in a copy of own-classifier.toml write input = "protocol" under [own_classifier], and an [input]'


def check_dataset(dataset: data.Dataset) -> None:
    """Refuse a data set that no classifier is evaluated on: UsageError, before anything runs."""
    if data.was_split(dataset.note):
        kind, _, path = dataset.name.partition(":")
        synsets = set(dataset.classes) <= set(data.synsets())
        right = f"{'imagenet-subset' if synsets else 'testfolder'}:{path} evaluates all of them"
        raise UsageError(
            f"own-classifier: {dataset.name} would be evaluated on a fifth of its images, since isotune split it;"
            f" {right if kind == 'imagefolder' else 'give it a test part of its own'}"
        )
    if not len(dataset.test):
        raise UsageError(f"own-classifier: {dataset.name} has no test images")


def who(model: str, checkpoint: str) -> str:
    """Whose classifier it is, for errors."""
    return f"{model} with checkpoint {checkpoint!r}"


def setups(cell: Cell) -> Iterator[Cell]:
    """The cells that a cell of such a protocol stands for: itself under its evaluation, and beside it each step.

    Steps are added to plain `identical` only; a step that leaves the input as it is gives no cell.
    UsageError: the checkpoint has no classifier; `published`, and nothing says how its number was measured.
    """
    recipe = cell.protocol
    held = embedded.of_model(cell.checkpoint, cell.model)
    if held and held.evaluation is None:
        raise UsageError(
            f"checkpoint {cell.checkpoint!r} of {cell.model} has no classifier of its own; use --checkpoint pretrained"
        )
    assert recipe.own_classifier is not None
    plain = _named(recipe.own_classifier, cell.checkpoint).model_copy(update={"beside": (), "step": ""})
    stated, base = stated_input(cell, _OWN), recipe.input
    if recipe.own_classifier.input == "published":
        base = stated or published_input(cell)[0]
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


def _named(rule: OwnClassifier, checkpoint: str) -> OwnClassifier:
    """With the names of the outputs that stand beside a checkpoint's file, so that a cell is known by them."""
    file = contents.weights_file(checkpoint)
    if file is None or rule.classes or rule.match == "position":
        return rule
    return rule.model_copy(update={"classes": classes.beside(file)})


def _evaluated(recipe: Protocol, input: Input, own_classifier: OwnClassifier) -> Protocol:
    return recipe.model_copy(update={"input": input, "own_classifier": own_classifier})


def published_input(cell: Cell) -> tuple[Input, Reference | None]:
    """How the number of a cell's model and checkpoint was measured, and that number; None: of a checkpoint that lies in
    a package it is only known how it is evaluated.

    The data set's own number is preferred, else ImageNet's is taken; the library's own to others' measurements; the
    most trusted; at the smallest size, which is the library's default (as `published_top1`).
    UsageError: there is none, none says its size, crop, resize and interpolation, or `Input` cannot express it.
    """
    if (held := embedded.of_model(cell.checkpoint, cell.model)) and held.evaluation is not None:
        return Input.model_validate(dict(held.evaluation)), None
    here = conditions(cell)
    model, tag = here.model, here.checkpoint
    if tag == "pretrained":
        model, picked = _facts(here.adapter).split_name(model)
        tag = picked or tag
    whose = f"own-classifier: {who(cell.model, cell.checkpoint)}"
    rows = [
        row
        for row in references(
            adapter=here.adapter, model=model, checkpoint=tag, protocol="own-classifier", metric="top-1", unit="percent"
        )
        if row.dataset in (here.dataset, "imagenet")
    ]
    if not rows and model not in (known := {row.model for row in references(adapter=here.adapter)}):
        raise UsageError(f"{whose}: there are no published numbers of that model; {nearest(model, known)}; {_OWN}")
    if not rows:
        raise UsageError(f"{whose} has no published number whose evaluation could be used; {_OWN}")
    stated = [row for row in rows if row.size_px and row.crop and row.resize and row.interpolation]
    if not stated:
        raise UsageError(f"{whose}: no published number states size, crop, resize and interpolation; {_OWN}")
    ranked = sorted(stated, key=lambda row: (row.dataset != here.dataset, *_preference(row)))
    row = next((row for row in ranked if as_input(row) is not None), None)
    if row is None:
        first = ranked[0]
        raise UsageError(
            f"{whose}: published with {first.resize} and crop {first.crop:g}, which [input] cannot express; {_OWN}"
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
    return classes.IMAGENET if checkpoint.startswith("random:") else None


def drawn_head(checkpoint: str, initial: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A random checkpoint's classifier, float32, the same in every library; empty for others, which have their own."""
    if not checkpoint.startswith("random:"):
        return {}
    layout = {name: tuple(array.shape) for name, array in initial.items() if name.startswith(f"{HEAD}.")}
    return dict(random_weights(layout, int(checkpoint.partition(":")[2])))


def outputs_of(model: Model, size: int) -> int:
    """How many outputs a model's classifier has, from one grey image. UsageError: it gives no vector."""
    shape = model.logits(np.full((1, size, size, 3), 128, np.uint8)).shape
    if len(shape) != 2:
        raise UsageError(f"the network gives {shape} of one image, where a classifier gives (1, classes)")
    return int(shape[1])
