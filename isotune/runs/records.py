"""Cells and records: what one run is asked, what it gave, and where that is kept.

A cell's key is the SHA-256 of what was asked, every file by its content (`isotune.models.contents` says what that is),
so a record is found again by it. A record carries its digest, and that of its predictions. The JSON schema of a record:
`isotune report --schema`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from isotune import sealing
from isotune.conventions import Conventions
from isotune.models import contents
from isotune.protocols import Mode, Protocol, Report, form_axes
from isotune.runs import earlier
from isotune.runs.selection.selected import Selected
from isotune.seeds import Seeds
from isotune.workers.disturbance import Disturbance


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Text(NamedTuple):
    """Of a protocol, which 100,000 cells have in common: its canonical JSON, and the axes of its techniques' forms."""

    protocol: Protocol
    json: str
    forms: tuple[str, ...]


_TEXTS: dict[int, _Text] = {}
_KEPT_TEXTS = 100


def _text(protocol: Protocol) -> _Text:
    if (kept := _TEXTS.get(id(protocol))) is None or kept.protocol is not protocol:
        if len(_TEXTS) >= _KEPT_TEXTS:
            _TEXTS.clear()
        text = earlier.canonical(protocol.model_dump(mode="json"))
        kept = _TEXTS[id(protocol)] = _Text(protocol, text, form_axes.relevant_forms(protocol))
    return kept


_SHARED: dict[tuple[str, str], Any] = {}
_MOST_SHARED = 1000


