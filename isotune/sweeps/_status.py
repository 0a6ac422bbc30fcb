"""The status of a store: what is done, what runs, what failed and why, what it cost, what is left. From the files in it
alone, whoever runs what where; and from the batch system to which a run has handed jobs, where it can be asked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isotune.errors import listed
from isotune.executors import HandedOver, handed_over
from isotune.places import check_store
from isotune.printable import one_line
from isotune.runs.claims import Running, running
from isotune.runs.drafts import Begun, begun
from isotune.sweeps._estimate import Estimate, estimate, roughly
from isotune.sweeps._planned import currency, remembered
from isotune.sweeps._survey import Brief, survey

_REASONS = 12  # in words
_RUNNING = 20


@dataclass(frozen=True)
class Failure:
    """Cells that failed for one reason: its words with numbers left out, and one of them as it was said."""

    count: int
    reason: str
    example: str
    cell: str


@dataclass(frozen=True)
class Status:
    """asked: cells of the run that was last started in this store, None where nobody knows; source: what asked for it,
    at: when. done, failures: of those, or of all that is there. left: neither done, nor failed, nor running.
    begun: fine-tunings that are not done and have a draft, running ones among them. others: results in the store that
    are of no cell that was asked for. seconds: of computing so far, in all.
    jobs: of a batch system, with the keys of those of their cells that are left.
    """

    store: Path
    asked: int | None
    source: str
    at: datetime | None
    done: int
    failures: Sequence[Failure]
    running: Sequence[Running]
    begun: Sequence[Begun]
    left: int | None
    others: int
    damaged: int
    seconds: float
    estimate: Estimate | None
    jobs: Sequence[HandedOver] = ()

    @property
    def failed(self) -> int:
        return sum(failure.count for failure in self.failures)

    def json(self) -> dict[str, Any]:
        """All of it, every reason and claim with its fields; times are ISO 8601."""
        values = asdict(self) | {"version": 1, "store": str(self.store), "failed": self.failed}
        values["at"] = self.at and self.at.isoformat()
        values["begun"] = [
            asdict(one) | {"written": one.written.isoformat(), "path": str(one.path)} for one in self.begun
        ]
        values["running"] = [asdict(one) | {"since": one.since and one.since.isoformat()} for one in self.running]
        return values

    def lines(self) -> Iterator[str]:
        """In words."""
        store = one_line(self.store, 200)
        if self.asked is not None and self.at is not None:
            yield f"{store}: {self.asked:,} cells of {one_line(self.source, 100)}, last started {_ago(self.at)}"
        else:
            yield f"{store}: what was asked for is not known; what is there:"
        counts = f"{self.done:,} done, {self.failed:,} failed, {len(self.alive):,} running"
        yield f"  {counts}" + ("" if self.left is None else f", {self.left:,} left")
        for one in self.alive[:_RUNNING]:
            since = f" for {roughly((_now() - one.since).total_seconds())}" if one.since else ""
            step = "".join(f", after step {draft.line}" for draft in self.begun if draft.key == one.key)
            yield f"  running{since}: {one_line(one.cell, 120)} ({one_line(one.host, 60)}, process {one.process}){step}"
        for one in self.running:
            if one.lost:
                yield f"  lost with process {one.process} of {one_line(one.host, 60)}: {one_line(one.cell, 120)}"
        waiting = [draft for draft in self.begun if draft.key not in {one.key for one in self.alive}]
        for draft in waiting[:_RUNNING]:
            yield f"  begun, and goes on after step {draft.line}: {one_line(draft.cell, 120)}"
        yield from _of_jobs(self.jobs)
        for failure in self.failures[:_REASONS]:
            yield f"  failed, {failure.count:,}: {one_line(failure.example, 200)} ({one_line(failure.cell, 100)})"
        if len(self.failures) > _REASONS:
            yield f"  and {len(self.failures) - _REASONS} other reasons; --json has them all"
        if self.others:
            yield f"  {self.others:,} other results are in the store"
        if self.damaged:
            yield f"  {self.damaged:,} records are damaged; 'isotune report' names them"
        yield f"  cost so far: {roughly(self.seconds)} of computing"
        if self.estimate is not None and self.estimate.cells:
            workers = max(1, len(self.alive))
            yield f"  left: {self.estimate.line(workers)}"

    @property
    def alive(self) -> list[Running]:
        """What is running, as far as its process gives signs of life."""
        return [one for one in self.running if not one.lost]


def status(store: Path) -> Status:
    """Of a store. UsageError: there is none."""
    check_store(store)
    handed = handed_over(store)  # before the records, as claims are
    claimed = running(store)
    records = survey(store)  # after the claims: what ended meanwhile is done, and not lost from sight
    known = remembered(store, records)
    wanted = None if known is None else known[2]
    last = {home: results[0] for home, results in records.items() if wanted is None or home in wanted}
    counts = currency() if wanted is not None else lambda each: True
    done = {
        home for home, results in records.items() if any(each.status == "done" and counts(each) for each in results)
    }
    at_work = {one.key for one in claimed if not one.lost and one.key not in done}
    here = [one for one in claimed if one.key not in done]
    settled = done | at_work
    failed = [each for home, each in last.items() if each.status == "failed" and home not in settled and counts(each)]
    everything = [each for results in records.values() for each in results]
    left: Mapping[str, dict[str, str]] = {}
    if wanted is not None:
        settled |= {each.home for each in failed}
        left = {home: traits for home, traits in wanted.items() if home not in settled}
    return Status(
        store=store,
        asked=None if wanted is None else len(wanted),
        source="" if known is None else known[0],
        at=None if known is None else known[1],
        done=len(done & set(last)),
        failures=_failures(failed),
        running=here,
        begun=[draft for draft in begun(store) if draft.key not in done and draft.total],
        left=None if wanted is None else len(left),
        others=0 if wanted is None else sum(home not in wanted for home in records),
        damaged=sum(each.status == "damaged" for each in everything),
        seconds=sum(each.seconds for each in everything),
        estimate=None if wanted is None else estimate(left.values(), everything),
        jobs=[replace(job, cells=[key for key in job.cells if key in left]) for job in handed],
    )


def _of_jobs(jobs: Sequence[HandedOver]) -> Iterator[str]:
    """In words, one line an executor."""
    for name in dict.fromkeys(job.executor for job in jobs):
        own = [job for job in jobs if job.executor == name]
        running, waiting = [job for job in own if job.runs], [job for job in own if job.state and not job.runs]
        unknown = [job for job in own if not job.state]
        words = [f"{len(running):,} running ({_named(job.where for job in running)})"] if running else []
        if waiting:
            cells = sum(len(job.cells) for job in waiting)
            words.append(f"{len(waiting):,} waiting ({_named(job.reason for job in waiting)}) with {cells:,} cells")
        if unknown:
            words.append(f"{len(unknown):,} of which nothing is known: {unknown[0].reason}")
        yield f"  jobs of {name}: {', '.join(words)}"


def _named(words: Iterable[str]) -> str:
    return listed(sorted({word or "?" for word in words}), most=4)


def _failures(failed: Sequence[Brief]) -> list[Failure]:
    """By reason, the most frequent first."""
    examples: dict[str, Brief] = {}
    counts: Counter[str] = Counter()
    for each in failed:
        reason = _reason(each)
        counts[reason] += 1
        examples.setdefault(reason, each)
    return [
        Failure(count, reason, examples[reason].error, f"{examples[reason].model} {examples[reason].dataset}")
        for reason, count in counts.most_common()
    ]


def _reason(brief: Brief) -> str:
    """What failures have in common: the words, without the model's name and numbers."""
    words = brief.error.replace(brief.model, "MODEL").replace(brief.model.partition(":")[2] or "\0", "MODEL")
    return re.sub(r"\d+(\.\d+)?", "N", words)[:300]


def _now() -> datetime:
    return datetime.now(UTC)


def _ago(then: datetime) -> str:
    return f"{roughly(max(0.0, (_now() - then).total_seconds()))} ago"
