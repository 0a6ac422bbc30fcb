"""Checkpoints: weights and the conventions they were trained with, by the names a user gives them.

| name | what |
|---|---|
| `offline` | real weights from installed packages, of a few architectures (`embedded`) |
| `pretrained` | the library's default checkpoint, loaded by the library's own function |
| `file:PATH` | canonical safetensors, or a file of the model's library (`Adapter.suffixes`) |
| `file:PATH::MODEL` | a file of another library's MODEL: `file:w.h5::keras:MobileNetV2:alpha=0.5` |
| `random:SEED` | drawn once in NumPy, BatchNorm tensors included, the same for every library |
| anything else | the library's own name of a checkpoint: `IMAGENET1K_V2`, `a1_in1k` |

Only a worker of a library reads the library's files: where the model is another's, the canonical form is made in a
process of its own and kept in the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isotune import cache, names, reading
from isotune.conventions import REFERENCE_CONVENTIONS
from isotune.errors import UsageError, listed
from isotune.models import embedded
from isotune.weights import Weights, check_finite, kept, random_weights
from isotune.workers.process import WorkerProcess

if TYPE_CHECKING:
    from isotune.adapters.base import Adapter
    from isotune.names import ModelName
    from isotune.workers.worker import Worker

CANONICAL_SUFFIX = ".safetensors"
_LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Checkpoint:
    """What `Adapter.build` receives, and the network axes that the weights were trained with."""

    weights: str | Weights
    conventions: Mapping[str, Any] = field(default_factory=dict)


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
            weights = from_file(rest, adapter, model, image_size)
            check_finite(weights.items(), rest.partition("::")[0])
            return Checkpoint(weights, weights.conventions)
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


def from_file(rest: str, adapter: Adapter, model: ModelName, image_size: tuple[int, int]) -> Weights:
    """Canonical weights of a checkpoint file. UsageError: not whole, not plain tensors, does not fit."""
    text, _, source = rest.partition("::")
    path = Path(text).expanduser()
    if path.suffix == CANONICAL_SUFFIX and _is_canonical(path):
        return Weights.read(path)
    owner = names.parse(source) if source else model
    if (owner.adapter, owner.engine) == (model.adapter, model.engine):
        return adapter.load_file(owner.name, path, options=owner.options, image_size=image_size)
    stamp = path.stat()
    identity = f"{path.resolve()} {stamp.st_size} {stamp.st_mtime_ns} {owner} {image_size}"
    file = cache.folder("checkpoints") / f"file-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.safetensors"
    return kept(file, lambda: _converted(path, owner, image_size, file))


def _converted(path: Path, owner: ModelName, image_size: tuple[int, int], file: Path) -> None:
    """In a worker of the file's library, so that one framework never meets another in a process."""
    library = owner.adapter if owner.engine is None else f"{owner.adapter}@{owner.engine}"
    worker = WorkerProcess(library)
    try:
        worker.ask(convert, path=str(path), model=str(owner), size=image_size, file=str(file))
    finally:
        worker.stop()


def _is_canonical(path: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    reading.regular(path, 64 * reading.GIB)
    try:
        with safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get("isotune") == "1"
    except (SafetensorError, OSError, MemoryError) as error:
        raise UsageError(f"{path}: incomplete or damaged safetensors file ({error})") from None


def convert(worker: Worker, path: str, model: str, size: list[int], file: str) -> None:
    """In a worker: write a checkpoint file of its library in canonical form."""
    name = names.parse(model)
    weights = worker.adapter.load_file(name.name, Path(path), options=name.options, image_size=(size[0], size[1]))
    weights.write(Path(file))
