"""What a leaderboard concludes: verdicts against published numbers, differences that hold, the spread by source."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_factories import FINE_TUNE, LIBRARIES, QUICK, default_run, record

from isotune import data, protocols, report
from isotune.errors import UsageError
from isotune.protocols import Images, OwnClassifier
from isotune.reference_results import _tables, references
from isotune.report import _conclusions as conclusions
from isotune.report.analysis.answers import Answers
from isotune.report.analysis.differences import MOST_PAIRS, MOST_ROWS, Difference, differences
from isotune.report.analysis.judging import Finding, judge
from isotune.report.analysis.sections import sections
from isotune.runs.records import Record, predictions_digest
from isotune.runs.store import Store
from isotune.seeds import Seeds
from isotune.statistics import holm

TORCHVISION, TIMM, KERAS = LIBRARIES
TUTORIAL = protocols.load("pytorch-tutorial")
PUBLISHED = (92.16, 93.46, 94.77, 90.2)  # what matches the tutorial's protocol


def finding(records: list[Record], answers: Answers | None = None) -> Finding:
    (section,) = sections(records)
    return judge(section, answers or Answers(None))


def tutorial(*accuracies: float, model: str = "torchvision:resnet18", **other: Any) -> list[Record]:
    """Runs of the tutorial's protocol on its data, one a seed; NaN is a run that failed."""
    return [
        record(
            model,
            0 if np.isnan(accuracy) else accuracy,
            error="lost" if np.isnan(accuracy) else None,
            seed=seed,
            dataset="imagefolder:/data/hymenoptera_data",
            protocol=TUTORIAL,
            checkpoint="pretrained",
            architecture="resnet18",
            images=153,
            **other,
        )
        for seed, accuracy in enumerate(accuracies)
    ]


# --- verdicts


def test_a_row_is_judged_against_every_number_that_was_measured_under_its_conditions() -> None:
    judged = finding(tutorial(0.92, 0.925, 0.93, 0.915, 0.92, 0.925))
    assert [each.reference.value for each in judged.published.verdicts] == list(PUBLISHED)
    table = conclusions.verdicts(judged)
    assert table is not None
    first = dict(zip(table.columns, table.rows[0], strict=True))
    assert first["verdict"] == "**reproduced**: within the margin"
    assert first["published"] == "92.16 % (1 run)"
    assert first["source"] == "`pytorch-tutorial-2018`, printed output"
    assert any(
        "pytorch-tutorial-2018" in line and "Transfer learning" in line for line in conclusions.sources([judged])
    )
    assert conclusions.unmatched(judged) == ""


def test_the_margin_of_a_single_run_holds_the_spread_of_its_repetitions() -> None:
    rows = [row for row in references(protocol="pytorch-tutorial", selection="last") if row.value in PUBLISHED]
    verdict = finding(tutorial(0.92, 0.93)).published.verdicts[0].verdict
    assert verdict.margin == pytest.approx(np.std([row.value for row in rows], ddof=1) + 0.005)


def test_a_protocol_fixes_the_margin_and_is_the_same_recipe_otherwise() -> None:
    records = tutorial(0.92, 0.925, 0.93, 0.915)
    recipe = records[0].cell.protocol
    fixed = recipe.model_copy(update={"evaluation": recipe.evaluation.model_copy(update={"margin": 0.25})})
    assert "margin" not in recipe.model_dump()["evaluation"], "the keys of cells without one stay what they were"
    changed = [each.model_copy(update={"cell": each.cell.model_copy(update={"protocol": fixed})}) for each in records]
    verdicts = finding(changed).published.verdicts
    assert [each.reference for each in verdicts] == [each.reference for each in finding(records).published.verdicts]
    assert {each.verdict.margin for each in verdicts} == {0.25}
    assert verdicts[0].verdict.outcome == "inconclusive"


@pytest.mark.parametrize(
    ("accuracies", "words"),
    [
        ((0.6, 0.61, 0.6, 0.61), "**different**: beyond the margin"),
        ((0.9, 0.95), "inconclusive: the interval reaches across the margin; about"),
        ((0.92,), "inconclusive: 1 run: at least two are needed"),
        ((0.92, 0.93, np.nan), "inconclusive: 1 of 3 runs failed"),
        ((0.92, 0.92, 0.92), "**reproduced**: within the margin; all 3 runs gave the same value"),
    ],
)
def test_a_verdict_says_what_the_runs_can_say(accuracies: tuple[float, ...], words: str) -> None:
    table = conclusions.verdicts(finding(tutorial(*accuracies)))
    assert table is not None
    assert table.rows[0][table.columns.index("verdict")].startswith(words)


