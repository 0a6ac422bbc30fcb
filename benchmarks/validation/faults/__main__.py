"""What isotune does when it is harmed: tried, and counted.

    python benchmarks/validation/faults [WAY ...] [--times 10] [--seed 0] [--again] [--out reports]

WAY: a part of the name of a way to harm a sweep (`--list` names them), `spoiled` for damaged files, each with the
command that reads it; none: all. A way is tried until it was tried so many times, those of earlier runs counted;
--again begins anew. Writes `reliability.json` after each trial, and `reliability.md`, with what `fuzzing --out` put
there. A trial takes about 30 seconds, those with a stopped process two minutes. Exit status 1: something went wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import clocks
import clusters
import damage
import disks
import kills
import parents
import stops
from house import SEEDS, House
from page import COLUMNS, page
from trial import Trial, Way

from isotune import names
from isotune.workers.environment import machine, versions

WAYS: dict[str, Way] = {
    way: harm for part in (kills, stops, parents, disks, clocks, damage, clusters) for way, harm in part.WAYS.items()
}
SPOILED = "spoiled"
_CHANCES = 6  # of a trial whose sweep ended before it was harmed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", metavar="WAY")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of the sweep, which has four cells for each")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("reports"))
    options = parser.parse_args()
    chosen = [way for way in WAYS if not options.ways or any(_means(part, way) for part in options.ways)]
    if options.list:
        print("\n".join([*WAYS, SPOILED]))
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job would hand down ignored
    kept = Kept(options.out, options.again)
    with tempfile.TemporaryDirectory(prefix="isotune-faults-") as folder:
        house = House.at(Path(folder), options.seeds)
        print(f"an undisturbed sweep of {house.cells} cells takes {house.takes:.1f} s", flush=True)
        for way in chosen:
            while kept.times(way) < options.times:
                kept.add(way, _tried(house, way, Random(f"{options.seed} {way} {len(kept.trials(way))}")))
        if not options.ways or SPOILED in options.ways:
            _spoil(house, kept, options.times, options.seed)
    sys.exit(not kept.sound(chosen))


def _means(part: str, way: str) -> bool:
    """A whole name means that way alone."""
    return part == way or (part not in WAYS and part in way)


def _tried(house: House, way: str, chance: Random) -> dict[str, Any]:
    """One trial of this way; of a sweep that ended before, another."""
    for _ in range(_CHANCES):
        store = Path(tempfile.mkdtemp(prefix="store-", dir=house.folder)) / "records"
        with contextlib.ExitStack() as stack:
            trial = Trial(house, store, chance, stack)
            counts = WAYS[way](trial)
            outcome = trial.finish()
        shutil.rmtree(store.parent, ignore_errors=True)
        if counts:
            return outcome
    return outcome | {"other": [*outcome["other"], "the sweep always ended before it was harmed"]}


def _spoil(house: House, kept: Kept, times: int, seed: int) -> None:
    damage.fill(house)
    for kind in damage.KINDS:
        for spoil in damage.SPOILS:
            for number in range(len(kept.missed(kind.name, spoil)), times):
                chance = Random(f"{seed} {kind.name} {spoil} {number}")
                kept.add_missed(kind.name, spoil, damage.spoiled(kind, spoil, house, chance))


class Kept:
    """What was found, in `reliability.json`, and the page of it."""

    def __init__(self, out: Path, again: bool) -> None:
        self._out, file = out, out / "reliability.json"
        self._content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        made = {
            "command": " ".join(["python benchmarks/validation/faults", *map(shlex.quote, sys.argv[1:])]),
            "environment": {**machine(), **versions(*names.adapters())},
        }
        faults = self._content.setdefault("faults", {"ways": {}})
        faults |= made
        faults["ways"] = {way: [] if again else faults["ways"].get(way, []) for way in WAYS}
        faults["left_out"] = [f"{way}: this takes a superuser" for way in disks.ON_SMALL_DISKS if way not in WAYS]
        faults["left_out"] += [] if clocks.WAYS else ["a clock that jumps: libfaketime is not installed"]
        faults["left_out"] += [] if clusters.WAYS else ["a Ray cluster: Ray is not installed"]
        spoiled = self._content.setdefault(SPOILED, {"kinds": {}})
        spoiled |= made
        if again:
            spoiled["kinds"] = {}

    def trials(self, way: str) -> list[dict[str, Any]]:
        trials: list[dict[str, Any]] = self._content["faults"]["ways"][way]
        return trials

    def times(self, way: str) -> int:
        """How often it was done; more than once to some sweeps."""
        return sum(sum(trial["done"].values()) for trial in self.trials(way))

    def add(self, way: str, outcome: dict[str, Any]) -> None:
        """Keep a trial, and say what became of it."""
        self.trials(way).append(outcome)
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
        self._write()
        print(f"{kind}, {spoil}, {len(self.missed(kind, spoil))}: {missed or 'noticed'}", flush=True)

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


if __name__ == "__main__":
    main()