def _shared(value: Any, validated: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """One object for all that read the same JSON, which records of a sweep have in common: to read a record again takes
    half the time, and all of them less than half the memory."""
    if not isinstance(value, dict):
        return validated(value)
    asked = (str(info.field_name), repr(value))
    if asked not in _SHARED:
        if len(_SHARED) >= _MOST_SHARED:
            _SHARED.clear()
        _SHARED[asked] = validated(value)
    return _SHARED[asked]


class Cell(Mode):
    """One run: model x checkpoint x data set x protocol x conventions x seeds, in one mode."""

    model: str = Field(description="adapter:name, canonical spelling")
    network_digest: str | None = Field(
        None, description="SHA-256 of the user's file that the model names, with modules"
    )
    checkpoint: str = Field(description="offline, pretrained, a library's own name, file:PATH, random:SEED")
    weights_digest: str | None = Field(None, description="SHA-256 of the file that the checkpoint names")
    beside_digest: str | None = Field(
        None, description="SHA-256 of what stands beside that file of its tensors' names and its input scaling"
    )
    dataset: str
    dataset_digest: str = Field(description="SHA-256 of the prepared data set")
    protocol: Annotated[Protocol, WrapValidator(_shared)]
    conventions: str = Field("identical", description="identical or native, then overrides: native,axis=value")
    seeds: Seeds

    @cached_property
    def key(self) -> str:
        asked = contents.asked(self.model_dump(mode="json", exclude={"protocol"})) | {"protocol": 0}
        known = _text(self.protocol)
        if form_axes.left_to_library(known.forms, self.conventions):
            asked["forms"] = "native"  # until version 4 such a cell had the protocol's
        text = earlier.canonical(asked)  # quotes within a name are escaped: there is one such place
        return earlier.digest_of(text.replace('"protocol":0', f'"protocol":{known.json}', 1))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("key", None)  # of what was asked before
        return copy

    @property
    def adapter(self) -> str:
        """Adapter with its engine: "timm", "keras@jax"."""
        return self.model.partition(":")[0]

    def __str__(self) -> str:
        mode = "" if self.settings == Mode().settings else f" {self.mode}"
        own = self.protocol.own_classifier
        step = f" {own.step}" if own and own.step else ""
        seed = "" if own else f" seed {self.seeds}"  # an evaluation draws nothing
        return f"{self.model} {self.dataset} {self.protocol.name}{step} {self.conventions}{mode}{seed}"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


# JSON has no NaN: a loss that diverged is None.
Loss = Annotated[float | None, BeforeValidator(_finite)]


Outputs = Literal["softmax", "log-softmax", "sigmoid", "sigmoids", "unknown"]
WITHOUT_LAW: Mapping[str, str] = {  # of these there is no distribution over classes
    "sigmoids": "one sigmoid a class",
    "unknown": "outputs between 0 and 1, not known what they are",
}


class Metrics(Strict):
    accuracy: float = Field(
        ge=0, le=1, description="share of the test images that are classified correctly; of a mean over several"
        " evaluations (selected), their mean"
    )  # fmt: skip
    last_accuracy: float | None = Field(
        None, ge=0, le=1, description="that of the weights after the last step, where their average is evaluated"
    )
    centre_accuracy: float | None = Field(
        None,
        ge=0,
        le=1,
        description="three crops: that of the centre crop alone, of the same weights as the predictions",
    )
    top5: float | None = Field(
        None, ge=0, le=1, description="own classifier: share of the test images whose class is among the five likeliest"
    )
    mean_per_class: float | None = Field(
        None, ge=0, le=1, description="mean over the classes of the share of their test images that is right"
    )
    accuracy_among_all: float | None = Field(
        None, ge=0, le=1, description="own classifier with more outputs than the data set has classes: share of the"
        " test images whose class has the greatest of all outputs; accuracy is among those of the data set's classes"
    )  # fmt: skip
    outputs: Outputs | None = Field(
        None, description="own classifier: what the network ends in; null: in logits. Of sigmoids, one a class, and of"
        " the unknown, there is no loss and no calibration error"
    )  # fmt: skip
    loss: Loss = Field(None, description="mean test cross-entropy, nats; None when it is not finite")
    calibration_error: float | None = Field(
        None, ge=0, le=1, description="expected calibration error of 15 bins of equal width (Guo et al. 2017)"
    )
    confusion: tuple[tuple[int, ...], ...] | None = Field(
        None,
        description="own classifier, of 20 classes or fewer: how many test images of the row's class were given the"
        " column's",
    )
    classes: tuple[str, ...] | None = Field(None, description="of confusion, in the order of its rows")
    selected: Selected | None = Field(
        None, description="of a protocol that selects: which accuracy counts, every one by name, and what chose it"
    )
    train_loss: tuple[Loss, ...] = Field((), description="mean training loss of every epoch, nats; None likewise")
    test_images: int = Field(gt=0)
    train_images: int = Field(ge=0, description="0: nothing was trained")
    l2: float | None = Field(None, description="the strength that the probe chose")
    loss_scale: float | None = Field(None, gt=0, description="float16: by which the loss was multiplied in the end")
    skipped_steps: int | None = Field(
        None, ge=0, description="float16: steps that changed nothing, since a gradient was not finite"
    )

    @property
    def beside_accuracy(self) -> str:
        """The other scores, in words; empty where a record of before has none."""
        said = {
            "weights after the last step": self.last_accuracy is not None and f"{self.last_accuracy:.2%}",
            "among all outputs": self.accuracy_among_all is not None and f"{self.accuracy_among_all:.2%}",
            "top-5": self.top5 is not None and f"{self.top5:.2%}",
            "per class": self.mean_per_class is not None and f"{self.mean_per_class:.2%}",
            "loss": self.loss is not None and f"{self.loss:.4f}",
            "calibration error": self.calibration_error is not None and f"{self.calibration_error:.2%}",
            "loss not known:": WITHOUT_LAW.get(self.outputs or "", ""),
        }
        return ", ".join(f"{name} {value}" for name, value in said.items() if value)

    def by_name(self, metric: Literal["accuracy", "mean_per_class"]) -> dict[Report, float]:
        """Shares of 1, by which step's each is; of what selects nothing, and of what trains nothing, it is the last."""
        if self.selected is not None:
            by_step: dict[Report, float] = getattr(self.selected, metric)
            return by_step
        share: float | None = getattr(self, metric)
        return {} if share is None else {"last": share}

    @property
    def of_predictions(self) -> float:
        """The accuracy of the predictions that are kept: of a mean over evaluations those after the last step."""
        averaged = self.selected is not None and self.selected.reports == "mean-of-last"
        return self.selected.accuracy["last"] if self.selected is not None and averaged else self.accuracy

    @property
    def whole(self) -> bool:
        """Whether the accuracy is that of a whole number of images."""
        right = self.of_predictions * self.test_images
        return abs(right - round(right)) < 1e-6


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
    crops: tuple[float, ...] | None = Field(
        None, description="three crops: of evaluation, what each took, at the start, in the centre and at the end of"
        " the longer side; the first of all evaluations has what is compiled then"
    )  # fmt: skip
    choosing: float | None = Field(
        None, ge=0, description="of a protocol that selects: evaluations while training, and the trainings that only"
        " choose hyper-parameters"
    )  # fmt: skip
    trainings: int | None = Field(
        None, ge=1, description="of a protocol that selects: that which counts, and those that only choose"
    )
    features: float | None = Field(
        None, description="a probe's feature extraction after the first batch; shared by seeds"
    )
    features_images: int = Field(0, ge=0)
    features_cached: bool = Field(
        False, description="features were read, and their time is that of the run that made them"
    )
    alone: bool = Field(True, description="no other worker ran at the same time")
    resumed: tuple[int, ...] = Field(
        (),
        description="steps, counted over all stages, after which the training went on from a draft in another process."
        " The seconds are sums over the parts, without what was computed after a draft and lost; the first step of each"
        " part is in first_step; the peak of memory is the last part's",
    )
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

    version: Literal[5] = 5
    cell: Cell
    status: Literal["done", "failed"]
    error: str | None = Field(None, description="why it failed, in one line")
    architecture: str = ""
    conventions: Annotated[Conventions | None, WrapValidator(_shared)] = Field(
        None, description="resolved: one value per axis"
    )
    same_as: str | None = Field(
        None, description="the set-up whose run this is, equal on every axis that the protocol can exercise"
    )
    checkpoint_digest: str | None = Field(
        None, description="SHA-256 of the canonical weights before training; own classifier: included"
    )
    notes: tuple[str, ...] = Field(
        (), description="what is to be known of how the checkpoint's file was taken: whose it is, under which names"
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
        """Of an object that carries a digest, the digest is compared: ValueError when it is another's."""
        if isinstance(values, dict) and "digest" in values:
            try:
                values = sealing.unsealed(values, "the record")
            except sealing.Damaged as error:
                raise ValueError(str(error)) from None
        if isinstance(values, dict) and values.get("version") != cls.model_fields["version"].default:
            try:
                values = earlier.upgraded(values)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise ValueError(f"no record of version {values.get('version')}: {error}") from None
        return values

    @property
    def ended(self) -> datetime:
        """When it finished, as a time that can be compared."""
        return moment(self.finished)

    def sealed(self) -> dict[str, Any]:
        """JSON with a digest of itself."""
        return sealing.sealed(self.model_dump(mode="json"))

    @property
    def line(self) -> str:
        """What became of the cell, in one line."""
        if self.metrics is None:
            return f"{self.cell}: FAILED: {self.error}"
        line = f"{self.cell}: {self.metrics.accuracy:.2%} of {self.metrics.test_images}"
        if self.cell.protocol.own_classifier is not None:
            line += f" ({self.metrics.beside_accuracy})"
        if self.metrics.selected is not None:
            line += f" {self.metrics.selected.line}"
        if self.metrics.centre_accuracy is not None:
            line += f"; {self.metrics.centre_accuracy:.2%} of the centre crop alone"
        if self.timings and (resumed := self.timings.resumed):
            line += f"; went on from a draft after step {', '.join(f'{step:,}' for step in resumed)}"
        seen = self.timings.disturbance if self.timings and self.timings.alone else None
        return f"{line}; timings are disturbed: {seen.cause}" if seen and seen.disturbed else line


def moment(time: datetime) -> datetime:
    """A time that can be compared; one without a zone is taken as UTC."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def latest(records: Iterable[Record]) -> list[Record]:
    """One record a cell, the last to finish, whatever the order given."""
    kept: dict[str, Record] = {}
    for record in records:
        key = record.cell.key
        if key not in kept or _succeeds(record, kept[key]):
            kept[key] = record
    return [kept[key] for key in sorted(kept)]


def _succeeds(record: Record, other: Record) -> bool:
    """Finished later; of two that finished at once the one that is done, then any, but always the same."""
    if record.ended != other.ended:
        return record.ended > other.ended
    ranks = [(each.status == "done", each.model_dump_json()) for each in (record, other)]
    return ranks[0] > ranks[1]


def predictions_digest(predictions: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(predictions, dtype=np.int64).tobytes()).hexdigest()


def schema() -> dict[str, Any]:
    """JSON schema of a record."""
    made = Record.model_json_schema()
    made["properties"]["digest"] = {"type": "string", "description": "SHA-256 of the record without this field"}
    return made
