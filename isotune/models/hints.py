"""What weights that do not fit would fit, and what library has a model that another has not: the end of the line that
refuses them.

Canonical weights name their architecture. A library's file does not, but the number of its parameters tells most
architectures apart, once its classifier is counted as one of 1000 classes. Libraries count the same to the last
parameter, up to a few biases and scales that are neutral (`isotune.weights.folding`).
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence

from isotune import names
from isotune.errors import UnknownModel, UsageError, WeightsMismatch, listed
from isotune.models import catalogue
from isotune.models.catalogue import Entry

Shape = tuple[int, ...]
_CLASSES = 1000  # of the classifier that a library's count includes
_NEAR = 0.01  # a share; neutral tensors are at most 0.13 % (ResNet152's biases in Keras)


def completed(error: UsageError) -> UsageError:
    """The error as it is shown, with what is known beside it. Never raises."""
    if isinstance(error, UnknownModel):
        elsewhere = by_name(error.adapter, error.name)
        return UsageError(f"{error.adapter} has no model {error.name!r}; {elsewhere}") if elsewhere else error
    return UsageError(f"{error}{of(error)}") if isinstance(error, WeightsMismatch) else error


def by_name(adapter: str, name: str) -> str:
    """ "alexnet is torchvision:alexnet", as far as the libraries were listed already; empty: no other has it."""
    kept = {each: catalogue.kept(each) for each in sorted(names.adapters())}
    architectures = {
        f"{library}:{row['name']}": row["architecture"]
        for library, rows in kept.items()
        for row in rows
        if library != adapter and name.casefold() == row["name"].casefold()
    }
    if not architectures:
        return ""
    here = [row["name"] for row in kept.get(adapter, ()) if row["architecture"] in architectures.values()]
    its = f", whose architecture is {adapter}'s {listed(here, most=4)}" if here else ""
    return f"{name} is {' and '.join(architectures)}{its}"


def of(error: WeightsMismatch) -> str:
    """The end of the line, "; the weights are those of ..."; empty where nothing is known. Never raises."""
    if not error.layers:
        return by_architecture(error.architecture, error.model)
    return by_size(error.layers, surplus=error.surplus)


def by_architecture(architecture: str, model: str) -> str:
    """Canonical weights do not fit `model` (adapter:name): which models have their architecture. Never raises."""
    if not architecture:
        return ""
    models = _models({architecture}, _entries())
    if model in models:
        return f"; the weights are those of {architecture} as well, perhaps with another width or image size"
    return f"; the weights are those of {architecture}{_listed(models)}"


def by_size(layers: Iterable[Sequence[Shape]], *, surplus: bool = False) -> str:
    """A file's layers do not fit a model: which architecture has as many parameters, or nearly. Never raises.

    layers: for each layer the shapes of what is trained in it (no BatchNorm statistics), in canonical layout.
    surplus: they have all that the model has, and more; then what is merely nearest would mislead.
    """
    shapes = [sorted(layer, key=len, reverse=True) for layer in layers]
    total = sum(math.prod(shape) for layer in shapes for shape in layer)
    entries = _entries()
    known = {(entry.parameters, entry.architecture) for entry in entries if entry.parameters}
    whole = [total + (_CLASSES - classes) * (inputs + 1) for inputs, classes in _classifiers(shapes)]
    bare = [total + _CLASSES * (width + 1) for width in _widths(shapes)]  # where the file has no classifier
    if not known or not bare:
        return ""
    if exact := {name for count, name in known if count in (*whole, *bare)}:
        return f"; by its size, {_millions(total)} parameters, it is {_named(exact)}{_listed(_models(exact, entries))}"
    likely = whole[0] if whole else max(bare)
    nearest = sorted((abs(count / likely - 1), count, name) for count, name in known)
    if near := list(dict.fromkeys(name for share, _, name in nearest if share <= _NEAR))[:2]:
        models = _listed(_models(set(near), entries))
        return f"; by its size, {_millions(total)} parameters, it is perhaps {_named(near)}{models}"
    if surplus:
        return ""
    _, count, name = nearest[0]
    classes = "" if likely == total else f" with {_CLASSES} classes"
    return f"; nearest in size is {name} with {_millions(count)} parameters; the file has {_millions(likely)}{classes}"


def _entries() -> list[Entry]:
    """What the installed libraries list; one that cannot say is left out, since there is an error to report already."""
    entries: list[Entry] = []
    for adapter in sorted(names.adapters()):
        with contextlib.suppress(Exception):
            entries += catalogue.catalogue([adapter])
    return entries


def _models(architectures: set[str], entries: list[Entry]) -> list[str]:
    return sorted({entry.model for entry in entries if entry.architecture in architectures})


def _classifiers(layers: list[list[Shape]]) -> list[tuple[int, int]]:
    """(inputs, classes) of each dense layer that may be the classifier: nothing reads as many inputs as it has outputs,
    and no other layer is shaped like it. Files are often sorted by name, so the last layer is no sign."""
    read = {shape[-2] for layer in layers for shape in layer if len(shape) > 1} - {1, 3}  # depthwise; an image
    alike = Counter(map(tuple, layers))
    return [
        (layer[0][-2], layer[0][-1])
        for layer in layers
        if len(layer) == 2
        and len(layer[0]) > 1
        and layer[1] == layer[0][-1:]
        and all(side == 1 for side in layer[0][:-2])
        and layer[0][-1] not in read
        and alike[tuple(layer)] == 1
    ]


def _widths(layers: list[list[Shape]]) -> set[int]:
    """Numbers of channels in the network: one of them is that of its features."""
    return {side for layer in layers for shape in layer for side in shape[-2:]}


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"


def _named(architectures: Iterable[str]) -> str:
    return " or ".join(sorted(architectures))


def _listed(models: list[str]) -> str:
    return f": {listed(models)}" if models else ""