def test_an_evaluation_that_trains_nothing_is_exact_with_one_run() -> None:
    recipe = protocols.load("own-classifier").model_copy(update={"own_classifier": OwnClassifier(input="published")})
    recipe = recipe.model_copy(update={"input": recipe.input.model_copy(update={"size": 224, "resize": 256})})
    (row,) = [
        row
        for row in references(adapter="torchvision", model="resnet18", dataset="imagenet", metric="top-1")
        if row.trust == "high"
    ]

    def judged(accuracy: float) -> Any:
        one = record("torchvision:resnet18", accuracy, dataset="imagenet:/data", protocol=recipe, images=50_000,
                     checkpoint="IMAGENET1K_V1", architecture="resnet18")  # fmt: skip
        (against,) = [each for each in finding([one]).published.verdicts if each.reference == row]
        return against.verdict

    near, far = judged(row.value / 100 + 0.0004), judged(row.value / 100 - 0.002)
    assert (near.outcome, far.outcome) == ("reproduced", "different")
    assert near.n == 1
    assert near.effect == pytest.approx(0.04)
    assert "one evaluation is exact" in near.reason


def test_numbers_that_are_merely_near_are_context_with_what_deviates() -> None:
    judged = finding(default_run())
    assert conclusions.verdicts(judged) is None
    assert conclusions.unmatched(judged).startswith(
        "No verdict: no published number was measured under these conditions"
    )
    lines = conclusions.context(judged)
    assert len(lines) == 6, "the five nearest, and how many more"
    assert all(line.startswith("<sub>") and line.endswith("</sub>") for line in lines)
    assert all("deviates: " in line and "`fashion-mnist`" in line and "low trust" in line for line in lines[:-1])
    assert "<100K" not in "".join(re.sub(r"`[^`]*`|\\<", "", line) for line in lines), "names are escaped"
    count = len([row for row in references(dataset="fashion-mnist") if row.metric == "top-1"])
    assert lines[-1] == f"<sub>and {count - 5} more numbers that differ in more respects</sub>"


def test_where_nothing_is_near_that_is_said() -> None:
    judged = finding([record(dataset="digits")])
    assert "none comes close" in conclusions.unmatched(judged)
    assert conclusions.context(judged) == []
    assert conclusions.unmatched(finding([record(error="x")])) == "", "no run, no verdict"


def test_a_number_that_others_contradict_is_marked() -> None:
    one = record(
        "keras:ResNet50", 0.75, dataset="imagenet:/data", protocol=protocols.load("own-classifier"), images=50_000,
        checkpoint="imagenet", architecture="resnet50",
    )  # fmt: skip
    assert any("Disputed: " in line and "70.35" in line for line in conclusions.context(finding([one])))
    for kept in (_tables._all, _tables._by_dataset):
        kept.cache_clear()  # a row is what it says, not where it lies in memory
    assert any("Disputed: " in line and "70.35" in line for line in conclusions.context(finding([one])))


# --- differences


def by_seed(*accuracies: float, model: str = TIMM, **other: Any) -> list[Record]:
    return [
        record(model, accuracy, seed=seed, error="lost" if np.isnan(accuracy) else None, **other)
        if not np.isnan(accuracy)
        else record(model, seed=seed, error="lost", **other)
        for seed, accuracy in enumerate(accuracies)
    ]


def compared(records: list[Record], answers: Answers | None = None) -> list[Difference]:
    return list(finding(records, answers).differences.compared)


def said(records: list[Record], answers: Answers | None = None) -> list[str]:
    return [conclusions.conclusion(each) for each in compared(records, answers)]


ONE = (0.85, 0.86, 0.855, 0.852)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ((0.80, 0.811, 0.806, 0.80), "**holds**"),
        ((0.851, 0.858, 0.856, 0.851), "not distinguishable with 4 seeds"),
        (ONE, "not distinguishable with 4 seeds"),
        ((0.80,), "not distinguishable with 1 seed"),
        ((0.80, 0.81, np.nan, 0.80), "not tested: 1 of 4 common seeds failed"),
        ((0.80, 0.81, 0.805, 0.802), "not distinguishable with 4 seeds"),  # all differences equal: no scale
    ],
)
def test_a_difference_holds_or_it_is_said_why_not(other: tuple[float, ...], words: str) -> None:
    assert said(by_seed(*ONE) + by_seed(*other, model=KERAS)) == [words]


