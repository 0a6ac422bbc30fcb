"""What pairs, what stands on one side alone, and what is said to have fallen."""

from __future__ import annotations

import json

import numpy as np
import pytest
from change_factories import BUSY, MACHINE, MODEL, OWN, QUICK, TRAINED, record, runs, side, speed
from hypothesis import given, settings
from hypothesis import strategies as st

from isotune import data
from isotune.changes import Changes, Side, changes, of_records, of_report
from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.protocols import Images
from isotune.report import Leaderboard, read_leaderboard
from isotune.runs.records import Record, Timings, predictions_digest

STEADY = [0.90, 0.91, 0.92, 0.90]
WORSE = [0.85, 0.86, 0.86, 0.84]


def outcomes(compared: Changes) -> dict[str, str]:
    return {change.subject.model: change.outcome for change in compared.accuracy}


# -- pairs

subjects = st.tuples(
    st.sampled_from([MODEL, "keras:MobileNetV2", "timm:mobilenetv2_100"]),
    st.sampled_from(["identical", "native", "native,resize=plain"]),
    st.sampled_from(["quick", "quick-fine-tune"]),
    st.sampled_from(["digits", "imagefolder:/home/me/photos"]),
    st.integers(0, 2),
)
RECIPES = {"quick": QUICK, "quick-fine-tune": TRAINED}
sets = st.dictionaries(subjects, st.integers(0, 100), min_size=1, max_size=12)


def of(cells: dict[tuple[object, ...], int]) -> list[Record]:
    return [
        record(
            right / 100, seed=seed, model=model, conventions=spec, protocol=RECIPES[recipe], dataset=dataset, images=100
        )
        for (model, spec, recipe, dataset, seed), right in cells.items()
    ]


@settings(max_examples=20)
@given(sets, sets, st.randoms(use_true_random=False))
def test_every_run_is_paired_or_named(before: dict, after: dict, random) -> None:
    first, second = of(before), of(after)
    random.shuffle(first)
    one, two = side(first), side(second)
    if not one.runs.keys() & two.runs.keys():
        with pytest.raises(UsageError, match="nothing is on both sides"):
            changes(one, two)
        return
    compared = changes(one, two)
    assert {change.subject for change in compared.accuracy} == one.runs.keys() & two.runs.keys()
    assert len(compared.only_before) == len(one.runs) - len(compared.accuracy)
    assert len(compared.only_after) == len(two.runs) - len(compared.accuracy)
    common = sum(change.seeds for change in compared.accuracy)
    unpaired = sum(change.unpaired for change in compared.accuracy)
    assert common == len(before.keys() & after.keys())
    on_one_side = sum(only.seeds for only in (*compared.only_before, *compared.only_after))
    assert 2 * common + unpaired + on_one_side == len(before) + len(after)
    mirrored = {change.subject: change for change in changes(two, one).accuracy}
    for change in compared.accuracy:
        assert mirrored[change.subject].gap.mean == pytest.approx(-change.gap.mean, nan_ok=True)
        assert mirrored[change.subject].p == pytest.approx(change.p)


@settings(max_examples=10)
@given(sets)
def test_nothing_changes_between_a_set_of_runs_and_itself(cells: dict) -> None:
    compared = changes(side(of(cells)), side(of(cells)))
    assert set(outcomes(compared).values()) == {"same predictions"}
    assert not compared.fell()
    assert (compared.only_before, compared.only_after, compared.differing) == ((), (), ())


def test_other_images_and_other_recipes_are_not_the_same() -> None:
    shorter = TRAINED.model_copy(update={"images": Images(train=10, test=20)})
    mine = [*runs(STEADY), *runs(STEADY, model="timm:a"), *runs(STEADY, model="timm:b")]
    theirs = [
        *runs(WORSE, dataset_digest="e" * 64),
        *runs(WORSE, model="timm:a", protocol=shorter),
        *runs(STEADY, model="timm:b"),
    ]
    compared = changes(side(mine), side(theirs))
    assert outcomes(compared) == {"timm:b": "same predictions"}
    whys = {only.what.split()[0]: only.why for only in compared.only_after}
    assert whys[MODEL] == "the other side has other images"
    assert whys["timm:a"] == "the other side has another recipe: images.test, images.train"


