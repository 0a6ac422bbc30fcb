"""Reads a recording."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from isotune import reading, sealing
from isotune.errors import UsageError
from isotune.recordings._format import ABOUT, STATISTICS, STEP, STEPS, VERSION, About, EveryStep, StepEntry
from isotune.recordings._tensors import Tensors

PREFIX = "recording:"
Array = np.ndarray
_SMALL = 64 * reading.MIB


class RecordedStep:
    """A full step: `.entry`, and its tensors by file: `.tensors("gradients")["007.norm.scale"]`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.entry = _parsed(StepEntry, folder / STEP)

    def tensors(self, name: str) -> Mapping[str, Array]:
        """The tensors of a file; none where the step has no such file."""
        return Tensors(self._folder / f"{name}.safetensors") if name in self.entry.files else {}


class Recording:
    """A recording, read. UsageError: the folder is none, of another version, cut off or damaged."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self.name = self.folder.name
        if not (self.folder / ABOUT).is_file():
            raise UsageError(f"{folder} is no recording: it has no {ABOUT}; isotune.watch writes one")
        try:
            about = reading.json(self.folder / ABOUT, _SMALL)
            number = about.get("version") if isinstance(about, dict) else None
        except UsageError:
            raise UsageError(f"the recording {folder} is cut off or damaged: {ABOUT} is not whole") from None
        if number != VERSION:
            raise UsageError(
                f"the recording {folder} is of version {number!r}, and this isotune reads {VERSION}; record it again"
            )
        if not (self.folder / sealing.SEAL).exists():
            raise UsageError(
                f"the recording {folder} is cut off: its loop was killed, or still runs; it is whole once it is closed"
            )
        sealing.check(self.folder)
        self.about = _parsed(About, self.folder / ABOUT)
        self.every = _parsed(EveryStep, self.folder / STEPS)

    @cached_property
    def steps(self) -> dict[int, RecordedStep]:
        """Full steps by number."""
        steps = [RecordedStep(path) for path in sorted(self.folder.glob("step-*")) if path.is_dir()]
        return {step.entry.step: step for step in steps}

    @cached_property
    def statistics(self) -> list[dict[str, Any]]:
        path = self.folder / STATISTICS
        lines = reading.text(path, _SMALL).splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    @cached_property
    def rates(self) -> Array:
        """The learning rate of every step that was taken, of the optimizer's first group, float64 [steps]."""
        return self._spread(self.every.rates, np.float64)

    @cached_property
    def images(self) -> Array:
        """Images of every step, int64 [steps]."""
        return self._spread(self.every.images, np.int64)

    def _spread(self, changes: tuple[tuple[int, Any], ...], dtype: Any) -> Array:
        spread = np.zeros(self.every.steps, dtype)
        for first, value in changes:
            spread[first:] = value
        return spread


def is_recording(value: object) -> bool:
    """Whether a side is given as a recording: one, or `recording:FOLDER`."""
    return isinstance(value, Recording) or (isinstance(value, str) and value.startswith(PREFIX))


def _parsed(kind: Any, path: Path) -> Any:
    try:
        return kind.model_validate(reading.json(path, _SMALL))
    except (ValidationError, UsageError):
        raise UsageError(f"{path} is damaged, or of another version; record it again") from None
