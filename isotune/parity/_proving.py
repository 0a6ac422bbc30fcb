"""Carries out proofs: two workers, one checkpoint, stage after stage, what is done kept at once.

The sides of an architecture share their work: what the first model shows is compared with each of the others.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isotune.comparison.agreement import BOUND, NOISE_FACTOR, REFEREE_FACTOR, root_mean_square
from isotune.errors import UsageError
from isotune.parity import _requests as requests
from isotune.parity._comparing import Error, compare
from isotune.parity._results import Question, Result, ResultStore, Rung
from isotune.parity._trial import STAGES, Trial, stages
from isotune.progress import Progress, untold
from isotune.workers.process import WorkerFailure, Workers

LARGE = 60_000_000  # parameters: four workers with such networks would not fit into 16 GB
ONE_AT_A_TIME = 150_000_000  # nor would two with these


def prove(
    asked: Sequence[Sequence[Question]],
    store: ResultStore,
    *,
    jobs: int = 1,
    fresh: bool = False,
    until_failure: bool = False,
    only: Collection[str] = (),
    progress: Progress | None = None,
    ended: Callable[[Result], object] = lambda result: None,
) -> list[Result]:
    """Answer questions, each group of which shares its first model; what the store has is not proved again.

    until_failure: leave a pair at its first stage that does not hold. only: these stages; () is all.
    jobs: groups at the same time; a group of large networks (LARGE) waits until it has the machine to itself.
    progress, ended: told of every stage and every result, from any thread.
    """
    room, running = _Room(), list[Workers]()

    def answer(questions: Sequence[Question]) -> list[Result]:
        # workers of its own, so that what a group held in memory is given back
        with Workers(threads=1, shared=True) as workers, room.shared():
            running.append(workers)
            prover = _Prover(store, workers, room, progress or untold, fresh, until_failure, only)
            found = list(prover.prove(questions))
        for result in found:
            ended(result)
        return found

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        try:
            return [result for group in pool.map(answer, filter(None, asked)) for result in group]
        except KeyboardInterrupt:  # workers do not end by themselves, and the pool waits for its threads
            for workers in running:
                workers.end()
            raise


class _Room:
    """Shared by groups of small networks; a group of large ones has it alone."""

    def __init__(self) -> None:
        self._changed, self._inside, self._alone = threading.Condition(), 0, False

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within `shared`: wait until nobody else is inside, and let nobody in."""
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._inside and not self._alone)
            self._alone, self._inside = True, 1
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


