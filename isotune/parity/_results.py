"""What a proof gives: a `Result` per pair of models, a `Rung` for each thing that both must show; kept as JSON."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isotune import cache, reading, sealing
from isotune.comparison.bounds import BOUND, NOISE_CAP, NOISE_FACTOR, beyond_excuse
from isotune.errors import UsageError
from isotune.protocols import Layout

_log = logging.getLogger("isotune")
VERSION: Literal[2] = 2  # of the JSON; results of version 1, which did not say so, are read as they are


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Rung(_Kept):
    """One thing in which both models of a pair are to show the same, put to the test."""

    name: str = Field(description="features, layers, loss, smoothed loss, gradients, CASE 1 step, CASE 10 steps...")
    error: float = Field(description="worst relative error of its tensors; inf: one side lacks one, or is not finite")
    where: str = Field(description="the worst tensor or layer, canonical name")
    tensors: int = Field(description="how many were compared")
    bound: float = Field(description="what the error may be")
    noise: float | None = Field(
        None,
        description="float64: the first model against itself with the batch permuted, measured where the error exceeds"
        " 1e-9; float32: the first model's own error against its float64 run",
    )
    why: str = ""

    @property
    def holds(self) -> bool:
        return self.error <= self.bound

    @property
    def doubtful(self) -> bool:
        """Whether it does not hold, and noise beyond what is excused could be why."""
        return not self.holds and beyond_excuse(self.error, self.noise)


class Question(_Kept):
    """Which proof: everything that its outcome depends on, the versions included."""

    left: str
    right: str
    checkpoint: str
    conventions: str = Field("identical", description="the checkpoint's, those native to the left model, or overridden")
    size: tuple[int, int] = Field(description="height and width of the images, pixels")
    batch: int
    seed: int
    numeric_mode: Literal["float64", "float32"] = "float64"
    versions: dict[str, str]
    layouts: tuple[Layout | None, Layout | None] = Field(
        (None, None), description="in memory, of left and right: what each library's user gets; null: not known"
    )

    @property
    def key(self) -> str:
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]


class Result(_Kept):
    """What became of one question. A result without all its stages is a proof under way."""

    version: Literal[2] = VERSION
    question: Question
    architecture: str
    parameters: int = Field(description="trainable, with a classifier of ten classes")
    stages: tuple[str, ...] = Field(description="inference, gradients, and the optimizers: those that are done")
    rungs: tuple[Rung, ...] = ()
    error: str | None = Field(None, description="why the proof could not be carried out")
    seconds: float = 0.0
    finished: datetime | None = None

    @property
    def holds(self) -> bool:
        return self.error is None and all(rung.holds for rung in self.rungs)

    @property
    def line(self) -> str:
        """The verdict in one line."""
        return f"{self.question.left} = {self.question.right}: {self.error or self.outcome}, {self.seconds:.0f} s"

    @property
    def outcome(self) -> str:
        """In words: identical, or at which rung it differs or is undecided."""
        if (rung := self.first_failure) is None:
            return "identical"
        return f"{'undecided' if rung.doubtful else 'differs'}: {rung.name}"

    @property
    def first_failure(self) -> Rung | None:
        """The first rung that differs; where none does, the first that is undecided."""
        failing = [rung for rung in self.rungs if not rung.holds]
        return next((rung for rung in failing if not rung.doubtful), failing[0] if failing else None)


class ResultStore:
    """Results by question, a file each, written whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, question: Question) -> Result | None:
        """None: it is not there, of another version, or damaged, which a warning of the logger `isotune` says."""
        file = self._file(question)
        try:
            file.lstat()  # FileNotFoundError
            values = reading.json(file, 64 * reading.MIB)
            if "digest" in values:  # results from before have none
                values = sealing.unsealed(values, file)
            result = Result.model_validate(values)
        except (FileNotFoundError, ValidationError):
            return None
        except (OSError, ValueError, TypeError, UsageError) as error:
            _log.warning("damaged proof %s: %s; set aside as %s", file, error, cache.set_aside(file).name)
            return None
        return result if result.question == question else None

    def write(self, result: Result) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        sealing.write_json(self._file(result.question), result.model_dump(mode="json"))

    def _file(self, question: Question) -> Path:
        return self.folder / f"{question.key}.json"


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """What `--json` prints and `reports/parity.json` holds."""
    return {
        "version": VERSION,
        "bound": BOUND,
        "noise_factor": NOISE_FACTOR,
        "noise_cap": NOISE_CAP,
        "results": [result.model_dump(mode="json") | {"holds": result.holds} for result in results],
    }
