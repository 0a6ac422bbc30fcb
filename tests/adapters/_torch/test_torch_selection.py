"""A torch training that chooses, killed in the midst of its grid, goes on to bitwise the same end."""

from __future__ import annotations

import io
from pathlib import Path

from isotune import data, names, protocols
from isotune.runs import requests
from isotune.runs.drafts import Draft, begun
from isotune.runs.records import Cell
from isotune.runs.store import Store
from isotune.seeds import Seeds
from isotune.workers.worker import Worker

RECIPE = """
name = "chosen"
title = "Two stages, of which the second is chosen and stopped early"
source = "this test"
images = { train = 40, test = 30 }
input = { size = 32 }
augmentation = { horizontal_flip = 0.5 }
average = { decay = 0.6, start = "first" }

[[stage]]
trained = "head"
steps = 2
batch_size = 10
optimizer = { name = "sgd", momentum = 0.9 }
schedule = { learning_rate = 0.01 }

[[stage]]
trained = "last:3"
steps = 4
batch_size = 10
head_dropout = 0.2
optimizer = { name = "adam" }
schedule = { name = "cosine", learning_rate = 0.001, warmup_steps = 1 }

[selection]
held_out = 0.25
every = 1
reports = "best"
patience = 2
last = 2

[selection.grid]
stage = 2
learning_rate = [0.02, 1e-30]
refit = false
"""


class Killed(KeyboardInterrupt):
    pass


def test_it_goes_on_from_the_first_and_from_the_second_combination(house, monkeypatch) -> None:
    cell = Cell(
        model="timm:mobilenetv2_100", checkpoint="offline", dataset="digits",
        dataset_digest=data.prepare("digits").digest, protocol=protocols.parse(RECIPE, "chosen.toml"),
        seeds=Seeds(head=1, order=2, augmentation=3),
    )  # fmt: skip
    end: int | None = None
    taken = 0

    class Watched(Worker):
        def progress(self, what, done, total):
            nonlocal taken
            if what == "training":
                taken = done
                if end is not None and done > end:
                    raise Killed

    monkeypatch.setattr(Draft, "due", lambda draft, left: taken == end)  # of many steps the one before the kill
    monkeypatch.setenv("ISOTUNE_DRAFTS", "1e-9")
    records = {}
    for store, kills in (("whole", ()), ("parts", (4, 9))):
        for end in (*kills, None):
            worker = Watched(names.load_adapter(names.parse(cell.model)), io.StringIO())
            try:
                requests.run(worker, cell.model_dump(mode="json"), str(Path(store).resolve()))
            except Killed:
                assert [one.done for one in begun(Path(store))] == [end]
        records[store] = Store(Path(store)).read(cell)
    whole, parts = records["whole"], records["parts"]
    assert parts.timings.resumed == (4, 9)
    assert parts.predictions_digest == whole.predictions_digest

    def without_seconds(record):
        chosen = record.metrics.selected
        tried = tuple(one.model_copy(update={"seconds": 0.0}) for one in chosen.tried)
        return record.metrics.model_copy(update={"selected": chosen.model_copy(update={"tried": tried})})

    assert without_seconds(parts) == without_seconds(whole)
    assert (whole.timings.trainings, len(whole.metrics.selected.tried)) == (2, 2)
