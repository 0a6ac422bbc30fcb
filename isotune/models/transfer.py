"""A checkpoint carried from one library to another, through the canonical form."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isotune import names, places
from isotune.conventions import NETWORK_AXES, Conventions
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
        return replace(source.weights, conventions=dict(source.conventions), architecture=architecture)
    weights = built.portable()
    return Weights(weights.tensors, weights.conventions, architecture, f"{model} {checkpoint}")


def differing(adapter: Adapter, model: names.ModelName, weights: Weights, size: _Size) -> dict[str, tuple[Any, Any]]:
    """Network axes of the weights that the library's network, as it builds it, has otherwise: (the weights', the
    library's). None on one side: it is not one value there, though the other side has one, and a place for it."""
    carried = {axis: value for axis, value in weights.conventions.items() if axis in NETWORK_AXES}
    built = adapter.build(
        model.name, classes=None if weights.outputs is None else weights.outputs, checkpoint=None,
        conventions=Conventions.model_validate(carried), image_size=size, options=model.options,
    )  # fmt: skip
    scaling = adapter.native_conventions(model.name, model.options).input_scaling
    own, under = {"input_scaling": scaling, **built.own_axes}, built.weights().conventions
    pairs = {axis: (_one(carried.get(axis)), _one(own.get(axis))) for axis in NETWORK_AXES}
    return {
        axis: (trained, built_with)
        for axis, (trained, built_with) in pairs.items()
        if trained != built_with and (built_with is not None or _one(under.get(axis)) is not None)
    }


def _one(value: Any) -> Any:
    """A value of an axis; None: not one, or nothing in the network has it."""
    return None if value in (None, "own") else value


def write_canonical(
    worker: Worker, model: str, checkpoint: str, size: list[int], head: bool, file: str
) -> dict[str, Any]:
    """In a worker: write the checkpoint in canonical form; what it holds."""
    weights = canonical(worker.adapter, names.parse(model), checkpoint, (size[0], size[1]))
    weights = weights if head else weights.without_head()
    weights.write(Path(file))
    return {
        "architecture": weights.architecture, "tensors": len(weights), "conventions": dict(weights.conventions),
        "notes": list(weights.notes),
    }  # fmt: skip


def save(worker: Worker, model: str, weights: str, size: list[int], file: str) -> dict[str, Any]:
    """In a worker: write canonical weights as a file of the library; the axes that it builds otherwise."""
    name, held = names.parse(model), Weights.read(Path(weights))
    worker.adapter.save_file(name.name, held, Path(file), options=name.options, image_size=(size[0], size[1]))
    return {"differing": differing(worker.adapter, name, held, (size[0], size[1]))}


def transfer(
    source: str, target: str | None, checkpoint: str, out: Path, size: _Size, workers: Workers, *, head: bool = True
) -> dict[str, Any]:
    """Write the checkpoint of `source` to `out`: as a file of the library of `target`, or canonical without one.

    Gives {"architecture", "tensors", "conventions", "notes", "differing"}: the axes of the checkpoint, what is to be
    known of how it was taken, and the axes that the target's library builds otherwise (`differing`). Errors: UsageError
    for models of different architectures, weights that do not fit, a suffix that the library does not have.
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
