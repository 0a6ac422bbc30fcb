"""What a machine offers for `make gpu`, and isotune lent to its Python: the standard library alone is needed here.

A machine with a GPU often comes with a Python that has torch, and with nothing else: no environment of this checkout,
no network. So isotune is not installed. Its packages are put together in a folder for PYTHONPATH, as an installation
would have them; packages that it needs and that are lacking are installed into another folder, from wheels in a folder
or from the package index.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
BESIDE = {"scikit-learn": "sklearn"}  # of the data set digits, beside what every worker needs
PIP_SECONDS, PROBE_SECONDS = 90, 120
_PROBE = """
import json, sys, torch
cuda = torch.cuda.is_available()
card = torch.cuda.get_device_properties(0) if cuda else None
print(json.dumps({
    "torch": torch.__version__, "cuda": torch.version.cuda or "", "python": sys.version.split()[0],
    "card": card.name if cuda else "", "memory_bytes": card.total_memory if cuda else 0,
    "compute_capability": f"{card.major}.{card.minor}" if cuda else "",
    "cudnn": str(torch.backends.cudnn.version() or ""), "cards": torch.cuda.device_count(),
}))
"""


class Unfit(Exception):
    """The machine cannot do it: one line that says why, and what would help."""


def probe() -> dict[str, Any]:
    """torch, CUDA and the card, as this Python's torch sees them. Unfit: there is no torch."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, check=False, timeout=PROBE_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise Unfit(f"torch of {sys.executable} did not start within {PROBE_SECONDS} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Unfit(f"{sys.executable} has no torch that starts ({last}); name one that has: make gpu PYTHON=...")
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts | {"driver": _driver(), "commit": _git("rev-parse", "--short=12", "HEAD")}


def lend(place: Path) -> Path:
    """Put isotune together in `place`, with its metadata, and give the folder that belongs on PYTHONPATH."""
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    site = place / "site"
    shutil.rmtree(site, ignore_errors=True)
    for package, folder in sorted(about["tool"]["setuptools"]["package-dir"].items()):
        source, target = ROOT / folder, site.joinpath(*package.split("."))
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    project = about["project"]
    metadata = site / f"isotune-{project['version']}.dist-info"
    metadata.mkdir()
    lines = f"Metadata-Version: 2.1\nName: isotune\nVersion: {project['version']}\n"
    (metadata / "METADATA").write_text(lines, encoding="utf-8")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(points), encoding="utf-8")
    return site


def lacking(site: Path) -> list[str]:
    """Packages that isotune needs and this Python has not, by pip's names."""
    sys.path.insert(0, str(site))
    try:
        needed = importlib.import_module("isotune.workers.interpreters").NEEDED | BESIDE
    finally:
        sys.path.remove(str(site))
    return [package for package, module in needed.items() if find_spec(module) is None]


def install(packages: list[str], place: Path, wheels: Path | None) -> Path:
    """Install into a folder of `place`, and give it. Unfit: they are in neither the wheels nor a package index."""
    target = place / "packages"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--upgrade", "--target", str(target)]
    if wheels is not None:
        command += ["--no-index", "--find-links", str(wheels)]
    else:
        command += ["--retries", "0", "--timeout", "10"]
    try:
        done = subprocess.run([*command, *packages], capture_output=True, text=True, check=False, timeout=PIP_SECONDS)
        worked = done.returncode == 0
    except subprocess.TimeoutExpired:
        worked = False
    if not worked:
        names = " ".join(packages)
        raise Unfit(
            f"{sys.executable} lacks {', '.join(packages)}, and pip cannot install them here; where there is a network:"
            f" pip download --only-binary=:all: --dest wheels {names}; here then: make gpu WHEELS=wheels"
        )
    return target


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return _first_line(command)


def _git(*arguments: str) -> str:
    return _first_line(["git", "-C", str(ROOT), *arguments])


def _first_line(command: list[str]) -> str:
    """Of what the command prints; empty where there is no such command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20, env=os.environ)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else ""
