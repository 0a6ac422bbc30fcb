"""The driver with the executor `local`: every cell ends in a record, whatever happens to its worker."""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import pytest

import isotune
from isotune import data, protocols
from isotune.errors import UsageError
from isotune.executors import Local
from isotune.models import catalogue
from isotune.runs import desk, requests
from isotune.runs.driver import Driver, done
from isotune.runs.records import Cell
from isotune.runs.store import Store
from isotune.seeds import Seeds
from isotune.workers import environment
from isotune.workers.process import WorkerFailure, WorkerProcess, Workers

RECIPE = protocols.parse(
    """
    name = "tiny"
    title = "Tiny"
    source = "this test"
    images = { train = 64, test = 50 }
    input = { size = 16 }
    stage = [{ epochs = 2, batch_size = 16, head_dropout = 0.25,
               optimizer = { name = "sgd", momentum = 0.9 }, schedule = { learning_rate = 0.05 } }]
    """.replace("\n               ", " "),
    "tiny.toml",
)


@pytest.fixture
def cells(house):
    digest = data.prepare("digits").digest

    def make(*models: str, seeds: int = 1) -> list[Cell]:
        return [
            Cell(
                model=model,
                checkpoint="random:0",
                dataset="digits",
                dataset_digest=digest,
                protocol=RECIPE,
                seeds=Seeds.all(seed),
            )
            for seed in range(seeds)
            for model in models
        ]

    return make


def test_a_worker_that_was_given_up_is_gone_before_the_next_cell(house):
    """Also where its cell ended at that moment: else the next one would ask a worker that is about to die."""
    worker = WorkerProcess(None)
    with worker.ended_after(0.05):
        time.sleep(0.3)
    assert worker._process.returncode is not None


def driver(store: Store, *, jobs: int = 1, pythons: dict[str, str] | None = None, **more) -> Driver:
    return Driver(store, Local(jobs=jobs, pythons=pythons), foreign=pythons or (), **more)


def run(driver: Driver, cells: list[Cell]):
    return {record.cell.key: record for record in driver.run(cells)}


def test_every_cell_gives_a_record_with_its_predictions(cells, house):
    store, planned = Store(house / "store"), cells("example:random-features", seeds=2)
    records = run(driver(store), planned)
    for cell in planned:
        record = records[cell.key]
        assert (record.status, record.metrics.test_images) == ("done", 50)
        assert len(store.predictions(record)) == 50
        assert record == store.read(cell)
        assert record.timings.alone
        assert record.memory.resident > 0


def test_what_is_done_is_not_run_again(cells, house):
    store, planned = Store(house / "store"), cells("example:random-features", seeds=2)
    first = run(driver(store), planned[:1])
    again = run(driver(store), planned)
    assert again[planned[0].key] == first[planned[0].key]
    assert again[planned[1].key].started > first[planned[0].key].finished
    fresh = run(driver(store, fresh=True), planned[:1])
    assert fresh[planned[0].key].started > first[planned[0].key].finished


def test_a_record_of_another_version_of_a_framework_is_run_again(cells, house):
    store, (cell,) = Store(house / "store"), cells("example:random-features")
    (old,) = run(driver(store), [cell]).values()
    predictions = store.predictions(old)
    former = old.model_copy(update={"environment": old.environment | {"numpy": "1.0"}})
    other, told = Store(house / "other"), []
    other.write(former, predictions)
    assert done(other, cell) is None
    new = run(driver(other, note=told.append), [cell])[cell.key]
    assert new.environment["numpy"] != "1.0"
    assert (other.results(cell), len(other.all())) == ([new, former], 2)
    assert other.predictions(former).tolist() == predictions.tolist()
    (line,) = told
    assert line.startswith("1 cell is done under other versions (numpy 1.0, now ")
    assert "the earlier ones stay beside them" in line
    assert done(other, cell) == new


def test_a_worker_that_is_killed_while_planning_is_started_again(cells, house):
    (cell,) = cells("faulty:dies-once")
    (record,) = isotune.run(
        cell.model, "digits", cell.protocol, 1, conventions="identical", checkpoint=cell.checkpoint, store="again",
        progress=False,
    )  # fmt: skip
    assert (house / "died").exists()
    assert record.status == "done"


