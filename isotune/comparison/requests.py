"""What a worker is asked about one side of a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isotune.comparison._examining import Examiner
from isotune.comparison.sides import Asked, Inputs, Side
from isotune.workers.worker import Worker


def describe(worker: Worker, side: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """Axes, layers and environment of a side."""
    return worker.kept(Examiner).describe(Side.model_validate(side), Inputs.model_validate(inputs))


def examine(worker: Worker, asked: dict[str, Any], folder: str) -> None:
    """Write what the side shows of a part."""
    worker.kept(Examiner).examine(Asked.model_validate(asked), Path(folder))
