"""Checkpoints: weights and the conventions they were trained with, by the names a user gives them.

| name | what |
|---|---|
| `offline` | real weights from installed packages, of a few architectures (`embedded`) |
| `pretrained` | the library's default checkpoint, loaded by the library's own function |
| `file:PATH` | canonical safetensors, or a file of a library (`files`) |
| `file:PATH::MODEL` | a file of this MODEL, another library's perhaps: `file:w.h5::keras:MobileNetV2:alpha=0.5` |
| `random:SEED` | drawn once in NumPy, BatchNorm tensors included, the same for every library |
| anything else | the library's own name of a checkpoint: `IMAGENET1K_V2`, `a1_in1k` |
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isotune import names, reading
from isotune.conventions import REFERENCE_CONVENTIONS
from isotune.errors import UsageError, listed
from isotune.models import beside, embedded, files
from isotune.models.files import CANONICAL_SUFFIX
from isotune.weights import Weights, check_finite, random_weights

if TYPE_CHECKING:
    from isotune.adapters.base import Adapter
    from isotune.names import ModelName

SCALING = "input_scaling"
_LARGEST_SEED = 2**32 - 1
_log = logging.getLogger("isotune")


@dataclass(frozen=True)
class Checkpoint:
    """What `Adapter.build` receives, and the network axes that the weights were trained with."""

    weights: str | Weights
    conventions: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what whoever uses it is to know of how it was taken, in sentences


def check_name(spec: str) -> None:
    """Refuse a checkpoint name that cannot be right, without loading anything."""
    kind, _, rest = spec.partition(":")
    _check_form(spec)
    if kind == "file":
        suffix = Path(rest.partition("::")[0]).suffix
        known = [suffix for adapter in names.adapters() if (facts := names.facts(adapter)) for suffix in facts.suffixes]
        if suffix not in (suffixes := list(dict.fromkeys([*known, CANONICAL_SUFFIX]))):
            raise UsageError(f"checkpoint {spec!r}: the suffix {suffix!r} is none of {', '.join(suffixes)}")


def _check_form(spec: str) -> None:
    kind, _, rest = spec.partition(":")
    if kind == "random" and (not rest.isdecimal() or len(rest) > 10 or int(rest) > _LARGEST_SEED):
        raise UsageError(
            f"checkpoint {spec!r}: random needs a seed, a whole number from 0 to {_LARGEST_SEED}: random:0"
        )
    if kind == "file":
        path = Path(rest.partition("::")[0]).expanduser()
        if not path.exists():
            raise UsageError(f"checkpoint {spec!r}: there is no file {path}")
        reading.regular(path, 64 * reading.GIB, f"checkpoint {spec!r}")
    if rest and (kind == "pretrained" or kind in embedded.listed()):
        raise UsageError(f"checkpoint {spec!r}: {kind} takes no argument")


def resolve(spec: str, adapter: Adapter, model: ModelName, image_size: tuple[int, int]) -> Checkpoint:
    """The checkpoint `spec` for one model, canonical where it is not the library's own."""
    _check_form(spec)
    kind, _, rest = spec.partition(":")
    if held := embedded.held(spec):
        if (architecture := architecture_of(adapter, model)) not in held:
            raise UsageError(
                f"checkpoint {spec!r} holds weights of {listed(list(held))}, and {model} is {architecture!r};"
                " use --checkpoint pretrained, or random:0 to try things out"
            )
        weights = held[architecture].weights()
        return Checkpoint(weights, weights.conventions)
    match kind:
        case "random":
            from isotune.conventions import Conventions

            built = adapter.build(
                model.name, classes=1, checkpoint=None, conventions=Conventions(), image_size=image_size,
                options=model.options,
            )  # fmt: skip
            layout = {name: tuple(array.shape) for name, array in built.weights().without_head().items()}
            return Checkpoint(random_weights(layout, int(rest)), REFERENCE_CONVENTIONS)
        case "file":
            return _of_file(rest, adapter, model, image_size)
        case _:
            # A library's own checkpoint carries what the library builds around it: every network axis is its own.
            native = adapter.native_conventions(model.name)
            return Checkpoint(spec, {"input_scaling": native.input_scaling})


def drawn(spec: str, layout: Mapping[str, tuple[int, ...]]) -> Weights | None:
    """Of tensors with these names and shapes, what `random:SEED` is; None: the checkpoint is not drawn."""
    kind, _, rest = spec.partition(":")
    return random_weights(layout, int(rest)) if kind == "random" else None


def architecture_of(adapter: Adapter, model: ModelName) -> str:
    """The neutral name of a model's architecture; the library's name when it lists none."""
    plain, _ = adapter.split_name(model.name)
    return next((info.architecture for info in adapter.models() if info.name in (model.name, plain)), model.name)


def _of_file(rest: str, adapter: Adapter, model: ModelName, size: tuple[int, int]) -> Checkpoint:
    """With the scaling that stands beside the file. UsageError: as of `files.read` and `beside`."""
    weights = files.read(rest, adapter, model, architecture_of(adapter, model), size)
    path = Path(rest.partition("::")[0]).expanduser()
    check_finite(weights.items(), path)
    notes, conventions = list(weights.notes), dict(weights.conventions)
    if (about := beside.evaluation(path)) and about.scaling:
        stated = adapter.stated_conventions(model.name).get(SCALING, about.scaling)
        of = f"{SCALING} of {path.name} is {about.scaling}, as {about.file.name} beside it says"
        passed_over = f", and is passed over: the network's file states {stated}" if stated != about.scaling else ""
        notes.append(of + passed_over)
        conventions[SCALING] = about.scaling
    for note in notes:
        _log.warning("%s", note, extra={"once": True})
    return Checkpoint(weights, conventions, tuple(notes))
