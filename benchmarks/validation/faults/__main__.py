"""What isotune does when it is harmed: tried, and counted.

    python benchmarks/validation/faults [WAY ...] [--times 10] [--seed 0] [--again] [--house FOLDER] [--out reports]

WAY: a part of the name of a way to harm a sweep (`--list` names them), `spoiled` for damaged files, each with the
command that reads it; none: all. A way is tried until it was tried so many times, those of earlier runs counted;
--again begins anew. Writes `reliability.json` after each trial, and `reliability.md`, with what `fuzzing --out` put
there. A trial takes about 30 seconds, those with a stopped process two minutes. Exit status 1: something went wrong.
"""

from __future__ import annotations

import argparse
import contextlib
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
from kept import SPOILED, Kept
from trial import Trial, Way, meant

WAYS: dict[str, Way] = {
    way: harm for part in (kills, stops, parents, disks, clocks, damage, clusters) for way, harm in part.WAYS.items()
}
_CHANCES = 12  # of a trial whose sweep had ended, or had nothing yet, when it was to be harmed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", metavar="WAY")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of the sweep, which has four cells for each")
    parser.add_argument("--house", type=Path, help="an existing folder to work in; its cache is there the next time")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("reports"))
    options = parser.parse_args()
    if stray := next((part for part in options.ways if part != SPOILED and not meant(WAYS, [part])), None):
        parser.error(f"no way is called {stray!r}; --list names them")
    chosen = meant(WAYS, options.ways)
    if options.list:
        print("\n".join([*WAYS, SPOILED]))
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job would hand down ignored
    kept = Kept(options.out, WAYS, _command(options), again=options.again)
    with contextlib.ExitStack() as stack:
        scratch = options.house or stack.enter_context(tempfile.TemporaryDirectory(prefix="isotune-faults-"))
        house = House.at(Path(scratch).absolute(), options.seeds)
        print(f"an undisturbed sweep of {house.cells} cells takes {house.takes:.1f} s", flush=True)
        for way in chosen:
            while kept.times(way) < options.times:
                kept.add(way, _tried(house, way, Random(f"{options.seed} {way} {len(kept.trials(way))}")))
        if not options.ways or SPOILED in options.ways:
            _spoil(house, kept, options.times, options.seed)
    sys.exit(not kept.sound(chosen))


def _command(options: argparse.Namespace) -> str:
    """The command as it stands in the page: what decides what is tried, without folders of this machine."""
    said = {"--times": options.times, "--seeds": options.seeds, "--seed": options.seed}
    words = (str(word) for option, value in said.items() if value for word in (option, value))
    return shlex.join(["python", "benchmarks/validation/faults", *options.ways, *words])


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
    return outcome | {"other": [*outcome["other"], "the sweep had always ended, or had nothing to harm yet"]}


def _spoil(house: House, kept: Kept, times: int, seed: int) -> None:
    damage.fill(house)
    for kind in damage.KINDS:
        for spoil in damage.SPOILS:
            for number in range(len(kept.missed(kind.name, spoil)), times):
                chance = Random(f"{seed} {kind.name} {spoil} {number}")
                kept.add_missed(kind.name, spoil, damage.spoiled(kind, spoil, house, chance))


if __name__ == "__main__":
    main()
