"""Evaluation results of model repositories on the Hugging Face Hub: `.eval_results/*.yaml`.

The format: github.com/huggingface/hub-docs, eval_results.yaml. A file holds one result of one model on one benchmark,
a data set of the Hub that has a leaderboard. The format has a number and a line of notes, so the notes say what the
number is: its unit, the protocol, the set-up, how many images and seeds, its interval. `model-index`, in a model card,
has more room (`isotune report --format model-index`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from pathlib import Path

from isotune.errors import MissingExtra, UsageError, nearest
from isotune.export._writing import file_names_of
from isotune.models import told
from isotune.report.analysis.sections import Row, Section, SetUp, sections
from isotune.runs.records import Record, latest

_DECIMALS = 4  # of percent
_BENCHMARK = re.compile(r"(?P<id>\w[\w.-]*/\w[\w.-]*)(?::(?P<task>\w[\w.-]*))?")


def parse_benchmarks(given: Iterable[str]) -> dict[str, tuple[str, str]]:
    """ "digits=OWNER/NAME:TASK" -> by data set, the benchmark's id and its task, "default" where none is said.
    UsageError: it is not so, or one data set is given twice."""
    by_dataset: dict[str, tuple[str, str]] = {}
    for text in given:
        dataset, sign, where = text.rpartition("=")
        known = _BENCHMARK.fullmatch(where)
        if not sign or not dataset or known is None:
            raise UsageError(f"benchmark {text!r}: write DATASET=OWNER/NAME:TASK, a data set of the Hub")
        if dataset in by_dataset:
            raise UsageError(f"benchmark {text!r}: {dataset} has one already, {by_dataset[dataset][0]}")
        by_dataset[dataset] = known["id"], known["task"] or "default"
    return by_dataset


def write_results(records: Sequence[Record], folder: Path, benchmarks: Mapping[str, tuple[str, str]]) -> None:
    """`MODEL/.eval_results/RESULT.yaml`: a folder for each model, which goes as it is into the model's repository.

    Of every data set, protocol and set-up that a model finished: the mean accuracy over its seeds, percent. Steps of
    preprocessing that an evaluation does as another library does are left out, since they are no evaluation of the
    model. UsageError: it is not said which benchmark a data set is, or no run finished. MissingExtra: there is no
    huggingface_hub that has the format.
    """
    try:
        import yaml
        from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    except ImportError:
        raise MissingExtra("huggingface_hub", "isotune[hub]") from None
    found_in = [section for section in sections(latest(records)) if not all(map(_is_step, section.rows))]
    if not found_in:
        raise UsageError("there is no evaluation result: no run has finished; run first: isotune run")
    _check(found_in, benchmarks)
    results = [(section, row, setup) for section in found_in for row in section.rows
               for setup in row.distinct if not _is_step(row)]  # fmt: skip
    models = file_names_of(told.model(row.model) for _, row, _ in results)
    names = file_names_of(_name(*each) for each in results)
    for section, row, setup in results:
        dataset, task = benchmarks[_kind(section)]
        entry = EvalResultEntry(
            dataset_id=dataset,
            task_id=task,
            value=round(setup.accuracy.mean, _DECIMALS),
            date=max(record.ended for record in setup.records.values()).date().isoformat(),
            notes=_notes(section, row, setup),
        )
        file = folder / models[told.model(row.model)] / ".eval_results" / f"{names[_name(section, row, setup)]}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        content = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True, width=10**6)
        file.write_text(content, encoding="utf-8")


def _check(shown: Sequence[Section], benchmarks: Mapping[str, tuple[str, str]]) -> None:
    datasets = {_kind(section) for section in shown}
    if stray := sorted(set(benchmarks) - datasets):
        raise UsageError(f"benchmark {stray[0]!r}: no run is of that data set; {nearest(stray[0], datasets)}")
    if missing := sorted(datasets - set(benchmarks)):
        raise UsageError(
            f"{missing[0]}: which benchmark of the Hub is it? say --benchmark {missing[0]}=OWNER/NAME:TASK, as its"
            " eval.yaml names the task"
        )


def _is_step(row: Row) -> bool:
    """One whose evaluation is not there; others stand beside it."""
    own = row.setups[0].first.cell.protocol.own_classifier
    return bool(own and own.step)


def _kind(section: Section) -> str:
    return told.dataset(section.dataset)


def _name(section: Section, row: Row, setup: SetUp) -> str:
    mode = "" if row.mode == "float32" else row.mode
    checkpoint = told.checkpoint(row.checkpoint)
    of = (setup.name, row.overrides, row.version, mode)
    parts = (told.model(row.model), told.dataset(section.title), checkpoint, *of)
    return " ".join(filter(None, parts))


def _notes(section: Section, row: Row, setup: SetUp) -> str:
    accuracy, protocol = setup.accuracy, section.protocol
    how = "one seed" if isnan(accuracy.margin) else (
        f"mean of {accuracy.n} seeds, 95 % interval {accuracy.low:.2f} to {accuracy.high:.2f}"
    )  # fmt: skip
    if protocol.own_classifier is not None:
        how = "nothing is drawn at random"
    trained = f"trained on {section.train_images:,} training images" if section.train_images else "evaluated as it is"
    parts = [
        "top-1 accuracy, percent", f"protocol {protocol.name} ({protocol.title}), {trained}",
        *([f"the accuracy {protocol.counts}"] if protocol.selection else []),
        f"{section.test_images:,} test images, SHA-256 {section.dataset_digest[:16]}",
        f"{' '.join(filter(None, (setup.name, row.overrides)))} conventions, {row.mode}, checkpoint"
        f" {told.checkpoint(row.checkpoint)}{f' ({row.version})' if row.version else ''}", how,
    ]  # fmt: skip
    if setup.failed:
        parts.append(f"{len(setup.failed)} more seeds failed")
    return "; ".join(parts)
