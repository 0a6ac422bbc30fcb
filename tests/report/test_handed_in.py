"""Numbers that are handed in: which comparison each is, what a report says of it, and pairs image by image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_factories import FINE_TUNE, default_run, predictions, record

from isotune import protocols
from isotune.errors import UsageError
from isotune.protocols import Grid, Images, OwnClassifier, Report, Selection, expected
from isotune.report import HandedIn, Judged, Leaderboard, judged, line
from isotune.report.analysis import answers
from isotune.runs.records import Record
from isotune.runs.selection.selected import Selected
from isotune.statistics import Draw

URL = "https://example.org/t2"
OWN = protocols.load("own-classifier").model_copy(update={"own_classifier": OwnClassifier(input="protocol")})


def one(records: list[Record], said: str, **rest: Any) -> Judged:
    number = HandedIn(expected(f"{said},source={URL}"), frozenset(each.cell.key for each in records))
    (only,) = judged(records, [number], **rest)
    return only


def evaluation(accuracy: float, images: int = 1000, test: int | None = None) -> list[Record]:
    recipe = OWN.model_copy(update={"images": Images(test=test)})
    return [record("timm:resnet18", accuracy, protocol=recipe, images=images, checkpoint="a1_in1k")]


def trained(*accuracies: float, images: int = 1000) -> list[Record]:
    return [record(accuracy=each, seed=seed, images=images, protocol=FINE_TUNE) for seed, each in enumerate(accuracies)]


@pytest.mark.parametrize(
    ("said", "test", "draw"),
    [
        ("accuracy=85.0", None, None),
        ("accuracy=85.0,images=1000", None, None),
        ("accuracy=85.0,images=10000", None, Draw(1000, 10_000)),  # who knows whether ours are among them
        ("accuracy=85.0,images=500", None, Draw(1000, 500)),
        ("accuracy=85.0,images=1000,test=other", None, Draw(1000, 1000)),
        ("accuracy=85.0,images=10000,test=subset", None, Draw(1000)),
        ("accuracy=85.0", 1000, Draw(1000)),  # the protocol draws them from those of the number
        ("accuracy=85.0,images=10000", 1000, Draw(1000)),
        ("accuracy=85.0,images=1000", 1000, Draw(1000, 1000)),
        ("accuracy=85.0,images=1000,test=same", 1000, None),
        ("accuracy=85.0", 5000, None),  # there are fewer than the protocol would take
    ],
)
def test_which_images_are_compared(said: str, test: int | None, draw: Draw | None) -> None:
    assert one(evaluation(0.85, test=test), said).verdict.draw == draw


def test_the_same_images_are_exact_and_say_so() -> None:
    near = one(evaluation(0.851), "accuracy=85.0")
    assert line(near) == (
        f"claimed 85.0 % ({URL}), measured 85.1 % on the same 1,000 test images: reproduced, ours minus claimed +0.10"
        " points, within the margin of 0.15"
    )
    far = one(evaluation(0.853), "accuracy=85.0")
    assert line(far).endswith("different, ours minus claimed +0.30 points, beyond the margin of 0.15")
    assert one(evaluation(0.853), "accuracy=85.0,margin=0.5").verdict.outcome == "reproduced"


def test_what_is_not_decided_says_what_would_decide_it() -> None:
    drawn = line(one(evaluation(0.852), "accuracy=85.0,images=50000"))
    assert "on 1,000 test images, theirs are 50,000 others: inconclusive" in drawn
    assert "90 % interval" in drawn
    assert "it cannot be decided on these data" in drawn
    seeds = line(one(trained(0.84, 0.86), "accuracy=85.5"))
    assert "measured 85.0 % (mean of 2 seeds, sd 1.4)" in seeds
    assert "more seeds for 90 % power" in seeds
    alone = line(one(trained(0.85), "accuracy=85.0"))
    assert "inconclusive, 1 run: at least two are needed" in alone


def test_more_images_than_there_are_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "accuracy=85.0,images=50000"
    assert line(one(evaluation(0.852), said)).endswith("and there are 1,000"), "the protocol takes all that there are"
    drawn = evaluation(0.852, test=1000)
    there = {}
    monkeypatch.setattr(answers.Answers, "test_images", lambda *_: there.get("images"))
    needed = one(drawn, said).verdict.images_needed
    assert needed is not None
    asked = f"about {needed:,} test images"
    assert line(one(drawn, said)).endswith(f"{asked} in all for 90 % power"), "nobody knows how many there are"
    there["images"] = needed
    assert line(one(drawn, said)).endswith(f"{asked} in all for 90 % power")
    there["images"] = needed - 1
    assert line(one(drawn, said)).endswith(
        f"it cannot be decided on these data: 90 % power takes {asked}, and there are {needed - 1:,}"
    )
    whole = one(drawn, "accuracy=85.0")
    assert whole.verdict.images_needed is not None
    there["images"] = whole.verdict.images_needed - 1
    told = line(one(drawn, "accuracy=85.0"))
    assert told.endswith(f"all {there['images']:,} test images for 90 % power"), "which the number was measured on"


def test_the_spread_of_both_counts_in_a_training() -> None:
    runs = trained(0.85, 0.852, 0.849, 0.851, 0.848)
    exact, uncertain = one(runs, "accuracy=85.0"), one(runs, "accuracy=85.0,seeds=3,spread=0.9")
    assert (exact.verdict.outcome, uncertain.verdict.outcome) == ("reproduced", "inconclusive")
    assert "[sd 0.9, 3 seeds]" in line(uncertain)


def test_a_bound_is_a_claim_of_its_own_kind() -> None:
    assert "claimed at least 80 %" in line(one(evaluation(0.87), "accuracy=80,at-least"))
    outcomes = [one(evaluation(share), "accuracy=80,at-least").verdict.outcome for share in (0.8, 0.95, 0.799)]
    assert outcomes == ["reproduced", "reproduced", "different"]
    assert one(evaluation(0.81, test=1000), "accuracy=80,at-least").verdict.outcome == "inconclusive"


def test_the_other_metric_is_held_against_itself() -> None:
    (run,) = evaluation(0.85)
    assert run.metrics is not None
    with_top5 = run.model_copy(update={"metrics": run.metrics.model_copy(update={"top5": 0.97})})
    assert "claimed top-5 97.0 %" in line(one([with_top5], "top5=97.0"))
    assert one([with_top5], "top5=97.0").verdict.outcome == "reproduced"
    lacking = one([run], "top5=97.0").verdict
    assert (lacking.outcome, lacking.reason) == ("inconclusive", "top-5 was not measured")


HELD = Selection(held_out=0.1, every="epoch", reports="best")


def selecting(*shares: dict[str, float], rule: Selection = HELD) -> list[Record]:
    """A seed each: accuracies by what they are of."""
    records = trained(*(share[rule.reports] for share in shares))
    recipe = FINE_TUNE.model_copy(update={"selection": rule})
    chosen = [
        Selected(reports=rule.reports, accuracy=share, mean_per_class=share, best_step=40, held_out_images=200)
        for share in shares
    ]
    return [
        each.model_copy(
            update={
                "cell": each.cell.model_copy(update={"protocol": recipe}),
                "metrics": each.metrics.model_copy(update={"selected": one}),
                "timings": each.timings.model_copy(update={"choosing": 3.0, "trainings": 1}),
            }
        )
        for each, one in zip(records, chosen, strict=True)
    ]


def test_a_best_step_is_not_compared_with_a_last_one() -> None:
    alone = one(trained(0.85, 0.851, 0.849), "accuracy=85.0,at=best")
    assert alone.verdict.outcome == "inconclusive"
    assert alone.verdict.effect is None
    assert line(alone) == (
        f"claimed 85.0 % at the step that is best on held-out images ({URL}), nothing measured: inconclusive, accuracy"
        " at the step that is best on held-out images was not measured; what counts in these runs is that after the"
        " last step"
    )
    untested = one(selecting({"best": 0.85, "last": 0.84}), "accuracy=85.0,at=best-on-test")
    assert "at the step that is best on the test images was not measured" in line(untested)


def test_each_is_compared_with_what_was_measured_under_its_name() -> None:
    runs = selecting(*({"best": 0.85 + d, "last": 0.80 + d} for d in (0.001, 0.0, -0.001)))
    for said, at in (("accuracy=85.0,at=best", "best on held-out images"), ("accuracy=80.0", "after the last step")):
        judged_one = one(runs, said)
        assert judged_one.verdict.outcome == "reproduced"
        assert f" % {at}" in line(judged_one) or f" % at the step that is {at}" in line(judged_one)
    assert one(runs, "accuracy=85.0").verdict.outcome == "different", "it is held against the last step"
    assert one(runs, "mean_per_class=85.0,at=best").verdict.outcome == "reproduced"


EPOCHS = {"held_out": 0.1, "every": "epoch"}
RULES = {
    "nothing": None,
    "the last": Selection(held_out=0.1),
    "the last, with others": Selection(**EPOCHS, last=3),
    "the best": Selection(**EPOCHS, reports="best"),
    "the best, with a mean": Selection(**EPOCHS, reports="best", last=2),
    "a mean": Selection(every=5, last=3, reports="mean-of-last"),
    "the best on the test images": Selection(every=5, reports="best-on-test"),
    "a grid": Selection(**EPOCHS, grid=Grid(steps=(5, 9))),
    "a grid, not refitted": Selection(**EPOCHS, grid=Grid(steps=(5, 9), refit=False), reports="best"),
}
NAMES: tuple[tuple[Report, int | None], ...] = (
    ("last", None), ("best", None), ("mean-of-last", 2), ("mean-of-last", 3), ("best-on-test", None),
)  # fmt: skip


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("metric", ["accuracy", "mean_per_class", "top5"])
@pytest.mark.parametrize(("at", "last"), NAMES)
def test_a_verdict_is_of_what_was_measured_under_that_very_name(rule, metric, at, last) -> None:
    """Of every published name against every measured one: no verdict but where both are one, and then of its number."""
    shares = {"last": 0.8, "best": 0.84, "mean-of-last": 0.79, "best-on-test": 0.86}
    recipe = FINE_TUNE.model_copy(update={"selection": rule})
    runs = []
    for each in trained(0.80, 0.80, 0.80):
        selected = None
        if rule is not None:
            accuracy = {name: shares[name] for name in rule.measured}
            selected = Selected(
                reports=rule.reports, accuracy=accuracy, best_step=40,
                mean_per_class={name: share - 0.1 for name, share in accuracy.items()},
            )  # fmt: skip
        cell = each.cell.model_copy(update={"protocol": recipe})
        metrics = each.metrics.model_copy(update={"selected": selected, "mean_per_class": 0.7})
        runs.append(each.model_copy(update={"cell": cell, "metrics": metrics}))
    theirs = 100 * (shares[at] - 0.1 * (metric == "mean_per_class"))
    said = f"{metric}={theirs:.1f},at={at}" + (f",last={last}" if last else "")
    verdict = one(runs, said).verdict
    measured = metric != "top5" and at in recipe.measured and (last is None or rule.last == last)
    assert (verdict.outcome in ("reproduced", "different")) == measured
    if measured:
        assert verdict.effect == pytest.approx(0)
    else:
        assert verdict.effect is None
        assert "was not measured" in line(one(runs, said))
    if not last and at == "last":
        unsaid = one(runs, f"{metric}={theirs:.1f}").verdict
        assert (unsaid.outcome, unsaid.effect) == (verdict.outcome, verdict.effect), "the last, where nothing is said"


def test_the_leaderboard_has_every_accuracy_by_its_name() -> None:
    runs = selecting({"best": 0.85, "last": 0.8}, {"best": 0.87, "last": 0.82})
    (section,) = Leaderboard(runs).json()["sections"]
    setup = section["rows"][0]["identical"]
    assert {name: each["mean"] for name, each in setup["accuracies"].items()} == pytest.approx({"best": 86, "last": 81})
    assert setup["accuracies"]["best"] == setup["accuracy"]
    assert setup["mean_per_class"]["last"]["n"] == 2
    first = setup["runs"][0]
    assert first["accuracies"] == pytest.approx({"best": 85, "last": 80})
    assert first["mean_per_class"] == pytest.approx({"best": 85, "last": 80})
    assert (first["best_step"], first["trainings"], first["choosing"]) == (40, 1, 3.0)
    (section,) = Leaderboard(trained(0.8, 0.81)).json()["sections"]
    assert section["rows"][0]["identical"]["runs"][1]["accuracies"] == {"last": 81.0}


def test_the_report_says_what_three_crops_bring_and_take() -> None:
    runs = [
        each.model_copy(
            update={
                "metrics": each.metrics.model_copy(update={"centre_accuracy": each.metrics.accuracy - 0.01}),
                "timings": each.timings.model_copy(update={"crops": (2.5, 2.0, 1.5)}),
            }
        )
        for each in trained(0.8, 0.82)
    ]
    lines = Leaderboard(runs).markdown().splitlines()
    head = next(number for number, text in enumerate(lines) if "centre crop %" in text)
    cells = [each.strip() for each in lines[head + 2].split("|")]
    assert cells[3:8] == ["81.0 ± 12.7", "80.0 ± 12.7", "1.0 ± 0.0", "6.00", "2.00"]
    assert "centre crop %" not in Leaderboard(trained(0.8, 0.82)).markdown()
    (section,) = Leaderboard(runs).json()["sections"]
    assert section["rows"][0]["identical"]["runs"][0]["centre_accuracy"] == pytest.approx(79)


def test_the_report_names_every_accuracy_and_what_choosing_cost() -> None:
    page = Leaderboard(selecting({"best": 0.85, "last": 0.8}, {"best": 0.87, "last": 0.82})).markdown()
    assert "What counts is the accuracy at the step that is best on held-out images." in page
    assert "200 training images are held out" in page
    rows = [each for each in page.splitlines() if "last step %" in each]
    assert len(rows) == 1
    assert "best step, held out %" in rows[0]
    assert "mean of the last" not in rows[0], "it was not measured"
    on_test = Selection(every="epoch", reports="best-on-test")
    page = Leaderboard(selecting({"best-on-test": 0.85, "last": 0.8}, rule=on_test)).markdown()
    assert "so it is an upper bound, and no test" in page


def test_a_leaderboard_shows_what_was_handed_in(tmp_path: Path) -> None:
    records = default_run()
    chosen = [each for each in records if each.cell.model.startswith("keras") and each.cell.conventions == "native"]
    number = HandedIn(expected(f"accuracy=85.0,source={URL}"), frozenset(each.cell.key for each in chosen))
    board = Leaderboard(records, handed_in=[number])
    page, content = board.markdown(), board.json()["sections"][0]
    assert "claimed 85.0 %" in page
    assert "handed in: " in page
    (told,) = content["verdicts"]
    assert (told["outcome"], told["setup"], told["handed_in"]["source"]) == ("different", "native", URL)
    assert "No verdict" in Leaderboard(records).markdown()
    assert "claimed" not in Leaderboard(records).markdown()


@pytest.fixture
def labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every image is of class 0, as `predictions` has it."""
    monkeypatch.setattr(answers.Answers, "labels", lambda *_: np.zeros(1000, np.int64))


