"""Under what the two sides were computed: versions, machine, code, flags, and the files that were asked for by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from isotune.changes._sides import Environment, Side, Subject
from isotune.changes._timings import MACHINE
from isotune.protocols import form_axes
from isotune.workers.environment import CODE, CORE, all_packages

Kind = Literal["version", "machine", "code", "file", "convention", "setting"]
_KINDS: tuple[Kind, ...] = ("version", "machine", "code", "file", "convention", "setting")
_MACHINE = (*MACHINE, "memory", "platform", "cpu_capability")
_SHOWN = 12  # hexadecimal digits of a digest


@dataclass(frozen=True)
class Differs:
    """What is not the same on both sides. of: adapters or models that it is about; empty: all. before, after: "-" where
    it is not set."""

    kind: Kind
    what: str
    before: str
    after: str
    of: tuple[str, ...] = ()

    def __str__(self) -> str:
        whose = f" ({', '.join(self.of)})" if self.of else ""
        return f"{self.what} {self.before} -> {self.after}{whose}"


def differing(before: Side, after: Side, paired: list[Subject]) -> tuple[Differs, ...]:
    """Versions first. Settings are compared of the adapters that both sides ran, the rest of what pairs."""
    every = [
        *_settings(before.environment, after.environment),
        *_files(before, after, paired),
        *_conventions(before, after, paired),
    ]
    return tuple(sorted(every, key=lambda each: (_KINDS.index(each.kind), each.what, each.of)))


def _settings(before: Environment, after: Environment) -> Iterator[Differs]:
    both = _adapters(before) & _adapters(after)
    packages = {*all_packages(), "cuda", "cudnn"}
    for setting in sorted({*before, *after}):
        seen: dict[tuple[str, str], list[str]] = {}
        for adapter in sorted(both):
            values = [side.get(setting, {}).get(adapter, frozenset()) for side in (before, after)]
            if values[0] != values[1]:
                pair = (_shown(setting, values[0]), _shown(setting, values[1]))
                seen.setdefault(pair, []).append(adapter)
        having = {*before.get(setting, ()), *after.get(setting, ())} & both
        for (first, second), adapters in seen.items():
            of = () if set(adapters) == having else tuple(adapters)
            yield Differs(_kind(setting, packages), setting, first, second, of)


def _adapters(environment: Environment) -> set[str]:
    return {adapter for adapters in environment.values() for adapter in adapters}


def _kind(setting: str, packages: set[str]) -> Kind:
    if setting in (CODE, CORE, "commit"):
        return "code"
    if setting in _MACHINE:
        return "machine"
    return "version" if setting in packages else "setting"


def _shown(setting: str, values: frozenset[str]) -> str:
    short = [value[:_SHOWN] if setting in (CODE, CORE) else value for value in sorted(values)]
    return ", ".join(value or "empty" for value in short) or "-"


def _files(before: Side, after: Side, paired: list[Subject]) -> Iterator[Differs]:
    """Weights and networks whose names are the same and whose content is not."""
    for model, checkpoint in sorted({(subject.model, subject.checkpoint) for subject in paired}):
        yield from _digests(f"weights {checkpoint}", model, before.weights, after.weights, (model, checkpoint))
    for model in sorted({subject.model for subject in paired}):
        yield from _digests("network", model, before.networks, after.networks, model)


def _digests(
    what: str, model: str, before: Mapping[Any, frozenset[str]], after: Mapping[Any, frozenset[str]], key: object
) -> Iterator[Differs]:
    first, second = before.get(key, frozenset()), after.get(key, frozenset())
    if first and second and first != second:
        one, other = (", ".join(sorted(digest[:_SHOWN] for digest in digests)) for digests in (first, second))
        yield Differs("file", what, one, other, (model,))


def _conventions(before: Side, after: Side, paired: list[Subject]) -> Iterator[Differs]:
    """Axes on which a set-up of one name has another value: what a library does by itself, and no longer does."""
    seen: dict[tuple[str, str, str], set[str]] = {}
    for subject in paired:
        first, second = (_resolved(side, subject) for side in (before, after))
        for axis in first.keys() & second.keys():
            if first[axis] != second[axis]:
                base = subject.conventions.partition(",")[0]
                seen.setdefault((f"{base} {axis}", str(first[axis]), str(second[axis])), set()).add(subject.model)
    for (what, one, other), models in seen.items():
        yield Differs("convention", what, one, other, tuple(sorted(models)))


def _resolved(side: Side, subject: Subject) -> dict[str, object]:
    for run in side.runs[subject].values():
        if run.record is not None and run.record.conventions is not None:
            return form_axes.settled(run.record.cell.protocol, run.record.conventions.model_dump(mode="json"))
    return {}
