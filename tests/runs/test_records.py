"""Records: keys that follow what was asked, a store whose records are whole or absent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from isotune import protocols
from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.runs import records
from isotune.runs.records import Cell, Memory, Metrics, Record, Seeds, Store, Timings, predictions_digest

NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
QUICK = protocols.load("quick")


def cell(**changes: object) -> Cell:
    asked = {
        "model": "timm:mobilenetv2_100",
        "checkpoint": "offline",
        "dataset": "digits",
        "dataset_digest": "0" * 64,
        "protocol": QUICK,
        "seeds": Seeds.all(0),
    }
    return Cell(**(asked | changes))


def record(of: Cell | None = None, **changes: object) -> Record:
    return Record(cell=of or cell(), status="done", started=NOW, finished=NOW, **changes)


cells = st.builds(
    cell,
    model=st.text(min_size=1, max_size=20),
    checkpoint=st.text(max_size=20),
    protocol=st.sampled_from([protocols.load(name) for name in protocols.names()]),
    seeds=st.builds(Seeds, head=st.integers(0, 9), order=st.integers(0, 9), augmentation=st.integers(0, 2**40)),
    numeric_mode=st.sampled_from(["float32", "bfloat16", "float64"]),
    layout=st.sampled_from([None, "contiguous", "channels_last"]),
    compiled=st.booleans(),
)
losses = st.floats(allow_nan=True, allow_infinity=True)
seconds = st.floats(0, 1e6)
measured = st.builds(
    record,
    cells,
    conventions=st.none() | st.just(Conventions(batchnorm_epsilon=1e-3)),
    metrics=st.builds(
        Metrics,
        accuracy=st.floats(0, 1),
        loss=st.none() | losses,
        train_loss=st.lists(losses, max_size=3),
        test_images=st.integers(1, 9),
        train_images=st.integers(1, 9),
    ),
    timings=st.builds(Timings, total=seconds, first_step=st.none() | seconds),
    memory=st.builds(Memory, resident=st.none() | st.integers(0, 2**40)),
    environment=st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
)


@given(cells)
def test_a_cells_key_survives_json(asked: Cell) -> None:
    again = Cell.model_validate_json(asked.model_dump_json())
    assert again == asked
    assert again.key == asked.key
    assert Cell.model_validate(json.loads(json.dumps(asked.model_dump(mode="json")))).key == asked.key


def test_every_part_of_a_cell_is_in_its_key() -> None:
    changed = [
        cell(),
        cell(model="keras@jax:MobileNetV2"),
        cell(checkpoint="random:0"),
        cell(dataset="fashion-mnist"),
        cell(dataset_digest="1" * 64),
        cell(protocol=protocols.load("linear-probe")),
        cell(protocol=QUICK.model_copy(update={"evaluation": protocols.Evaluation(batch_size=1)})),
        cell(conventions="native"),
        cell(seeds=Seeds(head=0, order=0, augmentation=1)),
        cell(numeric_mode="float64"),
        cell(layout="channels_last"),
        cell(layout="contiguous"),
        cell(compiled=True),
    ]
    assert len({asked.key for asked in changed}) == len(changed)


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
    read = store.predictions(made.cell)
    assert read.dtype == np.int64
    assert predictions_digest(read) == made.predictions_digest


def test_an_unknown_cell_has_no_record_and_no_predictions(tmp_path) -> None:
    store = Store(tmp_path)
    assert store.read(cell()) is None
    assert list(store) == []
    assert list(Store(tmp_path / "absent")) == []
    with pytest.raises(UsageError, match="there are no predictions of timm:mobilenetv2_100 digits quick"):
        store.predictions(cell())


def test_a_record_written_again_replaces_the_older(tmp_path) -> None:
    store = Store(tmp_path)
    store.write(record(architecture="old"), np.zeros(3))
    store.write(record(architecture="new"))
    assert [kept.architecture for kept in store] == ["new"]
    assert not (tmp_path / cell().key / "predictions.npy").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == [cell().key]


# A process that writes a record again and again, each time killed at a later one of its effects on the disk.
KILLED = """
import os, pathlib, sys
import numpy as np
from test_records import Store, record

