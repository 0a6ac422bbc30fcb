"""What is installed for an adapter, told apart where its version is not.

A package that is edited in place, or installed again from a checkout, has another content under the same version. What
is kept of a library's own listing (the catalogue) goes stale by this; proofs go by versions, which a reader knows, and
records by them and by code (`code`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from isotune import names
from isotune.workers import code
from isotune.workers.environment import packages, versions

_OWN = "isotune"


def content(adapter: str) -> dict[str, str]:
    """Of an adapter ("keras@jax"), by name: the version of each package that matters, what its installer wrote down of
    its files, or those files where it is edited in place; and the files of the adapter itself. Nothing is imported but
    the adapter's class."""
    known_versions = versions(adapter)
    for package in packages(adapter):
        if digest := _of_package(package):
            known_versions[f"{package} files"] = digest
    if known := names.facts(adapter):
        known_versions["adapter"] = _of_files(code.adapter_files(known))
    return known_versions


def _of_package(package: str) -> str:
    """Empty: it is not installed, its installer wrote nothing down, or it is isotune, whose adapters are read below."""
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return ""
    try:
        edited = json.loads(distribution.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable")
    except (ValueError, AttributeError):  # written by whatever installed it
        edited = False
    if not edited:
        return _digest((distribution.read_text("RECORD") or "").encode())
    return "" if package == _OWN else _of_files(code.of_import(package.replace("-", "_")))


def _of_files(files: Iterable[tuple[str, Path]]) -> str:
    """Of source the content; of other files, weights among them, size and time."""
    digest = hashlib.sha256()
    for name, file in sorted(files):
        try:
            state = file.stat()
            known = file.read_bytes() if code.is_source(file) else f"{state.st_size} {state.st_mtime_ns}".encode()
        except OSError:  # gone meanwhile
            continue
        digest.update(f"{name} {len(known)}\n".encode() + known)
    return digest.hexdigest()[:16]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16] if content else ""
