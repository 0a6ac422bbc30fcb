"""What both sides' workers are asked for a reproducer, and the worker's part of it.

The lines that are tried are the lines that are written: a worker runs them as they stand, with the arrays of the trial.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from isotune.comparison import observations
from isotune.comparison.observations import Observations
from isotune.comparison.recorder import Recorder
from isotune.comparison.sides import Inputs, Side
from isotune.errors import UsageError
from isotune.excerpts import Excerpt, Given, NotWritten
from isotune.investigation.findings import SIDES, Which
from isotune.investigation.reproducing._pieces import Piece, whole
from isotune.workers.process import WorkerFailure, Workers
from isotune.workers.worker import Worker

if TYPE_CHECKING:
    from isotune.adapters.base import Model

Array = np.ndarray
INPUT = "input"  # among what a model shows, as in `isotune.adapters.base`
_IMAGES = 2
_FAITHFUL = 1e-4  # relative: lines in float64 against the layer in float32


class Asker:
    """Workers of both sides, for as long as it is entered; libraries in their float32, without what isotune writes out
    in float64."""

    def __init__(self, sides: Mapping[str, Side], inputs: Inputs) -> None:
        self._sides = {which: side.in_mode("float32") for which, side in sides.items()}
        self._inputs = inputs
        self._stack, self._count = ExitStack(), count()

    def __enter__(self) -> Self:
        self._workers = {which: self._stack.enter_context(Workers(threads=1, shared=True)) for which in SIDES}
        self._scratch = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="isotune-reproducer-")))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def excerpt(self, which: Which, layer: str, channels: int | None = None, training: bool = False) -> Excerpt:
        """NotWritten: why it cannot be."""
        answer = self._ask(
            which, write, side=self._sides[which].model_dump(), inputs=self._inputs.model_dump(), layer=layer,
            channels=channels, training=training,
        )  # fmt: skip
        return Excerpt.model_validate(answer)

    def values(
        self, which: Which, piece: Piece, arrays: Mapping[str, Array], names: Sequence[str], shown: list[int]
    ) -> list[Array]:
        """What operations of a piece give. arrays: by name, those of `names` its inputs. NotWritten: its lines fail."""
        folder = self._scratch / str(next(self._count))
        observations.write(folder, iter(arrays.items()))
        self._ask(
            which, run, imports=list(piece.imports), body=piece.body(list(names), shown=shown),
            arrays=str(folder), folder=str(folder) + "-given",
        )  # fmt: skip
        return [np.asarray(array) for array in Observations(Path(f"{folder}-given")).values()]

    def _ask(self, which: Which, do: Any, **request: Any) -> Any:
        try:
            return self._workers[which][self._sides[which].adapter].ask(do, **request)
        except (UsageError, WorkerFailure) as error:
            raise NotWritten(str(error)) from None


def _of_shape(given: Given, array: Array) -> Given:
    return given.model_copy(update={"shape": array.shape})


# -- the worker's part


def write(
    worker: Worker, side: dict[str, Any], inputs: dict[str, Any], layer: str, channels: int | None, training: bool
) -> dict[str, Any]:
    """A layer's excerpt, once its lines gave what the layer gives."""
    asked = Inputs.model_validate(inputs)
    model = worker.kept(Recorder).model(Side.model_validate(side), asked)
    images = np.random.default_rng(0).integers(0, 256, (_IMAGES, asked.size, asked.size, 3), dtype=np.uint8)
    made: Excerpt = model.excerpt(layer, images, channels=channels, training=training)
    if channels is not None:
        return made.model_dump()
    with worker.adapter.settings_kept():
        return faithful(model, made, layer, images, training).model_dump()


def faithful(model: Model, made: Excerpt, layer: str, images: Array, training: bool) -> Excerpt:
    """The excerpt with the shapes that were seen. NotWritten: its lines give something else than the layer gives."""
    seen = {INPUT: model.network_input(images), **dict(model.activations(images, training=training))}
    weights = model.weights()
    arrays = {f"a{place}": seen[given.name].astype(np.float64) for place, given in enumerate(made.given)}
    named = {name: made.others.get(name, f"{layer}.{name}") for name in made.tensors}
    tensors = {name: weights[canonical].astype(np.float64) for name, canonical in named.items()}
    piece = whole(made)
    (given,) = run_lines(made.imports, piece.body(list(arrays), shown=[piece.last]), arrays | tensors)
    wanted = seen[layer]
    if given.size != wanted.size:
        raise NotWritten(f"its lines give {given.shape}, the layer {wanted.shape}")
    error = np.abs(given.reshape(wanted.shape) - wanted).max() / max(np.abs(wanted).max(), 1e-30)
    if not error <= _FAITHFUL:
        raise NotWritten(f"its lines give something else than the layer, by {error:.0e}")
    return made.model_copy(update={"given": tuple(map(_of_shape, made.given, arrays.values()))})


def run(worker: Worker, imports: list[str], body: list[str], arrays: str, folder: str) -> None:
    """Write down what lines give, with these arrays."""
    given = {name: np.array(array) for name, array in Observations(Path(arrays)).items()}
    with worker.adapter.settings_kept():
        values = run_lines(imports, body, given)
    observations.write(Path(folder), ((str(place), array) for place, array in enumerate(values)))


def run_lines(imports: Sequence[str], body: Sequence[str], arrays: Mapping[str, Array]) -> list[Array]:
    names: dict[str, Any] = {"np": np, **arrays}
    text = "\n".join([*imports, "def side():", *(f"    {line}" for line in body)])
    try:
        exec(compile(text, "excerpt", "exec"), names)
        return [np.asarray(value) for value in names["side"]()]
    except Exception as error:  # shapes that do not go together, and whatever else a library says
        raise NotWritten(f"its lines do not run: {type(error).__name__}: {error}") from None