def mortal(act, fatal, done=[0]):
    def wrapped(*args, **kwargs):
        if done[0] == fatal:
            os._exit(9)
        done[0] += 1
        return act(*args, **kwargs)
    return wrapped

effects = [(pathlib.Path, "mkdir"), (pathlib.Path, "rename"), (pathlib.Path, "write_text"), (np, "save")]
effects += [(os, "mkdir"), (os, "rmdir"), (os, "unlink")]
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
@pytest.mark.parametrize("replacing", [False, True])
def test_a_kill_between_any_two_steps_leaves_a_whole_record_or_none(tmp_path, replacing: bool) -> None:
    stores = [Store(tmp_path / str(fatal)) for fatal in range(20)]
    for store in stores if replacing else ():
        store.write(record(architecture="old"), np.zeros(3))
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
        kept = store.read(cell())
        assert list(store) == ([kept] if kept else [])
        if kept:
            assert store.predictions(cell()).tolist() == ([0] * 3 if kept.architecture == "old" else [1] * 3)
        seen.add(kept and kept.architecture)
        store.write(record(architecture="again"))  # whatever was left, the cell can be run again
        assert [kept.architecture for kept in store] == ["again"]
    assert seen == ({"old", None, "new"} if replacing else {None, "new"})


def test_many_writers_of_one_cell_leave_one_whole_record(tmp_path) -> None:
    store = Store(tmp_path)
    with ThreadPool(8) as pool:
        pool.map(lambda number: store.write(record(architecture=str(number)), np.full(3, number)), range(40))
    (kept,) = store
    assert store.predictions(cell()).tolist() == [int(kept.architecture)] * 3
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "\0" * len(text),
        lambda text: text.replace('"version": 3', '"version": 4'),
        lambda text: text.replace('"status": "done"', '"status": "dnoe"'),
        lambda text: text.replace('"model"', '"modle"'),
    ],
)
def test_a_damaged_record_is_named_in_one_line(tmp_path, damage) -> None:
    store = Store(tmp_path)
    file = store.write(record()) / "record.json"
    file.write_text(damage(file.read_text()))
    for read in (lambda: store.read(cell()), lambda: list(store)):
        with pytest.raises(UsageError) as caught:
            read()
        assert str(caught.value).startswith(f"{file}: not a record of this version (")
        assert str(caught.value).endswith(f"; remove {file.parent}")
        assert len(str(caught.value).splitlines()) == 1


def test_damaged_predictions_are_named(tmp_path) -> None:
    store = Store(tmp_path)
    file = store.write(record(), np.arange(100)) / "predictions.npy"
    whole = file.read_bytes()
    for length in (0, 5, 60, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(UsageError, match=r"predictions\.npy: damaged"):
            store.predictions(cell())


def test_a_diverged_loss_is_none() -> None:
    metrics = Metrics(accuracy=0.1, loss=float("nan"), train_loss=(1.0, float("inf")), test_images=1, train_images=1)
    assert (metrics.loss, metrics.train_loss) == (None, (1.0, None))


@pytest.mark.parametrize("wrong", [{"accuracy": 1.5}, {"accuracy": float("nan")}, {"test_images": 0}, {"acuracy": 1}])
def test_impossible_metrics_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Metrics(**({"accuracy": 0.5, "test_images": 1, "train_images": 1} | wrong))


def test_the_schema_describes_every_field_of_a_record() -> None:
    schema = records.schema()
    assert set(schema["properties"]) == set(Record.model_fields)
    assert {"Cell", "Metrics", "Timings", "Memory", "Conventions", "Protocol"} <= set(schema["$defs"])
    json.dumps(schema, allow_nan=False)


def test_names_of_cells_say_what_differs() -> None:
    assert str(cell()) == "timm:mobilenetv2_100 digits quick identical seed 0"
    told = str(cell(model="keras@jax:MobileNetV2", seeds=Seeds(head=1, order=2, augmentation=3), compiled=True))
    assert told == "keras@jax:MobileNetV2 digits quick identical float32 compiled seed 1/2/3"
    assert cell(model="keras@jax:MobileNetV2").adapter == "keras@jax"
