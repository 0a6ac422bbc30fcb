"""Models built in a worker from what a user names, and kept, since most of what is asked of one is asked again.

A kept model is set back to its checkpoint's tensors (`Built.reset`) before each use, so that it gives bitwise what it
would give in a fresh process.
"""

from __future__ import annotations

import gc
import logging
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from isotune import names
from isotune.conventions import NETWORK_AXES, Conventions, written_value
from isotune.errors import UsageError
from isotune.models import contents, embedded
from isotune.models.axes import resolved
from isotune.models.checkpoints import Checkpoint, architecture_of, resolve
from isotune.protocols import Layout, Mode, Stage, relevant_axes
from isotune.weights import Weights
from isotune.workers.environment import environment_of

if TYPE_CHECKING:
    from isotune.adapters.base import Model
    from isotune.workers.worker import Worker

_log = logging.getLogger("isotune")
KEPT_MODELS = 2  # whatever their size: identical and native of one model, which a matrix runs in turn


@dataclass
class Built:
    """A model with what is needed to set it back to its beginning."""

    model: Model
    initial: Weights
    conventions: Conventions
    layout: Layout | None  # of its tensors in memory; None: the adapter does not say
    architecture: str
    seconds: float
    notes: tuple[str, ...] = ()  # of its checkpoint

    @property
    def parameters(self) -> int:
        """All numbers of its tensors, BatchNorm's statistics among them."""
        return sum(array.size for array in self.initial.values())

    @property
    def trained_parameters(self) -> int:
        """What a training of all layers changes, without the classifier, as a model's size is given."""
        body = self.initial.without_head()
        return sum(array.size for name, array in body.items() if not name.endswith((".mean", ".variance")))

    @cached_property
    def digest(self) -> str:
        """Of the weights, the classifier's left out."""
        return self.initial.without_head().digest()

    def reset(self, head: dict[str, np.ndarray] | None = None) -> None:
        self.model.load({**self.initial, **(head or {})})


class Builder:
    """Builds the models of one adapter, and keeps the latest.

    most: models that are kept, those of more than KEPT_MODELS as long as they have no more than `room` parameters
    together. A checkpoint is kept until a model is built of it, or for good where it fits into the room.
    """

    def __init__(self, worker: Worker, *, most: int = KEPT_MODELS, room: int = 0) -> None:
        self.adapter, self._most, self._room = worker.adapter, most, room
        self._built: OrderedDict[tuple[object, ...], Built] = OrderedDict()
        self._axes: dict[tuple[object, ...], Conventions] = {}
        self._placeless: dict[tuple[object, ...], frozenset[str]] = {}
        self._loaded: tuple[tuple[object, ...], Checkpoint] | None = None

    def conventions(
        self, model: str, checkpoint: str, spec: str, size: int, recipe: dict[str, object] | None = None
    ) -> Conventions:
        """The axes that `spec` comes to for this model, checkpoint and protocol."""
        key = (*contents.files(model, checkpoint), spec, size, tuple(sorted((recipe or {}).items())))
        if key not in self._axes:
            name = names.parse(model)
            self._axes[key] = resolved(
                spec,
                self.adapter,
                name,
                protocol=recipe or {},
                checkpoint=self.checkpoint(model, checkpoint, size).conventions,
            )
        return self._axes[key]

    def mattering(self, model: str, stages: Sequence[Stage]) -> set[str]:
        """The axes that can change what these stages, or inference, give of the model."""
        key = (model, contents.network_digest(model))
        if key not in self._placeless:
            name = names.parse(model)
            self._placeless[key] = self.adapter.placeless(name.name, name.options)
        return set(relevant_axes(stages) - self._placeless[key])

    def checkpoint(self, model: str, checkpoint: str, size: int) -> Checkpoint:
        """The checkpoint, whose conventions are asked for just before its weights."""
        key = (*contents.files(model, checkpoint), size)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = key, resolve(checkpoint, self.adapter, names.parse(model), (size, size))
        return self._loaded[1]

    def class_names(self, model: str, checkpoint: str) -> tuple[str, ...]:
        """What the outputs of the checkpoint's own classifier are called, as far as the adapter knows; else empty."""
        name = names.parse(model)
        kept = None if embedded.held(checkpoint) or checkpoint.partition(":")[0] in ("file", "random") else checkpoint
        return tuple(self.adapter.class_names(name.name, kept))

    def build(
        self,
        model: str,
        *,
        checkpoint: str,
        conventions: str | Conventions,
        recipe: dict[str, object],
        classes: int | None,
        mode: Mode,
        size: int,
        keep: bool = True,
    ) -> Built:
        """The model under these conventions, kept from an earlier request where there is one.

        conventions: resolved, or a spec. classes: of a new classifier; None keeps the checkpoint's. UsageError: it has
        none.
        """
        axes = conventions
        if isinstance(axes, str):
            axes = self.conventions(model, checkpoint, axes, size, recipe)
        layout = type(self.adapter).layout_on(self.adapter.engine, mode.layout)
        key = (*contents.files(model, checkpoint), axes, classes, *(mode.settings | {"layout": layout}).values(), size)
        if key in self._built and keep:
            self._built.move_to_end(key)
            return self._built[key]
        self._make_room()
        began = time.perf_counter()
        name = names.parse(model)
        loaded = self.checkpoint(model, checkpoint, size)
        weights = loaded.weights
        if classes is None and isinstance(weights, Weights) and weights.outputs is None:
            raise UsageError(f"checkpoint {checkpoint!r} of {model} has no classifier of its own")
        built = self.adapter.build(
            name.name,
            classes=classes,
            checkpoint=weights,
            conventions=axes,
            numeric_mode=mode.numeric_mode,
            image_size=(size, size),
            compiled=mode.compiled,
            options=name.options,
            **({"layout": layout} if layout else {}),
        )
        initial = built.weights()
        architecture = architecture_of(self.adapter, name)
        notes = loaded.notes + tuple(_unsaid(checkpoint, loaded.conventions, built))
        kept = Built(built, initial, axes, layout, architecture, time.perf_counter() - began, notes)
        if kept.parameters > self._room:
            self._loaded = None
        if keep:
            self._built[key] = kept
        return kept

    def environment(self, built: Built | None = None) -> dict[str, str]:
        """What results depend on beside the request: versions, device, threads, flags; of a model, its layout."""
        layout = {"layout": built.layout} if built and built.layout else {}
        return environment_of(self.adapter) | layout

    def keeps(self, parameters: int) -> int:
        """How many models of this size."""
        return max(KEPT_MODELS, min(self._most, self._room // max(parameters, 1)))

    def _make_room(self) -> None:
        """For another model, as large as those that are kept."""
        while len(self._built) >= KEPT_MODELS and not self._fits_another():
            self._built.popitem(last=False)
            gc.collect()  # models hold themselves: bound methods, hooks

    def _fits_another(self) -> bool:
        sizes = [built.parameters for built in self._built.values()]
        return len(sizes) < self._most and sum(sizes) + max(sizes) <= self._room


def _unsaid(checkpoint: str, said: Mapping[str, object], built: Model) -> Iterator[str]:
    """What a file of weights does not say of conventions, so that the network decides it, in sentences."""
    if (file := contents.weights_file(checkpoint)) is None:
        return
    for axis in NETWORK_AXES:
        own = built.own_axes.get(axis)
        if said.get(axis) in (None, "own") and own not in (None, "own"):
            note = f"{file.name} does not say under which {axis} it was trained; the model has {written_value(own)}"
            _log.warning("%s", note, extra={"once": True})
            yield note
