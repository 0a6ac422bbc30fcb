"""Cells and records: what one run is asked, what it gave, and where that is kept.

A cell's key is the SHA-256 of its canonical JSON, so a record is found again by what was asked. In the
store every cell has a folder `KEY/` with `record.json` and `predictions.npy`, renamed into place when
complete. The JSON schema of a record: `isotune report --schema`.
"""

from __future__ import annotations

import errno
import gc
import hashlib
import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.protocols import Mode, Protocol
from isotune.runs import version_1, version_2
from isotune.workers.disturbance import Disturbance


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Seeds(Strict):
    """One stream for each source of randomness, so that variance can be split by source."""

    head: int = Field(ge=0, description="head initialisation")
    order: int = Field(ge=0, description="order of the training images, the probe's held-out part, dropout masks")
    augmentation: int = Field(ge=0, description="crops and flips")

    @classmethod
    def all(cls, seed: int) -> Seeds:
        return cls(head=seed, order=seed, augmentation=seed)

    def __str__(self) -> str:
        values = (self.head, self.order, self.augmentation)
        return str(self.head) if len(set(values)) == 1 else "/".join(map(str, values))


class Cell(Mode):
    """One run: model x checkpoint x data set x protocol x conventions x seeds, in one mode."""

    model: str = Field(description="adapter:name, canonical spelling")
    checkpoint: str = Field(description="offline, pretrained, a library's own name, file:PATH, random:SEED")
    dataset: str
    dataset_digest: str = Field(description="SHA-256 of the prepared data set")
    protocol: Protocol
    conventions: str = Field("identical", description="identical or native, then overrides: native,axis=value")
    seeds: Seeds

    @cached_property
    def key(self) -> str:
        return version_1.digest(self.model_dump(mode="json"))

    @property
    def adapter(self) -> str:
        """Adapter with its engine: "timm", "keras@jax"."""
        return self.model.partition(":")[0]

    def __str__(self) -> str:
        mode = "" if self.settings == Mode().settings else f" {self.mode}"
        own = self.protocol.own_classifier
        step = f" {own.step}" if own and own.step else ""
        return f"{self.model} {self.dataset} {self.protocol.name}{step} {self.conventions}{mode} seed {self.seeds}"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


# JSON has no NaN: a loss that diverged is None.
Loss = Annotated[float | None, BeforeValidator(_finite)]


class Metrics(Strict):
    accuracy: float = Field(ge=0, le=1, description="share of the test images that are classified correctly")
    top5: float | None = Field(
        None, ge=0, le=1, description="own classifier: share of the test images whose class is among the five likeliest"
    )
    loss: Loss = Field(None, description="mean test cross-entropy, nats; None when it is not finite")
    train_loss: tuple[Loss, ...] = Field((), description="mean training loss of every epoch, nats; None likewise")
    test_images: int = Field(gt=0)
    train_images: int = Field(ge=0, description="0: nothing was trained")
    l2: float | None = Field(None, description="the strength that the probe chose")
    loss_scale: float | None = Field(None, gt=0, description="float16: by which the loss was multiplied in the end")
    skipped_steps: int | None = Field(
        None, ge=0, description="float16: steps that changed nothing, since a gradient was not finite"
    )


class Timings(Strict):
    """Seconds by the worker's clock, the device synchronised before each reading."""

    total: float = Field(ge=0, description="the whole cell, without building the model")
    build: float = Field(0, ge=0, description="building the model and loading its checkpoint")
    first_step: float | None = Field(
        None, description="the first training step of every stage, or the first feature batch; compilation included"
    )
    training: float | None = Field(None, description="training steps after the first, or the probe's fits")
    training_images: int = Field(0, ge=0, description="images that went through those steps")
    evaluation: float | None = Field(None, description="logits of the test images")
    features: float | None = Field(
        None, description="a probe's feature extraction after the first batch; shared by seeds"
    )
    features_images: int = Field(0, ge=0)
    features_cached: bool = Field(
        False, description="features were read, and their time is that of the run that made them"
    )
    alone: bool = Field(True, description="no other worker ran at the same time")
    disturbance: Disturbance | None = Field(
        None, description="what else the machine did during the training, or the features' extraction; null: unknown"
    )


class Memory(Strict):
    """Peak bytes while the cell ran."""

    resident: int | None = Field(None, description="peak resident set of the worker")
    baseline: int | None = Field(None, description="resident set just before: framework, data, earlier models")
    device: int | None = Field(None, description="peak allocated on an accelerator")