class _Prover:
    """Answers the questions of one group with workers of its own."""

    def __init__(
        self,
        store: ResultStore,
        workers: Workers,
        room: _Room,
        progress: Progress,
        fresh: bool,
        until_failure: bool,
        only: Collection[str],
    ) -> None:
        self._store, self._workers, self._room, self._progress = store, workers, room, progress
        self._fresh, self._until_failure, self._only = fresh, until_failure, only

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
        found = None if self._fresh else self._store.read(question)
        if found is None or found.error is not None:
            return Result(question=question, architecture="", parameters=0, stages=())
        return found

    def _carry_out(self, questions: list[Question], results: dict[str, Result], scratch: Path) -> None:
        first = questions[0]
        weights = scratch / "weights.safetensors"
        self._progress(f"{_title(first)}: drawing the checkpoint", 0, 1)
        trial = Trial(
            weights=str(weights), size=first.size, batch=first.batch, seed=first.seed, numeric_mode=first.numeric_mode
        )
        drawn = self._ask(
            first.left, requests.draw, checkpoint=first.checkpoint, spec=first.conventions, trial=trial.model_dump()
        )
        trial = trial.model_copy(update={"recipe": drawn["recipe"]})
        with self._room.alone() if drawn["parameters"] > LARGE else nullcontext():
            self._go_through(questions, results, scratch, trial, drawn)

    def _go_through(
        self, questions: list[Question], results: dict[str, Result], scratch: Path, trial: Trial, drawn: dict[str, Any]
    ) -> None:
        first, parameters = questions[0], drawn["parameters"]
        plan = [(stage, steps) for stage, steps in stages(parameters) if _applies(stage, first.numeric_mode)]
        for number, (stage, steps) in enumerate(plan):
            began = time.perf_counter()
            waiting = [question for question in questions if self._goes_on(results[question.right], stage)]
            if not waiting or (self._only and stage not in self._only):
                continue
            for question in waiting:
                self._progress(f"{_title(question)}: {stage}", number, len(plan))
            sides = [first.left, *(question.right for question in waiting)]
            seen = self._observe(sides, trial, stage, steps, scratch, parameters)
            for question in waiting:
                if isinstance(failure := seen[first.left] or seen[question.right], Exception):
                    results[question.right] = self._ended(results[question.right], error=str(failure))
                    continue
                rungs = self._judged(first.left, question.right, trial, stage, steps, scratch)
                spent = (time.perf_counter() - began) / len(waiting)
                result = results[question.right]
                results[question.right] = result.model_copy(
                    update={
                        "architecture": drawn["architecture"],
                        "parameters": parameters,
                        "stages": (*result.stages, stage),
                        "rungs": (*result.rungs, *rungs),
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

    def _observe(
        self, models: Sequence[str], trial: Trial, stage: str, steps: int, scratch: Path, parameters: int
    ) -> dict[str, Exception | None]:
        """Have all models go through the stage, two at once unless they are large; what failed, by model."""

        def observe(model: str) -> Exception | None:
            try:
                self._ask(
                    model, requests.observe, trial=trial.model_dump(), stage=stage, steps=steps, permuted=False,
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
            done = pool.map(lambda group: [(model, observe(model)) for model in group], groups.values())
            return dict(pair for group in done for pair in group)

    def _judged(self, left: str, right: str, trial: Trial, stage: str, steps: int, scratch: Path) -> list[Rung]:
        """Errors with their bounds. float64: the models against each other. float32: both against a float64 run of the
        first, which is the referee."""
        ours, theirs, again = (scratch / folder for folder in (_folder(left), _folder(right), "again"))
        noise: dict[str, Error] = {}
        if trial.numeric_mode == "float32":
            self._repeat(left, trial.model_copy(update={"numeric_mode": "float64"}), stage, steps, again)
            found, noise = (compare(again, side, root_mean_square) for side in (theirs, ours))
        else:
            found = compare(ours, theirs)
            if any(error.relative > BOUND for error in found.values()):
                self._repeat(left, trial, stage, steps, again, permuted=True)
                noise = compare(ours, again)
        rungs = []
        for name in [name for name in STAGES[stage] if name in found]:
            if trial.numeric_mode == "float32" and name == "gradients":
                continue  # where a ReLU meets zero a rounding opens or shuts it: no multiple of one's own error holds
            error, own, bound = found[name], noise[name].relative if name in noise else None, BOUND
            if trial.numeric_mode == "float32":
                bound = REFEREE_FACTOR * (own or 0.0)
            elif error.relative <= BOUND:
                own = None
            elif own is not None:
                bound = max(BOUND, NOISE_FACTOR * own)
            rungs.append(
                Rung(
                    name=name, error=error.relative, where=error.where, tensors=error.tensors, bound=bound, noise=own,
                    why=error.why,
                )
            )  # fmt: skip
        return rungs

    def _repeat(
        self, model: str, trial: Trial, stage: str, steps: int, folder: Path, *, permuted: bool = False
    ) -> None:
        if not folder.exists():
            self._ask(
                model, requests.observe, trial=trial.model_dump(), stage=stage, steps=steps, permuted=permuted,
                folder=str(folder),
            )  # fmt: skip

    def _ask(self, model: str, do: Callable[..., Any], **request: Any) -> Any:
        return self._workers[_adapter(model)].ask(do, model=model, **request)


def _applies(stage: str, numeric_mode: str) -> bool:
    return numeric_mode == "float64" or stage in ("inference", "gradients")


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
