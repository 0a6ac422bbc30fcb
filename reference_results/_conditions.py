"""Under which conditions a cell is run, in the words of the published tables.

A pure function: no framework is imported and nothing is run. What only a library knows (what `pretrained` means) is
taken from the tables, which are checked against the installed libraries.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from isotune.errors import UsageError, nearest
from isotune.reference_results._tables import architecture, default_checkpoint

if TYPE_CHECKING:
    from isotune.protocols import Protocol, Report

# isotune's names of data sets that the tables name otherwise. A folder with the name of an archive that its
# makers publish is taken to be it.
DATASETS = {
    "torchvision:FGVCAircraft": "aircraft",
    "torchvision:StanfordCars": "cars",
    "torchvision:SVHN": "svhn",
    "torchvision:Caltech101": "caltech101",
    "torchvision:SUN397": "sun397",
    "tfds:stanford_dogs": "stanford-dogs",
    "tfds:cats_vs_dogs": "cats-vs-dogs",
    "tfds:tf_flowers": "tf-flowers",
}
FOLDERS = {"hymenoptera_data": "hymenoptera", "cats_and_dogs_filtered": "cats-and-dogs-filtered"}

# The part of each data set that isotune evaluates on (isotune.data). One of a library without official parts is
# split 80/20, and is in no table.
SPLITS = {
    "imagenet": "val", "imagenet-real": "val", "imagenet-v2": "matched-frequency", "imagenet-sketch": "all",
    "imagenet-a": "all", "imagenet-r": "all", "hymenoptera": "val", "cats-and-dogs-filtered": "val",
    "caltech101": "20 %", "sun397": "20 %", "eurosat": "20 %", "cats-vs-dogs": "20 %", "tf-flowers": "20 %",
    **dict.fromkeys(
        ("cifar10", "cifar100", "fashion-mnist", "flowers102", "oxford-pets", "food101", "dtd", "aircraft", "cars",
         "svhn", "stanford-dogs"), "test",
    ),
}  # fmt: skip

# Which accuracy of a training is reported, as the tables name it.
SELECTIONS: dict[Report, str] = {
    "last": "last", "best": "best held out", "mean-of-last": "mean of last", "best-on-test": "best"
}  # fmt: skip


class OfCell(typing.Protocol):
    """What is read of a cell (`isotune.runs.records.Cell`)."""

    @property
    def model(self) -> str: ...
    @property
    def checkpoint(self) -> str: ...
    @property
    def dataset(self) -> str: ...
    @property
    def protocol(self) -> Protocol: ...
    @property
    def conventions(self) -> str: ...
    @property
    def numeric_mode(self) -> str: ...


@dataclass(frozen=True)
class Conditions:
    """What a number is measured under. None: not known, which equals nothing that is published."""

    adapter: str
    model: str
    checkpoint: str
    architecture: str
    dataset: str
    split: str | None
    train: str  # "all", or how many images; "": nothing is trained
    protocol: str
    size_px: int | None
    crop: float | None  # size over the resized side
    resize: str | None  # shorter-side, squash
    interpolation: str | None
    metric: str = "top-1"
    selection: str = "last"  # the step that is reported, as `SELECTIONS` has it
    engine: str | None = None  # None: the adapter's default
    conventions: str = "identical"
    numeric_mode: str = "float32"
    changes: tuple[str, ...] = ()  # in what the protocol is not isotune's own of that name
    deviations: tuple[str, ...] = ()  # in what the protocol says that it differs from its source
    test_images: int | None = None  # of the split; None: all


def conditions(cell: OfCell, **stated: Any) -> Conditions:
    """The conditions of a cell.

    stated: fields that the caller knows better: `dataset="hymenoptera"` of a folder, `checkpoint="IMAGENET1K_V2"`
    of `pretrained`, `architecture=` of a record.
    UsageError: a field that there is not.
    """
    adapter, engine, model = _taken_apart(cell.model)
    recipe = cell.protocol
    dataset = _dataset(cell.dataset)
    trained = bool(recipe.stage or recipe.probe)
    squashed = recipe.input.resize == "squash"
    of_cell = Conditions(
        adapter=adapter,
        model=model,
        checkpoint=_checkpoint(cell.checkpoint, adapter, model),
        architecture=architecture(adapter, model),
        dataset=dataset,
        split=SPLITS.get(dataset),
        train=("all" if recipe.images.train is None else str(recipe.images.train)) if trained else "",
        protocol=recipe.name,
        size_px=recipe.input.size,
        crop=1.0 if isinstance(recipe.input.resize, str) else recipe.input.size / recipe.input.resize,
        resize="squash" if squashed else "shorter-side",
        interpolation=recipe.input.interpolation,
        engine=engine,
        conventions=cell.conventions,
        numeric_mode=cell.numeric_mode,
        changes=_changes(recipe),
        deviations=recipe.deviations,
        selection=_selection(recipe),
        test_images=recipe.images.test,
    )
    return with_stated(of_cell, stated)


def _selection(recipe: Protocol) -> str:
    rule = recipe.selection
    if rule is None:
        return "last"
    return f"{SELECTIONS[rule.reports]} {rule.last}" if rule.reports == "mean-of-last" else SELECTIONS[rule.reports]


def with_stated(given: Conditions, stated: dict[str, Any]) -> Conditions:
    known = [field.name for field in fields(Conditions)]
    for name in stated:
        if name not in known:
            raise UsageError(f"there is no condition {name!r}; {nearest(name, known)}")
    return replace(given, **stated)


def _taken_apart(text: str) -> tuple[str, str | None, str]:
    """`"keras@jax:MobileNetV2:alpha=0.5"` -> keras, jax, MobileNetV2:alpha=0.5."""
    library, _, rest = text.partition(":")
    adapter, _, engine = library.partition("@")
    parts = rest.split(":")
    return adapter, engine or None, ":".join(part for part in parts if part not in ("alpha=1.0", "alpha=1"))


def _checkpoint(name: str, adapter: str, model: str) -> str:
    return (default_checkpoint(adapter, model) or name) if name == "pretrained" else name


def _dataset(name: str) -> str:
    """`imagenet:PATH` -> imagenet; what the tables name otherwise by their name."""
    kind, _, rest = name.partition(":")
    if name in DATASETS:
        return DATASETS[name]
    if kind == "imagefolder":
        return FOLDERS.get(PurePosixPath(rest.replace("\\", "/")).name, name)
    return kind if kind in SPLITS else name


def _changes(recipe: Protocol) -> tuple[str, ...]:
    """How a protocol differs from isotune's of the same name; input and images are compared separately."""
    shipped = _shipped(recipe.name)
    if shipped is None:
        return ()
    apart = {"input", "images", "title", "source", "deviations"}
    ours, theirs = (each.model_dump(mode="json", exclude=apart) for each in (recipe, shipped))
    for each in (ours, theirs):
        each["evaluation"].pop("batch_size", None)  # changes no prediction that matters
        each["evaluation"].pop("margin", None)  # what a verdict allows is no part of the recipe
        for field in ("beside", "classes", "map", "match"):  # what is planned beside a cell; names of its outputs
            each.get("own_classifier", {}).pop(field, None)
    return tuple(_differing(ours, theirs, ""))


@cache
def _shipped(name: str) -> Protocol | None:
    from isotune import protocols

    return protocols.load(name) if name in protocols.names() else None


def _differing(ours: Any, theirs: Any, path: str) -> list[str]:
    """`stage.1.schedule.learning_rate 0.02 against 0.01`, for every leaf that differs."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        pairs = [(key, ours.get(key), theirs.get(key)) for key in sorted({*ours, *theirs})]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(str(place), *both) for place, both in enumerate(zip(ours, theirs, strict=True), 1)]
    else:
        return [] if ours == theirs else [f"{path} {_shown(ours)} against {_shown(theirs)}"]
    return [line for key, one, other in pairs for line in _differing(one, other, f"{path}.{key}".lstrip("."))]


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value) if isinstance(value, str | int | float) else "another"
