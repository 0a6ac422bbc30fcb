"""The worker: a plain program that runs cells of one adapter, one framework in one process.

    python -m isotune.workers.program ADAPTER[@ENGINE] [--threads N] [--shared]

It reads requests from standard input and answers on standard output, one JSON object a line; whatever a
framework prints goes to standard error. Requests are `{"do": VERB, ...}`:

| verb | with | gives |
|---|---|---|
| run | cell, store | writes the record into the store; its key |
| measure | measurement | one round of it |
| network | measurement | the axes that can change what it measures, resolved |
| close | | forgets measurements that are ready |
| check | model, checkpoint, size, own | builds the model once, so that its checkpoint is in its cache and fits |
| models | | everything that the library lists |
| canonical | model, checkpoint, size, head, file | writes the checkpoint in canonical form; what it holds |
| save | model, weights, size, file | writes canonical weights as a file of the library; axes that it builds otherwise |
| draw | model, checkpoint, trial | writes the checkpoint that a proof starts from; what it is |
| observe | model, trial, stage, steps, permuted, folder | writes what the model does in a proof's stage |
| describe | side, inputs | axes, layers and environment of one side of an investigation |
| examine | asked, folder | writes what that side shows of a part |
| environment | | versions, device, threads, flags |

Answers are `{"event": "progress", "what", "done", "total"}`, then either `{"event": "done", "result"}` or
`{"event": "error", "kind": "usage" | "unavailable" | "failure", "message", "trace"}`, an unavailable package with
"package" and "extra". An error ends the request, not the worker. `ready` is the first answer of all.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from isotune.errors import Unavailable, UsageError
from isotune.workers.environment import settle_threads

if TYPE_CHECKING:
    from isotune.parity._observing import Observer
    from isotune.runs.cell_runner import Bench

PROGRESS_SECONDS = 0.2


class Worker:
    """Answers requests; one `Bench` and one `Stopwatch` for its life."""

    def __init__(self, adapter: str, answers: TextIO, *, alone: bool) -> None:
        from isotune.models import names
        from isotune.runs.cell_runner import Bench
        from isotune.runs.stopwatch import Stopwatch

        self._answers = answers
        self._adapter = names.load_adapter(names.parse(f"{adapter}:any"))
        self._bench: Bench = Bench(self._adapter, alone=alone)
        self._stopwatch = Stopwatch(self._bench)
        self._observing: Observer | None = None
        self._told = 0.0

    def serve(self, requests: TextIO) -> None:
        self._say({"event": "ready"})
        for line in requests:
            request = json.loads(line)
            try:
                result = getattr(self, f"_{request.pop('do')}")(**request)
                self._say({"event": "done", "result": result})
            except UsageError as error:
                self._say(refusal(error))
            except Exception as error:
                message = " ".join(f"{type(error).__name__}: {error}".split())
                trace = traceback.format_exc()
                self._say({"event": "error", "kind": "failure", "message": message[:500], "trace": trace})

    def _say(self, answer: dict[str, Any]) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()

    def _progress(self, what: str, done: int, total: int) -> None:
        if done == total or time.monotonic() - self._told > PROGRESS_SECONDS:
            self._told = time.monotonic()
            self._say({"event": "progress", "what": what, "done": done, "total": total})

    def _run(self, cell: dict[str, Any], store: str) -> str:
        from isotune.runs.records import Cell, Store

        record, predictions = self._bench.run(Cell.model_validate(cell), self._progress)
        Store(Path(store)).write(record, predictions)
        return record.cell.key

    def _measure(self, measurement: dict[str, Any]) -> dict[str, Any]:
        from isotune.runs.stopwatch import Measurement

        return self._stopwatch.round(Measurement.model_validate(measurement))

    def _network(self, measurement: dict[str, Any]) -> dict[str, Any]:
        from isotune.runs.stopwatch import Measurement

        return self._stopwatch.network(Measurement.model_validate(measurement))

    def _close(self) -> None:
        self._stopwatch.close()

    def _models(self) -> list[dict[str, Any]]:
        return [asdict(info) for info in self._adapter.models()]

    def _check(self, model: str, checkpoint: str, size: int, own: bool = False) -> dict[str, Any]:
        """own: with the checkpoint's own classifier, which must be ImageNet-1k's."""
        from isotune.runs import own_classifier as zero_shot

        built = self._bench.build(
            model, checkpoint=checkpoint, spec="identical", recipe={}, numeric_mode="float32", compiled=False,
            classes=zero_shot.classes_to_build(checkpoint) if own else 1, size=size, keep=False,
        )  # fmt: skip
        if own:
            zero_shot.check_outputs(zero_shot.outputs_of(built.model, size), model, checkpoint)
        return {"digest": built.initial.without_head().digest(), "architecture": built.architecture}

    def _canonical(self, model: str, checkpoint: str, size: list[int], head: bool, file: str) -> dict[str, Any]:
        from isotune.models import names
        from isotune.models.transfer import canonical

        weights = canonical(self._adapter, names.parse(model), checkpoint, (size[0], size[1]))
        weights = weights if head else weights.without_head()
        weights.write(Path(file))
        return {
            "architecture": weights.architecture, "tensors": len(weights), "conventions": dict(weights.conventions)
        }  # fmt: skip

    def _save(self, model: str, weights: str, size: list[int], file: str) -> dict[str, Any]:
        from isotune.models import names
        from isotune.models.transfer import differing
        from isotune.weights import Weights

        name, found = names.parse(model), Weights.read(Path(weights))
        self._adapter.save_file(name.name, found, Path(file), options=name.options, image_size=(size[0], size[1]))
        return {"differing": differing(self._adapter, name, found)}

    def _draw(self, trial: dict[str, Any], **request: Any) -> dict[str, object]:
        from isotune.parity._trial import Trial

        return self._observer().draw(trial=Trial.model_validate(trial), **request)

    def _observe(self, trial: dict[str, Any], folder: str, **request: Any) -> None:
        from isotune.parity._trial import Trial

        self._observer().observe(trial=Trial.model_validate(trial), folder=Path(folder), **request)

    def _observer(self) -> Observer:
        if self._observing is None:
            from isotune.parity._observing import Observer

            self._observing = Observer(self._adapter)
        return self._observing

    def _describe(self, side: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        from isotune.comparison.sides import Inputs, Side
        from isotune.investigation._examining import Examiner

        return Examiner(self._bench).describe(Side.model_validate(side), Inputs.model_validate(inputs))

    def _examine(self, asked: dict[str, Any], folder: str) -> None:
        from isotune.comparison.sides import Asked
        from isotune.investigation._examining import Examiner

        Examiner(self._bench).examine(Asked.model_validate(asked), Path(folder))

    def _environment(self) -> dict[str, str]:
        return self._bench.environment()


def refusal(error: UsageError) -> dict[str, Any]:
    """The answer to a request that is wrong, or asks for what is not to be had here."""
    kind = "unavailable" if isinstance(error, Unavailable) else "usage"
    missing = {name: getattr(error, name, "") for name in ("package", "extra")}
    return {"event": "error", "kind": kind, "message": str(error), "trace": "", **missing}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m isotune.workers.program", description="Run cells of one adapter.")
    parser.add_argument("adapter", help="ADAPTER or ADAPTER@ENGINE")
    parser.add_argument("--threads", type=int, help="threads of the framework; default: all cores")
    parser.add_argument("--shared", action="store_true", help="other workers run at the same time: timings say so")
    options = parser.parse_args()
    settle_threads(options.threads, shared=options.shared)
    # Frameworks print to standard output; keep it for answers alone.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        worker = Worker(options.adapter, answers, alone=not options.shared)
    except UsageError as error:
        answers.write(json.dumps(refusal(error)) + "\n")
        answers.flush()
        sys.exit(2)
    worker.serve(sys.stdin)


if __name__ == "__main__":
    main()
