"""What a cell reads beside what it says: by content, from the driver's disk to the node's cache, once a node.

    CACHE/datasets/DIGEST/     a prepared data set, as everywhere
    CACHE/received/DIGEST/     a checkpoint's file with what stands beside it; a user's network with the modules that it
                               imports

The user's modules stand to each other, and to the folder in which the run was started, as they stand at home, so that
they find each other, and the cell's key is the same.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isotune import cache, data, reading, sealing
from isotune.data.dataset import digest_of
from isotune.errors import UsageError
from isotune.models import beside, contents
from isotune.runs.records import Cell

DATASETS, RECEIVED = "datasets", "received"
CHUNK = 1 << 26  # bytes in one object
_MOST = 64 * reading.GIB  # of a file
Sent = dict[str, Any]  # {"room", "digest", "files": {name: {"sha256", "chunks": [reference]}}}


@dataclass(frozen=True)
class Parcel:
    """Files by their paths in it, on this disk or as they are.

    room: of the cache. named: the digest is the SHA-256 of its one file.
    """

    room: str
    digest: str
    files: Mapping[str, Path | bytes]
    named: bool = False


class Parcels:
    """Those of a run, by digest; each is put into the object store when a node first lacks it.

    put: gives a reference to an array of bytes, which `unpack` is given a `get` for.
    """

    def __init__(self, put: Callable[[np.ndarray], Any]) -> None:
        self._put = put
        self._made: dict[str, Parcel] = {}
        self._sent: dict[str, Sent] = {}
        self._networks: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}

    def order(self, cell: Cell) -> dict[str, Any]:
        """What a node is told of a cell, as JSON.

        cell: its model is named from the folder in which the worker is to stand. needs: [room, digest] of each parcel.
        network: {digest, folder}: where the worker is to stand. weights: {digest, name}: of the checkpoint's file.
        UsageError: a file that the cell names cannot be read.
        """
        asked = cell.model_dump(mode="json")
        needs = [[DATASETS, cell.dataset_digest]]
        order: dict[str, Any] = {"cell": asked, "needs": needs}
        if cell.dataset_digest not in self._made:
            folder = data.load(cell.dataset, cell.dataset_digest).folder
            names = (*sealing.check(folder), sealing.SEAL)
            self._made[cell.dataset_digest] = Parcel(
                DATASETS, cell.dataset_digest, {name: folder / name for name in names}
            )
        if cell.network_digest is not None:
            known = cell.model, cell.network_digest
            if known not in self._networks:
                parcel, model, folder_ = _network(cell.model, Path.cwd())
                self._made[parcel.digest] = parcel
                self._networks[known] = model, {"digest": parcel.digest, "folder": folder_}
            asked["model"], order["network"] = self._networks[known]
            needs.append([RECEIVED, order["network"]["digest"]])
        if cell.weights_digest is not None:
            path = contents.weights_file(cell.checkpoint)
            assert path is not None
            parcel = _weights(path, cell.weights_digest, cell.beside_digest)
            self._made.setdefault(parcel.digest, parcel)
            order["weights"] = {"digest": parcel.digest, "name": path.name}
            needs.append([RECEIVED, parcel.digest])
        return order

    def sent(self, digest: str) -> Sent:
        """One for a node that lacks it. UsageError: it is not what it was any more."""
        if digest not in self._sent:
            parcel = self._made[digest]
            files = {name: self._stored(content) for name, content in parcel.files.items()}
            if parcel.named and (changed := [name for name, file in files.items() if file["sha256"] != digest]):
                raise UsageError(f"{parcel.files[changed[0]]!s} was changed meanwhile; start the run again")
            self._sent[digest] = {"room": parcel.room, "digest": digest, "files": files}
        return self._sent[digest]

    def _stored(self, content: Path | bytes) -> dict[str, Any]:
        digest, chunks = hashlib.sha256(), []
        for chunk in pieces(content):
            digest.update(chunk)
            chunks.append(self._put(np.frombuffer(chunk, np.uint8)))
        return {"sha256": digest.hexdigest(), "chunks": chunks}


def pieces(content: Path | bytes) -> Iterator[bytes]:
    """UsageError: it cannot be read."""
    if isinstance(content, bytes):
        yield content
        return
    with reading.opened(content, _MOST) as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _weights(path: Path, weights: str, said: str | None) -> Parcel:
    """A checkpoint's file, with what stands beside it and says how it is taken."""
    if said is None:
        return Parcel(RECEIVED, weights, {path.name: path}, named=True)
    digest = hashlib.sha256(f"{weights} {said}".encode()).hexdigest()
    return Parcel(RECEIVED, digest, {path.name: path, **beside.files(path)})


