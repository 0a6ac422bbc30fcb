"""A cell that is run in a worker of this process, ended after some steps and gone on with."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from isotune.runs import requests
from isotune.runs.drafts import begun
from isotune.runs.records import Cell, Record
from isotune.runs.store import Store
from isotune.workers.worker import Worker


class Killed(KeyboardInterrupt):
    pass


def run_cell(adapter: Any, cell: Cell, store: str, kills: Iterable[int] = ()) -> Record:
    """Its record. kills: after so many steps of training it is ended, once each, with a draft of just that step."""

    class Watched(Worker):
        def progress(self, what: str, done: float, total: float) -> None:
            if what == "training" and end is not None and done > end:
                raise Killed

    for end in (*kills, None):
        worker = Watched(adapter, io.StringIO())
        try:
            requests.run(worker, cell.model_dump(mode="json"), str(Path(store).resolve()))
        except Killed:
            assert [one.done for one in begun(Path(store))] == [end]
    record = Store(Path(store)).read(cell)
    assert record is not None
    return record
