"""Carries out the proofs of one architecture: a worker a library, one checkpoint, stage after stage, what is done kept
at once.

The sides share their work: what the first model shows is compared with each of the others.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isotune import names
from isotune.comparison.sides import ONE_AT_A_TIME
from isotune.errors import UsageError
from isotune.parity._checkpoint import draw
from isotune.parity._judging import alone, rungs
from isotune.parity._proof_inputs import ALONE, ProofInputs, stages
from isotune.parity._recording import record
from isotune.parity._results import Question, Result, ResultStore, Rung
from isotune.parity._room import Room
from isotune.progress import Progress
from isotune.workers.process import WorkerFailure, Workers


class Prover:
    """Answers the questions of one group. parameters: of first models, as far as they are known."""

    def __init__(
        self,
        store: ResultStore,
        workers: Workers,
        room: Room,
        progress: Progress,
        fresh: bool,
        until_failure: bool,
        only: Collection[str],
        parameters: Mapping[str, int],
    ) -> None:
        self._store, self._workers, self._room, self._progress = store, workers, room, progress
        self._fresh, self._until_failure, self._only = fresh, until_failure, only
        self._parameters = parameters

    def prove(self, questions: Sequence[Question]) -> Iterator[Result]:
        """Results in the order of the questions, which share the first model, checkpoint and images."""
        started = {question.right: self._begun(question) for question in questions}
        missing = [question for question in questions if not self._is_done(started[question.right])]
        if missing:
            with _scratch() as scratch:
                try:
                    self._carry_out(missing, started, scratch)
                except (UsageError, WorkerFailure) as error:
                    for question in missing:
                        if not self._is_done(result := started[question.right]):
                            started[question.right] = self._ended(result, error=str(error))
        for question in questions:
            yield started[question.right]

    def _begun(self, question: Question) -> Result:
        known = None if self._fresh else self._store.read(question)
        if known is None or known.error is not None:
            return Result(question=question, architecture="", parameters=0, stages=())
        return known

    def _carry_out(self, questions: list[Question], results: dict[str, Result], scratch: Path) -> None:
        first = questions[0]
        weights = scratch / "weights.safetensors"
        inputs = ProofInputs(
            weights=str(weights), size=first.size, batch=first.batch, seed=first.seed, numeric_mode=first.numeric_mode
        )
        with self._room.of(self._parameters.get(first.left, 0)):
            self._progress(f"{_title(first)}: drawing the checkpoint", 0, 1)
            drawn = self._ask(
                first.left, draw, checkpoint=first.checkpoint, spec=first.conventions, inputs=inputs.model_dump()
            )
            inputs = inputs.model_copy(update={"recipe": drawn["recipe"]})
            self._go_through(questions, results, scratch, inputs, drawn)

    def _go_through(
        self,
        questions: list[Question],
        results: dict[str, Result],
        scratch: Path,
        inputs: ProofInputs,
        drawn: dict[str, Any],
    ) -> None:
        first, parameters = questions[0], drawn["parameters"]
        one_code = all(_have_one_code(first.left, question.right) for question in questions)
        planned = stages(parameters, one_code=one_code)
        plan = [(stage, steps) for stage, steps in planned if _applies(stage, first.numeric_mode)]
        for number, (stage, steps) in enumerate(plan):
            began = time.perf_counter()
            waiting = [question for question in questions if self._goes_on(results[question.right], stage)]
            if not waiting or (self._only and stage not in self._only):
                continue
            for question in waiting:
                self._progress(f"{_title(question)}: {stage}", number, len(plan))
            sides = [first.left, *(question.right for question in waiting)]
            failures = self._record(sides, inputs, stage, steps, scratch, parameters)
            for question in waiting:
                if (failure := failures[first.left] or failures[question.right]) is not None:
                    results[question.right] = self._ended(results[question.right], error=str(failure))
                    continue
                judged = self._rungs(first.left, question.right, inputs, stage, steps, scratch)
                spent = (time.perf_counter() - began) / len(waiting)
                result = results[question.right]
                results[question.right] = result.model_copy(
                    update={
                        "architecture": drawn["architecture"],
                        "parameters": parameters,
                        "stages": (*result.stages, stage),
                        "rungs": (*result.rungs, *judged),
                        "seconds": result.seconds + spent,
                    }
                )
                self._store.write(results[question.right])
            for folder in scratch.iterdir():
                if folder.is_dir():
                    shutil.rmtree(folder)
        for question in questions:
            result = results[question.right]
            if result.error is None and len(result.stages) == len(plan):
                results[question.right] = self._ended(result)

    def _is_done(self, result: Result) -> bool:
        asked = bool(self._only) and set(self._only) <= set(result.stages)
        return result.finished is not None or (asked and result.error is None)

    def _goes_on(self, result: Result, stage: str) -> bool:
        return (
            stage not in result.stages
            and result.error is None
            and not (self._until_failure and result.first_failure is not None)
        )

    def _ended(self, result: Result, error: str | None = None) -> Result:
        result = result.model_copy(update={"error": error, "finished": datetime.now(UTC)})
        self._store.write(result)
        return result

    def _record(
        self, models: Sequence[str], inputs: ProofInputs, stage: str, steps: int, scratch: Path, parameters: int
    ) -> dict[str, Exception | None]:
        """Have all models go through the stage, two at once unless they are large; what failed, by model."""

        def recorded(model: str) -> Exception | None:
            try:
                self._ask(
                    model, record, inputs=inputs.model_dump(), stage=stage, steps=steps, permuted=False,
                    folder=str(scratch / _folder(model)),
                )  # fmt: skip
            except (UsageError, WorkerFailure) as error:
                return error
            finally:
                if parameters > ONE_AT_A_TIME:
                    self._workers[_adapter(model)].stop()
            return None

        groups: dict[str, list[str]] = {}
        for model in dict.fromkeys(models):
            groups.setdefault(_adapter(model), []).append(model)
        with ThreadPoolExecutor(1 if parameters > ONE_AT_A_TIME else 2) as pool:
            done = pool.map(lambda group: [(model, recorded(model)) for model in group], groups.values())
            return dict(pair for group in done for pair in group)

    def _rungs(self, left: str, right: str, inputs: ProofInputs, stage: str, steps: int, scratch: Path) -> list[Rung]:
        ours, theirs, again = (scratch / folder for folder in (_folder(left), _folder(right), "again"))
        permuted = inputs.numeric_mode == "float64"

        def repeated() -> Path:
            if not again.exists():
                wanted = inputs.model_copy(update={"numeric_mode": "float64"})
                self._ask(
                    left, record, inputs=wanted.model_dump(), stage=stage, steps=steps, permuted=permuted,
                    folder=str(again),
                )  # fmt: skip
            return again

        judged = rungs(stage, ours, theirs, inputs.numeric_mode, repeated, inputs.arranged(permuted=True))
        if stage == "inference" and permuted and inputs.batch > 1:
            judged += [
                self._alone(name, model, inputs, scratch) for name, model in zip(ALONE, (left, right), strict=True)
            ]
        return judged

    def _alone(self, name: str, model: str, inputs: ProofInputs, scratch: Path) -> Rung:
        """The rung, recorded once for each model."""
        whole, apart = scratch / _folder(model), scratch / f"{_folder(model)}-apart"
        if not apart.exists():
            self._ask(
                model, record, inputs=inputs.model_dump(), stage="inference", steps=0, permuted=False,
                folder=str(apart), apart=str(whole),
            )  # fmt: skip
        return alone(name, whole, apart, inputs.apart())

    def _ask(self, model: str, do: Callable[..., Any], **request: Any) -> Any:
        return self._workers[_adapter(model)].ask(do, model=model, **request)


def _applies(stage: str, numeric_mode: str) -> bool:
    return numeric_mode == "float64" or stage in ("inference", "gradients")


def _have_one_code(left: str, right: str) -> bool:
    """Whether the same lines build and train the models of both libraries: one engine's, of one class."""
    one, other = (names.adapter_class(_adapter(model)) for model in (left, right))
    engine, another = (
        names.parse(model).engine or next(iter(adapter.engines)) for model, adapter in ((left, one), (right, other))
    )
    return one.build is other.build and engine == another


def _adapter(model: str) -> str:
    return model.partition(":")[0]


def _folder(model: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in model)


def _title(question: Question) -> str:
    return f"{question.left} = {question.right}"


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="isotune-parity-") as folder:
        yield Path(folder)