def test_files_of_ones_own_pair_by_their_names_and_say_that_their_content_differs() -> None:
    own = {"model": "torch:/home/me/port.py:make", "checkpoint": "file:/home/me/a.pth"}
    moved = {"model": "torch:/ci/port.py:make", "checkpoint": "file:/ci/a.pth"}
    before = [replaced(each, "aa") for each in runs(STEADY, **own, network_digest="1" * 64, weights_digest="3" * 64)]
    after = [replaced(each, "bb") for each in runs(WORSE, **moved, network_digest="2" * 64, weights_digest="4" * 64)]
    compared = changes(side(before), side(after))
    assert outcomes(compared) == {"torch:port.py:make": "fell"}
    assert [str(each) for each in compared.differing] == [
        "network 111111111111 -> 222222222222 (torch:port.py:make)",
        f"weights file:a.pth {'aa' * 6} -> {'bb' * 6} (torch:port.py:make)",
    ]
    assert "/home/me" not in compared.markdown()


def replaced(each: Record, digits: str) -> Record:
    return each.model_copy(update={"checkpoint_digest": digits * 32})


def test_two_files_of_one_name_are_told_apart() -> None:
    two = [
        *runs(STEADY, model="torch:a/port.py:make", network_digest="1" * 64),
        *runs(WORSE, model="torch:b/port.py:make", network_digest="2" * 64),
    ]
    compared = changes(side(two), side(two))
    assert set(outcomes(compared)) == {"torch:port.py:make 11111111", "torch:port.py:make 22222222"}
    assert all(change.seeds == 4 for change in compared.accuracy)


def test_a_set_up_that_repeats_another_on_both_sides_is_counted_and_not_judged() -> None:
    both = [*runs(STEADY), *runs(STEADY, conventions="native", same_as="identical")]
    compared = changes(side(both), side(both))
    assert [change.subject.conventions for change in compared.accuracy] == ["identical"]
    assert compared.repeated == 1


def test_a_native_of_before_forms_were_axes_pairs_with_todays_and_the_head_says_what_differs() -> None:
    spelled = "native,schedule_per=protocol,warmup_place=protocol,warmup_start=protocol"
    own = Conventions(average_start="first", schedule_per="epoch", warmup_place="inside", warmup_start="third")

    def of(spec: str, axes: Conventions) -> list[Record]:
        return [each.model_copy(update={"conventions": axes}) for each in runs(STEADY, conventions=spec)]

    before, after = of(spelled, Conventions()), of("native", own)
    compared = changes(side(before), side(after))
    assert [change.subject.conventions for change in compared.accuracy] == ["native"]
    found = {each.what: (each.before, each.after) for each in compared.differing if each.kind == "convention"}
    assert found == {
        "native schedule_per": ("step", "epoch"), "native warmup_place": ("before", "inside"),
        "native warmup_start": ("one-step", "third"),
    }, "of the average there is nothing: the protocol has none"  # fmt: skip
    both = side([*before, *after])
    assert {subject.conventions for subject in both.runs} == {"native", spelled}, "which are two set-ups"


# -- accuracies


def test_a_training_falls_by_its_seeds() -> None:
    compared = changes(side(runs(STEADY)), side(runs(WORSE)))
    (change,) = compared.accuracy
    assert (change.outcome, change.decided_by, change.seeds) == ("fell", "seeds", 4)
    assert change.gap.mean == pytest.approx(-5.5)
    (line,) = compared.fell("accuracy")
    assert line.startswith(f"{MODEL} offline digits, quick-fine-tune identical: 90.8")
    assert outcomes(changes(side(runs(WORSE)), side(runs(STEADY)))) == {MODEL: "rose"}


def test_one_seed_of_a_training_concludes_nothing() -> None:
    (change,) = changes(side(runs([0.9])), side(runs([0.4]))).accuracy
    assert (change.outcome, change.p) == ("not tested", None)
    assert change.reason == (
        "1 common seed: at least two are needed; run the same seeds, two or more, on both sides (isotune run --seeds 5)"
    )
    (apart,) = changes(side(runs([0.9, 0.8])), side([record(0.4, seed=7)])).accuracy
    assert apart.reason.startswith("0 common seeds: ")
    assert apart.reason.endswith("on both sides (isotune run --seeds 5)")


