"""Packages beside isotune (faults, adapters of the tests), installed for one use as pip does it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PLANTED = Path(__file__).parent / "planted"


def install(folders: Iterable[Path], place: Path) -> Path:
    """Install the packages whose pyproject.toml is in `folders`, from copies, without network.

    place: an existing folder; what is built and installed stays in it.

    Gives the folder that belongs on PYTHONPATH. RuntimeError, with pip's words: a package does not install.
    """
    sources = [place / "sources" / folder.name for folder in folders]
    for folder, source in zip(folders, sources, strict=True):
        shutil.copytree(folder, source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(place / "site"), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return place / "site"