def test_a_model_that_kills_its_worker_whenever_it_is_built_takes_no_other_along(cells, house):
    dead, alive = cells("faulty:dies", "example:random-features")
    runs = isotune.run(
        [dead.model, alive.model], "digits", dead.protocol, 1, conventions="identical", checkpoint=dead.checkpoint,
        store="deadly", progress=False,
    )  # fmt: skip
    assert [record.cell.model for record in runs.done] == [alive.model]
    assert [record.error for record in runs.failed] == ["the worker of faulty ended with status 7: out of luck"]


def test_a_fresh_run_says_what_is_there_already(cells, house):
    store, (cell,) = Store(house / "store"), cells("example:random-features")
    (first,) = run(driver(store), [cell]).values()
    told: list[str] = []
    (second,) = run(driver(store, fresh=True, note=told.append), [cell]).values()
    assert told[0].startswith("1 cell is done under these versions and run again")
    assert store.results(cell) == [second, first]


def test_a_cell_that_dies_or_raises_takes_no_other_along(cells, house):
    store = Store(house / "store")
    planned = cells("faulty:dies", "faulty:raises", "faulty:prints", "example:random-features", seeds=2)
    records = run(driver(store), planned)
    by_model = {(record.cell.model, record.cell.seeds.head): record for record in records.values()}
    for seed in (0, 1):
        assert by_model["faulty:prints", seed].error is None
        assert by_model["example:random-features", seed].status == "done"
        dead, raised = by_model["faulty:dies", seed], by_model["faulty:raises", seed]
        assert dead.status == raised.status == "failed"
        assert dead.error == "the worker of faulty ended with status 7: out of luck"
        assert raised.error == "ValueError: a model that raises"
    assert len(list(store)) == len(planned)


def test_a_failed_cell_is_tried_again(cells, house):
    store, (cell,) = Store(house / "store"), cells("faulty:raises")
    assert run(driver(store), [cell])[cell.key].status == "failed"
    assert done(store, cell) is None


def test_a_cell_that_takes_too_long_is_given_up_and_the_others_go_on(cells, house):
    store = Store(house / "store")
    late, ended = driver(store, limit=8).run(cells("faulty:waits", "example:random-features"))
    assert (late.error, ended.status) == ("given up after its time limit of 8 s", "done")
    assert (late.finished - late.started).total_seconds() < 30


def test_a_failed_cell_leaves_what_its_worker_said_and_is_no_result_once_it_is_done(cells, house):
    store, (dies, raises) = Store(house / "store"), cells("faulty:dies", "faulty:raises")
    run(driver(store), [dies, raises])
    logs = [(store.folder / cell.key / "log.txt").read_text() for cell in (dies, raises)]
    assert "out of luck" in logs[0]
    assert "Traceback" in logs[1]
    (failed,) = store.results(dies)
    store.write(failed.model_copy(update={"status": "done", "error": None}), np.zeros(3))
    assert sorted(path.name for path in (store.folder / dies.key).iterdir()) == ["2", "failed.json", "log.txt"]
    assert [each.status for each in store.results(dies)] == ["done"]


def test_a_failure_under_other_versions_is_no_result(cells, house, monkeypatch):
    store, (cell,) = Store(house / "store"), cells("faulty:raises")
    (first,) = driver(store, failed="kept").run([cell])
    assert {"numpy", "isotune", "adapter code"} <= set(first.environment)
    (kept,) = driver(store, failed="kept").run([cell])
    assert kept == first
    now = environment.codes("faulty") | {environment.CODE: "other"}
    monkeypatch.setattr(environment, "codes", lambda adapter: now)
    monkeypatch.setattr(desk, "codes", lambda adapter: now)
    (again,) = driver(store, failed="kept").run([cell])
    assert again.started > first.finished


def test_only_what_failed_is_run(cells, house):
    store, (done, failed, new) = (
        Store(house / "store"),
        cells("example:random-features", "faulty:raises", "faulty:works"),
    )
    first = run(driver(store), [done, failed])
    again = driver(store, failed="only")
    second = run(again, [done, failed, new])
    assert second[done.key] == first[done.key]
    assert second[failed.key].started > first[failed.key].finished
    assert again.left == [new]


def test_no_cell_is_begun_when_the_time_is_up(cells, house):
    for jobs in (1, 2):
        late = driver(Store(house / "store"), jobs=jobs, until=0.0)
        assert list(late.run(cells("example:random-features", "faulty:works"))) == []
        assert len(late.left) == 2


