"""`isotune doctor`: what is installed, reachable, cached and missing; with `--references`: the published numbers."""

from __future__ import annotations

import json
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from isotune import cache, data, names
from isotune.data.sources.naming import kinds
from isotune.errors import UsageError
from isotune.models import embedded
from isotune.progress import reporting
from isotune.runs import requests
from isotune.workers.environment import machine, version
from isotune.workers.noise import Noise, measure
from isotune.workers.process import WorkerFailure, WorkerProcess
from isotune.workers.threads import contradictions

OTHERS = {"ray": "isotune[ray]", "pytest-benchmark": "isotune[dev]"}  # optional packages of isotune's own


def examine(noise: float = 0) -> dict[str, Any]:
    """Everything that `show` prints. noise: seconds of watching the machine before anything else, 0 for none."""
    with reporting(noise > 0) as reporter:
        watched = measure(noise, reporter) if noise else None
    folder = cache.folder("").resolve()
    adapters = sorted(names.adapters())
    libraries = [known for adapter in adapters if (known := names.facts(adapter))]
    hosts = {what: host for library in libraries for what, host in library.hosts.items()}
    with reporting(True) as reporter, ThreadPoolExecutor() as pool:
        reporter(f"starting {', '.join(adapters)}", 0, 1)  # frameworks take seconds to import, hosts to be missed
        started, reached = pool.map(_adapter, adapters), pool.map(_reachable, hosts.values())
    return {
        "machine": machine(),
        "noise": watched or {},
        "settings of threads that cannot be meant": contradictions(),
        "packages": {package: _version(package, install) for package, install in optional_packages().items()},
        "adapters": dict(zip(adapters, started, strict=True)),
        "cache": {"folder": str(folder), "free": f"{shutil.disk_usage(folder).free / 2**30:.0f} GiB"},
        "data sets": data.status(),
        "network": {
            name: "reachable" if there else "not reachable" for name, there in zip(hosts, reached, strict=True)
        },
    }


def optional_packages() -> dict[str, str]:
    """Every package that an adapter, a checkpoint or a data set needs, and what pip installs to have it."""
    libraries = [known for adapter in sorted(names.adapters()) if (known := names.facts(adapter))]
    wanted: dict[str, str] = {}
    for engine in (engine for library in libraries for engine in library.engines.values()):
        wanted |= engine.packages
    for held in map(embedded.held, embedded.listed()):
        wanted |= {each.package: each.install for each in held.values()}
    for kind in kinds().values():
        wanted |= kind.packages
    return wanted | OTHERS


def _version(package: str, install: str) -> str:
    wanted = f"'{install}'" if "[" in install else install
    return version(package) or f"missing: pip install {wanted}"


def _adapter(adapter: str) -> str:
    """Engine, device and threads as the adapter's worker sees them, or why it does not start."""
    try:
        worker = WorkerProcess(adapter)
    except (UsageError, WorkerFailure) as error:
        return f"does not start: {error}"
    try:
        facts = worker.ask(requests.environment)
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


def examine_references() -> dict[str, Any]:
    """Everything that `show_references` prints; the tables are sound when "problems" is empty."""
    from isotune import reference_results as results

    checked = results.check()
    wrong, compared = results.compared_with_installed(list(checked.references))
    return {
        "rows": checked.counts,
        "sources": checked.sources,
        "compared": compared,
        "problems": [*checked.problems, *wrong],
        "contradictions": [
            {
                "model": each.subject.name, "checkpoint": each.subject.checkpoint, "dataset": each.subject.dataset,
                "metric": each.subject.metric, "gap": round(each.gap, 6),
                "values": [
                    {"value": row.value, "model": row.name, "measured_by": row.measured_by, "size_px": row.size_px,
                     "protocol": row.protocol, "source": row.source}
                    for row in each.references
                ],
                "status": each.explanation.status if each.explanation else "open",
                "why": each.explanation.why if each.explanation else "",
                "sources": list(each.explanation.sources) if each.explanation else [],
            }
            for each in checked.contradictions
        ],
    }  # fmt: skip


def show_references(facts: dict[str, Any], *, as_json: bool) -> None:
    """JSON; or a line for each problem; or, where there is none, the counts and what contradicts what."""
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    if facts["problems"]:
        print(*facts["problems"], sep="\n")
        return
    width = max(map(len, facts["rows"]))
    total = sum(facts["rows"].values())
    compared = ", ".join(f"{library} {said}" for library, said in facts["compared"].items())
    print(f"{total} published numbers, {facts['sources']} sources; {compared}")
    for file, count in facts["rows"].items():
        print(f"  {file:<{width}}  {count:>5}")
    by_reason: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in facts["contradictions"]:
        by_reason.setdefault((each["why"], each["status"]), []).append(each)
    print(f"{len(facts['contradictions'])} contradictions, the widest gap first:")
    for (why, status), alike in by_reason.items():
        models = list(dict.fromkeys(each["model"] for each in alike))
        named = ", ".join(models[:4]) + (f" and {len(models) - 4} more" if len(models) > 4 else "")
        print(f"  up to {alike[0]['gap']:.2g} points, {named} ({status}): {why or 'no reason is on file'}")


def show(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts, indent=1, default=lambda model: model.model_dump()))
        return
    from rich.console import Console

    console = Console(soft_wrap=True)
    for part, given in facts.items():
        values = _shown(given)
        if not values:
            continue
        console.print(f"[bold]{part}[/bold]")
        width = max(map(len, values), default=0)
        for name, value in values.items():
            console.print(f"  {name:<{width}}  {value}", markup=False, highlight=False)


def _shown(part: Any) -> dict[str, Any]:
    """A part of what was examined, as lines of a name and what is known of it."""
    if isinstance(part, Noise):
        return part.lines
    return dict.fromkeys(part, "") if isinstance(part, list) else part
