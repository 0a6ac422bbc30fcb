"""Writes a recording while a loop runs. What is large goes to the disk at once, tensor by tensor."""

from __future__ import annotations

import atexit
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isotune import places, sealing
from isotune._version import version
from isotune.errors import UsageError
from isotune.recordings._fingerprints import fingerprint
from isotune.recordings._format import (
    ABOUT,
    STATISTICS,
    STEP,
    STEPS,
    About,
    Draw,
    EveryStep,
    Norm,
    Optimizer,
    Pass,
    StepEntry,
    TensorEntry,
)
from isotune.recordings._tensors import Streamed, write

Array = np.ndarray
_CHANGES = 100_000  # of the rate that are kept
_BOUND = 1 << 63  # of whole numbers that every reader of JSON takes; a seed of torch's may be larger
_FILES = (ABOUT, STEPS, STATISTICS, sealing.SEAL, sealing.VERIFIED)
_log = logging.getLogger("isotune")


class Writer:
    """A folder that becomes a recording; whole when it is closed.

    folder: new, empty, or an earlier recording, which is replaced. steps: recorded in full. layers: those of them in
    which every layer's output is kept too. statistics: every so many steps; 0: none. most: bytes of all full steps.
    UsageError: the folder holds something else or cannot be written.
    """

    def __init__(
        self, folder: Path, steps: Iterable[int], layers: Iterable[int], statistics: int, most: int,
        steps_per_epoch: int | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.statistics, self.most = folder.expanduser().absolute(), statistics, most
        self.steps = tuple(sorted(set(steps)))
        self.layers = frozenset(layers)
        self._steps_per_epoch = steps_per_epoch
        self.taken = 0  # steps so far
        self._rates: list[tuple[int, float]] = []
        self._images: list[tuple[int, int]] = []
        self._passes: list[tuple[int, int]] = []
        self._complete = True
        self.about: About | None = None
        self.closed = False
        places.check_folder(self.folder, "folder")
        if self.folder.exists() and (entries := [path.name for path in self.folder.iterdir()]):
            if ABOUT not in entries or not all(name in _FILES or name.startswith("step-") for name in entries):
                raise UsageError(f"{self.folder} holds something else; choose an empty folder for the recording")
            _log.warning("the recording that was in %s is replaced", self.folder)
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._when_done: list[Callable[[], None]] = []
        atexit.register(self.close)

    def describe(
        self, framework: str, network: str, tensors: Sequence[TensorEntry], configuration: Mapping[str, Any], *,
        in_order: bool, per_step: int,
    ) -> None:  # fmt: skip
        """Say what is watched, before the first full step. per_step: bytes of one.

        UsageError: all full steps together would be larger than `most`.
        """
        if (size := per_step * len(self.steps)) > self.most:
            raise UsageError(
                f"{len(self.steps)} full steps of this network have about {size / 2**30:.2g} GiB, and the recording may"
                f" have {self.most / 2**30:.2g}: record fewer steps, or give most=BYTES"
            )
        self.about = About(
            isotune=version(), framework=framework, network=network, steps_per_epoch=self._steps_per_epoch,
            steps=self.steps, statistics=self.statistics, configuration=plain(configuration), tensors=tuple(tensors),
            order="execution" if in_order else "registration",
        )  # fmt: skip
        (self.folder / ABOUT).write_text(self.about.model_dump_json(indent=1), encoding="utf-8")

    @property
    def full(self) -> bool:
        """Whether the coming step is recorded in full."""
        return not self.closed and self.taken in self.steps

    @property
    def sampled(self) -> bool:
        """Whether statistics are taken of the coming step."""
        return not self.closed and bool(self.statistics) and self.taken % self.statistics == 0

    @property
    def over(self) -> bool:
        """Whether no step to come is recorded."""
        return self.closed or (not self.statistics and (not self.steps or self.taken > self.steps[-1]))

    def begin(self) -> OpenStep:
        """The coming step, in full."""
        return OpenStep(self.folder / f"step-{self.taken:06d}", self.taken)

    def expect(self, steps_per_epoch: int | None) -> None:
        """What the loop knows of an epoch's length, where the user did not say it."""
        self._steps_per_epoch = self._steps_per_epoch or steps_per_epoch

    def passed(self, rate: float, images: int | None, passes: int | None) -> None:
        """One more step was taken. None: as before."""
        for kept, value in ((self._rates, rate), (self._images, images), (self._passes, passes)):
            if value is not None and (not kept or kept[-1][1] != value):
                if len(kept) < _CHANGES:
                    kept.append((self.taken, value))  # type: ignore[arg-type]
                else:
                    self._complete = False
        self.taken += 1

    def sample(self, values: Mapping[str, Any]) -> None:
        """Statistics of the coming step."""
        with (self.folder / STATISTICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": self.taken, **plain(values)}) + "\n")

    def abandon(self) -> None:
        """It could not be begun: nothing is left of it."""
        self.closed = True
        atexit.unregister(self.close)
        shutil.rmtree(self.folder, ignore_errors=True)

    def when_done(self, do: Callable[[], None]) -> None:
        """Called once when it is closed: hooks are taken off."""
        self._when_done.append(do)

    def close(self) -> None:
        """Seal what there is; nothing is recorded any more. Doing it again does nothing."""
        if self.closed:
            return
        self.closed = True
        atexit.unregister(self.close)
        for do in self._when_done:
            do()
        try:
            self._finish()
        except OSError as error:  # a loop does not end because its recording cannot be kept
            _log.warning("the recording %s could not be finished: %s", self.folder, error.strerror)

    def _finish(self) -> None:
        if self.about is None:
            _log.warning("nothing was recorded in %s: no step that was to be recorded was taken", self.folder)
            return
        every = EveryStep(
            steps=self.taken, rates=tuple(self._rates), images=tuple(self._images), passes=tuple(self._passes),
            complete=self._complete,
        )  # fmt: skip
        (self.folder / STEPS).write_text(every.model_dump_json(), encoding="utf-8")
        for folder in self.folder.glob("step-*"):
            if not (folder / STEP).exists():  # the loop ended in the middle of it
                shutil.rmtree(folder)
        sealing.seal(self.folder)


class OpenStep:
    """A full step that is being taken."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder, self.number = folder, number
        folder.mkdir(parents=True, exist_ok=True)
        self._passes: list[dict[str, Any]] = []
        self._outputs: list[Streamed] = []
        self._files: list[str] = []
        self.raw: dict[str, tuple[float, float]] = {}
        self.norms: dict[str, Norm] = {}
        self.draws: dict[str, Draw] | None = None
        self.random: dict[str, dict[str, str]] = {}
        self.eager = False
        self._layers: dict[str, Array] = {}
        self._seen: dict[str, list[Array]] = {}

    @property
    def passes(self) -> int:
        return len(self._passes)

    @property
    def images(self) -> int | None:
        """Of all passes; None where they did not show."""
        sizes = [each["batch"].shape[0] for each in self._passes if each["batch"] is not None]
        return sum(sizes) if sizes else None

    def add_pass(self, inputs: Array | None) -> None:
        """A forward pass begins. inputs: [N, ...], images as [N, H, W, C]."""
        batch = fingerprint(inputs) if inputs is not None and inputs.ndim and inputs.size else None
        self._passes.append({"batch": batch})

    def tell(self, *, labels: Array | None = None, loss: float | None = None) -> None:
        """Of the last pass: class numbers [N], one-hot or of several classes [N, K]; the loss."""
        if not self._passes:
            self.add_pass(None)
        if labels is not None and (numbers := class_numbers(labels)) is not None:
            self._passes[-1]["labels"] = tuple(numbers.tolist())
        elif labels is not None and np.ndim(labels) == 2:
            self.output("targets", np.asarray(labels))
        if loss is not None:
            self._passes[-1]["loss"] = float(loss)

    def output(self, what: str, array: Array, of_pass: int | None = None) -> None:
        """`logits` of a pass, `targets`, or the loss's `gradient` with respect to the logits."""
        number = self.passes - 1 if of_pass is None else of_pass
        self._outputs.append(held(f"{max(number, 0)}/{what}", array))

    def layer(self, name: str, array: Array) -> None:
        """What a layer gives in the first pass, NHWC, a few images."""
        self._layers.setdefault(name, np.array(array))

    def batch_statistics(self, layer: str, mean: Array, variance: Array, count: int) -> None:
        """What a BatchNorm in training found in one pass: mean and biased variance [C] of `count` values a channel."""
        self._seen.setdefault(layer, []).append(np.stack([mean, variance, np.full_like(mean, count)]))

    def keep(self, name: str, tensors: Sequence[Streamed]) -> None:
        """A file of tensors, written now."""
        write(self._folder / f"{name}.safetensors", tensors)
        self._files.append(name)

    def finish(self, optimizer: Optimizer) -> None:
        """The step was taken."""
        if self._outputs:
            self.keep("outputs", self._outputs)
        if self._layers:
            self.keep("layers", [held(name, array) for name, array in self._layers.items()])
        if self._seen:
            self.keep("batchnorm-batches", [held(name, np.stack(each)) for name, each in self._seen.items()])
        entry = StepEntry(
            step=self.number, optimizer=optimizer, passes=tuple(Pass(**values) for values in self._passes),
            raw=self.raw, norms=self.norms, draws=self.draws, random=self.random, eager=self.eager,
            files=tuple(self._files),
        )  # fmt: skip
        (self._folder / STEP).write_text(entry.model_dump_json(indent=1), encoding="utf-8")


def held(name: str, array: Array) -> Streamed:
    """An array that is in memory; other than float64 it is kept as float32."""
    dtype = "float64" if array.dtype == np.float64 else "float32"
    return Streamed(name, tuple(array.shape), dtype, lambda: array)


def class_numbers(labels: Array) -> Array | None:
    """Labels as class numbers, int64 [N]; None where they are none (soft targets)."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] > 1:
        hot = labels.argmax(1)
        return hot.astype(np.int64) if (labels[np.arange(len(labels)), hot] == 1).all() else None
    flat = labels.reshape(-1)
    return flat.astype(np.int64) if np.array_equal(flat, np.rint(flat)) else None


def plain(value: Any) -> Any:
    """Values as JSON can hold them; what it cannot is its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if isinstance(value, int) and not -_BOUND <= value < _BOUND:
        return str(value)
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else str(float(value))
    return str(value)[:200]
