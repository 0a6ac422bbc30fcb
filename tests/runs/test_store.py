"""The store: records that are whole or absent, never replaced, never taken when they are damaged."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from record_factories import NOW, cell, measured, record

from isotune.errors import Unwritable, UsageError
from isotune.runs.claims import Claims
from isotune.runs.desk import Desk
from isotune.runs.records import Metrics, Record, latest, predictions_digest
from isotune.runs.store import Store
from isotune.sealing import Damaged
from isotune.seeds import Seeds


@given(measured)
def test_a_record_survives_the_store(tmp_path_factory, made: Record) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.write(made)
    assert store.read(made.cell) == made
    assert list(store) == [made]
    json.loads((store.folder / made.cell.key / "record.json").read_text(), parse_constant=pytest.fail)


def test_predictions_survive_the_store(tmp_path) -> None:
    store, predictions = Store(tmp_path / "deep" / "store"), np.array([3, 1, 2], dtype=np.int32)
    made = record(predictions_digest=predictions_digest(predictions))
    store.write(made, predictions)
    read = store.predictions(made)
    assert read.dtype == np.int64
    assert predictions_digest(read) == made.predictions_digest


def test_an_unknown_cell_has_no_record_and_no_predictions(tmp_path) -> None:
    store = Store(tmp_path)
    assert store.read(cell()) is None
    assert list(store) == []
    assert list(Store(tmp_path / "absent")) == []
    with pytest.raises(UsageError, match="there are no predictions of timm:mobilenetv2_100 digits quick"):
        store.predictions(record())


def later(number: int, **changes: object) -> Record:
    """A record of the same cell with predictions of its own."""
    changes = {
        "predictions_digest": predictions_digest(np.full(3, number)),
        "finished": NOW + timedelta(number),
    } | changes
    return record(**changes)


def test_a_result_is_kept_beside_an_earlier_one_of_the_same_cell(tmp_path) -> None:
    store = Store(tmp_path)
    for number in range(3):
        store.write(later(number), np.full(3, number))
    assert store.read(cell()) == later(2)
    assert store.results(cell()) == [later(2), later(1), later(0)]
    assert sorted(store, key=lambda each: each.finished) == [later(0), later(1), later(2)]
    for number in range(3):
        assert store.predictions(later(number)).tolist() == [number] * 3
    assert [entry.name for entry in tmp_path.iterdir()] == [cell().key]


def test_a_failed_result_gives_way_to_the_next(tmp_path) -> None:
    store = Store(tmp_path)
    for number in range(3):
        store.write(record(finished=NOW + timedelta(number)).model_copy(update={"status": "failed", "error": "no"}))
    store.write(later(5), np.full(3, 5))
    assert list(store) == [later(5)]
    assert store.predictions(later(5)).tolist() == [5] * 3
    assert len(list(tmp_path.rglob("failed.json"))) == 3, "what failed is kept, and read no more"


def test_of_several_that_began_a_cell_one_alone_puts_a_result_there(tmp_path) -> None:
    """Whoever was stopped, was taken for dead, and goes on now, is too late."""
    store = Store(tmp_path)
    for attempt in range(20):
        asked = cell(seeds=Seeds.all(attempt))
        with ThreadPool(8) as pool:
            number = store.next_number(asked)
            written = pool.map(
                lambda which, asked=asked, number=number: store.write(
                    record(asked, architecture=str(which)), np.full(3, which), number=number
                ),
                range(8),
            )
        (one,) = [which for which, place in enumerate(written) if place is not None]
        assert [each.architecture for each in store.results(asked)] == [str(one)]
        assert store.predictions(store.read(asked)).tolist() == [one] * 3
    assert len(store.all()) == 20
    assert not list(tmp_path.glob(".draft-*"))


def test_a_result_that_appears_while_its_folder_is_looked_for_stays(tmp_path, monkeypatch) -> None:
    store, asked, looks = Store(tmp_path), cell(), []
    home = tmp_path / asked.key

    def look(path: Path, look=Path.is_dir) -> bool:
        there = look(path)
        if path == home and not looks:
            looks.append(path)
            other.rename(home)  # as another process does, just then
        return there

    other = Store(tmp_path / "other").write(record(asked), np.zeros(3))
    monkeypatch.setattr(Path, "is_dir", look)
    store.results(asked)
    assert looks
    assert store.read(asked) == record(asked)
    assert not list(tmp_path.glob("*.damaged-*"))


def test_a_number_that_was_given_before_is_not_given_again(tmp_path) -> None:
    store, made = Store(tmp_path), record()
    assert store.next_number(cell()) == 1
    store.write(made.model_copy(update={"status": "failed", "error": "no"}), number=1)
    assert store.next_number(cell()) == 2
    store.write(made, number=2)
    assert store.write(made, number=1) is None, "the failed one keeps its place"
    assert store.write(made, number=2) is None
    assert store.next_number(cell()) == 3
    assert store.results(cell()) == [later_than(made)]


def later_than(made: Record) -> Record:
    """As it is dated beside one that was there."""
    tick = timedelta(microseconds=1)
    return made.model_copy(update={"started": made.started + tick, "finished": made.finished + tick})


def test_the_last_result_counts_though_the_clock_was_put_back(tmp_path) -> None:
    store = Store(tmp_path)
    store.write(later(30))
    store.write(later(1, started=NOW - timedelta(hours=1)))
    last, first = store.results(cell())
    assert first == later(30)
    assert last.predictions_digest == later(1).predictions_digest
    assert last.finished - last.started == timedelta(days=1, hours=1), "what it took is what it took"
    assert latest(store.all()) == [last]


def test_others_may_read_what_the_umask_lets_them(tmp_path) -> None:
    place, umask = Store(tmp_path).write(record(), np.zeros(3)), os.umask(0)
    os.umask(umask)
    assert place.stat().st_mode & 0o777 == 0o777 & ~umask


# A process that writes a record, each time killed at a later one of its effects on the disk.
KILLED = """
import os, pathlib, sys
import numpy as np
from record_factories import record
from isotune.runs.store import Store