def _network(model: str, here: Path) -> tuple[Parcel, str, str]:
    """A user's network: its parcel, the model's name from the folder in which the run was started, and that folder's
    place in the parcel."""
    sources = {Path(os.path.normpath(file)): source for file, source in contents.network_sources(model)}
    first = next(iter(sources))
    base = Path(os.path.commonpath([here, first.parent, *(file.parent for file in sources)]))
    files: dict[str, Path | bytes] = {file.relative_to(base).as_posix(): source for file, source in sources.items()}
    named = os.path.relpath(first, here)
    adapter, _, rest = model.partition(":")
    _, sign, function = rest.partition(".py:")
    digest = hashlib.sha256(repr([named, str(here.relative_to(base))]).encode())
    for name, source in sorted(files.items()):
        assert isinstance(source, bytes)
        digest.update(f"{name} {hashlib.sha256(source).hexdigest()}\n".encode())
    renamed = f"{adapter}:{named}" + (f":{function}" if sign else "")
    return Parcel(RECEIVED, digest.hexdigest(), files), renamed, here.relative_to(base).as_posix()


def lacking(needs: Iterable[tuple[str, str]]) -> list[str]:
    """Digests of the parcels that are not in this machine's cache, whole."""
    return [digest for room, digest in needs if not _is_whole(cache.root() / room / digest)]


def _is_whole(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        sealing.check(folder)
    except sealing.Damaged:
        return False
    return True


def unpack(sent: Sent, get: Callable[[Any], np.ndarray]) -> None:
    """Put a parcel into this machine's cache, unless another process did just now. UsageError: what came is not what
    was sent, or the cache cannot be written."""
    target = cache.folder(sent["room"]) / sent["digest"]
    with cache.locked(target):
        if _is_whole(target):
            return
        if target.exists():
            cache.set_aside(target)
        with cache.draft_folder(target) as draft:
            for name, part in sent["files"].items():
                if _write(draft / name, map(get, part["chunks"])) != part["sha256"]:
                    raise UsageError(f"{name} of {sent['digest'][:16]} was damaged on its way")
            if sent["room"] == RECEIVED:
                sealing.seal(draft, sent["digest"])
            elif digest_of(sealing.check(draft, verify=True)) != sent["digest"]:
                raise UsageError(f"another data set came than {sent['digest'][:16]}")


def _write(path: Path, chunks: Iterable[np.ndarray]) -> str:
    """The SHA-256 of what was written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk.data)
            digest.update(chunk.data)
    return digest.hexdigest()


def as_here(order: Mapping[str, Any]) -> tuple[Cell, Path | None]:
    """The cell with the paths of this machine, and the folder in which its worker is to stand."""
    asked, folder = dict(order["cell"]), None
    if weights := order.get("weights"):
        _, sign, source = asked["checkpoint"].partition("::")
        asked["checkpoint"] = f"file:{cache.root() / RECEIVED / weights['digest'] / weights['name']}{sign}{source}"
    if network := order.get("network"):
        folder = cache.root() / RECEIVED / network["digest"] / network["folder"]
        folder.mkdir(parents=True, exist_ok=True)  # it may have no file of its own
    return Cell.model_validate(asked), folder
