"""What a worker is asked about one side of a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isotune.comparison.recorder import Recorder
from isotune.comparison.sides import Inputs, Request, Side
from isotune.workers.worker import Worker


def describe(worker: Worker, side: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """Axes, layers and environment of a side."""
    return worker.kept(Recorder).describe(Side.model_validate(side), Inputs.model_validate(inputs))


def record(worker: Worker, request: dict[str, Any], folder: str) -> None:
    """Write what the side shows of a part."""
    worker.kept(Recorder).record(Request.model_validate(request), Path(folder))