def test_a_failed_run_is_no_gap_of_the_others() -> None:
    (one,) = compared(by_seed(*ONE) + by_seed(0.80, 0.81, np.nan, 0.80, model=KERAS))
    assert one.gap.n == 3
    assert one.p is None


def test_what_is_compared_is_of_one_architecture_checkpoint_and_set_up() -> None:
    runs = [
        *by_seed(*ONE),
        *by_seed(*ONE, model=KERAS),
        *by_seed(*ONE, model=KERAS, conventions="native"),
        *by_seed(*ONE, model="timm:resnet18", architecture="resnet18"),
        *by_seed(*ONE, model=TIMM, checkpoint="pretrained"),
    ]
    pairs = {(each.first.model, each.second.model, each.second_setup.name) for each in compared(runs)}
    assert pairs == {(KERAS, TIMM, "identical"), (KERAS, KERAS, "native")}


def test_a_run_that_repeats_another_is_no_comparison() -> None:
    runs = by_seed(*ONE) + by_seed(*ONE, model=TORCHVISION)
    runs += [each.model_copy(update={"same_as": "identical"})
             for model in (TIMM, TORCHVISION) for each in by_seed(*ONE, model=model, conventions="native")]  # fmt: skip
    assert [each.second_setup.name for each in compared(runs)] == ["identical"]


def test_all_differences_of_a_section_are_corrected_together() -> None:
    rng = np.random.default_rng(4)
    runs = [each for model in LIBRARIES for base in ("identical", "native")
            for each in by_seed(*rng.normal(0.85, 0.005, 6).round(3), model=model, conventions=base)]  # fmt: skip
    tested = compared(runs)
    assert len(tested) == 9
    assert [each.p for each in tested] == pytest.approx(holm([each.pair.p_t for each in tested]))


def test_too_many_rows_are_counted_and_not_compared() -> None:
    crowd = [record(f"timm:m{i}", 0.8 + i / 1000, architecture="one") for i in range(MOST_ROWS + 2)]
    judged = finding(crowd)
    assert len(judged.differences.compared) == MOST_ROWS * (MOST_ROWS - 1) // 2
    assert {judged.differences.compared[0].first.model} == {f"timm:m{MOST_ROWS + 1}"}, "the best are compared"
    assert "2 further rows" in conclusions.differences_intro(judged)
    groups = [
        record(f"{model}:alpha={i}", architecture=f"a{i}", conventions=base)
        for i in range(40)
        for model in LIBRARIES
        for base in ("identical", "native")
    ]
    many = differences(sections(groups)[0], Answers(None))
    whole = MOST_PAIRS // 9  # groups
    assert (len(many.compared), many.left_out) == (9 * whole, 3 * (40 - whole))


# --- image by image