def mortal(act, fatal, done=[0]):
    def wrapped(*args, **kwargs):
        if done[0] == fatal:
            os._exit(9)
        done[0] += 1
        return act(*args, **kwargs)
    return wrapped

effects = [(pathlib.Path, "mkdir"), (pathlib.Path, "rename"), (pathlib.Path, "replace"), (pathlib.Path, "write_text")]
effects += [(np, "save"), (os, "mkdir"), (os, "rmdir"), (os, "unlink"), (os, "fsync")]
for fatal, folder in enumerate(sys.argv[1:]):
    if child := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    else:
        for owner, name in effects:
            setattr(owner, name, mortal(getattr(owner, name), fatal))
        Store(pathlib.Path(folder)).write(record(architecture="new"), np.ones(3))
        os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
@pytest.mark.parametrize("before", ["nothing", "done", "failed"])
def test_a_kill_between_any_two_steps_loses_nothing(tmp_path, before: str) -> None:
    stores = [Store(tmp_path / str(fatal)) for fatal in range(20)]
    old = record(architecture="old").model_copy(update={"status": before})
    for store in stores if before != "nothing" else ():
        store.write(old, np.zeros(3) if before == "done" else None)
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    command = [sys.executable, "-c", KILLED, *(str(store.folder) for store in stores)]
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    statuses = [int(line) for line in done.stdout.split()]
    assert (set(statuses), statuses[0], statuses[-1]) == ({0, 9}, 9, 0)

    seen = set()
    for store in stores:
        kept = {each.architecture: each for each in store}
        for name, each in kept.items():
            if each.status == "done":
                assert store.predictions(each).tolist() == ([0] * 3 if name == "old" else [1] * 3)
        seen.add(frozenset(kept))
        store.write(record(architecture="again", finished=NOW + timedelta(1)))  # the cell can be run again
        assert store.read(cell()).architecture == "again"
    ends = {
        "nothing": [set(), {"new"}],
        "done": [{"old"}, {"old", "new"}],
        "failed": [{"old"}, {"old", "new"}, {"new"}],
    }
    assert seen == set(map(frozenset, ends[before]))


def test_many_writers_of_one_cell_leave_a_whole_result_each(tmp_path) -> None:
    store = Store(tmp_path)
    with ThreadPool(8) as pool:
        pool.map(lambda number: store.write(later(number), np.full(3, number)), range(40))
    results = store.results(cell())
    digests = {each.predictions_digest for each in results}
    assert digests == {later(number).predictions_digest for number in range(40)}
    assert all(predictions_digest(store.predictions(each)) == each.predictions_digest for each in results)
    assert [entry.name for entry in tmp_path.iterdir()] == [cell().key]


