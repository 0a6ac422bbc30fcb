"""Before the forms of techniques were axes, `native` had the protocol's: such records are read as what they were."""

from __future__ import annotations

import json

import numpy as np
import pytest

from isotune import protocols
from isotune.runs import earlier
from isotune.runs.records import Cell, Record
from isotune.runs.store import RECORD, Store
from isotune.seeds import Seeds

SPELLED = "native,schedule_per=protocol,warmup_place=protocol,warmup_start=protocol"
KEYS = {  # as isotune computed them then
    ("quick-fine-tune", "native"): "d7f3206ce23e555a767374a5037d2396",
    ("quick-fine-tune", "native,gelu=tanh"): "14c18a1d076ae2513c69203071c3e5be",
    ("quick-fine-tune", "identical"): "8db034ca069545ae37e4cae6ac6da7eb",
    ("quick", "native"): "b7f5f30aefcfa04ee17edc2c9505feab",
}


def cell(protocol: str, spec: str) -> Cell:
    return Cell(
        model="timm:mobilenetv2_100", checkpoint="offline", dataset="digits", dataset_digest="0" * 64,
        protocol=protocols.load(protocol), conventions=spec, seeds=Seeds.all(0),
    )  # fmt: skip


def written(store: Store, of: Cell, key: str, **changes: object) -> None:
    """A record as version 4 left it."""
    made = {"status": "done", "started": "2026-01-02T03:04:05Z", "finished": "2026-01-02T03:04:06Z"}
    record = Record(cell=of, **(made | changes)).model_dump(mode="json") | {"version": 4}
    (store.folder / key).mkdir(parents=True)
    (store.folder / key / RECORD).write_text(json.dumps(record))


@pytest.mark.parametrize(("protocol", "spec"), KEYS)
def test_only_a_native_cell_with_a_technique_has_another_key(protocol, spec) -> None:
    asked, then = cell(protocol, spec), KEYS[protocol, spec]
    changes = protocol == "quick-fine-tune" and spec.startswith("native")
    assert (asked.key == then) == (not changes)
    assert (then in earlier.keys(asked.model_dump(mode="json"))) == (not changes)


@pytest.mark.parametrize("more", ["", ",gelu=tanh"])
def test_a_former_native_is_native_with_the_protocols_forms(tmp_path, more) -> None:
    store = Store(tmp_path)
    former = cell("quick-fine-tune", f"native{more}")
    written(store, former, KEYS["quick-fine-tune", f"native{more}"])
    (record,) = store.all()
    assert record.cell.conventions == SPELLED.replace("native", f"native{more}")
    assert store.read(former) is None, "a library's own forms were not run then"
    assert store.read(record.cell) == record, "and is found where it lay"
    assert not store.damaged

    new = record.model_copy(update={"cell": former})
    store.write(new, np.zeros(0))
    assert store.read(former).cell == former
    assert len(store.all()) == 2, "the former one stays"


def test_whose_figures_a_former_record_has_is_told_as_it_was(tmp_path) -> None:
    store = Store(tmp_path)
    written(store, cell("quick-fine-tune", "identical"), KEYS["quick-fine-tune", "identical"], same_as="native")
    (record,) = store.all()
    assert (record.cell.conventions, record.same_as) == ("identical", SPELLED)
    assert store.read(cell("quick-fine-tune", "identical")) == record


def test_a_set_up_that_says_a_form_was_not_run_then() -> None:
    for spec in ("identical,warmup_start=zero", SPELLED.replace("warmup_start=protocol", "warmup_start=zero")):
        assert earlier.keys(cell("quick-fine-tune", spec).model_dump(mode="json")) == []
    assert earlier.keys(cell("quick", "native").model_dump(mode="json"))


def test_a_technique_that_the_protocol_has_not_changes_no_key() -> None:
    assert cell("quick", "native").key == KEYS["quick", "native"]
