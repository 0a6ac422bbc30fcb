"""The machine, and the versions and settings that results depend on.

Which packages an adapter's results depend on is asked here and nowhere else: isotune, NumPy, those that its engine
declares, and the package that brings the adapter. Records, proofs and the catalogue go stale by them.
"""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

from isotune import _version, names
from isotune.workers import code, memory, threads

if TYPE_CHECKING:
    from isotune.adapters.base import Adapter, Engine

FLAGS = (*threads.FLAGS, *memory.FLAGS, "CUDA_VISIBLE_DEVICES")  # of every engine
CODE, CORE = "adapter code", "isotune code"  # in an environment: of the source
PROBE = ("scipy",)  # packages that fit a probe
_EVERYWHERE = ("isotune", "numpy")


@functools.cache
def machine() -> dict[str, str]:
    """CPU, cores, memory, Python, NumPy, Pillow, commit, and the flags that are set."""
    facts = {
        "cpu": _cpu(),
        "cores": str(threads.cores()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "platform": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pillow": version("pillow"),
    }
    if commit := _commit():
        facts["commit"] = commit
    return facts | _set(FLAGS)


def environment_of(adapter: Adapter) -> dict[str, str]:
    """All that a record says of where it was computed: the machine, versions, the adapter's settings and flags."""
    engine = type(adapter).engines[adapter.engine]
    known = codes(adapter.name) | versions(f"{adapter.name}@{adapter.engine}") | adapter.environment()
    return machine() | _set(engine.flags) | known


def packages(*adapters: str) -> tuple[str, ...]:
    """The packages whose versions matter to results of these adapters ("keras", "keras@jax"), the libraries first."""
    engines = [engine for adapter in adapters if (engine := _engine(adapter))]
    named = [package for engine in engines for package in (*engine.packages, *engine.beside)]
    bring = [package for adapter in adapters if (package := names.distribution(adapter))]
    return tuple(dict.fromkeys([*named, *bring, *_EVERYWHERE]))


def all_packages() -> tuple[str, ...]:
    """Every name that is a version's in an environment, whatever adapter it is of; Python's last."""
    engines = [
        f"{adapter}@{engine}"
        for adapter in sorted(names.adapters())
        if (known := names.facts(adapter))
        for engine in known.engines
    ]
    return (*packages(*engines), *PROBE, "pillow", "python")


def versions(*adapters: str) -> dict[str, str]:
    """What is installed of `packages`. What matters only beside an adapter is left to its `environment`."""
    beside = {package for adapter in adapters if (engine := _engine(adapter)) for package in engine.beside}
    needed = {package for adapter in adapters if (engine := _engine(adapter)) for package in engine.packages}
    installed = {package: version(package) for package in packages(*adapters) if package not in beside - needed}
    return {package: known for package, known in installed.items() if known}


def outdated(recorded: Mapping[str, str], adapter: str) -> list[tuple[str, str, str]]:
    """(package, version then, version now) of each that computed for `adapter` under the environment `recorded` and
    has another version now; empty: all is as it was."""
    computed = {package: recorded[package] for package in (*packages(adapter), *PROBE) if package in recorded}
    changes = [(name, then, now) for name, then in computed.items() if (now := version(name)) and then != now]
    source = codes(adapter) if CODE in recorded or CORE in recorded else {}
    changes += [(name, recorded[name], now) for name, now in source.items() if now and recorded.get(name, now) != now]
    return changes


def codes(adapter: str) -> dict[str, str]:
    """Digests of the source that a result of this adapter depends on, by the names that they have in an environment."""
    return {CODE: code.adapter_code(adapter), CORE: code.core_code()}


def version(package: str) -> str:
    """Of an installed package, by the name that pip or an import gives it; empty: there is none."""
    if package == "isotune":
        return _version.version()  # also of a checkout that was never installed
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        providers = metadata.packages_distributions().get(package, [])  # tensorflow-cpu provides tensorflow
        return metadata.version(providers[0]) if providers else ""


def _engine(adapter: str) -> Engine | None:
    """What an adapter says of its engine; None: the adapter is not installed."""
    known = names.facts(adapter.partition("@")[0])
    if known is None:
        return None
    engine = adapter.partition("@")[2] or next(iter(known.engines))
    return known.engines.get(engine)


def _set(flags: tuple[str, ...]) -> dict[str, str]:
    return {flag: os.environ[flag] for flag in flags if flag in os.environ}


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _commit() -> str:
    """The checkout's commit, with `+` when files differ from it; empty for an installed package."""
    folder = Path(__file__).parent.parent
    if not (folder / ".git").exists():
        return ""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
        )
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")