@pytest.mark.usefixtures("labelled")
@pytest.mark.parametrize("kind", ["classes", "right"])
def test_a_result_image_by_image_is_compared_in_pairs(tmp_path: Path, kind: str) -> None:
    theirs = np.roll(predictions(150), 10)  # ten wrong where ours are right, and ten the other way round
    np.save(tmp_path / "theirs.npy", theirs if kind == "classes" else theirs == 0)
    said = f"accuracy=85.0,predictions={tmp_path / 'theirs.npy'}"
    compared = one(evaluation(0.85, test=1000), said, predictions=lambda _: predictions(150))
    assert compared.paired is not None
    assert compared.verdict.draw is None  # a result of these very images
    assert (compared.paired.tested.only_first, compared.paired.tested.only_second) == (10, 10)
    assert "10 images only theirs has right, 10 only ours (McNemar p = 1" in line(compared)


@pytest.mark.usefixtures("labelled")
def test_a_result_of_another_accuracy_or_of_other_images_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "theirs.npy"
    for content, right in ((predictions(200), "80.00 % of them are right, and 85.0 % is claimed"),
                           (predictions(150, 999), "right are 1000 classes"),
                           (np.zeros(1000), "holds float64")):  # fmt: skip
        np.save(file, content)
        with pytest.raises(UsageError, match=right):
            one(evaluation(0.85), f"accuracy=85.0,predictions={file}", predictions=lambda _: predictions(150))
