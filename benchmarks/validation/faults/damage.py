"""Damaged files, of every kind that isotune writes and reads again: one bit flipped, or the end cut off, and the file's
time put back.

`spoiled` tries each with the command that reads it. It is noticed when the command names the file, or its folder, and
gives what it gave before where it goes on. `WAYS` damages what a sweep that was killed had left, and goes on with it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from house import MODELS, House, table
from trial import Trial, Way

_PROOF = ("parity", *MODELS, "--only", "inference", "--store", "proofs", "--size", "32x32")
_ASKED = ("--dataset", "digits", "--protocol", "probe.toml", "--images", "4")
SPOILS = ("bit flipped", "cut off")


@dataclass(frozen=True)
class Kind:
    """Files of one kind, and who reads them: `read` gives (what was said, whether the result is as before)."""

    name: str
    files: str  # a pattern below the house
    read: Callable[[House], tuple[str, bool]]


def _run(house: House) -> tuple[str, bool]:
    ended = house.done(house.sweep(house.folder / "again"))
    return ended.stdout, table(house.folder / "again") == house.wanted


def _run_without_features(house: House) -> tuple[str, bool]:
    shutil.rmtree(house.cache / "features")
    return _run(house)


def _go_on(house: House) -> tuple[str, bool]:
    ended = house.done(house.sweep(house.folder / "undisturbed"))
    return ended.stdout, table(house.folder / "undisturbed") == house.wanted


def _report(house: House) -> tuple[str, bool]:
    ended = house.done(house.isotune("report", "undisturbed", "--out", "report"))
    return ended.stdout + (house.folder / "report/leaderboard.md").read_text(encoding="utf-8"), ended.returncode == 0


def _prove(house: House) -> tuple[str, bool]:
    ended = house.done(house.isotune(*_PROOF))
    return ended.stdout, ended.returncode == 0


def _investigate(house: House) -> tuple[str, bool]:
    ended = house.done(house.isotune("investigate", "dump:dumped", MODELS[1], *_ASKED))
    return ended.stdout, ended.returncode == 2


def _list(house: House) -> tuple[str, bool]:
    ended = house.done(house.isotune("models", "torchvision:mobilenet", "--json"))
    return ended.stdout, ended.returncode == 0


KINDS = (
    Kind("data set", "cache/datasets/*/*.*", _run),
    Kind("entry of a data set", "cache/datasets/*.json", _run),
    Kind("resized view", "cache/views/*/*", _run_without_features),
    Kind("features", "cache/features/*/*", _run),
    Kind("checkpoint", "cache/checkpoints/*.safetensors", _run),
    Kind("catalogue", "cache/catalogue/torchvision*.json", _list),
    Kind("record, in a sweep", "undisturbed/*/record.json", _go_on),
    Kind("record, in a report", "undisturbed/*/record.json", _report),
    Kind("predictions, in a sweep", "undisturbed/*/predictions.npy", _go_on),
    Kind("predictions, in a report", "undisturbed/*/predictions.npy", _report),
    Kind("proof", "proofs/*.json", _prove),
    Kind("dump", "dumped/**/*", _investigate),
)


def fill(house: House) -> None:
    """A house with every kind of file in it."""
    for command in (
        house.isotune(*_PROOF),
        house.isotune("dump", MODELS[0], *_ASKED, "-o", "dumped"),
        house.isotune("models", "torchvision:mobilenet", "--json"),
    ):
        ended = house.done(command)
        assert ended.returncode == 0, (command, ended.stdout)


def spoiled(kind: Kind, spoil: str, house: House, chance: Random) -> str:
    """Spoil one file of a filled house. Empty: it was noticed; else what was missed."""
    copy = House(house.folder / "copy", house.folder / "copy/cache", house.cells, house.takes, house.wanted)
    left_out = shutil.ignore_patterns("copy", "store-*")
    shutil.copytree(house.folder, copy.folder, ignore=left_out)
    try:
        file = chance.choice(_files(copy.folder, kind.files))
        place = _spoil(file, spoil, chance)
        told, sound = kind.read(copy)
        name = str(file.relative_to(copy.folder))
        if sound and any(each in told for each in (str(file), file.parent.name, name)):
            return ""
        return f"{kind.name}: {place} of {name}; {told[-300:]!r}"
    finally:
        shutil.rmtree(copy.folder)


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(
        path
        for path in folder.glob(pattern)
        if path.name != "verified.json" and not path.name.startswith(".draft") and _has_content(path)
    )


def _has_content(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except FileNotFoundError:  # gone since the folder was listed
        return False


def _spoil(file: Path, spoil: str, chance: Random) -> str:
    """Spoil a file, and put its time back; where."""
    times, content = file.stat(), bytearray(file.read_bytes())
    if spoil == "cut off":
        length = chance.randrange(len(content))
        content, place = content[:length], f"all after byte {length}"
    else:
        bit = chance.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        place = f"bit {bit}"
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    return place


def _left(what: str, place: str, patterns: Iterable[str]) -> Way:
    """Kill the command at some moment, or when there is such a file, and damage one that it left."""

    def harm(trial: Trial) -> bool:
        below = trial.store if place == "store" else trial.house.cache

        def files() -> list[Path]:
            return [file for pattern in patterns for file in _files(below, pattern)]

        with trial.started() as run:
            if not run.lasts(trial.moment()):
                return False
            while not files():  # a draft is there for some steps only
                if not run.lasts(0.0):
                    return False
            run.process.kill()
            trial.orphans += run.left_over()
            run.ended()
        trial.remember()
        if not (left := files()):
            return False
        file = trial.chance.choice(left)
        _spoil(file, trial.chance.choice(SPOILS), trial.chance)
        if what in ("record", "file of predictions"):
            trial.spoiled.add(file.relative_to(trial.store).parts[0])
        return True

    return harm


WAYS: dict[str, Way] = {
    f"killed, and then a {what} damaged": _left(what, place, patterns)
    for what, place, patterns in (
        ("record", "store", ["*/record.json"]),
        ("file of predictions", "store", ["*/predictions.npy"]),
        ("claim", "store", [".claims/*"]),
        ("plan", "store", [".plans/*.json"]),
        ("draft of a cell", "store", [".drafts/**/*"]),
        ("file of the features' cache", "cache", ["features/*/*"]),
        ("file of the data's cache", "cache", ["datasets/*.json", "datasets/*/*.*", "views/*/*"]),
    )
}