DAMAGE = [
    lambda text: text[: len(text) // 2],
    lambda text: "",
    lambda text: "\0" * len(text),
    lambda text: '{"name": "of another program"}',
    lambda text: text.replace('"version": 5', '"version": 6'),
    lambda text: text.replace('"status": "done"', '"status": "dnoe"'),
    lambda text: text.replace('"model"', '"modle"'),
    lambda text: text.replace('"accuracy": 0.75', '"accuracy": 0.5'),
    lambda text: text.replace('"digits"', '"digist"'),
]


def whole(**changes: object) -> Record:
    return record(metrics=Metrics(accuracy=0.75, test_images=40, train_images=1), **changes)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_record_is_named_and_set_aside_and_takes_no_other_along(tmp_path, damage, caplog) -> None:
    store = Store(tmp_path)
    other = record(cell(seeds=Seeds.all(1)))
    file = store.write(whole()) / "record.json"
    store.write(other)
    text = file.read_text()
    assert damage(text) != text
    file.write_text(damage(text))
    assert store.all() == [other]
    (line,) = store.damaged
    assert line.startswith(str(file))
    assert len(line.splitlines()) == 1
    assert store.read(cell()) is None
    assert str(file) in caplog.messages[-1]
    (aside,) = tmp_path.glob(f"{cell().key}.damaged-*")
    assert (aside / "record.json").read_text() == damage(text)
    store.write(whole())
    assert store.read(cell()) == whole()
    assert len(store.all()) == 2
    assert not store.damaged


@pytest.mark.parametrize("link", [False, True])
def test_a_file_where_the_claims_belong_is_named(tmp_path, link: bool) -> None:
    stray = tmp_path / ".claims"
    stray.symlink_to("nowhere") if link else stray.write_text("a file")
    with Claims(tmp_path) as claims, pytest.raises(Unwritable, match=f"{re.escape(str(stray))} is no folder"):
        Desk(Store(tmp_path), claims).begin(cell())
    assert os.path.lexists(stray), "what somebody laid there stays"


@pytest.mark.parametrize("stands", ["a file", "a link that leads nowhere", "a link to itself"])
def test_what_stands_where_a_cells_folder_belongs_is_set_aside(tmp_path, stands: str, caplog) -> None:
    store, home = Store(tmp_path), tmp_path / cell().key
    if stands == "a file":
        home.write_text("a file")
    else:
        home.symlink_to("nowhere" if stands == "a link that leads nowhere" else home)
    assert store.all() == []
    assert os.path.lexists(home), "reading moves nothing"
    with Claims(tmp_path) as claims:
        begun = Desk(store, claims).begin(cell())
        assert begun is not None
        begun.give_back()
    assert f"{home}: no folder of results; set aside as {home}.damaged-" in caplog.text
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1
    assert store.write(record(), number=store.next_number(cell())) == home
    assert store.read(cell()) == record()


def test_every_bit_of_a_record_counts(tmp_path) -> None:
    store = Store(tmp_path)
    made = whole(architecture="mobilenet_v2", finished=NOW + timedelta(1))
    file = store.write(made) / "record.json"
    content = file.read_bytes()
    rng = np.random.default_rng(0)
    for place, bit in zip(rng.integers(len(content), size=300), rng.integers(8, size=300), strict=True):
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        file.write_bytes(flipped)
        assert store.all() == [], f"bit {bit} of byte {place}"


def test_a_record_in_the_folder_of_another_cell_is_not_taken(tmp_path) -> None:
    store, other = Store(tmp_path), cell(seeds=Seeds.all(6))
    place = store.write(whole())
    shutil.copytree(place, tmp_path / other.key)
    assert store.all() == [whole()]
    assert "folder of another cell" in store.damaged[0]
    assert store.read(other) is None
    assert store.read(cell()) == whole()


def test_a_share_of_the_images_that_is_no_whole_number_of_them_is_not_taken(tmp_path) -> None:
    store = Store(tmp_path)
    store.write(record(metrics=Metrics(accuracy=0.99, test_images=40, train_images=1)))
    assert store.all() == []
    assert "0.99 of 40 images" in store.damaged[0]


def test_a_record_without_a_digest_is_of_an_earlier_isotune(tmp_path) -> None:
    store = Store(tmp_path)
    file = store.write(whole()) / "record.json"
    file.write_text(whole().model_dump_json())
    assert store.all() == [whole()]


def test_damaged_predictions_are_named(tmp_path) -> None:
    store, predictions = Store(tmp_path), np.arange(100)
    made = record(predictions_digest=predictions_digest(predictions))
    file = store.write(made, predictions) / "predictions.npy"
    content = file.read_bytes()
    for damaged in (
        *(content[:length] for length in (0, 5, 60, len(content) - 1)),
        content[:-8] + b"\1" + content[-7:],
    ):
        file.write_bytes(damaged)
        with pytest.raises(Damaged, match=r"predictions\.npy is .*run the cell again with --fresh"):
            store.predictions(made)


def test_a_result_whose_predictions_are_damaged_is_no_answer(tmp_path, caplog) -> None:
    store, predictions = Store(tmp_path), np.arange(100)
    made = record(predictions_digest=predictions_digest(predictions))
    file = store.write(made, predictions) / "predictions.npy"
    file.write_bytes(file.read_bytes()[:-1])
    assert store.read(cell()) is None
    assert str(file) in caplog.messages[-1]
    store.write(made, predictions)
    assert store.read(cell()) == made
    file.unlink()
    assert store.read(cell()) == made, "whoever removes them may"


def test_what_killed_processes_left_is_removed_once_it_is_nobodys(tmp_path) -> None:
    for name, age in ((".draft-old", 4000), (".draft-new", 10)):  # by the clock of the file system
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, times=(time.time() - age,) * 2)
    Store(tmp_path).check()
    assert [entry.name for entry in tmp_path.iterdir()] == [".draft-new"]


@pytest.mark.parametrize("unusable", ["a file", "below a file", "not writable"])
def test_a_store_that_cannot_be_written_is_said_before_anything_runs(tmp_path, unusable: str) -> None:
    place = tmp_path / "store"
    if unusable == "not writable":
        place = Path("/proc/isotune")
    else:
        place.write_text("")
    place = place / "records" if unusable == "below a file" else place
    with pytest.raises(UsageError, match=rf"the store {place} cannot be written \(.*--store"):
        Store(place).check()
    with pytest.raises(UsageError, match=rf"the store {place} cannot be written"):
        Store(place).write(record())
