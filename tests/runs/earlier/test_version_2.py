"""A store and a benchmark JSON that isotune wrote with record version 2 are read as what they were.

version_2/ is as that isotune left it, which put torch's networks into channels_last and said so in the
environment only: `tiny.toml` on digits through torchvision and Keras, in bfloat16 too, `one.toml` that fails in
torchvision, and the suite's JSON of the first two.
"""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from isotune.report import read_benchmark
from isotune.runs import desk, driver
from isotune.runs.earlier import version_2
from isotune.runs.records import Record
from isotune.runs.store import Store

KEPT = Path(__file__).parent / "version_2"


@pytest.fixture
def store(tmp_path, monkeypatch) -> Store:
    monkeypatch.setattr(desk, "outdated", lambda environment, adapter: False)  # as if under today's versions
    shutil.copytree(KEPT / "records", tmp_path / "records")
    return Store(tmp_path / "records")


def as_written() -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(KEPT.glob("records/*/record.json"))]


def test_torchs_networks_were_in_channels_last_and_are_read_so(store) -> None:
    records = store.all()
    assert {record.version for record in records} == {5}
    assert {(record.cell.adapter, record.cell.layout, record.status) for record in records} == {
        ("torchvision", "channels_last", "done"),
        ("torchvision", "channels_last", "failed"),
        ("keras", None, "done"),
    }
    for record in records:
        expected = "channels_last" if record.environment and record.cell.adapter == "torchvision" else None
        assert record.environment.get("layout") == expected
        assert "memory_format" not in record.environment, "one owner of the fact"
    assert {record.cell.mode for record in records} == {"float32", "float32 channels_last", "bfloat16 channels_last"}


def test_figures_are_what_they_were(store) -> None:
    now = {record.started.isoformat(): record for record in store}
    for then in as_written():
        record = now[Record.model_validate(then).started.isoformat()]
        for part in ("metrics", "timings", "memory"):
            kept = getattr(record, part)
            figures = kept and json.loads(kept.model_dump_json())
            missing = {name: [] if name == "resumed" else None for name in figures or ()}
            assert figures == (then[part] and missing | then[part]), "null what was not measured then"
        assert record.predictions_digest == then["predictions_digest"]


def test_they_are_done_for_cells_in_that_layout_and_for_no_other(store) -> None:
    done = partial(driver.done, store)
    for record in store.all():
        if record.status == "done":
            assert done(record.cell) == record
            assert len(store.predictions(record)) == record.metrics.test_images
        if record.cell.layout:
            for layout in (None, "contiguous"):
                other = record.cell.model_copy(update={"layout": layout})
                assert store.read(other) is None
                assert done(other) is None


@pytest.mark.parametrize(
    ("part", "other"), [('"model"', '"modle"'), ('"cell"', '"sell"'), ('"protocol"', '"protokol"')]
)
@pytest.mark.parametrize("version", [1, 2])
def test_a_damaged_one_is_named_in_one_line(store, part, other, version) -> None:
    path = next(store.folder.glob("*/record.json"))
    text = path.read_text().replace(part, other).replace('"version": 2', f'"version": {version}')
    path.write_text(text)
    store.all()
    (line,) = store.damaged
    assert "not a record of this version" in line
    assert len(line.splitlines()) == 1


def test_a_record_of_version_1_says_its_layout_likewise() -> None:
    (then,) = (each for each in as_written() if each["cell"]["numeric_mode"] == "bfloat16")
    first = then | {"version": 1, "repeats": None}
    del first["same_as"]
    assert Record.model_validate(first) == Record.model_validate(then)


def test_a_new_record_of_the_cell_counts_and_an_old_one_that_is_done_stays(store) -> None:
    formers = store.all()
    for old in formers:
        later = old.finished + timedelta(1)
        store.write(old.model_copy(update={"status": "failed", "metrics": None, "error": "again", "finished": later}))
        assert store.read(old.cell).error == "again"
    kept = store.all()
    assert [record for record in formers if record.status == "done"] == [each for each in kept if each.error != "again"]
    assert len([record for record in kept if record.error == "again"]) == len(formers)


def test_one_in_the_users_layout_stands_beside_it(store) -> None:
    old = next(record for record in store.all() if record.cell.layout)
    new = old.model_copy(update={"cell": old.cell.model_copy(update={"layout": None}), "error": "contiguous"})
    store.write(new)
    assert (store.read(old.cell), store.read(new.cell)) == (old, new)


def test_a_record_is_stale_once_the_users_layout_is_another(store, monkeypatch) -> None:
    kept = next(record for record in store.all() if record.cell.adapter == "keras" and record.status == "done")
    store.write(kept.model_copy(update={"environment": kept.environment | {"layout": "contiguous"}}))
    assert driver.done(store, kept.cell) is None


def test_speeds_of_the_suite_say_it_too() -> None:
    records, speeds = read_benchmark(KEPT / "benchmark.json")
    modes = {("torchvision", "float32 channels_last"), ("keras", "float32")}
    assert {(record.cell.adapter, record.cell.mode) for record in records} == modes
    assert {(speed.model.partition(":")[0], speed.mode) for speed in speeds} == modes
    assert len(speeds) == 6
    compiled = {"mode": "float32 compiled", "environment": {"memory_format": "channels_last", "cores": "2"}}
    assert version_2.upgraded_speed(compiled) == {
        "mode": "float32 channels_last compiled",
        "environment": {"layout": "channels_last", "cores": "2"},
    }
