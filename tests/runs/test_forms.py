"""Cells under forms of techniques: the protocol that says them in its fields, to the bit."""

from __future__ import annotations

import io
from typing import Any

import pytest
from killed_runs import run_cell

from isotune import data, names, protocols
from isotune.errors import UsageError
from isotune.runs import planning, requests
from isotune.runs.drafts import VARIABLE
from isotune.runs.planning import Matrix
from isotune.runs.records import Cell, Record
from isotune.runs.store import Store
from isotune.seeds import Seeds
from isotune.workers.worker import Worker

EXAMPLE = "example:random-features"
RECIPE = """
name = "formed"
title = "An average, and a warm-up before a cosine"
source = "this test"
images = { train = 80, test = 60 }
input = { size = 16 }
average = { decay = 0.8 }
[[stage]]
epochs = 4
batch_size = 16
optimizer = { name = "adam" }
schedule = { name = "cosine", learning_rate = 0.02, warmup_epochs = 1 }
"""
GRID = "[selection]\nheld_out = 0.3\n[selection.grid]\nlearning_rate = [0.02, 0.002]\n"


@pytest.fixture
def run(house, monkeypatch):
    """Runs a cell in a worker of its own; with `kills`, ended after these steps and gone on. native: forms of the
    adapter's own."""

    def run(spec: str, text: str = RECIPE, *, store: str = "one", kills=(), **native: Any) -> Record:
        if kills:
            monkeypatch.setenv(VARIABLE, "1e-9")  # a draft after every step
        cell = Cell(
            model=EXAMPLE, checkpoint="random:0", dataset="digits", dataset_digest=data.prepare("digits").digest,
            protocol=protocols.parse(text, "formed.toml"), conventions=spec, seeds=Seeds.all(3), numeric_mode="float64",
        )  # fmt: skip
        adapter = names.load_adapter(names.parse(EXAMPLE))
        own = adapter.native_conventions("random-features").model_copy(update=native)
        monkeypatch.setattr(adapter, "native_conventions", lambda name, options=None: own, raising=False)

        return run_cell(adapter, cell, store, kills)

    return run


def figures(record: Record) -> tuple[Any, ...]:
    assert record.metrics is not None
    metrics = record.metrics
    return metrics.train_loss, metrics.loss, metrics.last_accuracy, record.predictions_digest


@pytest.mark.parametrize(
    ("axes", "was", "then"),
    [
        ("average_start=zero", "decay = 0.8", 'decay = 0.8, start = "zero"'),
        ("average_warmup=counted", "decay = 0.8", 'decay = 0.8, warmup = "counted"'),
        ("warmup_start=zero", "warmup_epochs = 1", "warmup_epochs = 1, start = 0.0"),
        ("warmup_start=rate-1e-5", "warmup_epochs = 1", f"warmup_epochs = 1, start = {1e-5 / 0.02!r}"),
        ("warmup_place=inside", "warmup_epochs = 1", "warmup_epochs = 1, warmup_counts = true"),
        ("schedule_per=epoch", "warmup_epochs = 1", 'warmup_epochs = 1, per = "epoch"'),
    ],
)
def test_a_form_of_a_set_up_is_the_field_of_the_protocol(run, axes, was, then) -> None:
    formed, said = run(f"identical,{axes}"), run("identical", RECIPE.replace(was, then))
    assert figures(formed) == figures(said)
    assert figures(formed) != figures(run("identical"))
    axis, _, value = axes.partition("=")
    assert getattr(formed.conventions, axis) == value
    assert getattr(said.conventions, axis) == "protocol"


def test_native_has_the_librarys_own_forms_and_identical_the_protocols(run) -> None:
    own = {"average_start": "first", "warmup_start": "zero", "mixing_partner": "shuffled"}
    native = run("native", store="native", **own)
    assert figures(native) == figures(run("native,average_start=first,warmup_start=zero", store="spelled"))
    assert figures(native) != figures(run("native", store="without"))
    assert figures(run("identical", store="native", **own)) == figures(run("identical", store="without"))


def test_what_comes_to_the_same_protocol_is_run_once(run, house) -> None:
    dataset = data.prepare("digits")
    cells = [
        Cell(
            model=EXAMPLE, checkpoint="random:0", dataset="digits", dataset_digest=dataset.digest, conventions=spec,
            protocol=protocols.parse(RECIPE, "formed.toml"), seeds=Seeds.all(0),
        )
        for spec in (
            "identical", "identical,average_start=initial,warmup_start=one-step", "identical,average_start=zero"
        )
    ]  # fmt: skip
    worker = Worker(names.load_adapter(names.parse(EXAMPLE)), io.StringIO())
    for cell in cells:
        requests.run(worker, cell.model_dump(mode="json"), str(house / "store"))
    assert [Store(house / "store").read(cell).same_as for cell in cells] == [None, "identical", None]


def test_a_training_under_forms_goes_on_from_its_draft_to_the_bit(run) -> None:
    spec = "identical,average_start=zero,average_warmup=power,warmup_place=inside"
    assert figures(run(spec, store="gone-on", kills=(3, 11))) == figures(run(spec, store="whole"))


def test_a_rate_that_a_warm_up_begins_with_is_the_same_under_every_peak_of_a_grid(run) -> None:
    """The chosen peak, trained by itself on all images."""
    record = run("identical,warmup_start=rate-1e-5", RECIPE + GRID)
    peak = record.metrics.selected.chosen["learning_rate"]
    alone = RECIPE.replace("0.02", f"{peak}").replace(
        "warmup_epochs = 1", f"warmup_epochs = 1, start = {1e-5 / peak!r}"
    )
    assert record.predictions_digest == run("identical", alone).predictions_digest


def test_each_form_of_a_librarys_own_is_a_default_with_a_price(house, monkeypatch) -> None:
    adapter = names.load_adapter(names.parse(EXAMPLE))
    own = {"warmup_start": "zero", "warmup_place": "before", "average_start": "first", "erasing_fill": "noise"}
    native = adapter.native_conventions("random-features").model_copy(update=own)
    monkeypatch.setattr(adapter, "native_conventions", lambda name, options=None: native, raising=False)
    cell = Cell(
        model=EXAMPLE, checkpoint="random:0", dataset="digits", dataset_digest="0" * 64,
        protocol=protocols.parse(RECIPE, "formed.toml"), seeds=Seeds.all(0),
    )  # fmt: skip
    found = requests.own_defaults(Worker(adapter, io.StringIO()), cell.model_dump(mode="json"))
    assert found == [
        "identical,head_initialisation=zeros",
        "identical,average_start=first",
        "identical,warmup_start=zero",
    ]


def test_forms_that_cannot_be_together_are_refused_before_anything_runs(house) -> None:
    text = RECIPE.replace("[[stage]]", 'augmentation = { mixing = { mixup = 0.2, partner = "rolled" } }\n[[stage]]')
    matrix = Matrix(
        models=[EXAMPLE], protocols=[protocols.parse(text, "formed.toml")], checkpoint="random:0",
        conventions=["identical", "identical,mixing_per=pair"],
    )  # fmt: skip
    with pytest.raises(UsageError, match=r'cannot have mixing_per=pair: augmentation\.mixing: per = "pair"'):
        planning.cells(matrix, {"digits": data.prepare("digits")})
