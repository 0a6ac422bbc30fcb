"""What a worker is asked for a proof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isotune.parity._observing import Observer
from isotune.parity._trial import Trial
from isotune.workers.worker import Worker


def draw(worker: Worker, trial: dict[str, Any], **request: Any) -> dict[str, object]:
    """Write the checkpoint that a proof starts from; what it is."""
    return worker.kept(Observer).draw(trial=Trial.model_validate(trial), **request)


def observe(worker: Worker, trial: dict[str, Any], folder: str, **request: Any) -> None:
    """Write what the model does in a proof's stage."""
    worker.kept(Observer).observe(trial=Trial.model_validate(trial), folder=Path(folder), **request)