def test_the_same_probe_at_every_seed_is_one_observation() -> None:
    """Eight seeds that all gave the same predictions would be p = 2/2^8 by their signs."""
    answers = np.zeros(1000, int)
    before = [record(0.90, seed=seed, predictions=answers) for seed in range(8)]
    after = [record(0.89, seed=seed, predictions=answers + 1) for seed in range(8)]
    (change,) = changes(side(before), side(after)).accuracy
    assert (change.decided_by, change.outcome) == ("images", "not tested")


def test_a_cell_that_fails_now_has_fallen() -> None:
    compared = changes(side(runs(STEADY)), side(runs([*STEADY[:3], None])))
    assert outcomes(compared) == {MODEL: "fails"}
    assert compared.fell() == [f"{MODEL} offline digits, quick-fine-tune identical: seed 3 fails now: out of memory"]
    back = changes(side(runs([*STEADY[:3], None])), side(runs(STEADY)))
    assert outcomes(back) == {MODEL: "not tested"}


def test_what_holds_alone_need_not_hold_among_many() -> None:
    before, after = runs(STEADY), runs([0.88, 0.895, 0.895, 0.89])
    assert outcomes(changes(side(before), side(after))) == {MODEL: "fell"}
    many = [each for number in range(30) for each in runs(STEADY, model=f"timm:m{number}")]
    assert outcomes(changes(side(before + many), side(after + many)))[MODEL] == "not distinguishable"


@pytest.fixture
def digits(house) -> data.Dataset:
    return data.prepare("digits")


def evaluated(dataset: data.Dataset, wrong: int, first: int = 0) -> tuple[Record, np.ndarray]:
    """An evaluation that gets so many images wrong, beginning with the first of them."""
    answers = np.array(dataset.test.labels, np.int64)
    answers[first : first + wrong] = (answers[first : first + wrong] + 1) % 10
    accuracy = 1 - wrong / len(answers)
    made = record(accuracy, images=len(answers), protocol=OWN, predictions=answers, dataset_digest=dataset.digest)
    return made, answers


def test_an_evaluation_falls_by_its_images(digits: data.Dataset) -> None:
    one, right = evaluated(digits, 20)
    two, wrong = evaluated(digits, 30, first=10)
    both = {predictions_digest(right): right, predictions_digest(wrong): wrong}

    def kept(of: Record) -> np.ndarray:
        return both[str(of.predictions_digest)]

    compared = changes(side([one], predictions=kept), side([two], predictions=kept))
    (change,) = compared.accuracy
    (test,) = change.by_images.values()
    assert (test.only_first, test.only_second) == (20, 10)
    assert (change.decided_by, change.outcome) == ("images", "not distinguishable")
    assert change.p == pytest.approx(test.p)
    assert change.changed is not None
    assert change.changed.share == pytest.approx(100 * 30 / len(right))
    many, worse = evaluated(digits, 60, first=10)
    both[predictions_digest(worse)] = worse
    (change,) = changes(side([one], predictions=kept), side([many], predictions=kept)).accuracy
    assert change.outcome == "fell"
    without = changes(side([one], predictions=kept), side([many]))
    assert outcomes(without) == {MODEL: "not tested"}


def test_the_family_wise_error_holds() -> None:
    """Of 80 comparisons of six models whose accuracies come from one law, 5 % may find a change anywhere; without the
    correction 26 % would."""
    random = np.random.default_rng(16)
    alarms = 0
    for _ in range(80):
        hard = random.normal(0.85, 0.01, (6, 1))  # what is one on both sides
        drawn = random.binomial(200, np.clip(hard + random.normal(0, 0.01, (6, 4)), 0, 1), (2, 6, 4)) / 200
        sides = [side([each for name, row in zip("abcdef", one, strict=True) for each in seeds_of(name, row)])
                 for one in drawn]  # fmt: skip
        alarms += any(change.outcome in ("fell", "rose") for change in changes(*sides).accuracy)
    assert alarms / 80 < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 80)


def seeds_of(name: str, accuracies: np.ndarray) -> list[Record]:
    return runs(accuracies.tolist(), images=200, model=f"timm:{name}")


# -- speeds


def speeds(before: Side, after: Side, **rest: float) -> list[tuple[str, str]]:
    return [(change.outcome, change.reason) for change in changes(before, after, **rest).speeds]


