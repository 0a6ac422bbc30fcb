"""Single flipped bits in every kind of file that isotune writes and reads again, with the file's time put back.

Each time one bit of one file is flipped and the command that reads it is run. It is noticed when the command names the
file (or its folder), and, where it goes on, gives what it gave before.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import sweep

PROOF = ("parity", *sweep.MODELS, "--only", "inference", "--store", "proofs", "--size", "32x32")
ASKED = ("--dataset", "digits", "--protocol", "tiny.toml", "--images", "4")


@dataclass(frozen=True)
class Kind:
    """Files of one kind, and who reads them: `read` gives (what was said, whether the result is as before)."""

    name: str
    files: str  # a pattern below the house
    read: Callable[[Path], tuple[str, bool]]


def _run(house: Path) -> tuple[str, bool]:
    store = house / "again"
    ended = sweep.done(house, sweep.sweep(house, store))
    return ended.stderr, sweep.table(store) == sweep.table(house / "records")


def _run_without_features(house: Path) -> tuple[str, bool]:
    shutil.rmtree(house / "cache/features")
    return _run(house)


def _report(house: Path) -> tuple[str, bool]:
    ended = sweep.done(house, sweep.isotune(house, "report", "records", "--out", "report"))
    return ended.stderr + (house / "report/leaderboard.md").read_text(encoding="utf-8"), ended.returncode == 0


def _prove(house: Path) -> tuple[str, bool]:
    ended = sweep.done(house, sweep.isotune(house, *PROOF))
    return ended.stderr, ended.returncode == 0


def _investigate(house: Path) -> tuple[str, bool]:
    ended = sweep.done(house, sweep.isotune(house, "investigate", "dump:dumped", sweep.MODELS[1], *ASKED))
    return ended.stderr, ended.returncode == 2


def _list(house: Path) -> tuple[str, bool]:
    ended = sweep.done(house, sweep.isotune(house, "models", "torchvision:mobilenet", "--json"))
    return ended.stderr, ended.returncode == 0


KINDS = (
    Kind("data set", "cache/datasets/*/*.*", _run),
    Kind("entry of a data set", "cache/datasets/*.json", _run),
    Kind("resized view", "cache/views/*/*", _run_without_features),
    Kind("features", "cache/features/*/*", _run),
    Kind("checkpoint", "cache/checkpoints/*.safetensors", _run),
    Kind("catalogue", "cache/catalogue/torchvision*.json", _list),
    Kind("record", "records/*/record.json", _report),
    Kind("predictions", "records/*/predictions.npy", _report),
    Kind("proof", "proofs/*.json", _prove),
    Kind("dump", "dumped/**/*", _investigate),
)


@dataclass
class Flips:
    """By kind of file: flips, and those that were noticed."""

    done: Counter[str] = field(default_factory=Counter)
    noticed: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)


def flips(count: int, seed: int, only: str = "") -> Flips:
    """So many flips, of the kinds in turn, or of one kind only."""
    kinds = [kind for kind in KINDS if only in ("", kind.name)]
    chance, seen = random.Random(seed), Flips()
    with tempfile.TemporaryDirectory(prefix="isotune-flips-") as folder:
        whole = Path(folder) / "whole"
        whole.mkdir()
        _filled(whole)
        for number in range(count):
            kind = kinds[number % len(kinds)]
            house = Path(folder) / "house"
            shutil.copytree(whole, house)
            files = sorted(path for path in house.glob(kind.files) if path.is_file() and path.name != "verified.json")
            file = chance.choice(files)
            place = _flip(file, chance)
            told, sound = kind.read(house)
            seen.done[kind.name] += 1
            if sound and (str(file) in told or file.parent.name in told or str(file.relative_to(house)) in told):
                seen.noticed[kind.name] += 1
            else:
                seen.missed.append(f"{kind.name}: bit {place} of {file.relative_to(house)}; {told[-300:]!r}")
            print(f"{number + 1} of {count}: {kind.name}, {seen.noticed.total()} noticed", flush=True)
            shutil.rmtree(house)
    return seen


def _filled(house: Path) -> None:
    """A house with every kind of file in it."""
    for command in (
        sweep.sweep(house, house / "records"),
        sweep.isotune(house, *PROOF),
        sweep.isotune(house, "dump", sweep.MODELS[0], *ASKED, "-o", "dumped"),
        sweep.isotune(house, "models", "torchvision:mobilenet", "--json"),
    ):
        ended = sweep.done(house, command)
        assert ended.returncode == 0, (command, ended.stdout, ended.stderr)


def _flip(file: Path, chance: random.Random) -> int:
    """Flip one bit, and put the file's time back; which bit."""
    times, content = file.stat(), bytearray(file.read_bytes())
    bit = chance.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    return bit
