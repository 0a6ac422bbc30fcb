"""The executor `ray`, as a user asks for it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from importlib.util import find_spec
from typing import Annotated

from pydantic import Field

from isotune.errors import MissingExtra
from isotune.executors.ray._cluster import Needs, connected
from isotune.executors.ray._dispatch import Dispatch
from isotune.runs.desk import Desk
from isotune.runs.records import Cell, Record


class Ray:
    """The executor `ray`.

    place: the cluster's HOST:PORT, or ray://HOST:PORT; "local": one that is started for the run; empty: the one of
        RAY_ADDRESS or of this machine, where there is one, else one for the run.
    jobs: workers at the same time; None: as many as there is room for.
    cpus: of each worker, which has as many threads. gpus: of each; None: one where the cluster has any. memory: GiB of
        each, which Ray takes into account and nobody enforces; None: by what was seen of such cells, else 2.
    MissingExtra: Ray is not installed.
    """

    def __init__(
        self,
        place: str = "",
        *,
        jobs: Annotated[int, Field(ge=1, le=100_000)] | None = None,
        cpus: Annotated[int, Field(ge=1, le=10_000)] = 1,
        gpus: Annotated[float, Field(ge=0, le=1000)] | None = None,
        memory: Annotated[float, Field(ge=0, le=100_000)] | None = None,
    ) -> None:
        if find_spec("ray") is None:
            raise MissingExtra("ray", "isotune[ray]")
        self.place, self.jobs, self._asked = place, jobs, (cpus, gpus, memory)

    def run(self, cells: Sequence[Cell], desk: Desk) -> Generator[tuple[Cell, Record | None], None, None]:
        """As `Executor.run`. UsageError: the cluster cannot be reached, is of another version, or has no room."""
        with connected(self.place) as cluster:
            needs = Needs.of(*self._asked, desk.memory).on(cluster, self.jobs)
            dispatch = Dispatch(cluster, needs, self.jobs, cells, desk)
            with contextlib.closing(dispatch.run()) as ending:
                yield from ending
