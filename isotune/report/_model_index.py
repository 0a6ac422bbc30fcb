"""Records to `model-index`: the evaluation results that a model card on the Hugging Face Hub carries.

The format: github.com/huggingface/hub-docs, modelcard.md. It has no field for a spread; a metric's `name`, which the
Hub shows, says it in words, and its `args` hold the figures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from math import isnan
from typing import TYPE_CHECKING, Any

from isotune.errors import MissingExtra, UsageError
from isotune.models import told
from isotune.runs.records import Record

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

    from isotune.protocols import Protocol
    from isotune.report.analysis.sections import Row, Section, SetUp

_HUB = {"fashion-mnist": "fashion_mnist", "imagenet": "imagenet-1k"}  # ids of hf.co/datasets
_DIGESTS = ("network_digest", "weights_digest", "beside_digest")  # of the user's files that a cell names
_DIGITS = 6  # of an accuracy, which is a share


def model_index(records: Iterable[Record]) -> str:
    """YAML: a document with `model-index` for each model, by name, set apart by `---`.

    records: as for `write`. Every data set, protocol and set-up that a model finished gives one metric: the mean
        accuracy over seeds as a share of 1, sd and 95 % interval (Student's t) beside it from two seeds on. A data
        set's revision is its digest. Of paths only the last part is told, and beside it the content of a user's file:
        the first digits of its SHA-256 in the model's name, all of it in `args`.
    Errors: UsageError when no run finished or huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import ModelCardData
    except ImportError:
        raise MissingExtra("huggingface_hub", "isotune[hub]") from None
    from isotune.report.analysis.sections import sections
    from isotune.runs.records import latest

    results: dict[str, list[EvalResult]] = defaultdict(list)
    for section in sections(latest(records)):
        for row in section.rows:
            results[_model(row)] += [_result(section, row, setup) for setup in row.setups]
    if not results:
        raise UsageError("there is nothing for a model card: no run has finished; run first: isotune run")
    cards = (ModelCardData(model_name=model, eval_results=results[model]) for model in sorted(results))
    return "---\n".join(f"{card.to_yaml()}\n" for card in cards)


def _model(row: Row) -> str:
    """ "torch:port.py:make (3f2a91c0)" of a network in a user's file."""
    digest = row.setups[0].first.cell.network_digest
    return f"{told.model(row.model)} ({digest[:8]})" if digest else told.model(row.model)


def _result(section: Section, row: Row, setup: SetUp) -> EvalResult:
    from huggingface_hub import EvalResult

    cell = setup.first.cell
    kind, name = _dataset(section.dataset)
    protocol = section.title.removeprefix(f"{section.dataset}, ")  # as the leaderboard names it
    return EvalResult(
        task_type="image-classification",
        dataset_type=kind,
        dataset_name=name,
        dataset_split="test",
        dataset_revision=cell.dataset_digest,
        metric_type="accuracy",
        metric_name=f"accuracy{_counting(cell.protocol)}, {protocol}, {_variant(row, setup)}: {_spread(setup)}",
        metric_value=round(setup.accuracy.mean / 100, _DIGITS),
        metric_args={"protocol": protocol} | _args(row, setup),
    )


def _counting(protocol: Protocol) -> str:
    return f" {protocol.counts}" if protocol.selection else ""


def _dataset(written: str) -> tuple[str, str]:
    """Type and name; "imagefolder:/home/me/photos" -> "imagefolder", "imagefolder:photos"."""
    name = told.dataset(written)
    kind = written if name == written else written.partition(":")[0]
    return _HUB.get(kind, kind), name


def _variant(row: Row, setup: SetUp) -> str:
    """What tells a model's runs apart under one protocol."""
    mode = "" if row.mode == "float32" else row.mode
    checkpoint = told.checkpoint(row.checkpoint)
    return ", ".join(filter(None, (f"{setup.name} conventions", row.overrides, mode, checkpoint, row.version)))


def _spread(setup: SetUp) -> str:
    accuracy = setup.accuracy
    if setup.first.cell.protocol.own_classifier is not None:
        said = "nothing drawn at random"
    elif isnan(accuracy.margin):
        said = "one seed"
    else:
        said = f"mean of {accuracy.n} seeds, 95 % interval {accuracy.low / 100:.4f} to {accuracy.high / 100:.4f}"
    return f"{said}; {len(setup.failed)} more failed" if setup.failed else said


def _args(row: Row, setup: SetUp) -> dict[str, Any]:
    first, accuracy = setup.first, setup.accuracy
    args: dict[str, Any] = {
        "conventions": ",".join(filter(None, (setup.name, row.overrides))),
        "mode": row.mode,
        "checkpoint": told.checkpoint(row.checkpoint),
    }
    args |= {name: digest for name in _DIGESTS if (digest := getattr(first.cell, name))}
    if not row.evaluated:
        args["seeds"] = accuracy.n
    if first.metrics:
        args["test_images"] = first.metrics.test_images
    if not isnan(accuracy.margin):
        args["standard_deviation"] = round(accuracy.sd / 100, _DIGITS)
        args["interval_95"] = [round(edge / 100, _DIGITS) for edge in (accuracy.low, accuracy.high)]
    if setup.failed:
        args["failed_seeds"] = len(setup.failed)
    return args
