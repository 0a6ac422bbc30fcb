"""The catalogue: every model that the installed libraries list, with its checkpoints, published top-1, and what shares
its weights.

Listing a library means importing its framework, so it happens in that adapter's worker and is kept in the cache under
what is installed (`isotune.workers.content`): versions, and the code that a version does not tell.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isotune import cache, names, sealing
from isotune.errors import UsageError, nearest
from isotune.progress import Progress, untold
from isotune.workers.content import content

if TYPE_CHECKING:
    from isotune.workers.worker import Worker

_log = logging.getLogger("isotune")


@dataclass(frozen=True)
class Entry:
    """One checkpoint of one model; of a model without any, the model."""

    model: str  # adapter:name
    architecture: str
    checkpoint: str  # "": the library has none
    default: bool  # what `pretrained` means
    top1: float | None  # ImageNet top-1, percent, as published
    source: str  # of top1
    parameters: int | None
    size: int | None  # pixels

    @property
    def kin(self) -> list[dict[str, str]]:
        """Checkpoints that are known to be the same weights, or known not to be in spite of the name."""
        from isotune.reference_results import kin

        return [
            dict(zip(("model", "checkpoint"), row.other(self.model, self.checkpoint), strict=True))
            | {"relation": row.relation, "evidence": row.evidence, "differences": row.differences}
            for row in kin(self.model, self.checkpoint)
        ]


def catalogue(
    adapters: Iterable[str] = (), *, pattern: str = "", architecture: str = "", progress: Progress = untold
) -> list[Entry]:
    """All entries of the adapters (default: all that can be imported), filtered.

    progress: told of each library, which takes seconds when it was not listed yet. UsageError: an adapter, pattern or
    architecture that matches nothing, or the cache cannot be written.
    """
    cache.folder("catalogue")
    wanted = list(adapters)
    for adapter in wanted:
        names.adapter_class(adapter)
    asked = wanted or sorted(names.adapters())
    entries: list[Entry] = []
    for number, adapter in enumerate(asked):
        progress(f"listing {adapter}", number, len(asked))
        try:
            entries += _listed(adapter)
        except UsageError:
            if wanted:
                raise
    if not entries:
        raise UsageError("no adapter's library is installed; run: pip install 'isotune[all]'")
    known = {entry.architecture for entry in entries}
    if architecture and architecture not in known:
        raise UsageError(f"architecture {architecture!r} is unknown; {nearest(architecture, known)}")
    kept = [
        entry
        for entry in entries
        if (not architecture or entry.architecture == architecture)
        and (not pattern or pattern.casefold() in f"{entry.model} {entry.architecture} {entry.checkpoint}".casefold())
    ]
    if not kept:
        raise UsageError(
            f"no model matches {pattern!r}; {nearest(pattern, (entry.model.partition(':')[2] for entry in entries))}"
        )
    return kept


def _listed(adapter: str) -> list[Entry]:
    from isotune.reference_results import published_top1

    rows = _rows(adapter)
    entries = []
    for row in rows:
        for checkpoint in row["checkpoints"] or ("",):
            top1, source = row["top1"].get(checkpoint), "the library's own metadata"
            if (
                top1 is None
                and (top1 := published_top1(adapter.partition("@")[0], row["name"], checkpoint)) is not None
            ):
                source = "reference_results/imagenet.csv"
            entries.append(
                Entry(
                    model=f"{adapter}:{row['name']}",
                    architecture=row["architecture"],
                    checkpoint=checkpoint,
                    default=checkpoint in row["checkpoints"][:1],
                    top1=top1,
                    source=source if top1 is not None else "",
                    parameters=row["parameters"],
                    size=row["size"],
                )
            )
    return entries


def kept(adapter: str) -> list[dict[str, Any]]:
    """What the adapter's worker listed before, from the cache, of what is installed now; none where it did not."""
    file = _file(adapter)
    try:
        kept = sealing.read_json(file)
        rows: list[dict[str, Any]] = kept["rows"] if kept["of"] == file.name else []
    except FileNotFoundError:
        return []
    except (OSError, sealing.Damaged) as error:
        _log.warning("damaged cache: %s; listed again", error)
        return []
    return rows


def _file(adapter: str) -> Path:
    key = hashlib.sha256(json.dumps([adapter, content(adapter)], sort_keys=True).encode()).hexdigest()[:16]
    return cache.folder("catalogue") / f"{adapter}-{key}.json"


def _rows(adapter: str) -> list[dict[str, Any]]:
    """What the adapter's worker lists, from the cache when nothing that is installed for it changed."""
    rows: list[dict[str, Any]] = kept(adapter)
    if rows:
        return rows
    from isotune.workers.process import WorkerProcess

    file = _file(adapter)
    with cache.locked(file):
        if rows := kept(adapter):  # by another process, just before
            return rows
        worker = WorkerProcess(adapter)
        try:
            rows = worker.ask(listed)
        finally:
            worker.stop()
        sealing.write_json(file, {"of": file.name, "rows": rows})
    return rows


def listed(worker: Worker) -> list[dict[str, Any]]:
    """In a worker: everything that its library lists, as fields of `ModelInfo`."""
    return [asdict(info) for info in worker.adapter.models()]


def show(entries: Sequence[Entry], *, as_json: bool) -> None:
    """Print entries: JSON, or a table of models with their default checkpoint."""
    if as_json:
        print(json.dumps([asdict(entry) | {"kin": entry.kin} for entry in entries], indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, justify in (("model", "left"), ("architecture", "left"), ("checkpoint", "left"), ("top-1 %", "right"),
                          ("parameters", "right"), ("px", "right")):  # fmt: skip
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for entry in entries:
        table.add_row(
            entry.model,
            entry.architecture,
            entry.checkpoint + (" (default)" if entry.default else "") or "none",
            "" if entry.top1 is None else f"{entry.top1:.2f}",
            "" if entry.parameters is None else f"{entry.parameters / 1e6:.1f} M",
            "" if entry.size is None else str(entry.size),
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(table)
    count, checkpoints = len({entry.model for entry in entries}), sum(bool(entry.checkpoint) for entry in entries)
    console.print(f"{count} models, {checkpoints} checkpoints; top-1 as published: ImageNet validation, percent")
    if len({entry.architecture for entry in entries}) == 1:
        for line in _shared(entries):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _shared(entries: Sequence[Entry]) -> list[str]:
    """Who shares weights with whom, a line a pair."""
    from isotune.reference_results import RELATIONS, kin

    rows = dict.fromkeys(row for entry in entries for row in kin(entry.model, entry.checkpoint))
    lines = []
    for row in sorted(rows, key=lambda row: list(RELATIONS).index(row.relation)):
        pair = f"{row.first} {row.first_checkpoint}" + (
            f" and {row.second} {row.second_checkpoint}" if row.second else ""
        )
        lines.append(f"  {pair}: {RELATIONS[row.relation]} (confidence {row.confidence}). {row.differences}".rstrip())
    return ["", "Weights, as their makers say (reference_results/lineage.csv):", *lines] if lines else []
