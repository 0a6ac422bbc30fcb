"""The report of an evaluation says what `run` printed: the price of each step by name, and nothing of seeds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from evaluation_factories import OWN, Kept
from report_factories import record

from isotune import report
from isotune.protocols import Images
from isotune.report import Leaderboard
from isotune.report import _conclusions as conclusions
from isotune.report import _evaluation as evaluation
from isotune.report.analysis.answers import Answers
from isotune.report.analysis.judging import Finding, judge
from isotune.report.analysis.sections import sections
from isotune.runs.preprocessing_costs import costs, lines
from isotune.runs.records import Record
from isotune.statistics import holm


def finding(records: list[Record], kept: Kept) -> Finding:
    (section,) = sections(records)
    return judge(section, Answers(kept.store.predictions))


def table(records: list[Record], kept: Kept) -> dict[str, dict[str, str]]:
    """Of each step by its name: a row by columns."""
    made = evaluation.prices(finding(records, kept))
    assert made is not None
    return {row[1].strip("`"): dict(zip(made.columns, row, strict=True)) for row in made.rows}


def test_steps_are_prices_of_one_row_and_no_sections_or_rows(steps: list[Record], kept: Kept) -> None:
    (section,) = sections(steps)
    assert section.title == f"{kept.dataset.name}, own-classifier", "no hash"
    (row,) = section.rows
    assert (row.identical is not None, row.native is not None, len(row.steps)) == (True, True, 4)
    assert finding(steps, kept).differences.compared == ()


def test_the_table_says_what_run_printed(steps: list[Record], kept: Kept) -> None:
    made = costs(steps, kept.store)
    printed = {cost.what: line for cost, line in zip(made, lines(made), strict=True)}
    shown = table(steps, kept)
    assert set(shown) == {"squash", "stride2_padding=same", "native", "resize=plain", "input_scaling=mean-std"}
    for what, row in shown.items():
        if what == "input_scaling=mean-std":
            assert "as identical" in printed[what]
            assert row["the accuracy"] == "is the same: nothing changes for this network"
            continue
        assert f"{row['accuracy %']}%" in printed[what]
        gap = row["points"] if row["points"] != "0" else "+0.00"
        assert f"{gap} points; {row['% changed']} % of predictions changed" in printed[what]
        only = f"{row['right only before']} right only before, {row['right only now']} only now"
        assert f"{only}, p = " in printed[what]
    assert list(shown)[:2] == ["squash", "stride2_padding=same"], "the dearest first"


def test_the_steps_of_one_model_are_corrected_together_and_no_others(steps: list[Record], kept: Kept) -> None:
    others = [kept.evaluated(33, "keras:A"), kept.evaluated(80, "keras:A", step="squash")]
    prices = finding(steps + others, kept).prices
    first = [price for price in prices if price.row.model == "timm:a" and not price.same]
    assert [price.p for price in first] == holm([price.test.p if price.test else None for price in first])
    assert len(first) == 4, "what is the same was not tried"
    (single,) = [price for price in prices if price.row.model == "keras:A"]
    assert single.test is not None
    assert single.p == single.test.p


def test_between_models_the_steps_are_no_rows(steps: list[Record], kept: Kept) -> None:
    others = [kept.evaluated(33, "keras:A", start=20), kept.evaluated(80, "keras:A", step="squash")]
    judged = finding(steps + others, kept)
    assert [(each.second.model, each.first.model) for each in judged.differences.compared] == [("keras:A", "timm:a")]
    assert "corrected by Holm for the 1 difference" in conclusions.differences_intro(judged)
    assert "seed" not in conclusions.differences_intro(judged)
    made = conclusions.differences(judged)
    assert made is not None
    assert not [column for column in made.columns if "McNemar" in column or "better" in column]


def test_nothing_is_said_of_seeds_or_intervals(steps: list[Record], kept: Kept, tmp_path: Path) -> None:
    board = Leaderboard(steps, predictions=kept.store.predictions)
    text = board.markdown()
    body = text.partition("## Evidence")[0]
    assert not re.search(r"\bseeds?\b|±|interval|\bt tests?\b", body), body
    assert "**±**" not in text.partition("## How to read this")[2]
    assert "another run gives the same again" in body
    assert board.json()["sections"][0]["wilson"] is None
    assert [name for name in board._files if name.endswith("spread.svg")] == []


def test_where_the_protocol_draws_test_images_their_interval_is_given(kept: Kept) -> None:
    drawn = OWN.model_copy(update={"images": Images(test=300)})
    text = Leaderboard([kept.evaluated(30, recipe=drawn)]).markdown()
    assert "the 95 % interval (Wilson)" in text


@pytest.mark.parametrize(("wrong", "start", "words"), [
    (40, 25, "with its library's own defaults no change is distinguishable (86.7 %)"),
    (90, 0, "with its library's own defaults `timm:a` falls to 70.0 %"),
])  # fmt: skip
def test_the_headline_claims_what_its_table_does(kept: Kept, wrong: int, start: int, words: str) -> None:
    records = [kept.evaluated(30), kept.evaluated(wrong, conventions="native", start=start)]
    judged = finding(records, kept)
    assert words.replace("`timm:a`", "timm") in judged.sentence
    assert judged.prices[0].holds == ("falls" in words)


def test_a_step_that_changes_no_prediction_is_not_called_undecided(kept: Kept) -> None:
    records = [kept.evaluated(30), kept.evaluated(30, conventions="identical,resize=plain")]
    assert table(records, kept)["resize=plain"]["the accuracy"] == "no prediction changes"


def test_the_headline_names_the_dearest_step(steps: list[Record], kept: Kept) -> None:
    said = finding(steps, kept).sentence
    assert said.endswith("Of 3 steps in which `timm:a` is evaluated otherwise `squash` costs most, 20.00 points.")
    cheap = [kept.evaluated(30), kept.evaluated(31, conventions="identical,resize=plain", start=1)]
    assert "none costs distinguishably" in finding(cheap, kept).sentence


def test_inputs_of_several_models_stand_in_one_section_and_sizes_apart(kept: Kept) -> None:
    wide = OWN.model_copy(update={"input": OWN.input.model_copy(update={"resize": 40, "interpolation": "bicubic"})})
    large = OWN.model_copy(update={"input": OWN.input.model_copy(update={"size": 64, "resize": 72})})
    records = [kept.evaluated(30), kept.evaluated(20, "timm:b", recipe=wide), kept.evaluated(10, recipe=large)]
    small, big = sorted(sections(records), key=lambda section: -len(section.rows))
    assert [row.model for row in small.rows] == ["timm:b", "timm:a"]
    assert (small.title[-15:], big.title[-15:]) == ("(input.size 32)", "(input.size 64)")
    made = evaluation.scores(small)
    assert made is not None
    assert [row[2] for row in made.rows] == ["of 40, bicubic", "of 36, bilinear"]


def test_two_evaluations_of_one_model_are_two_rows_and_their_steps_are_not_guessed(kept: Kept) -> None:
    wide = OWN.model_copy(update={"input": OWN.input.model_copy(update={"resize": 40})})
    records = [
        kept.evaluated(30), kept.evaluated(20, recipe=wide), kept.evaluated(50, step="squash"),
        kept.evaluated(45, recipe=wide, conventions="identical,resize=plain"),
    ]  # fmt: skip
    (section,) = sections(records)
    assert [row.overrides for row in section.rows] == ["of 40, bilinear", "of 36, bilinear", "squash"]
    assert [len(row.steps) for row in section.rows] == [1, 0, 0], "a step of conventions has its evaluation's input"


def test_a_step_without_its_evaluation_is_a_row(kept: Kept) -> None:
    (section,) = sections([kept.evaluated(30, conventions="identical,resize=plain")])
    assert [(row.overrides, row.steps) for row in section.rows] == [("resize=plain", ())]


def test_without_predictions_a_step_has_its_points_and_no_test(steps: list[Record]) -> None:
    (section,) = sections(steps)
    judged = judge(section, Answers(None))
    assert all(price.p is None and not price.holds for price in judged.prices)
    made = evaluation.prices(judged)
    assert made is not None
    assert "not tested: the predictions or the labels are not available" in {row[2] for row in made.rows}
    assert "-20.00" in {row[4] for row in made.rows}


def test_the_json_has_the_prices_and_a_report_of_before_is_replaced(
    steps: list[Record], kept: Kept, tmp_path: Path
) -> None:
    board = Leaderboard(steps, predictions=kept.store.predictions)
    (section,) = board.json()["sections"]
    assert {price["what"]: price["holds"] for price in section["prices"]} == {
        "squash": True, "stride2_padding=same": True, "native": False, "resize=plain": False,
        "input_scaling=mean-std": False,
    }  # fmt: skip
    assert section["rows"][0]["protocol"]["input"] == {"size": 32, "resize": 36, "interpolation": "bilinear"}
    board.write(tmp_path / "out")
    assert Leaderboard(steps[:3]).lost(tmp_path / "out") != []
    row = section["rows"][0] | {"overrides": "resize=plain", "native": None}
    before = {"sections": [section | {"rows": [section["rows"][0], row], "prices": []}]}  # as it was: a row a step
    (tmp_path / "out" / "leaderboard.json").write_text(json.dumps(before))
    assert board.lost(tmp_path / "out") == []


def test_one_seed_of_a_training_moves_no_headline() -> None:
    records = [record(conventions=base, accuracy=accuracy) for base, accuracy in (("identical", 0.9), ("native", 0.8))]
    assert "no change is distinguishable (80.0 %)" in report.first_rows(records)


def test_a_model_card_has_the_evaluation_and_not_its_steps(steps: list[Record], kept: Kept) -> None:
    text = report.model_index(steps)
    assert len(re.findall("type: accuracy", text)) == 2, "identical and native"
    assert "nothing drawn at random" in " ".join(text.split())
    assert "seed" not in text


def test_the_steps_protocol_is_named_once(steps: list[Record], kept: Kept) -> None:
    protocols = Leaderboard(steps).markdown().partition("Protocols:")[2].split("\n\n")[1].splitlines()
    assert [line.partition(",")[0] for line in protocols] == ["- `own-classifier`"]
