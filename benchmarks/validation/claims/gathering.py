"""The files that the claims rest on, out of public repositories, each at a commit and checked by its digest.

A repository is fetched by git at its commit alone, or read from a clone that is there already. A folder's digest is
that of its files' names and contents, in the order of the names.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

SOURCES = Path(__file__).parent / "sources.toml"
HOST = "https://github.com"


class NotGathered(Exception):
    """A file is not to be had, or is not what it was."""


@dataclass(frozen=True)
class Source:
    """path: a file or a folder of a repository; name: what it is called here."""

    repository: str
    commit: str
    licence: str
    path: str
    name: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.repository}@{self.commit[:12]}:{self.path}"

    @property
    def url(self) -> str:
        return f"{HOST}/{self.repository}/blob/{self.commit}/{self.path}"


def sources() -> list[Source]:
    return [
        Source(said["name"], said["commit"], said["licence"], path, file["as"], file["sha256"])
        for said in tomllib.loads(SOURCES.read_text(encoding="utf-8"))["repositories"]
        for path, file in said["files"].items()
    ]


def gather(folder: Path, clones: Path | None, wanted: list[Source]) -> None:
    """Have every source lie in `folder`, whole and as it was; what is there already is only checked.

    clones: a folder with clones, OWNER/NAME; None: fetched. NotGathered: not to be had, or another content.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [each for each in wanted if not _is_there(each, folder)]
    for repository, commit in dict.fromkeys((each.repository, each.commit) for each in missing):
        chosen = [each for each in missing if (each.repository, each.commit) == (repository, commit)]
        with tempfile.TemporaryDirectory() as place:
            clone = clones / repository if clones else _fetched(repository, commit, Path(place))
            for each in chosen:
                _extract(each, clone, folder)


def _is_there(source: Source, folder: Path) -> bool:
    target = folder / source.name
    if not target.exists():
        return False
    if (found := digest(target)) != source.sha256:
        raise NotGathered(f"{target}: its SHA-256 is {found}, that of {source} {source.sha256}; remove it")
    return True


def _fetched(repository: str, commit: str, place: Path) -> Path:
    _git("init", "--quiet", "--bare", str(place))
    _git("--git-dir", str(place), "fetch", "--quiet", "--depth=1", f"{HOST}/{repository}", commit)
    return place


def _extract(source: Source, clone: Path, folder: Path) -> None:
    git_dir = clone / ".git" if (clone / ".git").exists() else clone
    packed = _git("--git-dir", str(git_dir), "archive", "--format=tar", source.commit, "--", source.path)
    target = folder / source.name
    with tempfile.TemporaryDirectory(dir=folder) as place:
        draft = Path(place) / "draft"
        for name, content in _members(packed):
            inside = name.relative_to(source.path)
            file = draft / inside if inside.parts else draft
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        if (found := digest(draft)) != source.sha256:
            raise NotGathered(f"{source}: its SHA-256 is {found}, not {source.sha256}")
        draft.rename(target)


def _members(packed: bytes) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Names and contents of the plain files of a tar archive."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)) is not None:
                yield PurePosixPath(member.name), file.read()


def digest(path: Path) -> str:
    """SHA-256, hexadecimal, of a file's content or of a folder's files."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    sha = hashlib.sha256()
    for file in sorted(each for each in path.rglob("*") if each.is_file()):
        sha.update(f"{file.relative_to(path).as_posix()}\0{digest(file)}\n".encode())
    return sha.hexdigest()


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], check=True, capture_output=True).stdout
    except FileNotFoundError:
        raise NotGathered("git is not installed") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines() or ["no word why"]
        raise NotGathered(f"git {' '.join(arguments)}: {said[-1]}") from None
