"""The evaluation results of model cards, read back by huggingface_hub's own classes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_factories import FINE_TUNE, default_run, record

from isotune import report
from isotune.errors import UsageError
from isotune.runs.records import Record
from isotune.runs.store import Store
from isotune.statistics import estimate

hub = pytest.importorskip("huggingface_hub")
yaml = pytest.importorskip("yaml")


def cards(records: Sequence[Record]) -> dict[str, list[Any]]:
    """EvalResults by model, from the text as the Hub's own library reads a model card's."""
    results = {}
    for part in report.model_index(records).split("---\n"):
        card = hub.ModelCard(f"---\n{part}---\n# A model\n")
        assert not card.data.to_dict().keys() - {"model-index"}
        assert yaml.safe_load(card.data.to_yaml()) == yaml.safe_load(part)
        results[card.data.model_name] = card.data.eval_results
    return results


def test_every_model_of_a_run_gets_its_results() -> None:
    results = cards(default_run())
    assert list(results) == ["keras:MobileNetV2", "timm:mobilenetv2_100", "torchvision:mobilenet_v2"]
    identical, native = results["keras:MobileNetV2"]
    expected = estimate([0.853, 0.849, 0.851, 0.848, 0.849])
    assert identical.metric_value == pytest.approx(0.85)
    assert native.metric_value == pytest.approx(0.85 - 0.061)
    assert identical.metric_name == (
        "accuracy, quick, identical conventions, offline: mean of 5 seeds, 95 % interval 0.8475 to 0.8525"
    )
    assert identical.metric_args == {
        "protocol": "quick",
        "conventions": "identical",
        "mode": "float32",
        "checkpoint": "offline",
        "seeds": 5,
        "test_images": 1000,
        "standard_deviation": pytest.approx(expected.sd, abs=1e-6),
        "interval_95": pytest.approx([expected.low, expected.high], abs=1e-6),
    }
    assert (identical.task_type, identical.dataset_type, identical.dataset_name, identical.dataset_split) == (
        "image-classification",
        "fashion_mnist",
        "fashion-mnist",
        "test",
    )
    assert identical.dataset_revision == "d" * 64
    assert identical.verified is identical.verify_token is None


def test_a_single_seed_has_no_spread_and_failed_seeds_are_told() -> None:
    ((one,),) = cards([record(seed=0)]).values()
    assert one.metric_name.endswith(": one seed")
    assert not {"standard_deviation", "interval_95"} & set(one.metric_args)
    ((two,),) = cards([record(seed=0), record(seed=1), record(seed=2, error="out of memory")]).values()
    assert two.metric_name.endswith("0.8500 to 0.8500; 1 more failed")
    assert (two.metric_args["seeds"], two.metric_args["failed_seeds"]) == (2, 1)


def test_a_model_of_which_nothing_finished_has_no_card() -> None:
    records = [record("timm:a", error="no"), record("timm:b")]
    assert list(cards(records)) == ["timm:b"]
    for nothing in (records[:1], []):
        with pytest.raises(UsageError, match="isotune run"):
            report.model_index(nothing)


VARIANTS = {
    "conventions": ["identical", "native", "native,input_scaling=caffe"],
    "dataset": ["digits", "imagefolder:/home/me/cats", "imagefolder:/home/me/dogs"],
    "protocol": [FINE_TUNE, FINE_TUNE.model_copy(update={"title": "another of that name"})],
    "checkpoint": ["offline", "random:0", "file:/home/me/a.safetensors"],
    "compiled": [False, True],
    "numeric_mode": ["float32", "bfloat16"],
}


@settings(max_examples=15)
@given(st.lists(st.fixed_dictionaries({k: st.sampled_from(v) for k, v in VARIANTS.items()}), min_size=1, max_size=6))
def test_no_two_results_of_a_model_can_be_taken_for_one_another(variants: list[dict[str, Any]]) -> None:
    runs = {}
    for number, variant in enumerate(variants):
        made = record(accuracy=0.5 + number / 100, **variant)
        digest = f"{VARIANTS['dataset'].index(variant['dataset'])}" * 64  # other data, another digest
        cell = made.cell.model_copy(update={"dataset_digest": digest})
        cell.__dict__.pop("key", None)
        runs[cell.key] = made.model_copy(update={"cell": cell})
    text = report.model_index(list(runs.values()))
    assert "/home/me" not in text
    ((results),) = cards(list(runs.values())).values()
    assert len(results) == len(runs)
    assert not [pair for pair in combinations(results, 2) if pair[0].is_equal_except_value(pair[1])]
    assert {round(result.metric_value, 6) for result in results} == {
        round(run.metrics.accuracy, 6) for run in runs.values() if run.metrics
    }


@pytest.mark.parametrize(
    ("dataset", "kind", "name"),
    [
        ("digits", "digits", "digits"),
        ("imagefolder:/home/me/photos", "imagefolder", "imagefolder:photos"),
        ("imagenet:/data/val", "imagenet-1k", "imagenet:val"),
        ("torchvision:CIFAR10", "torchvision:CIFAR10", "torchvision:CIFAR10"),
    ],
)
def test_a_data_set_is_told_without_its_place(dataset: str, kind: str, name: str) -> None:
    ((result,),) = cards([record(dataset=dataset)]).values()
    assert (result.dataset_type, result.dataset_name) == (kind, name)


def test_without_the_hubs_library_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"huggingface_hub.*pip install 'isotune\[hub\]'"):
        report.model_index([record()])


def test_the_command_prints_it_and_writes_nothing(here, house) -> None:
    store = Store(house / "records")
    store.write(record())
    status, out, err = here("report", "records", "--format", "model-index")
    assert (status, err) == (0, "")
    assert out == report.model_index([record()])
    assert [path.name for path in house.iterdir() if path.name != "records"] == []


def test_of_a_users_files_the_name_and_the_content_are_told() -> None:
    named = {"model": "torch:/home/me/port.py:make", "checkpoint": "file:/home/me/w.pth", "weights_digest": "e" * 64}
    records = [record(**named, network_digest=digit * 64, accuracy=0.8 + int(digit) / 100) for digit in "12"]
    assert "/home/me" not in report.model_index(records)
    of = cards(records)
    assert list(of) == ["torch:port.py:make (11111111)", "torch:port.py:make (22222222)"]
    ((first,), (second,)) = of.values()
    assert (first.metric_value, second.metric_value) == (0.81, 0.82)
    assert (first.metric_args["network_digest"], first.metric_args["weights_digest"]) == ("1" * 64, "e" * 64)


def test_an_unknown_format_is_wrong_use(here) -> None:
    status, out, err = here("report", "--format", "modelindex")
    assert (status, out) == (2, "")
    assert "did you mean 'model-index'" in err
