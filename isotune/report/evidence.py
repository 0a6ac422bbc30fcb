"""What a leaderboard rests on: when, where, with which versions, weights, data and recipes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from isotune.protocols import Protocol
from isotune.report import wording as f
from isotune.report.analysis.benchmark import Speed
from isotune.runs.records import Record, moment
from isotune.workers.environment import all_packages

_SHOWN = 16  # hexadecimal digits of a digest: enough to tell two apart, short enough to read
_MANY = 4
_NAMED = 5  # lines of damage that are shown


@dataclass(frozen=True)
class Evidence:
    """Everything in markdown already."""

    date: str
    cells: str
    duration: str
    environment: list[str]
    checkpoints: list[str]
    datasets: list[str]
    protocols: list[str]


def evidence(records: Sequence[Record], speeds: Sequence[Speed]) -> Evidence:
    took = [(record.finished - record.started).total_seconds() for record in records if not record.same_as]
    return Evidence(
        date=_date(records),
        cells=_cells(records),
        duration=f.duration(sum(took)) if took else "",
        environment=_environment(
            [(record.cell.adapter, record.environment) for record in records]
            + [(speed.model.partition(":")[0], speed.environment) for speed in speeds]
        ),
        checkpoints=_checkpoints(records),
        datasets=_datasets(records),
        protocols=_protocols([record.cell.protocol for record in records]),
    )


def left_out(superseded: Sequence[Record], damaged: Sequence[str]) -> list[str]:
    """What is there and does not count: results of cells that were run again later, and what is damaged. Plain text."""
    lines = []
    if superseded:
        environments = [record.environment for record in superseded]
        seen = [
            f"{package} {', '.join(sorted(values))}"
            for package in all_packages()
            if (values := {environment[package] for environment in environments if package in environment})
        ]
        under = f" (under {', '.join(seen)})" if seen else ""
        count = f.number(len(superseded), "earlier result")
        lines.append(f"{count} of cells that were run again later{under}; the last one of a cell counts")
    lines += damaged[:_NAMED]
    if len(damaged) > _NAMED:
        lines.append(f"and {len(damaged) - _NAMED} more that are damaged")
    return lines


def _date(records: Sequence[Record]) -> str:
    if not records:
        return ""
    first = f"{min(moment(record.started) for record in records):%Y-%m-%d}"
    last = f"{max(moment(record.finished) for record in records):%Y-%m-%d}"
    return first if first == last else f"{first} to {last}"


def _cells(records: Sequence[Record]) -> str:
    failed = sum(record.status == "failed" for record in records)
    repeated = [record.cell for record in records if record.same_as]
    done = f"{len(records) - failed:,}"
    if failed:
        done += f", and {failed:,} that failed"
    if repeated:
        models = f.listing([f.code(model) for model in sorted({cell.model for cell in repeated})])
        done += (
            f"; {len(repeated):,} of them repeat another's run: for {models} the set-ups"
            " agree on every convention that the protocol exercises"
        )
    return done


def _environment(environments: Sequence[tuple[str, dict[str, str]]]) -> list[str]:
    """One line a setting: its value, or each value with the adapters that had it."""
    seen: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for adapter, environment in environments:
        for key, value in environment.items():
            seen[key][value].add(adapter)
    lines = []
    for key, values in sorted(seen.items()):
        if len(values) > _MANY:
            shown = f"{len(values)} different values"
        elif len(values) == 1:
            shown = f.text(next(iter(values)))
        else:
            shown = "; ".join(
                f"{f.text(value)} ({f.listing([f.text(f.library(a)) for a in sorted(adapters)])})"
                for value, adapters in sorted(values.items())
            )
        lines.append(f"{f.text(key)}: {shown}")
    return lines


def _checkpoints(records: Sequence[Record]) -> list[str]:
    """A line for each checkpoint of each architecture: equal weights in all libraries have one digest. And what is to
    be known of how a file was taken."""
    seen: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for record in records:
        if record.checkpoint_digest:
            place = seen[record.cell.checkpoint, record.architecture or record.cell.model]
            place[record.checkpoint_digest].add(record.cell.model)
    lines = []
    for (checkpoint, architecture), digests in sorted(seen.items()):
        start = f"{f.code(checkpoint)}, {f.code(architecture)}: "
        if len(digests) == 1:
            lines.append(start + f"SHA-256 {_digest(next(iter(digests)))}")
        else:
            whose = [
                f"{_digest(digest)} ({f.listing([f.code(m) for m in sorted(models)])})"
                for digest, models in sorted(digests.items())
            ]
            lines.append(f"{start}SHA-256 {'; '.join(whose)}")
    return lines + [f.text(note) for note in dict.fromkeys(note for record in records for note in record.notes)]


def _datasets(records: Sequence[Record]) -> list[str]:
    seen = sorted({(record.cell.dataset, record.cell.dataset_digest) for record in records})
    return [f"{f.code(name)}: SHA-256 {_digest(digest)}" for name, digest in seen]


def _protocols(protocols: Sequence[Protocol]) -> list[str]:
    unique = {protocol.model_dump_json(): protocol for protocol in protocols}
    lines = []
    for _, protocol in sorted(unique.items(), key=lambda item: (item[1].name, item[0])):
        deviations = "; deviates: " + "; ".join(map(f.text, protocol.deviations)) if protocol.deviations else ""
        lines.append(
            f"{f.code(protocol.name)}, {f.text(protocol.title)}; source: {f.text(protocol.source)}{deviations}"
        )
    return list(dict.fromkeys(lines))  # steps of an evaluation are of one protocol


def _digest(digest: str) -> str:
    return f.code(digest[:_SHOWN])
