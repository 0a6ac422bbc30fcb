"""Cells that price each default of a library's by itself: identical runs with that one default."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from isotune import data
from isotune.attribution._switches import plan
from isotune.comparison.sides import Side
from isotune.errors import UsageError
from isotune.runs import requests
from isotune.runs.records import Cell
from isotune.workers.process import WorkerFailure, Workers


def with_own_defaults(planned: Iterable[Cell], datasets: Mapping[str, data.Dataset], workers: Workers) -> list[Cell]:
    """The cells, and after them those that are plainly `identical` once more for each default of their library's, with
    that one alone.

    Left out are defaults that can change nothing: of techniques that the protocol has not, of layers that the network
    has not, of images that come out the same byte for byte. Evaluations have none: their steps are cells already.

    datasets: by name. UsageError: no cell is identical and trained, or a model cannot be built.
    """
    made = list(planned)
    known: dict[tuple[str, ...], list[str]] = {}
    seeds: dict[tuple[str, ...], list[Cell]] = {}
    for cell in made:
        if cell.conventions != "identical" or cell.protocol.own_classifier:
            continue
        asked = (cell.model, cell.checkpoint, cell.dataset, cell.mode, cell.protocol.model_dump_json())
        if asked not in known:
            known[asked] = _specs(cell, datasets[cell.dataset], workers)
        for spec in known[asked]:  # all seeds of one, since another is another network, built and compiled anew
            seeds.setdefault((*asked, spec), []).append(cell.model_copy(update={"conventions": spec}))
    if not known:
        raise UsageError(
            "price: a default is priced against runs that are identical but for it; give conventions identical too, and"
            " a protocol that trains"
        )
    return list({cell.key: cell for cell in itertools.chain(made, *seeds.values())}.values())


def _specs(cell: Cell, dataset: data.Dataset, workers: Workers) -> list[str]:
    """As the library writes its defaults, of the axes in which its network then is another."""
    side = Side(model=cell.model, checkpoint=cell.checkpoint, conventions="identical", **cell.settings)
    native = side.model_copy(update={"conventions": "native"})
    differing = {switch.axis for switch in plan(side, native, dataset, cell.protocol, workers).switches}
    try:
        specs: list[str] = workers[cell.adapter].ask(requests.own_defaults, cell=cell.model_dump(mode="json"))
    except WorkerFailure as error:
        raise UsageError(f"{cell.model} cannot be built: {error}") from None
    return [spec for spec in specs if spec.partition(",")[2].partition("=")[0] in differing]
