"""What was found, trial by trial, on disk; and which command found it on which machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import clocks
import clusters
import damage
import disks
from page import COLUMNS, page

from isotune import names
from isotune.workers.environment import machine, versions

SPOILED = "spoiled"


class Kept:
    """What was found, in `reliability.json`, and the page of it."""

    def __init__(self, out: Path, ways: Iterable[str], command: str, *, again: bool = False) -> None:
        self._out, file = out, out / "reliability.json"
        self._content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        self._made = {
            "command": command,
            "environment": {**machine(), **versions(*names.adapters())},
        }
        faults = self._content.setdefault("faults", {"made": [], "ways": {}})
        faults["ways"] = {way: [] if again else faults["ways"].get(way, []) for way in ways}
        faults["left_out"] = [f"{way}: this takes a superuser" for way in disks.ON_SMALL_DISKS if way not in disks.WAYS]
        faults["left_out"] += [] if clocks.WAYS else ["a clock that jumps: libfaketime is not installed"]
        faults["left_out"] += [] if clusters.WAYS else ["a Ray cluster: Ray is not installed"]
        spoiled = self._content.setdefault(SPOILED, {"made": [], "kinds": {}})
        if again:
            faults["made"], spoiled["made"], spoiled["kinds"] = [], [], {}

    def trials(self, way: str) -> list[dict[str, Any]]:
        trials: list[dict[str, Any]] = self._content["faults"]["ways"][way]
        return trials

    def times(self, way: str) -> int:
        """How often it was done; more than once to some sweeps."""
        return sum(sum(trial["done"].values()) for trial in self.trials(way))

    def add(self, way: str, outcome: dict[str, Any]) -> None:
        """Keep a trial, and say what became of it."""
        self.trials(way).append(outcome | {"by": self._by("faults")})
        self._write()
        wrong = [f"{name}: {outcome[name]}" for name in COLUMNS if outcome[name]]
        said = ", ".join(wrong + ([] if outcome["equal"] else ["tables differ"])) or "sound"
        print(f"{way}, {self.times(way)}: {said}", flush=True)

    def missed(self, kind: str, spoil: str) -> list[str]:
        """Of each file that was spoiled, what was missed; empty: it was noticed."""
        kinds = self._content[SPOILED]["kinds"].setdefault(kind, {each: [] for each in damage.SPOILS})
        tried: list[str] = kinds[spoil]
        return tried

    def add_missed(self, kind: str, spoil: str, missed: str) -> None:
        """Keep it, and say it."""
        self.missed(kind, spoil).append(missed)
        self._by(SPOILED)
        self._write()
        print(f"{kind}, {spoil}, {len(self.missed(kind, spoil))}: {missed or 'noticed'}", flush=True)

    def _by(self, part: str) -> int:
        """The place of this command, on this machine, among those by which a part of the report was made."""
        made: list[dict[str, Any]] = self._content[part]["made"]
        if self._made not in made:
            made.append(self._made)
        return made.index(self._made)

    def sound(self, ways: list[str]) -> bool:
        """Whether nothing went wrong that may not."""
        trials = [trial for way in ways for trial in self.trials(way)]
        kinds = self._content[SPOILED]["kinds"].values()
        noticed = not any(missed for spoils in kinds for tried in spoils.values() for missed in tried)
        return noticed and all(trial["equal"] and not any(trial[name] for name in COLUMNS) for trial in trials)

    def _write(self) -> None:
        self._out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self._content, indent=1) + "\n"
        (self._out / "reliability.json").write_text(text, encoding="utf-8")
        (self._out / "reliability.md").write_text(page(self._content), encoding="utf-8")
