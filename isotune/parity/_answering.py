"""Questions of many architectures: several groups at the same time, with workers that serve one after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue

from isotune.parity._proving import Prover
from isotune.parity._results import Question, Result, ResultStore
from isotune.parity._room import Room
from isotune.progress import Progress, untold
from isotune.workers.process import Workers

KEPT = 3 << 29  # bytes: a worker that holds more when its group is over is ended


def answer(
    asked: Sequence[Sequence[Question]],
    store: ResultStore,
    *,
    jobs: int = 1,
    fresh: bool = False,
    until_failure: bool = False,
    only: Collection[str] = (),
    parameters: Mapping[str, int] | None = None,
    progress: Progress | None = None,
    ended: Callable[[Result], object] = lambda result: None,
) -> list[Result]:
    """Answer questions, each group of which shares its first model; what the store has is not proved again.

    until_failure: leave a pair at its first stage that does not hold. only: these stages; () is all.
    jobs: groups at the same time. parameters: of first models, as far as they are known; a group of a large one waits
    until it has the machine to itself, and is not begun where memory would not do. progress, ended: told of every
    stage and every result, from any thread.
    """
    room, free = Room(), SimpleQueue[Workers]()

    def answered(questions: Sequence[Question]) -> list[Result]:
        workers = free.get()
        try:
            with room.shared():
                prover = Prover(
                    store, workers, room, progress or untold, fresh, until_failure, only, parameters or {}
                )  # fmt: skip
                results = list(prover.prove(questions))
        finally:
            workers.end_larger(KEPT)
            free.put(workers)
        for result in results:
            ended(result)
        return results

    with ExitStack() as stack:
        crews = [stack.enter_context(Workers(threads=1, shared=True)) for _ in range(max(1, jobs))]
        for crew in crews:
            free.put(crew)
        with ThreadPoolExecutor(len(crews)) as pool:
            try:
                return [result for group in pool.map(answered, filter(None, asked)) for result in group]
            except KeyboardInterrupt:  # workers do not end by themselves, and the pool waits for its threads
                for crew in crews:
                    crew.end()
                raise