class Record(Strict):
    """What one cell gave."""

    version: Literal[3] = 3
    cell: Cell
    status: Literal["done", "failed"]
    error: str | None = Field(None, description="why it failed, in one line")
    architecture: str = ""
    conventions: Conventions | None = Field(None, description="resolved: one value per axis")
    same_as: str | None = Field(
        None, description="the set-up whose run this is, equal on every axis that the protocol can exercise"
    )
    checkpoint_digest: str | None = Field(
        None, description="SHA-256 of the canonical weights before training; own classifier: included"
    )
    metrics: Metrics | None = None
    predictions_digest: str | None = Field(None, description="SHA-256 of predictions.npy's int64 array, test order")
    timings: Timings | None = None
    memory: Memory | None = None
    environment: dict[str, str] = Field(default_factory=dict)
    started: datetime
    finished: datetime

    @model_validator(mode="before")
    @classmethod
    def of_any_version(cls, values: Any) -> Any:
        for version, former in enumerate((version_1, version_2), 1):
            if isinstance(values, dict) and values.get("version") == version:
                try:
                    values = former.upgraded(values)
                except (AttributeError, KeyError, TypeError) as error:
                    raise ValueError(f"no record of version {version}: {error}") from None
        return values

    @property
    def line(self) -> str:
        """What became of the cell, in one line."""
        if self.metrics is None:
            return f"{self.cell}: FAILED: {self.error}"
        line = f"{self.cell}: {self.metrics.accuracy:.2%} of {self.metrics.test_images}"
        seen = self.timings.disturbance if self.timings and self.timings.alone else None
        return f"{line}; timings are disturbed: {seen.cause}" if seen and seen.disturbed else line


def predictions_digest(predictions: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(predictions, dtype=np.int64).tobytes()).hexdigest()


class Store:
    """Records on disk, one folder a cell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, record: Record, predictions: np.ndarray | None = None) -> Path:
        """Put a record in place atomically; an older one of the same cell is replaced."""
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.folder / record.cell.key
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self.folder))
        try:
            if predictions is not None:
                np.save(draft / "predictions.npy", predictions.astype(np.int64), allow_pickle=False)
            (draft / "record.json").write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
            former = self._place(record.cell)
            self._put(draft, place)
            if former != place:  # of an earlier version: the cell would count twice
                shutil.rmtree(former)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return place

    def _put(self, draft: Path, place: Path) -> None:
        """Rename the draft into place. A folder cannot be renamed onto another, so an older record steps aside
        first: killed just then, the cell has no record and is run again."""
        while True:
            try:
                draft.rename(place)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            with (
                tempfile.TemporaryDirectory(prefix=".replaced-", dir=self.folder) as aside,
                suppress(FileNotFoundError),  # another process replaced it at the same moment
            ):
                place.rename(Path(aside) / "record")

    def read(self, cell: Cell) -> Record | None:
        """The cell's record, or None. One of an earlier version is found under the key that the cell had then."""
        path = self._place(cell) / "record.json"
        return self._parse(path) if path.exists() else None

    def predictions(self, cell: Cell) -> np.ndarray:
        """int64 [test images]. UsageError: there are none, or the file is damaged."""
        path = self._place(cell) / "predictions.npy"
        try:
            array: np.ndarray = np.load(path, allow_pickle=False)
        except FileNotFoundError:
            raise UsageError(f"{path}: there are no predictions of {cell}; run it again") from None
        except (OSError, ValueError, EOFError) as error:
            raise UsageError(f"{path}: damaged ({error}); remove {path.parent} and run again") from None
        return array

    def _place(self, cell: Cell) -> Path:
        """The folder of the cell's record, where it is or would be."""
        place = self.folder / cell.key
        if place.exists() or (then := version_2.cell(cell.model_dump(mode="json"))) is None:
            return place
        formers = (self.folder / key for key in (version_1.digest(then), version_1.key(then)))
        return next((former for former in formers if former.exists()), place)

    def __iter__(self) -> Iterator[Record]:
        for path in sorted(self.folder.glob("*/record.json"), key=str):
            if not path.parent.name.startswith("."):
                yield self._parse(path)

    def all(self) -> list[Record]:
        """Every record. The collector of cycles, of which records have none, rests while they are read: with 100,000
        of them it would take two thirds of the time."""
        enabled = gc.isenabled()
        gc.disable()
        try:
            return list(self)
        finally:
            if enabled:
                gc.enable()

    @staticmethod
    def _parse(path: Path) -> Record:
        try:
            return Record.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            where = f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}"
            raise UsageError(f"{path}: not a record of this version ({where}); remove {path.parent}") from None


def schema() -> dict[str, Any]:
    """JSON schema of a record."""
    return Record.model_json_schema()
