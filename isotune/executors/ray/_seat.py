"""The side of the node: one worker process, which is kept warm from cell to cell, and what it is given and leaves.

Each question gets an `Answer`, of one of these:

    {"ready": True}
    {"unusable": reason}                 no cell of this adapter can run on this node
    {"lacking": digests}                 of parcels that are to be sent first
    {"record": JSON, "predictions"}      int64 [test images]
    {"failed": reason, "log": text}      the cell's fault; with "undrafted": True: going on from its draft is of no use
    {"left": True, "draft": bytes}       its time is over; uint8, None: it has no draft, or the one that was fetched
    {"draft": bytes, "key": key}         of the cell that runs, likewise
    {"lost": reason}                     nobody's: it may run elsewhere
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isotune._version import version
from isotune.errors import Unwritable, UsageError
from isotune.executors.ray import _drafts, _parcels
from isotune.runs import requests
from isotune.runs.drafts import Draft
from isotune.runs.records import Cell
from isotune.runs.store import Store
from isotune.workers import threads
from isotune.workers.process import NO_ACCELERATOR, WorkerFailure, WorkerProcess

Answer = dict[str, Any]


class Place:
    """A worker of one adapter on this node.

    version: isotune's, of the driver. cpus: threads. gpus: 0 hides them. variables: of the driver's environment.
    """

    def __init__(self, adapter: str, version: str, cpus: int, gpus: float, variables: Mapping[str, str]) -> None:
        self._adapter, self._version, self._cpus = adapter, version, cpus
        self._environment = {**variables, **({} if gpus else NO_ACCELERATOR)}
        self._worker: WorkerProcess | None = None
        self._home = Path(tempfile.mkdtemp(prefix="isotune-"))
        self._running: tuple[Cell, _drafts.Kept] | None = None

    def prepare(self) -> Answer:
        """Start the worker, which imports its framework."""
        if (here := version()) != self._version:
            return {
                "unusable": f"isotune {here} is installed there, and {self._version} here; install the same in both"
            }
        try:
            self._started()
        except (UsageError, WorkerFailure) as error:
            return {"unusable": str(error)}
        return {"ready": True}

    def _started(self) -> WorkerProcess:
        if self._worker is None or not self._worker.alive:
            if self._worker is not None:
                self._worker.stop()
            shared = self._cpus < threads.cores()
            self._worker = WorkerProcess(
                self._adapter, threads=self._cpus, shared=shared, environment=self._environment
            )
        return self._worker

    def close(self) -> None:
        """End the worker and leave nothing behind."""
        if self._worker is not None:
            self._worker.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def receive(self, sent: _parcels.Sent, get: Any) -> Answer:
        """Put a parcel into this node's cache."""
        try:
            _parcels.unpack(sent, get)
        except (UsageError, OSError) as error:
            return {"lost": f"{platform.node()}: {error}"}
        return {"ready": True}

    def draft(self) -> Answer:
        """The draft of the cell that runs, where there is one that was not fetched; from another thread."""
        if (running := self._running) is None:
            return {"draft": None, "key": ""}
        cell, kept = running
        return {"draft": kept.newer(), "key": cell.key}

    def run(self, order: Mapping[str, Any], limit: float | None, seconds: float | None, get: Any) -> Answer:
        """Run a cell, or say what is lacking for it. seconds: after which a longer fine-tuning is left off."""
        try:
            if lacks := _parcels.lacking(order["needs"]):
                return {"lacking": lacks}
            cell, folder = _parcels.as_here(order)
            os.chdir(folder or self._home)
            store = Store(Path(tempfile.mkdtemp(dir=self._home)))
            draft = _drafts.Kept(Draft(store.folder, cell))
            draft.place(order["draft"], get)
        except (UsageError, OSError) as error:
            return {"lost": f"{platform.node()}: {error}"}
        self._running = cell, draft
        try:
            with self._started().ended_after(limit) as worker:
                kept = worker.ask(
                    requests.run, cell=cell.model_dump(mode="json"), store=str(store.folder), seconds=seconds
                )
            if not kept:
                return {"left": True, "draft": draft.newer()}
            if (record := store.read(cell)) is None:
                raise WorkerFailure(f"the worker of {self._adapter} left no record")
            return {"record": json.dumps(record.sealed()), "predictions": store.predictions(record)}
        except (Unwritable, OSError) as error:
            return {"lost": f"{platform.node()}: {error}"}
        except (UsageError, WorkerFailure) as error:
            log = getattr(error, "trace", "")
            told = {"failed": str(error), "log": f"on {platform.node()}\n{log}"}
            return told if draft.there else {**told, "undrafted": True}
        finally:
            self._running = None
            shutil.rmtree(store.folder, ignore_errors=True)