IMAGES = 200
Ran = Callable[..., Record]


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Ran, Answers]:
    """Runs whose predictions are in a store and whose data set is in the cache: ran(right, model, seed=...)."""
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    labels = np.arange(IMAGES) % 2
    pixels = np.zeros((IMAGES, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "some.npz", x_train=pixels[:4], y_train=labels[:4], x_test=pixels, y_test=labels)
    name = f"npz:{tmp_path / 'some.npz'}"
    dataset = data.prepare(name)
    store = Store(tmp_path / "records")

    def one(right: np.ndarray, model: str = TIMM, *, base: str = "identical", seed: int = 0, **other: Any) -> Record:
        recipe = other.pop("protocol", QUICK).model_copy(update={"images": Images()})
        answers = np.where(right, labels, 1 - labels)
        made = record(model, float(np.mean(right)), conventions=base, seed=seed, dataset=name, protocol=recipe,
                      images=IMAGES, digest=predictions_digest(answers), **other)  # fmt: skip
        cell = made.cell.model_copy(update={"dataset_digest": dataset.digest})
        made = made.model_copy(update={"cell": cell.model_validate(cell.model_dump())})
        store.write(made, answers)
        kept = store.read(made.cell)  # dated after what there was of the cell
        assert kept
        return kept

    return one, Answers(store.predictions)


def right(wrong: int, start: int = 0) -> np.ndarray:
    """bool [IMAGES]: `wrong` images from `start` on are not right."""
    place = np.arange(IMAGES)
    return ~((place >= start) & (place < start + wrong))


def test_mcnemars_test_counts_seed_by_seed(ran: tuple[Ran, Answers]) -> None:
    one, answers = ran
    runs = [one(right(20 + seed), seed=seed) for seed in range(2)] + [
        one(right(60, 50 - seed), KERAS, seed=seed) for seed in range(2)
    ]
    judged = finding(runs, answers)
    (difference,) = judged.differences.compared
    assert [(m.only_first, m.only_second) for m in difference.by_images.values()] == [(60, 20), (60, 21)]
    assert difference.changed is not None
    assert difference.changed.share == pytest.approx(100 * (80 + 81) / 2 / IMAGES)
    assert difference.decided_by == "seeds"
    table = conclusions.differences(judged)
    assert table is not None
    assert table.rows[0][-1] == "2 of 2 seeds"


def test_where_nothing_is_drawn_at_random_the_images_decide(ran: tuple[Ran, Answers]) -> None:
    one, answers = ran
    runs = [one(right(20), seed=seed) for seed in range(3)]
    assert said(runs + [one(right(60, 50), KERAS, seed=seed) for seed in range(3)], answers) == ["**holds**"]
    assert said(runs + [one(right(20, 50), KERAS, seed=seed) for seed in range(3)], answers) == [
        "not distinguishable on these images"
    ]
    drawn = [one(right(60, 50 + seed), KERAS, seed=seed) for seed in range(3)]
    assert compared(runs + drawn, answers)[0].decided_by == "seeds", "one that varies is enough"


def test_an_own_classifier_is_decided_by_the_images(ran: tuple[Ran, Answers]) -> None:
    one, answers = ran
    recipe = protocols.load("own-classifier")
    runs = [one(right(20), protocol=recipe), one(right(60, 50), KERAS, protocol=recipe)]
    assert said(runs, answers) == ["**holds**"]
    assert said(runs) == ["not tested: the predictions or the labels are not available"]


def test_labels_that_do_not_give_the_accuracy_are_not_used(ran: tuple[Ran, Answers]) -> None:
    one, answers = ran
    first, second = one(right(20)), one(right(60, 50), KERAS)
    metrics = second.metrics
    assert metrics
    wrong = second.model_copy(update={"metrics": metrics.model_copy(update={"accuracy": 0.5})})
    (difference,) = compared([first, wrong], answers)
    assert not difference.by_images
    assert difference.changed is not None
    assert difference.changed.share == 40


def test_the_spread_is_split_into_test_set_and_training(ran: tuple[Ran, Answers]) -> None:
    one, answers = ran
    rng = np.random.default_rng(0)
    noise = [one(rng.random(IMAGES) < 0.8, seed=seed) for seed in range(12)]
    training = [one(right(20 if seed % 2 else 60), KERAS, seed=seed) for seed in range(12)]
    judged = finding(noise + training, answers)
    whole = {each.row.model: each for each in judged.spreads}
    for model, least, most in ((TIMM, 0, 2), (KERAS, 9, 11)):
        split = whole[model].split
        assert split is not None
        assert split.training_sd is not None
        assert least <= 100 * split.training_sd <= most
        assert split.observed == pytest.approx(whole[model].setup.accuracy.sd ** 2 / 1e4)
    table = conclusions.spread(judged)
    assert table is not None
    assert "of the test set" in table.columns
    assert conclusions.spread(finding(noise)) is not None
    assert "of training" not in conclusions.spread(finding(noise)).columns  # type: ignore[union-attr]


def crossed(failed: bool = False) -> list[Record]:
    runs = []
    for head in range(3):
        for order in range(3):
            lost = failed and head == order == 1
            one = record(TIMM, 0.9 + 0.02 * head + 0.002 * (order - 1) * (head - 1), protocol=FINE_TUNE,
                         error="lost" if lost else None)  # fmt: skip
            cell = one.cell.model_copy(update={"seeds": Seeds(head=head, order=order, augmentation=0)})
            runs.append(one.model_copy(update={"cell": cell.model_validate(cell.model_dump())}))
    return runs


def test_crossed_seeds_tell_the_variance_by_stream() -> None:
    judged = finding(crossed())
    (spread,) = judged.spreads
    assert [part.streams for part in spread.parts] == [("head",), ("order",), ("head", "order")]
    assert spread.parts[0].sd == pytest.approx(2, rel=0.01)
    table = conclusions.spread(judged)
    assert table is not None
    assert table.rows[0][-1].startswith("head 2.0")
    (lost,) = finding(crossed(failed=True)).spreads
    assert not lost.parts
    assert lost.streams is not None
    assert lost.streams.reason == "1 of 9 runs failed"


def test_one_seed_for_all_streams_is_no_design() -> None:
    assert all(each.streams is None for each in finding(default_run()).spreads)


# --- leaderboard.json


def document(folder: Path) -> Any:
    def never(text: str) -> Any:
        raise AssertionError(f"{text} is no JSON")

    return json.loads((folder / "leaderboard.json").read_text(encoding="utf-8"), parse_constant=never)


def test_the_json_says_what_the_page_shows_unrounded(tmp_path: Path) -> None:
    report.write(
        [*default_run(), record(TIMM, seed=9, error="lost"), *tutorial(0.92, 0.93, 0.925)], tmp_path, command="make it"
    )
    content = document(tmp_path)
    assert (content["version"], content["command"], content["cells"], content["failed"]) == (3, "make it", 34, 1)
    by_title = {section["title"]: section for section in content["sections"]}
    quick = by_title["fashion-mnist, quick"]
    keras = next(row for row in quick["rows"] if row["model"] == KERAS)
    assert [run["accuracy"] for run in keras["native"]["runs"]] == pytest.approx([79.2, 78.8, 79.0, 78.7, 78.8])
    assert keras["native"]["accuracy"]["mean"] == pytest.approx(78.9)
    timm = next(row for row in quick["rows"] if row["model"] == TIMM)
    assert timm["identical"]["runs"][-1]["accuracy"] is None, "a failed run is null"
    assert len(quick["differences"]) == 9
    assert {each["conclusion"] for each in quick["differences"]} == {"not distinguishable with 5 seeds"}
    assert {each["unpaired"] for each in quick["differences"]} == {0, 1}, "the failed seed is in no other model"
    assert len(quick["context"]) == 5
    assert quick["verdicts"] == []
    verdicts = by_title["imagefolder:/data/hymenoptera_data, pytorch-tutorial"]["verdicts"]
    assert [each["published"]["value"] for each in verdicts] == list(PUBLISHED)
    assert all(each["published"]["citation"] for each in verdicts)


def test_one_seed_has_no_spread_and_that_is_null(tmp_path: Path) -> None:
    report.write([record()], tmp_path)
    (section,) = document(tmp_path)["sections"]
    accuracy = section["rows"][0]["identical"]["accuracy"]
    assert (accuracy["n"], accuracy["sd"], accuracy["low"]) == (1, None, None)
    assert section["rows"][0]["native"] is None


def test_nothing_but_failures_is_a_json_too(tmp_path: Path) -> None:
    report.write([record(error="out of memory")], tmp_path)
    (section,) = document(tmp_path)["sections"]
    assert section["rows"] == []
    assert section["failed"][0]["error"] == "out of memory"


def _checked(value: Any, schema: dict[str, Any], whole: dict[str, Any]) -> None:
    """Every key of every object is one that the schema documents, and no required one is missing."""
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, dict) and "properties" in schema:
        assert set(value) <= set(schema["properties"])
        assert set(schema.get("required", ())) <= set(value)
        for key, each in value.items():
            _checked(each, schema["properties"][key], whole)
    elif isinstance(value, list) and "items" in schema:
        for each in value:
            _checked(each, schema["items"], whole)


