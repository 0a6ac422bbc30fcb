"""A checkpoint carried from one library to another, through the canonical form."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isotune import names, places
from isotune.conventions import NETWORK_AXES
from isotune.errors import UsageError
from isotune.models.axes import resolved
from isotune.models.checkpoints import architecture_of, check_name, resolve
from isotune.weights import HEAD, Weights

if TYPE_CHECKING:
    from isotune.adapters.base import Adapter
    from isotune.workers.process import Workers
    from isotune.workers.worker import Worker

_Size = tuple[int, int]


def canonical(adapter: Adapter, model: names.ModelName, checkpoint: str, size: _Size) -> Weights:
    """The checkpoint of a model in canonical form, with its classifier where it has one, and its conventions.

    Errors: UsageError for a checkpoint that does not fit the model, though it is canonical already.
    """
    source = resolve(checkpoint, adapter, model, size)
    architecture = architecture_of(adapter, model)
    axes = resolved("identical", adapter, model, protocol={}, checkpoint=source.conventions)
    kernel = source.weights.get(f"{HEAD}.kernel") if isinstance(source.weights, Weights) else None
    built = adapter.build(
        model.name, classes=None if kernel is None else kernel.shape[-1], checkpoint=source.weights, conventions=axes,
        image_size=size, options=model.options,
    )  # fmt: skip
    if isinstance(source.weights, Weights):
        return Weights(source.weights.tensors, dict(source.conventions), architecture, source.weights.origin)
    weights = built.portable()
    return Weights(weights.tensors, weights.conventions, architecture, f"{model} {checkpoint}")


def differing(adapter: Adapter, model: names.ModelName, weights: Weights) -> dict[str, tuple[Any, Any]]:
    """Network axes of the weights that the library builds otherwise by default: (the weights', the library's)."""
    native = adapter.native_conventions(model.name, model.options)
    pairs = {axis: (weights.conventions.get(axis), getattr(native, axis)) for axis in NETWORK_AXES}
    unset = (None, "own")
    return {axis: pair for axis, pair in pairs.items() if pair[0] != pair[1] and not set(pair) & set(unset)}


def write_canonical(
    worker: Worker, model: str, checkpoint: str, size: list[int], head: bool, file: str
) -> dict[str, Any]:
    """In a worker: write the checkpoint in canonical form; what it holds."""
    weights = canonical(worker.adapter, names.parse(model), checkpoint, (size[0], size[1]))
    weights = weights if head else weights.without_head()
    weights.write(Path(file))
    return {
        "architecture": weights.architecture, "tensors": len(weights), "conventions": dict(weights.conventions)
    }  # fmt: skip


def save(worker: Worker, model: str, weights: str, size: list[int], file: str) -> dict[str, Any]:
    """In a worker: write canonical weights as a file of the library; the axes that it builds otherwise."""
    name, held = names.parse(model), Weights.read(Path(weights))
    worker.adapter.save_file(name.name, held, Path(file), options=name.options, image_size=(size[0], size[1]))
    return {"differing": differing(worker.adapter, name, held)}


def transfer(
    source: str, target: str | None, checkpoint: str, out: Path, size: _Size, workers: Workers, *, head: bool = True
) -> dict[str, Any]:
    """Write the checkpoint of `source` to `out`: as a file of the library of `target`, or canonical without one.

    Gives {"architecture", "tensors", "conventions", "differing"}: the axes of the checkpoint, and those of them that
    the target's library builds otherwise. Errors: UsageError for models of different architectures, weights that do
    not fit, a suffix that the library does not have.
    """
    check_name(checkpoint)
    model = names.parse(source)
    if target is None:
        if out.suffix != ".safetensors":
            raise UsageError(f"{out}: the canonical form is written as .safetensors; name a second model for others")
    else:
        from isotune.models.counterparts import check_pair

        check_pair(source, target, may_be_equal=True)
    places.check_file(out, str(out))
    with tempfile.TemporaryDirectory(prefix="isotune-transfer-") as folder:
        file = out if target is None else Path(folder) / "canonical.safetensors"
        if target is None:
            places.make_folder_of(out)
        report: dict[str, Any] = workers[_worker(model)].ask(
            write_canonical, model=source, checkpoint=checkpoint, size=size, head=head, file=str(file.absolute())
        )
        if target is not None:
            places.make_folder_of(out)
            report |= workers[_worker(names.parse(target))].ask(
                save, model=target, weights=str(file), size=size, file=str(out.absolute())
            )
    return report


def _worker(model: names.ModelName) -> str:
    return model.adapter if model.engine is None else f"{model.adapter}@{model.engine}"
