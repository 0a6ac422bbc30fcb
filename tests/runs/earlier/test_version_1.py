"""A store and a benchmark JSON that isotune wrote with record version 1 are read, reported and resumed.

version_1/ is as that isotune left it: `tiny.toml` on digits through a model that works and one that raises,
`own.toml` (then [zero_shot]) on six images, and the suite's JSON of the same.
"""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from isotune import protocols
from isotune.report import read_benchmark
from isotune.runs.earlier import version_1, version_2, version_3
from isotune.runs.records import Cell, Record
from isotune.runs.store import Store
from isotune.seeds import Seeds
from isotune.workers.environment import versions

KEPT = Path(__file__).parent / "version_1"


@pytest.fixture
def store(tmp_path) -> Store:
    shutil.copytree(KEPT / "records", tmp_path / "records")
    return Store(tmp_path / "records")


def as_written() -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(KEPT.glob("records/*/record.json"))]


def test_every_record_is_read_as_one_of_today(store) -> None:
    records = store.all()
    assert len(records) == len(as_written()) == 16
    assert {record.version for record in records} == {5}
    assert {record.status for record in records} == {"done", "failed"}
    assert {record.same_as for record in records} == {None, "identical,stride2_padding=same"}
    specs = {record.cell.conventions for record in records}
    assert "identical,count_include_pad=false,stride2_padding=same" in specs
    steps = [own.step for record in records if (own := record.cell.protocol.own_classifier)]
    assert sorted(steps) == ["", "squash"]
    padded = [record.conventions for record in records if record.conventions and "=" in record.cell.conventions]
    assert {axes.stride2_padding for axes in padded} == {"same"}
    assert {axes.count_include_pad for axes in padded} == {"true", "false"}


def test_figures_are_what_they_were(store) -> None:
    now = {record.started.isoformat(): record for record in store}
    for then in as_written():
        record = now[Record.model_validate(then).started.isoformat()]
        for part in ("metrics", "timings", "memory"):
            kept = getattr(record, part)
            figures = kept and json.loads(kept.model_dump_json())
            missing = {name: [] if name == "resumed" else None for name in figures or ()}
            assert figures == (then[part] and missing | then[part]), "null what was not measured then"
        assert (record.predictions_digest, record.environment) == (then["predictions_digest"], then["environment"])


def test_a_cell_of_today_is_found_under_the_key_of_then(store) -> None:
    for record in store.all():
        then = Store(store.folder).read(record.cell)
        assert then == record
        if record.status == "done":
            assert len(store.predictions(record)) == record.metrics.test_images


def test_a_new_record_of_the_cell_counts_and_the_old_one_stays(store) -> None:
    (old,) = (record for record in store if (own := record.cell.protocol.own_classifier) and not own.step)
    later = old.finished + timedelta(1)
    new = old.model_copy(update={"status": "failed", "metrics": None, "error": "again", "finished": later})
    store.write(new)
    assert store.read(old.cell) == new
    kept = [record for record in store if record.cell == old.cell]
    assert sorted(kept, key=lambda record: record.ended) == [old, new]


def test_cells_that_nothing_was_renamed_in_had_the_key_of_version_2() -> None:
    cell = Cell(
        model="timm:mobilenetv2_100", checkpoint="offline", dataset="digits", dataset_digest="0" * 64,
        protocol=protocols.load("quick"), conventions="native,gelu=tanh", seeds=Seeds.all(0),
        layout="channels_last",
    )  # fmt: skip
    then = version_2.cell(version_3.cell(cell.model_dump(mode="json")))
    assert version_1.digest(then) == version_1.key(then)


def test_a_benchmark_file_is_read(tmp_path) -> None:
    records, speeds = read_benchmark(KEPT / "benchmark.json")
    assert {record.version for record in records} == {5}
    assert {speed.same_as for speed in speeds} == {None, "identical"} or {speed.same_as for speed in speeds} == {None}
    assert len(speeds) == 6


def test_it_is_reported_and_resumed(house, here) -> None:
    shutil.copytree(KEPT / "records", house / ".isotune/records")
    for path in (house / ".isotune/records").glob("*/record.json"):  # as if it was written under today's versions
        record = json.loads(path.read_text())
        record["environment"] |= versions("example") if record["environment"] else {}
        path.write_text(json.dumps(record))
    shutil.copy(KEPT / "tiny.toml", house / "tiny.toml")
    status, _, errors = here("report", "--out", "reports")
    assert status == 0, errors
    text = (house / "reports/leaderboard.md").read_text()
    assert "example:random-features" in text
    assert "raises" in text
    before = sorted(path.name for path in (house / ".isotune/records").glob("[!.]*"))
    asked = ["run", "--models", "example:random-features", "--protocols", "./tiny.toml", "--checkpoint", "random:0"]
    asked += ["--seeds", "2", "--conventions", "identical"]
    asked += ["--conventions", "identical,stride2_padding=same,count_include_pad=false"]
    status, _, errors = here(*asked)
    assert status == 0, errors
    assert sorted(path.name for path in (house / ".isotune/records").glob("[!.]*")) == before, "nothing was run again"
