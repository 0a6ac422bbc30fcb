"""What each default of a library costs a training by itself: whose runs count, their test, their words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from report_factories import FINE_TUNE, record

from isotune import report
from isotune.conventions import Conventions
from isotune.report import _evaluation as evaluation
from isotune.report.analysis.answers import Answers
from isotune.report.analysis.judging import Finding, judge
from isotune.report.analysis.sections import sections
from isotune.report.figures import forest
from isotune.runs.records import Record

KERAS = "keras:MobileNetV2"
IDENTICAL = Conventions()
NATIVE = IDENTICAL.model_copy(update={"stride2_padding": "same", "batchnorm_momentum": 0.01})
SEEDS = (0.853, 0.849, 0.851, 0.848, 0.849)


def runs(spec: str, points: float, *, spread: float = 0.0, seeds: int = 5, axes: Conventions | None = None) -> list:
    """Of one model, `points` better than identical; every second seed by `spread` more."""
    if axes is None:
        base, _, override = spec.partition(",")
        axes = NATIVE if base == "native" else IDENTICAL
        axis, _, value = override.partition("=")
        axes = Conventions.model_validate(axes.model_dump() | ({axis: value} if axis else {}))
    return [
        _of(spec, SEEDS[seed] + (points + spread * (seed % 2)) / 100, seed).model_copy(update={"conventions": axes})
        for seed in range(seeds)
    ]


def _of(spec: str, accuracy: float, seed: int, **other: Any) -> Record:
    return record(KERAS, accuracy, conventions=spec, seed=seed, protocol=FINE_TUNE, **other)


def finding(records: list[Record]) -> Finding:
    (section,) = sections(records)
    return judge(section, Answers(None))


PLAIN = [*runs("identical", 0), *runs("native", -6, spread=0.4)]
PADDING = runs("identical,stride2_padding=same", -5, spread=0.4)
MOMENTUM = runs("identical,batchnorm_momentum=0.01", 0)


def test_each_default_is_a_price_of_its_row_and_no_row():
    found = finding([*PLAIN, *PADDING, *MOMENTUM])
    (row,) = found.section.rows
    assert (row.overrides, row.model) == ("", KERAS)
    dear, nothing = found.defaults
    assert dear.default.what == "stride2_padding=same"
    assert dear.difference.gap.mean == pytest.approx(-4.84)
    assert evaluation.default_outcome(dear) == "**falls**"
    assert nothing.default.what == "batchnorm_momentum=0.01"
    assert evaluation.default_outcome(nothing) == "no prediction changes"


def test_what_is_no_default_of_the_library_stays_a_row():
    other = runs("identical,stride2_padding=symmetric", -5)
    two = runs("identical,batchnorm_momentum=0.01,stride2_padding=same", -5, axes=NATIVE)
    under_native = runs("native,stride2_padding=symmetric", -5)
    found = finding([*PLAIN, *other, *two, *under_native])
    assert {row.overrides for row in found.section.rows} == {
        "", "stride2_padding=symmetric", "batchnorm_momentum=0.01,stride2_padding=same"
    }  # fmt: skip
    assert not found.defaults


@pytest.mark.parametrize("without", ["native", "identical"])
def test_without_both_set_ups_nobody_knows_a_default_or_its_price(without: str):
    kept = [each for each in PLAIN if each.cell.conventions != without]
    found = finding([*kept, *PADDING])
    assert len(found.section.rows) == 2
    assert not found.defaults


def test_the_defaults_of_a_row_are_corrected_together_and_a_weak_one_does_not_hold():
    weak = runs("identical,batchnorm_momentum=0.01", -0.2, spread=0.3)
    alone = finding([*PLAIN, *weak]).defaults[0].difference.p
    both = {each.default.what: each for each in finding([*PLAIN, *PADDING, *weak]).defaults}
    assert both["batchnorm_momentum=0.01"].difference.p == alone  # the larger of two, as Holm has it
    assert both["stride2_padding=same"].difference.p == pytest.approx(
        2 * finding([*PLAIN, *PADDING]).defaults[0].difference.p
    )
    assert evaluation.default_outcome(both["batchnorm_momentum=0.01"]) == "not distinguishable with 5 seeds"


def test_one_seed_is_not_called_a_price_that_holds():
    found = finding([*runs("identical", 0, seeds=1), *runs("native", -6, seeds=1), *PADDING[:1]])
    assert evaluation.default_outcome(found.defaults[0]) == "not tested: 1 common seed: at least two are needed"


def test_the_report_shows_them_adds_them_up_and_its_json_has_every_run(tmp_path: Path):
    board = report.Leaderboard([*PLAIN, *PADDING, *MOMENTUM])
    text = board.markdown()
    assert "| `stride2_padding=same` | `own` | as SAME does, the odd pixel at the end | **falls** | 80.2 ± " in text
    assert "added up and all at once (native): `keras:MobileNetV2` -4.8 and -5.8." in text
    content = board.json()
    (section,) = content["sections"]
    assert section["defaults"][0]["holds"]
    assert section["defaults"][0]["in_place_of"] == "own"
    assert len(section["defaults"][0]["setup"]["runs"]) == 5
    (tmp_path / "out").mkdir()
    row = section["rows"][0] | {"overrides": "stride2_padding=same", "identical": section["defaults"][0]["setup"]}
    before = {"sections": [section | {"rows": [*section["rows"], row | {"native": None}], "defaults": []}]}
    (tmp_path / "out" / "leaderboard.md").write_text("as it was: a row for each\n")
    (tmp_path / "out" / "leaderboard.json").write_text(json.dumps(before))
    assert board.lost(tmp_path / "out") == []
    assert len(report.Leaderboard(PLAIN).lost(tmp_path / "out")) == 5


def test_their_figure_has_a_part_for_each_model_without_what_changes_nothing():
    drawn, left = forest.parts(finding([*PLAIN, *PADDING, *MOMENTUM]))
    (part,) = [part for part in drawn if part.title.startswith("one of its own defaults")]
    assert [line.name for line in part.lines] == ["stride2_padding=same"]
    assert not left


def elsewhere(records: list[Record], points: float = 0.0) -> list[Record]:
    """The same runs under another protocol, so many points better."""
    other = FINE_TUNE.model_copy(update={"name": "another"})
    return [
        each.model_copy(update={
            "cell": each.cell.model_copy(update={"protocol": other}),
            "metrics": each.metrics.model_copy(update={"accuracy": each.metrics.accuracy + points / 100}),
        })
        for each in records
    ]  # fmt: skip


def test_over_several_protocols_each_default_is_counted_by_what_became_of_the_accuracy(tmp_path: Path):
    dearer = elsewhere([*PLAIN, *PADDING], 0) + elsewhere(runs("identical,batchnorm_momentum=0.01", -2, spread=0.3))
    board = report.Leaderboard([*PLAIN, *PADDING, *MOMENTUM, *dearer])
    text = board.markdown()
    assert "Of the two tables below that price a library's own defaults one by one" in text
    assert f"| `{KERAS}` | `stride2_padding=same` | 2 | 2 | 0 | 0 | 0 | -4.8 | -4.8 | -4.8 |" in text
    assert f"| `{KERAS}` | `batchnorm_momentum=0.01` | 2 | 1 | 0 | 0 | 1 | -0.9 | -1.9 | +0.0 |" in text
    drawn = board.write(tmp_path).parent / "figures" / "defaults.svg"
    assert drawn.is_file()
    assert drawn.read_text().count("<svg") == 1


def test_the_summary_counts_the_tables_that_price_any_default():
    text = report.Leaderboard([*PLAIN, *PADDING, *elsewhere([*PLAIN, *MOMENTUM])]).markdown()
    assert "Of the two tables below that price" in text
    assert f"| `{KERAS}` | `stride2_padding=same` | 1 | 1 |" in text


def test_of_one_protocol_there_is_no_summary(tmp_path: Path):
    board = report.Leaderboard([*PLAIN, *PADDING, *elsewhere(PLAIN)])
    assert "over all tables" not in board.markdown()
    assert not (board.write(tmp_path).parent / "figures" / "defaults.svg").exists()
