"""Preparing a data set once, and finding it again.

datasets/NAME-KEY.json     what a source came to: name, digest, note; KEY is of the name and of what the
                           source depends on (a folder's listing), so a changed folder is prepared again
datasets/DIGEST/           the content; two names of the same content share it
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from isotune import cache, sealing
from isotune.data.dataset import Dataset, open_dataset
from isotune.data.sources import given
from isotune.data.sources.naming import find, listed
from isotune.data.sources.source import Source
from isotune.data.writing import Writer
from isotune.errors import UsageError
from isotune.progress import Progress, untold
from isotune.sealing import Damaged

Given = given.Given | Dataset
_FORMAT = 2  # raised when the same source is written in another form
_log = logging.getLogger("isotune")


def prepare(
    dataset: Given, *, skip_unreadable: bool = False, progress: Progress | None = None, verify: bool = False
) -> Dataset:
    """The data set, ready: made on the first call, found in the cache on later ones.

    dataset: a name; a folder of images by class or an .npz file as a path; or what the program has itself: arrays or a
        table of files (`isotune.data.sources.given.source` says in which shapes). A prepared one is given back.
    skip_unreadable: leave out images that cannot be read (the note counts them) instead of refusing.
    progress: is told what is done, how much of it, of how much.
    verify: read all of it and compare digests, even if its files seem untouched.
    A damaged cache is named in a warning of the logger `isotune`, and made again.
    Errors: UsageError for an unknown name and for content that cannot be used; NotCached when it must be
    downloaded and cannot be; MissingExtra when a library that it comes from is not installed.
    """
    if isinstance(dataset, Dataset):
        return dataset
    source = given.source(dataset)
    name, entry = source.name, _entry(source, skip_unreadable)
    try:
        if cached := _cached(entry, name, verify=verify):
            return cached
    except Damaged:
        pass  # another process may be at work on it: look again under the lock
    try:
        with cache.locked(entry):
            try:
                if cached := _cached(entry, name, verify=verify):
                    return cached
            except Damaged as error:
                _log.warning("damaged cache of data set %s: %s; preparing it again", name, error)
            return _prepared(source, entry, skip_unreadable, progress or untold)
    except OSError as error:
        where = error.filename or cache.root()
        raise UsageError(f"data set {name} cannot be prepared: {where}: {error.strerror or error}") from None


def load(name: str, digest: str, *, verify: bool = False) -> Dataset:
    """A data set that was prepared before, by its digest: what a worker calls.

    The source is not looked at, so this is quick and gives what was planned even if a folder has changed.
    UsageError: it is not there, or damaged.
    """
    folder = cache.root() / "datasets" / digest
    again = f"run `isotune prepare --datasets {name}`"
    if not re.fullmatch(r"[0-9a-f]{64}", digest) or not folder.is_dir():
        raise UsageError(f"data set {name} with digest {digest[:16]} is not in the cache {cache.root()}; {again}")
    try:
        return open_dataset(folder, name=name, verify=verify)
    except Damaged as error:
        raise UsageError(f"data set {name}: damaged cache: {error}; {again}") from None


@dataclass(frozen=True)
class Availability:
    """The state of a data set, without preparing it."""

    name: str
    cached: bool
    offline: bool  # it is there or can be made without network
    where: str  # its folder when cached, else where its images come from
    digest: str = ""

    def __str__(self) -> str:
        if self.cached:
            return f"prepared: {self.where}"
        return f"{'can be prepared offline' if self.offline else 'to be downloaded'}: {self.where}"


def describe(name: str) -> Availability:
    """Whether a data set is prepared, and where it comes from. UsageError: unknown name, missing folder."""
    source = find(name)
    for skip in (False, True):
        try:
            if cached := _cached(_entry(source, skip), name):
                return Availability(name, True, True, str(cached.folder), cached.digest)
        except Damaged as error:
            return Availability(name, False, source.offline, f"{source.origin} (the cache is damaged: {error})")
    return Availability(name, False, source.offline, source.origin)


def status() -> dict[str, str]:
    """For every data set that has a name of its own, one line on its state."""
    lines = {}
    for name in listed():
        try:
            lines[name] = str(describe(name))
        except UsageError as error:
            lines[name] = str(error)
    return lines


def _entry(source: Source, skip_unreadable: bool) -> Path:
    identity = {"format": _FORMAT, "name": source.name, "skip": skip_unreadable} | source.identity()
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", source.name).strip("-.")[-60:]
    return cache.root() / "datasets" / f"{readable}-{key}.json"


def _cached(entry: Path, name: str, *, verify: bool = False) -> Dataset | None:
    try:
        content = sealing.read_json(entry)
        folder, note = entry.parent / content["dataset"], content["note"]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except KeyError:
        raise Damaged(f"{entry} is of another version") from None
    if content["entry"] != entry.name:
        raise Damaged(f"{entry} contains what belongs into {content['entry']}")
    return open_dataset(folder, name=name, note=note, verify=verify)


def _prepared(source: Source, entry: Path, skip_unreadable: bool, progress: Progress) -> Dataset:
    place = cache.folder("datasets")
    draft = place / f".draft-{entry.stem}"
    shutil.rmtree(draft, ignore_errors=True)  # what a killed process left
    draft.mkdir()
    try:
        writer = Writer(draft)
        described = source.write(writer, skip_unreadable=skip_unreadable, progress=progress)
        digest = writer.finish(name=source.name, classes=described.classes, note=described.note)
        with cache.locked(place / digest):
            try:
                open_dataset(place / digest)
            except (Damaged, OSError, ValueError, KeyError):
                if (place / digest).exists():
                    _log.warning("set aside: %s", cache.set_aside(place / digest))
                cache.place_folder(draft, place / digest)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    content = {"entry": entry.name, "name": source.name, "dataset": digest, "note": described.note}
    sealing.write_json(entry, content)
    return open_dataset(place / digest, name=source.name, note=described.note)
