"""Cells and records to test with."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from isotune import protocols
from isotune.conventions import Conventions
from isotune.runs.records import Cell, Memory, Metrics, Record, Timings
from isotune.seeds import Seeds

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
    return Record(**({"cell": of or cell(), "status": "done", "started": NOW, "finished": NOW} | changes))


cells = st.builds(
    cell,
    model=st.text(min_size=1, max_size=20),
    checkpoint=st.text(max_size=20),
    # what is expected of a protocol is no part of a cell's JSON
    protocol=st.sampled_from([protocols.load(name).model_copy(update={"expected": ()}) for name in protocols.names()]),
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
        accuracy=st.sampled_from([0.0, 0.25, 0.75, 1.0]),
        loss=st.none() | losses,
        train_loss=st.lists(losses, max_size=3),
        test_images=st.sampled_from([4, 8, 400]),
        train_images=st.integers(1, 9),
    ),
    timings=st.builds(Timings, total=seconds, first_step=st.none() | seconds),
    memory=st.builds(Memory, resident=st.none() | st.integers(0, 2**40)),
    environment=st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
)