def test_a_speed_falls_beyond_the_margin_that_its_noise_allows() -> None:
    fast = side(speeds=[speed(200)])
    assert speeds(fast, side(speeds=[speed(150)])) == [("fell", "")]
    assert speeds(side(speeds=[speed(150)]), fast) == [("rose", "")]
    assert speeds(fast, side(speeds=[speed(190)])) == [("no change", "")]  # within 10 %
    assert speeds(fast, side(speeds=[speed(190)]), margin=0.0) == [("fell", "")]
    assert speeds(fast, side(speeds=[speed(150, noise=0.4)])) == [("no change", "")]  # its noise allows anything
    few = [side(speeds=[speed(rate, rounds=3)]) for rate in (200, 150)]
    assert speeds(*few) == [("no change", "")]  # three rounds say too little
    assert speeds(fast, side(speeds=[speed(150)]), margin=40.0) == [("no change", "")]


def test_a_latency_falls_when_it_grows() -> None:
    latency = {"question": "inference-latency", "batch_size": 1}
    quick, slow = (side(speeds=[speed(32 * rate, **latency)]) for rate in (10, 5))
    assert speeds(quick, slow) == [("fell", "")]
    (change,) = changes(quick, slow).speeds
    assert change.before.median == pytest.approx(100, rel=0.05)  # ms
    assert change.percent == pytest.approx(-50, abs=3)


def test_disturbed_speeds_and_other_machines_are_shown_and_not_judged() -> None:
    fast, slow = speed(200), speed(100, busy=[True] * 9)
    ((outcome, reason),) = speeds(side(speeds=[fast]), side(speeds=[slow]))
    assert (outcome, reason) == ("not judged", f"disturbed after: {BUSY.cause}")
    compared = changes(side(speeds=[fast]), side(speeds=[slow]))
    assert " *" in compared.markdown().replace("\\", "")
    partly = speed(100, busy=[True, False] * 4, rounds=9)
    assert speeds(side(speeds=[fast]), side(speeds=[partly])) == [("fell", "")]  # by the rounds that were quiet
    other = speed(100, environment=MACHINE | {"cpu": "Another CPU"})
    assert speeds(side(speeds=[fast]), side(speeds=[other])) == [("not judged", "another machine")]
    (machine,) = changes(side(speeds=[fast]), side(speeds=[other])).differing
    assert (machine.kind, str(machine)) == ("machine", "cpu Example CPU -> Another CPU")


def test_seeds_that_share_one_extraction_of_features_are_one_timing() -> None:
    def probed(seconds: float) -> Side:
        shared = Timings(total=9, features=seconds, features_images=3000)
        return side([record(0.9, seed=seed, protocol=QUICK, timings=shared) for seed in range(8)])

    assert speeds(probed(10), probed(20)) == [("not judged", "one timing")]


def test_trainings_of_several_seeds_are_several_timings() -> None:
    def trained(rate: float) -> Side:
        times = [Timings(total=9, training=3000 / (rate + seed), training_images=3000) for seed in range(8)]
        return side([record(0.9, seed=seed, timings=each) for seed, each in enumerate(times)])

    assert speeds(trained(200), trained(150)) == [("fell", "")]


def test_many_speeds_raise_no_false_alarm() -> None:
    """Of 60 comparisons of six speeds of one law; without the correction 26 % would."""
    random = np.random.default_rng(3)
    alarms = 0
    for _ in range(60):
        sides = [
            side(speeds=[speed(model=f"timm:{name}", seconds=list(random.normal(1, 0.03, 6))) for name in "abcdef"])
            for _ in (0, 1)
        ]
        alarms += any(outcome != "no change" for outcome, _ in speeds(*sides, margin=0.0))
    assert alarms / 60 < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 60)


# -- what it says


def test_versions_machine_code_and_flags_are_listed_first() -> None:
    new = MACHINE | {"torch": "2.9.0", "OMP_NUM_THREADS": "2", "isotune code": "b" * 64}
    old = MACHINE | {"isotune code": "a" * 64}
    compared = changes(side(runs(STEADY, environment=old)), side(runs(STEADY, environment=new)))
    assert [(each.kind, str(each)) for each in compared.differing] == [
        ("version", "torch 2.8.0 -> 2.9.0"),
        ("code", f"isotune code {'a' * 12} -> {'b' * 12}"),
        ("setting", "OMP_NUM_THREADS - -> 2"),
    ]


