"""Which cell runs next, and in which seat: an actor with a worker of one adapter, somewhere in the cluster.

A seat keeps to its adapter, so that a framework is imported once. There are as many as the cluster has room for, more
of the adapter of which more cells wait; one whose adapter has no cell left is given up. A cell whose seat or node is
lost runs in another, a few times. A node that lacks what an adapter needs is left out for it, and its cells fail where
every node does.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter, defaultdict, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isotune._version import version
from isotune.errors import Unavailable, UsageError, WorkerFailure
from isotune.executors.ray import _drafts
from isotune.executors.ray._actor import actor
from isotune.executors.ray._cluster import Cluster, Needs, Node
from isotune.executors.ray._parcels import Parcels
from isotune.printable import one_line
from isotune.runs.desk import Begun, Desk
from isotune.runs.records import Cell, Record
from isotune.workers.environment import outdated

CHANCES = 5  # of a cell whose seat is lost
STARTS = 10  # of an adapter's workers, in turn
_LOOKING = 1.0  # seconds between two looks at the clock
_COUNTING = 5.0  # seconds between two looks at the cluster's nodes
_CLOSING = 2.0  # seconds
Ended = tuple[Cell, Record | None]


@dataclass(eq=False)
class Seat:
    """An actor. node, host: known once it is ready. begun: the cell that it has, and order what it was told of it;
    lacking: parcels to be sent before; had: those that were. drafted: when its draft was asked for last."""

    actor: Any
    adapter: str
    node: str = ""
    host: str = ""
    begun: Begun | None = None
    order: dict[str, Any] = field(default_factory=dict)
    lacking: list[str] = field(default_factory=list)
    had: set[str] = field(default_factory=set)
    drafted: float = math.inf


class Dispatch:
    """One run of cells on a cluster."""

    def __init__(self, cluster: Cluster, needs: Needs, jobs: int | None, cells: Sequence[Cell], desk: Desk) -> None:
        import ray

        self._ray, self._cluster, self._needs, self._jobs, self._desk = ray, cluster, needs, jobs, desk
        self._waiting: dict[str, deque[Cell]] = defaultdict(deque)
        for cell in cells:
            self._waiting[cell.adapter].append(cell)
        self._count = len(cells)
        self._parcels = Parcels(ray.put)
        self._actor = actor()
        self._seats: list[Seat] = []
        self._answers: dict[Any, Seat] = {}  # by what a seat was asked
        self._unusable: dict[str, dict[str, str]] = defaultdict(dict)  # why, by adapter and node
        self._hopeless: dict[str, str] = {}  # why, by adapter
        self._chances: Counter[str] = Counter()  # that a cell had, or an adapter's seats before one was ready
        self._told: set[str] = set()
        self._compared: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
        self._nodes: list[Node] = []
        self._counted, self._pace = -math.inf, _drafts.pace()

    def run(self) -> Generator[Ended, None, None]:
        """Every cell once, as `Executor.run` gives them. Unavailable: the cluster is gone."""
        ended = 0
        try:
            while self._left() or any(seat.begun for seat in self._seats):
                for cell, record in self._step():
                    ended += 1
                    self._tell(ended)
                    yield cell, record
        except (self._ray.exceptions.RaySystemError, ConnectionError) as error:
            raise Unavailable(
                f"the Ray cluster {self._cluster.address} is gone ({one_line(str(error), 200)}); what was done is kept,"
                " and the same command goes on from there"
            ) from None
        finally:
            seats = list(self._seats)
            self._dismiss(*seats)
            for begun in (seat.begun for seat in seats if seat.begun is not None):
                begun.give_back()

    def _left(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _tell(self, ended: int) -> None:
        busy = [seat for seat in self._seats if seat.begun]
        nodes = len({seat.node for seat in busy})
        what = f"{len(busy)} workers on {nodes} node{'' if nodes == 1 else 's'} of Ray"
        self._desk.progress(what, ended, self._count)

    def _step(self) -> Iterator[Ended]:
        """Give out what can be, and take what comes within a second."""
        if time.monotonic() > self._desk.until:
            for waiting in self._waiting.values():
                while waiting:
                    yield waiting.popleft(), None
        self._look()
        yield from self._without_hope()
        for seat in [seat for seat in self._seats if seat.begun is None]:
            if seat.node:
                yield from self._next(seat)
            elif not self._waiting[seat.adapter]:
                self._dismiss(seat)
        self._take_seats()
        self._ask_for_drafts()
        if not self._answers:
            if self._left():  # nodes are to come
                time.sleep(_LOOKING)
            return
        ready, _ = self._ray.wait(list(self._answers), num_returns=1, timeout=_LOOKING)
        for reference in ready:
            seat = self._answers.pop(reference)
            try:
                answer = self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:  # not foreseen; the seat lives
                answer = {"failed": one_line(str(error.cause), 400), "log": str(error)}
            except self._ray.exceptions.RayError as error:
                answer = {"gone": one_line(str(error).partition("\n")[0], 300)}
            yield from self._take(seat, answer)

    def _look(self) -> None:
        """Count the cluster's nodes, now and then."""
        if time.monotonic() - self._counted > _COUNTING:
            self._nodes, self._counted = self._cluster.nodes(), time.monotonic()

    def _room(self, adapter: str | None = None) -> int:
        """How many seats there may be, or of an adapter."""
        without = self._unusable[adapter] if adapter else {}
        room = sum(self._needs.fitting(node) for node in self._nodes if node.id not in without)
        return room if self._jobs is None else self._jobs if room or not without else 0

    def _without_hope(self) -> Iterator[Ended]:
        """Fail the cells of adapters that no node can run."""
        for adapter, reasons in self._unusable.items():
            if reasons and not self._room(adapter):
                self._hopeless[adapter] = next(iter(reasons.values()))
        for adapter, reason in self._hopeless.items():
            while self._waiting[adapter]:
                cell = self._waiting[adapter].popleft()
                if (begun := self._desk.begin(cell)) is None:
                    yield cell, None
                    continue
                with begun:
                    yield cell, begun.fail(reason)

    def _take_seats(self) -> None:
        """Ask for as many seats as there is room and work for."""
        while len(self._seats) < self._room():
            has = Counter(seat.adapter for seat in self._seats)
            ready = Counter(seat.adapter for seat in self._seats if seat.begun is None)
            wanted = [
                adapter
                for adapter, waiting in self._waiting.items()
                if len(waiting) > ready[adapter] and has[adapter] < self._room(adapter)
            ]
            if not wanted:
                return
            adapter = max(wanted, key=lambda name: (len(self._waiting[name]) / (1 + has[name]), name))
            resources = self._needs.resources
            options: dict[str, Any] = {"num_cpus": resources["CPU"], "num_gpus": resources["GPU"]}
            options |= {"memory": int(resources["memory"])} if resources["memory"] else {}
            if without := list(self._unusable[adapter]):
                options["label_selector"] = {"ray.io/node-id": f"!in({','.join(without)})"}
            asked = adapter, version(), self._needs.cpus, resources["GPU"], _drafts.asked()
            actor = self._actor.options(**options).remote(*asked)
            seat = Seat(actor, adapter)
            self._seats.append(seat)
            self._answers[actor.prepare.remote()] = seat

    def _ask_for_drafts(self) -> None:
        now = time.monotonic()
        for seat in self._seats:
            if seat.begun is not None and now - seat.drafted > self._pace:
                self._answers[seat.actor.draft.remote()], seat.drafted = seat, now

    def _next(self, seat: Seat) -> Iterator[Ended]:
        """Give a seat its next cell; give it up where there is none."""
        waiting = self._waiting[seat.adapter]
        while waiting:
            cell = waiting.popleft()
            if (begun := self._desk.begin(cell)) is None:
                yield cell, None
                continue
            try:
                seat.order = self._parcels.order(cell)
                if self._desk.fresh and not self._chances[cell.key]:
                    begun.draft.remove()
                seat.order["draft"] = _drafts.handed(begun, self._ray.put)
            except UsageError as error:
                with begun:
                    yield cell, begun.fail(str(error))
                continue
            seat.begun, seat.lacking, seat.had = begun, [], set()
            self._ask(seat)
            return
        self._dismiss(seat)

    def _ask(self, seat: Seat) -> None:
        """Have a seat run its cell, or take what is lacking there first. UsageError: that cannot be sent."""
        if seat.lacking:
            digest = seat.lacking.pop()
            seat.had.add(digest)
            self._answers[seat.actor.receive.remote(self._parcels.sent(digest))] = seat
        else:
            left = None if self._desk.until == math.inf else self._desk.until - time.monotonic()
            self._answers[seat.actor.run.remote(seat.order, self._desk.limit, left)] = seat
            seat.drafted = time.monotonic()

    def _take(self, seat: Seat, answer: dict[str, Any]) -> Iterator[Ended]:
        """What a seat said."""
        begun = seat.begun
        match answer:
            case {"gone": reason}:
                self._forget(seat)
                yield from self._lost(seat, reason)
            case {"draft": _, "key": key}:
                if begun is not None and begun.cell.key == key:
                    _drafts.taken(begun, answer)
            case {"unusable": reason, "node": node, "host": host}:
                self._unusable[seat.adapter][node] = f"node {host}: {reason}"
                self._note(f"the node {host} runs no cell of {seat.adapter}: {reason}")
                self._dismiss(seat)
            case {"ready": True, "node": node, "host": host}:
                seat.node, seat.host = node, host
                self._chances[seat.adapter] = 0
            case _ if begun is None:
                self._dismiss(seat)
                yield from self._lost(seat, answer["failed"])
            case _:
                yield from self._of_cell(seat, begun, answer)

    def _of_cell(self, seat: Seat, begun: Begun, answer: dict[str, Any]) -> Iterator[Ended]:
        """What a seat said of the cell that it has."""
        match answer:
            case {"lacking": [*digests]} if not seat.had.intersection(digests):
                seat.lacking = digests
                yield from self._supplied(seat, begun)
            case {"lacking": _}:
                yield from self._lost(seat, f"the node {seat.host} does not keep what it is sent in its cache")
            case {"ready": True}:
                yield from self._supplied(seat, begun)
            case {"lost": reason}:
                yield from self._lost(seat, reason)
            case {"left": True}:
                _drafts.taken(begun, answer)
                yield from self._ended(seat, None)
            case {"failed": reason, "log": log}:
                if answer.get("undrafted"):
                    begun.draft.remove()
                yield from self._ended(seat, begun.fail(reason, log))
            case _:
                seat.begun = None
                others = list(self._next(seat))  # the seat computes while this result is written
                yield from self._given_back(begun, self._kept(begun, answer))
                yield from others

    def _supplied(self, seat: Seat, begun: Begun) -> Iterator[Ended]:
        try:
            self._ask(seat)
        except UsageError as error:
            yield from self._ended(seat, begun.fail(str(error)))

    def _ended(self, seat: Seat, record: Record | None) -> Iterator[Ended]:
        begun, seat.begun = seat.begun, None
        assert begun is not None
        yield from self._given_back(begun, record)

    @staticmethod
    def _given_back(begun: Begun, record: Record | None) -> Iterator[Ended]:
        begun.give_back()
        yield begun.cell, record

    def _kept(self, begun: Begun, answer: dict[str, Any]) -> Record | None:
        try:
            record = Record.model_validate_json(answer["record"])
            kept = begun.keep(record, answer["predictions"])
        except (ValueError, WorkerFailure) as error:
            return begun.fail(str(error))
        self._compare(begun.cell.adapter, record.environment)
        return kept

    def _compare(self, adapter: str, environment: Mapping[str, str]) -> None:
        """Tell of versions that are others there; once of an environment, since it takes as long as a tiny cell."""
        known = adapter, tuple(environment.items())
        if known in self._compared:
            return
        self._compared.add(known)
        if changes := ", ".join(f"{name} {there}, here {here}" for name, there, here in outdated(environment, adapter)):
            self._note(f"{adapter} on the cluster: {changes}; results count as of other versions; install the same")

    def _lost(self, seat: Seat, reason: str) -> Iterator[Ended]:
        """A seat is gone, or a cell of it cannot be run there; it gets another chance, a few times."""
        begun, seat.begun = seat.begun, None
        if begun is None:
            self._chances[seat.adapter] += 1
            if self._chances[seat.adapter] >= STARTS:
                self._hopeless[seat.adapter] = f"no worker could be started {STARTS} times in turn: {reason}"
            return
        with begun:
            self._chances[begun.cell.key] += 1
            if self._chances[begun.cell.key] < CHANCES:
                self._waiting[seat.adapter].appendleft(begun.cell)
                return
            record = begun.fail(f"what ran it was lost {CHANCES} times: {reason}")
        yield begun.cell, record

    def _dismiss(self, *seats: Seat) -> None:
        """Give seats up, with what is outstanding."""
        for seat in seats:
            self._forget(seat)
        with contextlib.suppress(Exception):  # gone already, or the cluster is
            if closing := [seat.actor.close.remote() for seat in seats if seat.node]:  # they remove their folders
                self._ray.wait(closing, num_returns=len(closing), timeout=_CLOSING)
        for seat in seats:
            with contextlib.suppress(Exception):
                self._ray.kill(seat.actor)

    def _forget(self, seat: Seat) -> None:
        if seat in self._seats:
            self._seats.remove(seat)
        self._answers = {reference: other for reference, other in self._answers.items() if other is not seat}

    def _note(self, line: str) -> None:
        """Once."""
        if line not in self._told:
            self._told.add(line)
            self._desk.note(line)
