"""A plan and a status say what the files of a store say, no more."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from record_factories import NOW, cell, record

from isotune import sweeps
from isotune.errors import UsageError
from isotune.runs import claims, earlier
from isotune.runs.records import Cell, Memory, Record
from isotune.runs.store import Store
from isotune.seeds import Seeds
from isotune.sweeps import _estimate
from isotune.workers.environment import machine

KEPT = Path(__file__).parents[1] / "runs" / "earlier"


def done(of: Cell, seconds: float = 60, **changes) -> Record:
    environment = {name: machine()[name] for name in ("cpu", "cores")}
    made = {"environment": environment, "finished": NOW + timedelta(seconds=seconds)} | changes
    return record(of, **made)


def failed(of: Cell, error: str = "out of luck", **changes) -> Record:
    return done(of, status="failed", error=error, **changes)


def seeds(count: int, **changes) -> list[Cell]:
    return [cell(seeds=Seeds.all(seed), **changes) for seed in range(count)]


def test_a_plan_says_what_is_done_failed_and_left(tmp_path) -> None:
    store, asked = Store(tmp_path), seeds(6)
    for one in asked[:2]:
        store.write(done(one))
    store.write(failed(asked[2]))
    store.write(done(asked[3], environment={"numpy": "0.1"}), np.zeros(1))  # under another version
    store.write(done(cell(model="timm:another"), 3600))
    plan = sweeps.plan(asked, tmp_path)
    assert (plan.done, plan.failed, plan.to_run) == (asked[:2], [asked[2]], asked[3:])
    assert sweeps.plan(asked, tmp_path, retry=True).to_run == asked[2:]
    first, second, *_ = plan.lines()
    assert first == "6 cells: 1 model, 1 checkpoint, 1 data set, 1 protocol, 1 set-up, 1 mode, 6 seeds"
    assert second == "2 done, 1 failed (--retry-failed runs those again), 3 to run"
    said = json.loads(json.dumps(plan.json()))
    assert [each["key"] for each in said["to_run"]] == [each.key for each in asked[3:]]


def test_a_failure_after_a_result_that_counts_leaves_the_cell_done(tmp_path) -> None:
    store, (asked,) = Store(tmp_path), seeds(1)
    store.write(done(asked))
    store.write(failed(asked, finished=NOW + timedelta(days=1)))
    assert sweeps.plan([asked], tmp_path).done == [asked]


def test_a_store_that_is_not_there_has_nothing(tmp_path) -> None:
    plan = sweeps.plan(seeds(2), tmp_path / "nowhere")
    assert len(plan.to_run) == 2
    assert "is not known: nothing like it was run" in "\n".join(plan.lines())
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("version", [1, 2])
def test_records_of_earlier_versions_are_planned_with(version, monkeypatch) -> None:
    monkeypatch.setattr(sweeps._planned, "is_of_now", lambda *asked: True)
    folder = KEPT / f"version_{version}" / "records"
    records = Store(folder).all()
    plan = sweeps.plan([each.cell for each in records], folder)
    assert {each.key for each in plan.done} == {each.cell.key for each in records if each.status == "done"}
    assert {each.key for each in plan.failed} == {each.cell.key for each in records if each.status == "failed"}


def test_the_memory_of_a_cell_is_known_where_its_model_was_run_with_its_protocol(tmp_path) -> None:
    store, asked = Store(tmp_path), seeds(3)
    assert sweeps.plan(asked, tmp_path).estimate.enough == 0
    for one, peak in zip(asked[:2], (7, 5), strict=True):
        store.write(done(one, memory=Memory(resident=peak)))
    store.write(done(cell(model="timm:other"), memory=Memory(resident=100)))
    assert sweeps.plan(asked, tmp_path).estimate.enough == 7
    assert sweeps.plan([*asked, cell(model="timm:a")], tmp_path).estimate.enough == 0


def test_brief_records_say_what_whole_ones_say(tmp_path) -> None:
    store, (asked,) = Store(tmp_path), seeds(1, numeric_mode="float64", layout="channels_last", compiled=True)
    store.write(done(asked, 5, memory=Memory(resident=7)))
    store.write(done(asked, 9, same_as="identical"))
    last, first = sweeps.survey(tmp_path)[asked.key]
    assert (first.seconds, first.memory, last.seconds) == (5, 7, 0), "another's cost is counted once"
    assert (first.model, first.protocol, first.mode) == (asked.model, "quick", asked.spelling)
    assert first.ended == store.results(asked)[1].ended.timestamp()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", '{"version": 4}', '{"version": 9, "cell": {}}', '{"version": []}']
)
def test_a_damaged_record_is_none_and_counted(tmp_path, content) -> None:
    store, asked = Store(tmp_path), seeds(2)
    store.write(done(asked[0]))
    (store.write(done(asked[1])) / "record.json").write_text(content)
    plan = sweeps.plan(asked, tmp_path)
    assert (plan.done, plan.to_run) == (asked[:1], asked[1:])
    assert sweeps.status(tmp_path).damaged == 1


def test_what_is_no_folder_of_a_cell_has_no_results(tmp_path) -> None:
    Store(tmp_path).write(done(cell()))
    (tmp_path / "a-file").write_text("")
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "round").symlink_to("round")
    assert (sweeps.status(tmp_path).done, sweeps.status(tmp_path).damaged) == (1, 0)


def test_an_estimate_is_from_what_is_most_like_it_and_says_what_it_does_not_know(tmp_path) -> None:
    store, asked = Store(tmp_path), seeds(4)
    for one, took in zip(asked[:3], (10, 20, 90), strict=True):
        store.write(done(one, took))
    store.write(done(cell(model="timm:other"), 1000))
    new = [
        *asked[3:],
        cell(model="timm:mobilenetv2_100", dataset="fashion-mnist"),
        cell(model="timm:a"),
        cell(model="k:b"),
    ]
    estimate = sweeps.plan([*asked[:3], *new], tmp_path).estimate
    assert (estimate.cells, estimate.unknown, estimate.records) == (4, 1, 4)
    assert estimate.seconds == 20 + 20 + np.median([10, 20, 90, 1000])
    assert estimate.low < estimate.seconds < estimate.high
    assert list(estimate.sources.values()) == [1, 1, 1]
    assert "1 are like none that was run, and not counted" in estimate.line()


def test_records_of_this_machine_are_taken_before_others(tmp_path) -> None:
    store, asked = Store(tmp_path), seeds(3)
    store.write(done(asked[0], 500, environment={"cpu": "another", "cores": "64"}))
    there = sweeps.plan(asked, tmp_path).estimate
    assert (there.elsewhere, there.seconds) == (True, 1000)
    assert "of other machines" in there.line()
    store.write(done(asked[1], 7))
    here = sweeps.plan(asked, tmp_path).estimate
    assert (here.elsewhere, here.seconds) == (False, 7)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.2, "0.2 s"), (45, "45 s"), (600, "10 min"), (7200, "2 h"), (12_000, "3 h 20 min"), (180_000, "2 days 2 h")],
)
def test_times_are_told_as_people_do(seconds, shown) -> None:
    assert _estimate.roughly(seconds) == shown


def test_a_status_knows_what_was_asked_and_what_runs(tmp_path) -> None:
    store, asked = Store(tmp_path), seeds(8)
    sweeps.remember(sweeps.plan(asked, tmp_path), tmp_path, "sweep.toml")
    for one in asked[:3]:
        store.write(done(one, 60))
    store.write(failed(asked[3], "out of memory: 123 bytes"))
    store.write(failed(asked[4], "out of memory: 4567 bytes"))
    store.write(done(cell(model="timm:not-asked"), 60))
    with claims.Claims(tmp_path) as mine:
        assert mine.take(asked[5].key, str(asked[5]))
        found = sweeps.status(tmp_path)
        assert (found.asked, found.done, found.failed, len(found.alive), found.left) == (8, 3, 2, 1, 2)
        assert (found.others, found.seconds) == (1, 6 * 60)
        (reason,) = found.failures
        assert (reason.count, reason.reason) == (2, "out of memory: N bytes")
        text = "\n".join(found.lines())
        assert "8 cells of sweep.toml" in text
        assert re.search(rf"running for [\d.]+ s: {re.escape(str(asked[5]))}", text)
        assert "left: about 2 min" in text
        json.dumps(found.json())
    assert sweeps.status(tmp_path).left == 3


def test_what_others_wrote_into_a_store_cannot_move_the_terminals_cursor(tmp_path) -> None:
    (place := tmp_path / "\x1b[2Jstore").mkdir()
    sweeps.remember(sweeps.plan(asked := seeds(1), place), place, "\x1b[2J.toml")
    with claims.Claims(place) as mine:
        mine.take(asked[0].key, "\x1b[2Jcell")
        (file,) = (place / claims.FOLDER).iterdir()
        for machine_of in ("this", "another"):
            said = json.loads(file.read_text()) | {"host": "\x1b[2Jhost"}
            file.write_text(json.dumps(said if machine_of == "this" else said | {"process": 2**22 + 1}))
            lines = list(sweeps.status(place).lines())
            assert all(line.isprintable() for line in lines)
            assert sum("[2Jhost" in line for line in lines) == 1


def test_a_store_of_which_nobody_asked_anything_says_what_is_there(tmp_path) -> None:
    Store(tmp_path).write(done(cell()))
    found = sweeps.status(tmp_path)
    assert (found.asked, found.done, found.left) == (None, 1, None)
    with pytest.raises(UsageError, match="there is no store"):
        sweeps.status(tmp_path / "nowhere")


def test_what_was_asked_last_counts_and_what_is_damaged_does_not(tmp_path) -> None:
    asked = seeds(4)
    sweeps.remember(sweeps.plan(asked, tmp_path), tmp_path, "first")
    sweeps.remember(sweeps.plan(asked[:3], tmp_path), tmp_path, "second")
    assert (sweeps.status(tmp_path).source, sweeps.status(tmp_path).asked) == ("second", 3)
    (last,) = (path for path in (tmp_path / ".plans").iterdir() if "second" in path.read_text())
    last.write_text(last.read_text().replace("second", "sekond"))
    assert sweeps.status(tmp_path).source == "first"
    for count in range(30):
        sweeps.remember(sweeps.plan(seeds(count + 1), tmp_path), tmp_path, "many")
    assert len(list((tmp_path / ".plans").iterdir())) == 20


def test_a_cell_that_lies_where_an_earlier_version_put_it_is_known_there_and_when_it_is_run_again(tmp_path) -> None:
    store, asked = Store(tmp_path), cell(dataset="npz:/photos/some.npz")
    store.write(done(asked, environment={"numpy": "0.1"}))
    then = asked.model_dump(mode="json", exclude={"network_digest", "weights_digest", "beside_digest"})
    (tmp_path / asked.key).rename(tmp_path / earlier.digest(then))
    sweeps.remember(sweeps.plan([asked], tmp_path), tmp_path, "a run")
    before = sweeps.status(tmp_path)
    assert (before.done, before.left, before.others) == (0, 1, 0)
    store.write(done(asked))
    after = sweeps.status(tmp_path)
    assert (after.done, after.left) == (1, 0)


def test_what_was_asked_last_is_known_though_the_clock_was_put_back(tmp_path) -> None:
    for count in (2, 3):
        sweeps.remember(sweeps.plan(seeds(count), tmp_path), tmp_path, f"{count}.toml")
        for file in (tmp_path / ".plans").iterdir():
            if count == 2:
                os.utime(file, (2e9, 2e9))  # of a clock that went ahead
    assert sweeps.status(tmp_path).source == "3.toml"
    sweeps.remember(sweeps.plan(seeds(2), tmp_path), tmp_path, "again.toml")
    assert sweeps.status(tmp_path).source == "again.toml"