def test_the_json_follows_its_schema(tmp_path: Path) -> None:
    report.write(default_run() + crossed(), tmp_path)
    schema = report.schema()
    assert schema["properties"]["version"]["const"] == 3
    _checked(document(tmp_path), schema, schema)


@given(st.lists(st.sampled_from([0.0, 0.5, 0.85, 0.853, 1.0, np.nan]), min_size=2, max_size=6), st.data())
def test_whatever_the_runs_gave_there_is_a_conclusion(first: list[float], given_data: st.DataObject) -> None:
    second = given_data.draw(st.lists(st.sampled_from([0.0, 0.851, 1.0, np.nan]), min_size=1, max_size=6))
    runs = by_seed(*first) + by_seed(*second, model=KERAS)
    for words in said(runs):
        assert re.match(r"\*\*holds\*\*|not (distinguishable with|tested: )", words)


def test_gone_predictions_leave_what_is_certain(ran: tuple[Ran, Answers]) -> None:
    one, _ = ran
    runs = [one(right(20), seed=seed) for seed in range(2)] + [
        one(right(60, 50), KERAS, seed=seed) for seed in range(2)
    ]

    def gone(_: object) -> np.ndarray:
        raise UsageError("there are no predictions")

    (difference,) = compared(runs, Answers(gone))
    assert difference.changed is not None
    assert difference.changed.at_least
    assert not difference.by_images
    assert all(spread.split is None for spread in finding(runs, Answers(gone)).spreads)
