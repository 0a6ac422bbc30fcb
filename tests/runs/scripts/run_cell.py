"""MODEL PROTOCOL.toml STORE [LAST]: a cell in this process, as a worker runs it; LAST: this process is killed, by a
signal that nobody can catch, when the step of training after that one is taken. Prints the digest of the weights."""

import os
import signal
import sys
from pathlib import Path

from isotune import data, names, protocols
from isotune.runs import requests
from isotune.runs.cell_runner import CellRunner
from isotune.runs.records import Cell
from isotune.seeds import Seeds
from isotune.workers.threads import settle_threads
from isotune.workers.worker import Worker


class Watched(Worker):
    def progress(self, what, done, total):
        if what == "training" and last and done > int(last[0]):
            os.kill(os.getpid(), signal.SIGKILL)


model, protocol, store, *last = sys.argv[1:]
settle_threads(1)
cell = Cell(
    model=model,
    checkpoint="random:0" if model.startswith("example:") else "offline",
    dataset="digits",
    dataset_digest=data.prepare("digits").digest,
    protocol=protocols.load(protocol),
    seeds=Seeds(head=1, order=2, augmentation=3),
)
worker = Watched(names.load_adapter(names.parse(model)), sys.stderr)
requests.run(worker, cell.model_dump(mode="json"), str(Path(store).resolve()))
(built,) = worker.kept(CellRunner).builder._built.values()
print(built.model.weights().digest())
