"""The second cell in a warm worker: how soon its work begins, and that its result is that of a fresh process.

Of each library one worker runs a fine-tuning (`quick-fine-tune`) and a probe (`quick`) with seed 0, then both with seed
1: the second cells. Their start is all of a cell that is not its own work (steps, features, fit, evaluation), from the
question to the answer, the record on disk included. The same second cells in processes of their own must give the same
predictions and the same loss, to the bit.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import end_to_end
from figures import figure

from isotune import data, protocols
from isotune.runs import planning, requests
from isotune.runs.planning import Matrix
from isotune.runs.records import Cell, Record
from isotune.runs.store import Store
from isotune.workers.process import Workers

PROTOCOLS = ("quick-fine-tune", "quick")


def measure(place: Path, *, quick: bool) -> dict[str, Any]:
    digits = {"digits": data.prepare("digits")}
    recipes = [protocols.load(name) for name in PROTOCOLS]
    rows, slowest, equal, count = [], 0.0, 0, 0
    for library, name in list(end_to_end.MODELS.items())[: 1 if quick else None]:
        matrix = Matrix([f"{library}:{name}"], ["digits"], recipes, ["native"], [0, 1])
        cells = sorted(planning.cells(matrix, digits), key=lambda cell: cell.seeds.head)
        warm = _run(cells, place / "warm", 1)[len(recipes) :]
        fresh = _run(cells[len(recipes) :], place / "fresh", 0)
        for (starting, record), (from_nothing, other) in zip(warm, fresh, strict=True):
            same = (record.predictions_digest, record.metrics) == (other.predictions_digest, other.metrics)
            equal, count, slowest = equal + same, count + 1, max(slowest, starting)
            rows.append(
                f"| {library} | {record.cell.protocol.name} | {starting:.3f} | {from_nothing:.1f} |"
                f" {'the same bits' if same else '**another result**'} |"
            )
    return {
        "title": "A second cell in a warm worker",
        "figures": [
            figure("the second cell in a warm worker: until its work begins", slowest, "s", most=0.2),
            figure("second cells whose result is that of a fresh process, to the bit", equal / count, "", least=1),
        ],
        "lines": [
            "Seconds of a cell that are not its own work; in a fresh process the import of the library and the building"
            " of the model are among them.", "",
            "| library | protocol | warm worker | fresh process | result |", "| --- | --- | ---: | ---: | --- |", *rows,
        ],
    }  # fmt: skip


def _run(cells: list[Cell], store: Path, warm: int) -> list[tuple[float, Record]]:
    """Each cell's start in seconds and its record; warm: in one worker, else each in its own."""
    ended, workers = [], Workers()
    try:
        for cell in cells:
            if not warm:
                workers.stop()
            began = time.perf_counter()
            workers[cell.adapter].ask(requests.run, cell=cell.model_dump(mode="json"), store=str(store))
            seconds = time.perf_counter() - began
            record = Store(store).read(cell)
            assert record is not None, cell
            ended.append((seconds - _work(record), record))
    finally:
        workers.stop()
    return ended


def _work(record: Record) -> float:
    """Seconds of a cell's own work, as its record says. Features that were read are another cell's work; a first
    training step works as long as the others, and what it takes beyond that is a part of the start."""
    timings = record.timings
    assert timings is not None
    own = (timings.training or 0) + (timings.evaluation or 0)
    if record.cell.protocol.probe:
        return own if timings.features_cached else own + (timings.first_step or 0) + (timings.features or 0)
    return own + (timings.training or 0) * record.cell.protocol.stage[0].batch_size / timings.training_images