def test_a_setting_of_some_adapters_names_them() -> None:
    keras = {"model": "keras:MobileNetV2"}
    before = [*runs(STEADY), *runs(STEADY, **keras)]
    after = [*runs(STEADY, environment=MACHINE | {"numpy": "2.5.0"}), *runs(STEADY, **keras)]
    assert [str(each) for each in changes(side(before), side(after)).differing] == [
        "numpy 2.4.0 -> 2.5.0 (torchvision)"
    ]


def test_the_json_is_json_and_the_frames_have_its_rows() -> None:
    before = side([*runs(STEADY), *runs([0.9, None], model="timm:a")], [speed(200), speed(100, model="timm:a")])
    after = side([*runs(WORSE), *runs([None, None], model="timm:a")], [speed(150)])
    compared = changes(before, after)
    said = json.loads(json.dumps(compared.json, allow_nan=False))
    assert [row["outcome"] for row in said["accuracy"]] == ["fails", "fell"]
    assert said["fell"]["speed"] == compared.fell("speed") != []
    assert list(compared.frame().outcome) == ["fails", "fell"]
    assert list(compared.speed_frame().outcome) == ["fell"]
    assert [only["what"] for only in said["only_before"]] == ["training step timm:a batch 32, 96 px identical float32"]
    with pytest.raises(UsageError, match="did you mean 'speed'"):
        compared.fell("sped")


def test_a_comment_is_short_and_folds_the_rest() -> None:
    many = [each for number in range(20) for each in runs(STEADY, model=f"timm:m{number}")]
    compared = changes(side([*runs(STEADY), *many]), side([*runs(WORSE), *many]))
    text = compared.markdown()
    head, _, rest = text.partition("<details>")
    assert len(head.strip().splitlines()) == 5  # the headline, and a table of what fell
    assert "1 of 21 accuracies fell" in head
    assert "timm:m19" in rest
    assert text.endswith("</details>\n")
    assert str(compared) == "1 of 21 accuracies fell"


def test_names_of_others_stay_text() -> None:
    hostile = "timm:</details><b>|x\x1b[2J`"
    compared = changes(side(runs(STEADY, model=hostile)), side(runs(WORSE, model=hostile)))
    text = compared.markdown()
    assert "<b>" not in text
    assert "\x1b" not in text
    assert text.count("\n|") == 6  # two tables of three lines


def test_a_report_of_evaluations_holds_the_cells_that_its_records_are() -> None:
    """Each model has an input of its own, and steps stand apart from the rows."""
    wide = OWN.model_copy(update={"input": OWN.input.model_copy(update={"resize": 300})})
    own = OWN.own_classifier.model_copy(update={"step": "squash"})
    squashed = OWN.model_copy(
        update={"own_classifier": own, "input": OWN.input.model_copy(update={"resize": "squash"})}
    )
    narrow = OWN.model_copy(update={"input": OWN.input.model_copy(update={"resize": 256})})
    records = [
        record(0.9, protocol=narrow),
        record(0.8, protocol=narrow, conventions="native"),
        record(0.85, protocol=narrow, conventions="identical,stride2_padding=same"),
        record(0.9, protocol=narrow, conventions="identical,input_scaling=mean-std", same_as="identical"),
        record(0.7, protocol=squashed),
        record(0.95, protocol=wide, model="timm:resnet18"),
    ]
    _holds_the_cells(records)


def test_a_report_of_a_librarys_defaults_holds_the_cells_that_its_records_are() -> None:
    """They stand apart from the rows too."""
    plain, same = Conventions(), Conventions(stride2_padding="same")
    records = [
        record(accuracy, seed=seed, conventions=spec).model_copy(update={"conventions": axes})
        for seed in (0, 1)
        for spec, accuracy, axes in (
            ("identical", 0.9, plain), ("native", 0.8, same), ("identical,stride2_padding=same", 0.85, same)
        )
    ]  # fmt: skip
    failed = record(None, seed=2, conventions="identical,stride2_padding=same")
    assert Leaderboard(records).json()["sections"][0]["defaults"]
    _holds_the_cells([*records, failed])


def _holds_the_cells(records: list[Record]) -> None:
    first, second = of_records("a", records), of_report("b", read_leaderboard(Leaderboard(records).json(), "b"))
    assert set(first.runs) == set(second.runs)
    for subject, by_seed in first.runs.items():
        for streams, run in by_seed.items():
            told = second.runs[subject][streams]
            assert (told.predictions, told.repeats) == (run.predictions, run.repeats)
            assert told.accuracy == pytest.approx(run.accuracy, abs=0, nan_ok=True)