def test_several_workers_give_what_one_gives(cells, house):
    planned = cells("example:random-features", "faulty:works", "faulty:dies", seeds=3)
    one = run(driver(Store(house / "one")), planned)
    two = run(driver(Store(house / "two"), jobs=2), planned)
    assert {key: record.predictions_digest for key, record in one.items()} == {
        key: record.predictions_digest for key, record in two.items()
    }
    assert not any(record.timings.alone for record in two.values() if record.status == "done")


def test_a_kept_worker_gives_bitwise_what_a_fresh_one_gives(cells, house):
    planned = cells("example:random-features", seeds=3)
    together = run(driver(Store(house / "together")), planned)
    for cell in planned:
        alone = run(driver(Store(house / "alone")), [cell])[cell.key]
        assert alone.predictions_digest == together[cell.key].predictions_digest
        assert alone.metrics == together[cell.key].metrics


def test_a_run_that_is_broken_off_keeps_what_is_done(cells, house):
    store, planned = Store(house / "store"), cells("example:random-features", seeds=3)
    running = driver(store).run(planned)
    next(running)
    running.close()
    assert [record.cell.key for record in store] == [planned[0].key]


def test_an_adapter_can_run_under_another_interpreter(cells, house):
    python = house / "other-python"
    python.write_text(f'#!/bin/sh\ntouch "{house}/used"\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    (cell,) = cells("example:random-features")
    (record,) = driver(Store(house / "store"), pythons={"example": str(python)}).run([cell])
    assert record.status == "done"
    assert (house / "used").exists()


def test_an_interpreter_that_is_not_there_fails_its_cells_only(cells, house):
    planned = cells("example:random-features", "faulty:works")
    failed, ended = driver(Store(house / "store"), pythons={"example": str(house / "nowhere")}).run(planned)
    assert (failed.status, ended.error) == ("failed", None)
    assert "nowhere" in failed.error


def test_a_changed_data_set_is_noticed(cells, house):
    (cell,) = cells("example:random-features")
    (record,) = driver(Store(house / "store")).run([cell.model_copy(update={"dataset_digest": "0" * 64})])
    assert record.status == "failed"
    assert "data set digits with digest 0000000000000000 is not in the cache" in record.error


def test_a_worker_answers_after_an_error_and_says_when_it_died(house):
    with Workers() as workers:
        worker = workers["example"]
        with pytest.raises(UsageError, match="did you mean 'random-features'"):
            worker.ask(requests.check, model="example:random-feature", checkpoint="random:0", size=32)
        with pytest.raises(WorkerFailure, match="AttributeError"):
            worker.ask("isotune.runs.requests:dance")
        assert worker.ask(catalogue.listed)[0]["name"] == "random-features"
        os.kill(worker._process.pid, 9)
        with pytest.raises(WorkerFailure, match="by signal 9"):
            worker.ask(catalogue.listed)
        assert workers["example"].ask(catalogue.listed)


def test_progress_reaches_the_caller(house):
    seen = []
    with Workers() as workers:
        workers["example"].ask(
            requests.run,
            lambda *step: seen.append(step),
            cell=Cell(
                model="example:random-features",
                checkpoint="random:0",
                dataset="digits",
                dataset_digest=data.prepare("digits").digest,
                protocol=RECIPE,
                seeds=Seeds.all(0),
            ).model_dump(mode="json"),
            store=str(house / "store"),
        )
    assert ("training", 8, 8) in seen


def test_a_set_up_that_resolves_to_the_same_conventions_is_not_run_again(cells, house):
    (cell,) = cells("example:random-features")
    same = cell.model_copy(update={"conventions": "identical,loss=logits"})  # which it is anyhow
    nowhere = cell.model_copy(update={"conventions": "identical,stride2_padding=same"})  # it has no convolution
    native = cell.model_copy(update={"conventions": "native"})
    store = Store(house / "store")
    records = list(driver(store).run([cell, same, nowhere, native]))
    assert [record.same_as for record in records] == [None, "identical", "identical", None]
    first, second, third, _ = records
    assert second.cell == same
    assert second.model_dump(exclude={"cell", "same_as"}) == first.model_dump(exclude={"cell", "same_as"})
    np.testing.assert_array_equal(store.predictions(second), store.predictions(first))
    for number, asked in enumerate((same, nowhere)):
        (alone,) = driver(Store(house / f"alone-{number}")).run([asked])
        assert alone.same_as is None
        assert alone.predictions_digest == first.predictions_digest, "running it gives what was taken over"
    assert third.conventions.stride2_padding == "same", "what was asked stays in the record"
