"""A checkpoint of one library as a file of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isotune.interface import arguments
from isotune.interface.arguments import Model, PathLike
from isotune.models import transfer as transfers
from isotune.workers.process import Workers


@dataclass(frozen=True)
class Transferred:
    """A checkpoint file that was written.

    conventions: the network axes that the weights were trained with; they stand in the file. differing: the axes that
    the target's library builds otherwise: (as trained, as built), None where that is not one value. Run with
    `checkpoint=path`, the target follows the training (`as_trained`: in all of them). notes: what is to be known of how
    the checkpoint's file was taken.
    """

    path: Path
    source: str
    target: str | None  # None: the canonical form
    checkpoint: str
    architecture: str
    tensors: int
    conventions: Mapping[str, Any]
    differing: Mapping[str, tuple[Any, Any]]
    notes: tuple[str, ...] = ()

    @property
    def as_trained(self) -> bool:
        """Whether the conventions of the checkpoint say all that the target would do otherwise."""
        return all(trained is not None for trained, _ in self.differing.values())

    def as_json(self) -> dict[str, Any]:
        """What `isotune transfer --json` prints: architecture, tensors, conventions, notes, differing."""
        told = {"architecture": self.architecture, "tensors": self.tensors, "conventions": dict(self.conventions)}
        told["notes"] = list(self.notes)
        return told if self.target is None else told | {"differing": dict(self.differing)}


def transfer(
    source: Model,
    target: Model | None,
    path: PathLike,
    *,
    checkpoint: PathLike = "pretrained",
    size: int | str | tuple[int, int] = 224,
    classifier: bool = True,
) -> Transferred:
    """Write a checkpoint of one library as a file for another, which that library's own users can load.

    source: the model whose checkpoint it is. target: the model to write it for; None: isotune's canonical form.
    path: its suffix says the format: a state dict for torch's libraries (.safetensors, .pt, .pth), .weights.h5 for
        Keras, .safetensors for the canonical form. checkpoint: as of `isotune.run`.
    size: of the input of networks whose tensors depend on it, pixels: a side, (height, width) or "HEIGHTxWIDTH".
    classifier: keep it.
    Errors: UsageError: models of different architectures, weights that do not fit, a suffix that the library does not
    have. NotCached: the checkpoint cannot be downloaded.

    >>> done = isotune.transfer("keras:MobileNetV2", "timm:mobilenetv2_100", "w.safetensors", checkpoint="random:0")
    >>> isotune.run("timm:mobilenetv2_100", checkpoint=done.path)
    """
    first, second = arguments.model(source, "source"), target if target is None else arguments.model(target, "target")
    place, held, sides = arguments.path(path, "path"), arguments.checkpoint(checkpoint), arguments.sides(size)
    classifier = arguments.flag(classifier, "classifier")
    with Workers() as workers:
        told = transfers.transfer(first, second, held, place, sides, workers, head=classifier)
    differing = {axis: (trained, built) for axis, (trained, built) in told.get("differing", {}).items()}
    return Transferred(
        place, first, second, held, told["architecture"], told["tensors"], told["conventions"], differing,
        tuple(told["notes"]),
    )  # fmt: skip
