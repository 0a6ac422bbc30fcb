"""Records: keys that follow what was asked, that survive JSON and carry a digest."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from pydantic import ValidationError
from record_factories import QUICK, cell, cells

from isotune import protocols
from isotune.runs import records
from isotune.runs.records import Cell, Metrics, Record
from isotune.seeds import Seeds


@given(cells)
def test_a_cells_key_survives_json(asked: Cell) -> None:
    again = Cell.model_validate_json(asked.model_dump_json())
    assert again == asked
    assert again.key == asked.key
    assert Cell.model_validate(json.loads(json.dumps(asked.model_dump(mode="json")))).key == asked.key


def test_records_that_are_read_share_what_they_have_in_common() -> None:
    one, same, other = (
        Cell.model_validate_json(asked.model_dump_json())
        for asked in (cell(), cell(seeds=Seeds.all(5)), cell(protocol=protocols.load("linear-probe")))
    )
    assert one.protocol is same.protocol
    assert other.protocol != one.protocol, "by content, never by name or place"


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


def test_a_diverged_loss_is_none() -> None:
    metrics = Metrics(accuracy=0.1, loss=float("nan"), train_loss=(1.0, float("inf")), test_images=1, train_images=1)
    assert (metrics.loss, metrics.train_loss) == (None, (1.0, None))


@pytest.mark.parametrize("wrong", [{"accuracy": 1.5}, {"accuracy": float("nan")}, {"test_images": 0}, {"acuracy": 1}])
def test_impossible_metrics_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Metrics(**({"accuracy": 0.5, "test_images": 1, "train_images": 1} | wrong))


def test_the_schema_describes_every_field_of_a_record() -> None:
    schema = records.schema()
    assert set(schema["properties"]) == {*Record.model_fields, "digest"}
    assert {"Cell", "Metrics", "Timings", "Memory", "Conventions", "Protocol"} <= set(schema["$defs"])
    json.dumps(schema, allow_nan=False)


def test_a_changed_copy_of_a_cell_has_a_key_of_its_own() -> None:
    asked = cell()
    assert asked.key != asked.model_copy(update={"conventions": "native"}).key == cell(conventions="native").key


def test_names_of_cells_say_what_differs() -> None:
    assert str(cell()) == "timm:mobilenetv2_100 digits quick identical seed 0"
    evaluation = cell().model_copy(update={"protocol": protocols.load("own-classifier")})
    assert str(evaluation) == "timm:mobilenetv2_100 digits own-classifier identical", "nothing is drawn"
    told = str(cell(model="keras@jax:MobileNetV2", seeds=Seeds(head=1, order=2, augmentation=3), compiled=True))
    assert told == "keras@jax:MobileNetV2 digits quick identical float32 compiled seed 1/2/3"
    assert cell(model="keras@jax:MobileNetV2").adapter == "keras@jax"


def test_a_key_is_the_digest_of_canonical_json() -> None:
    """However it is put together."""
    for asked in (cell(), cell(model='timm:"ä":x', numeric_mode="float64"), cell(protocol=protocols.load("sfda"))):
        plain = asked.model_dump(mode="json", exclude={"network_digest", "weights_digest", "beside_digest"})
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
        assert asked.key == hashlib.sha256(text.encode()).hexdigest()[:32]
