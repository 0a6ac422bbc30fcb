"""Variance by source: which streams a protocol draws from, runs that go on where they stopped, and what they say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isotune import data, protocols, variance
from isotune.errors import UsageError
from isotune.executors import Local
from isotune.runs.driver import Driver
from isotune.runs.records import Cell, Metrics, Record, predictions_digest
from isotune.runs.store import Store
from isotune.seeds import FORMER, STREAMS, Seeds
from isotune.statistics import Run, variance_by_source
from isotune.variance._design import LEVELS, Design, Study, seeded
from isotune.variance._figures import figure, lines
from isotune.variance._sentences import sentence
from isotune.variance._study import store
from isotune.workers import process as execution
from isotune.workers.process import Workers

TOML = """
name = "tiny"
title = "Tiny"
source = "this test"
images = { train = 64, test = 50 }
input = { size = 16 }

[[stage]]
epochs = 1
batch_size = 16
optimizer = { name = "sgd", momentum = 0.9 }
schedule = { learning_rate = 0.05 }
"""
TINY = protocols.parse(TOML, "tiny.toml")
FLIPS = TINY.model_copy(update={"augmentation": protocols.Augmentation(horizontal_flip=0.5)})
EVERY = protocols.parse(
    TOML.replace("batch_size = 16", "batch_size = 16\nhead_dropout = 0.2\nstochastic_depth = { rate = 0.1 }")
    + """
[augmentation]
horizontal_flip = 0.5
policy = [{ name = "rand-augment" }]
random_erasing = { probability = 0.5 }
mixing = { mixup = 0.4 }
""",
    "every.toml",
)
PROBE = protocols.load("quick")
IMAGES = 1000


# -- design


@pytest.mark.parametrize(
    ("recipe", "spec", "drawn"),
    [
        (TINY, "identical", ["head", "order"]),
        (TINY, "native", ["head", "order"]),
        (TINY, "identical,head_initialisation=zeros", ["order"]),
        (FLIPS, "identical", ["head", "order", "augmentation"]),
        (PROBE, "identical", ["order"]),
        (EVERY, "identical", list(STREAMS)),
        (protocols.load("quick-fine-tune"), "identical", ["head", "order"]),
        (protocols.load("pytorch-tutorial"), "identical", ["head", "order", "augmentation"]),
    ],
)
def test_only_streams_that_decide_something_are_crossed(recipe, spec, drawn):
    design = variance.design(recipe, spec, None, 2)
    assert list(design.drawn) == drawn
    assert {*design.drawn, *design.idle} == set(STREAMS)
    assert all(design.idle.values())
    assert design.levels == LEVELS.get(len(drawn), 2)
    assert design.runs == design.levels ** len(drawn) + 2


@pytest.mark.parametrize(
    ("recipe", "levels", "repeats", "said"),
    [
        (protocols.load("own-classifier"), 2, 1, "nothing is trained"),
        (protocols.load("own-classifier"), 2, 1, "quick-fine-tune"),
        (PROBE.model_copy(update={"probe": protocols.Probe(l2=(1e-2,))}), 2, 1, "one L2 strength"),
        (TINY, 1, 1, "at least 2 levels"),
        (TINY, 2, -1, "0 repeats"),
        (EVERY, 4, 0, "65,536 runs a model are too many"),
    ],
)
def test_a_study_that_could_say_nothing_is_refused(recipe, levels, repeats, said):
    with pytest.raises(UsageError, match=said):
        variance.design(recipe, "identical", levels, repeats)


def test_streams_that_are_not_asked_for_go_with_their_former_one_or_stay():
    design = variance.design(EVERY, "identical", None, 0, ["mixing", "order"])
    assert design.drawn == {
        "order": "the order of the images with the dropout masks and the branches that are left out",
        "mixing": "the mixtures by mixup",
    }
    still = "seed 0 in every run"
    assert design.held == {
        "head": still, "augmentation": still, "policy": still, "erasing": still,
        "dropout": "drawn with order", "depth": "drawn with order",
    }  # fmt: skip
    assert [(seeds.order, seeds.of("dropout"), seeds.of("mixing")) for seeds in design.seeds[:5]] == [
        (0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3), (1, 1, 0),
    ]  # fmt: skip


def test_the_order_stream_draws_what_is_held_out_too_and_says_so():
    chosen = TINY.model_copy(update={"selection": protocols.Selection(held_out=0.2)})
    drawn = variance.design(chosen, "identical", None, 0).drawn
    assert drawn["order"] == "the order of the images and which of them are held out"
    assert variance.design(TINY, "identical", None, 0).drawn["order"] == "the order of the images"


@pytest.mark.parametrize(
    ("streams", "said"),
    [
        (["mixin"], "did you mean 'mixing'"),
        (["policy"], "draws nothing from policy; it draws from head, order"),
        ([], "at least one of head"),
    ],
)
def test_a_stream_that_is_not_drawn_is_refused(streams, said):
    with pytest.raises(UsageError, match=said):
        variance.design(TINY, "identical", None, 0, streams)


@settings(max_examples=25)
@given(st.sets(st.sampled_from(STREAMS), min_size=1, max_size=4), st.integers(2, 4), st.integers(0, 3))
def test_every_seed_of_a_stream_runs_with_every_one_of_the_others(drawn, levels, repeats):
    drawn = [stream for stream in STREAMS if stream in drawn]
    design = Design(dict.fromkeys(drawn, ""), dict.fromkeys(set(STREAMS) - set(drawn), ""), levels, repeats)
    seeds = design.seeds
    assert len({each.streams for each in seeds}) == len(seeds) == levels ** len(drawn)
    assert seeds[0] == Seeds.all(0)
    for stream in STREAMS:
        varies = stream in drawn or FORMER.get(stream) in drawn  # what has no seeds of its own goes along
        assert {each.of(stream) for each in seeds} == set(range(levels if varies else 1))


# -- judging, on records that are made up


def study(*models: str, drawn: tuple[str, ...] = ("head", "order"), levels: int = 3, repeats: int = 1) -> Study:
    names = dict.fromkeys(STREAMS, "") | {
        "head": "the head's initialisation", "order": "the order of the images", "augmentation": "the flips",
    }  # fmt: skip
    design = Design(
        {stream: names[stream] for stream in STREAMS if stream in drawn},
        {stream: "nothing draws from it" for stream in STREAMS if stream not in drawn},
        levels,
        repeats,
    )
    cells = [
        Cell(model=model, checkpoint="offline", dataset="digits", dataset_digest="d" * 64, protocol=TINY,
             seeds=Seeds.all(0))
        for model in models or ("timm:a",)
    ]  # fmt: skip
    return Study(design, tuple(cells))


def answers(right: int, *, other: int = 0) -> np.ndarray:
    """Predicted classes: the first `right` of them right (0), `other` of the wrong ones another wrong class."""
    predictions = np.where(np.arange(IMAGES) < right, 0, 1)
    predictions[right : right + other] = 2
    return predictions.astype(np.int64)


def put(place: Store, cell: Cell, predictions: np.ndarray | None, *, loss: float | None = 0.5) -> None:
    """A record of the cell; without predictions one that failed."""
    begun = datetime(2026, 1, 5, 12, tzinfo=UTC)
    right = None if predictions is None else float(np.mean(predictions == 0))
    made = Record(
        cell=cell,
        status="failed" if right is None else "done",
        error="RuntimeError: out | of luck" if right is None else None,
        architecture="a",
        checkpoint_digest="c0ffee" * 10,
        metrics=None if right is None else Metrics(accuracy=right, loss=loss, test_images=IMAGES, train_images=64),
        predictions_digest=None if predictions is None else predictions_digest(predictions),
        environment={"cpu": "Example CPU"},
        started=begun,
        finished=begun + timedelta(seconds=30),
    )
    place.write(made, predictions)


def fill(folder: Path, asked: Study, right: Callable[[Seeds], int]) -> None:
    """Records of all runs: how many images each gets right; repeats give the same."""
    for repeat in range(asked.design.repeats + 1):
        for cell in asked.cells(repeat):
            put(store(folder, repeat), cell, answers(right(cell.seeds)))


def by_seed(seeds: Seeds) -> int:
    return 850 + 40 * seeds.order + 6 * ((seeds.head + seeds.head * seeds.order) % 3)


def judged(folder: Path, asked: Study) -> variance.Finding:
    (finding,) = variance.judge(asked, folder)
    return finding


def test_components_are_those_of_the_accuracies_in_percent(tmp_path):
    asked = study(repeats=2)
    fill(tmp_path, asked, by_seed)
    finding = judged(tmp_path, asked)
    runs = [Run({"head": head, "order": order}, 0, by_seed(Seeds(head=head, order=order, augmentation=0)) / 10)
            for head in range(3) for order in range(3)]  # fmt: skip
    expected = variance_by_source(runs)
    assert [part.streams for part in finding.sources.components] == [("head",), ("order",), ("head", "order")]
    for part, other in zip(finding.sources.components, expected.components, strict=True):
        assert part.variance == pytest.approx(other.variance)
        assert part.interval.high == pytest.approx(other.interval.high)
    means = np.array(finding.accuracies).reshape(3, 3).mean(axis=0)
    assert finding.sources.components[1].deviations == pytest.approx(tuple(means - means.mean()))
    assert sorted(finding.accuracies) == pytest.approx(sorted(run.accuracy for run in runs))
    assert (finding.failed, finding.missing, finding.test_images) == ([], 0, IMAGES)
    assert (finding.floor.repeats, finding.floor.same, finding.floor.changed, finding.floor.moved) == (2, 2, 0, 0)
    assert finding.sources.noise is not None
    assert (finding.sources.noise.variance, finding.sources.noise.interval.high) == (0, 0)


def test_the_sentence_names_the_largest_source_first(tmp_path):
    asked = study()
    fill(tmp_path, asked, by_seed)
    told = sentence(judged(tmp_path, asked))
    assert told.startswith("Of the variance of timm:a (standard deviation ")
    first, *_ = told.partition("), ")[2].split(", ")
    assert first.endswith(" % is the order of the images")
    assert "9 runs do not prove that the head's initialisation matters by itself" in told
    assert told.endswith("; the same seeds again gave the same predictions.")


@pytest.mark.parametrize("kept", [True, False])
def test_same_seeds_that_give_other_predictions_are_the_noise_floor(tmp_path, kept):
    asked = study(repeats=2)
    fill(tmp_path, asked, by_seed)
    put(store(tmp_path, 1), asked.firsts[0], answers(850, other=7))  # as accurate, other mistakes
    put(store(tmp_path, 2), asked.firsts[0], answers(846))
    if not kept:
        for file in (store(tmp_path, 1).folder / asked.firsts[0].key).rglob("predictions.npy"):
            file.unlink()
    finding = judged(tmp_path, asked)
    assert (finding.floor.repeats, finding.floor.same) == (2, 0)
    assert finding.floor.changed == (pytest.approx(0.7) if kept else None)
    assert finding.floor.moved == pytest.approx(0.4)
    assert finding.sources.noise is not None
    assert finding.sources.noise.sd == pytest.approx(np.std([85, 85, 84.6], ddof=1))
    said = "another class to 0.7 % of the test images" if kept else "other predictions"
    assert f"the same seeds again gave {said}, with accuracies up to 0.4 points apart" in sentence(finding)


@pytest.mark.parametrize("how", ["failed", "diverged"])
def test_a_run_that_failed_is_said_and_takes_the_components_with_it(tmp_path, how):
    asked = study("timm:a", "keras:B")
    fill(tmp_path, asked, by_seed)
    broken = next(cell for cell in asked.cells(0) if (cell.model, cell.seeds.order) == ("timm:a", 2))
    put(store(tmp_path, 0), broken, None if how == "failed" else answers(100), loss=None)
    finding, other = variance.judge(asked, tmp_path)
    ((record, why),) = finding.failed
    assert record.cell == broken
    assert why == ("RuntimeError: out | of luck" if how == "failed" else "diverged: the test loss is not finite")
    assert finding.sources.components == ()
    assert "1 of 10 runs failed" in sentence(finding)
    assert len(finding.accuracies) == 8
    assert "the same seeds again gave the same predictions" in sentence(finding)  # these did not fail
    assert other.sources.components
    text = variance.write(asked, [finding, other], tmp_path / "out", "isotune variance").read_text(encoding="utf-8")
    assert "## Failed runs" in text
    assert ("out \\| of luck" if how == "failed" else "not finite") in text
    assert "8, and 1" not in text.split("## Evidence")[0]


def test_a_first_run_that_failed_leaves_no_noise_floor(tmp_path):
    asked = study()
    fill(tmp_path, asked, by_seed)
    put(store(tmp_path, 1), asked.firsts[0], None)
    finding = judged(tmp_path, asked)
    assert (finding.floor.moved, finding.sources.noise) == (None, None)
    assert "not known: a run of these seeds failed" in sentence(finding)


@pytest.mark.parametrize("left", [0, 1, 3, 8])
def test_missing_runs_are_no_smaller_design(tmp_path, left):
    asked = study(repeats=0)
    fill(tmp_path, asked, by_seed)
    for cell in asked.cells(0)[left:]:
        shutil.rmtree(store(tmp_path, 0).folder / cell.key)
    finding = judged(tmp_path, asked)
    assert (finding.missing, finding.sources.design, finding.sources.components) == (9 - left, "none", ())
    assert f"{9 - left} of 9 crossed runs are missing; how much repeats of the same seeds" in sentence(finding)
    assert sentence(finding).endswith("not known: no seeds were run twice.")
    text = variance.write(asked, [finding], tmp_path / "out", "isotune variance").read_text(encoding="utf-8")
    assert "figures/" not in text
    assert not list((tmp_path / "out/figures").iterdir())


def test_runs_that_are_all_alike_have_no_variance_and_no_shares(tmp_path):
    asked = study()
    fill(tmp_path, asked, lambda _: 932)
    finding = judged(tmp_path, asked)
    assert sentence(finding) == (
        "timm:a reaches 93.2 % in all 9 runs, whatever the seeds; the same seeds again gave the same predictions."
    )
    assert [(part.variance, part.share) for part in finding.sources.components] == [(0, None)] * 3
    text = variance.write(asked, [finding], tmp_path / "out", "isotune variance").read_text(encoding="utf-8")
    assert "93.2 (93.2 to 93.2) | all together | 0.00 | - | - |" in text


def test_one_stream_has_a_standard_deviation_and_no_shares(tmp_path):
    asked = study(drawn=("order",), levels=4)
    fill(tmp_path, asked, lambda seeds: 900 + 10 * seeds.order)
    finding = judged(tmp_path, asked)
    assert sentence(finding).startswith(
        "timm:a has a standard deviation of 1.29 points over 4 draws of the order of the images; "
    )
    assert [line.name for line in lines(finding)] == ["order", "the same seeds again"]


def test_three_streams_tell_their_interactions_as_one(tmp_path):
    asked = study(drawn=("head", "order", "augmentation"), levels=2)
    fill(tmp_path, asked, lambda seeds: 900 + 10 * seeds.order + 7 * seeds.head * seeds.augmentation)
    finding = judged(tmp_path, asked)
    assert len(finding.sources.components) == 7
    assert "what the streams do together" in sentence(finding)
    assert sum(int(part) for part in _shares(sentence(finding))) in (99, 100, 101)


def _shares(text: str) -> list[str]:
    words = text.partition("), ")[2].split()
    return [words[i - 1] for i, word in enumerate(words) if word == "%"]


# -- report


def test_the_same_records_give_the_same_bytes_and_the_evidence_stands_once(tmp_path):
    asked = study("timm:a", "keras:B")
    fill(tmp_path, asked, by_seed)
    findings = variance.judge(asked, tmp_path)
    for name in ("one", "two"):
        variance.write(asked, findings, tmp_path / name, "isotune variance --models 'a|b'")
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.*")} for name in ("one", "two")]
    assert files[0] == files[1]
    assert set(files[0]) == {"variance.md", "variance-digits-tiny-identical.svg"}
    text = files[0]["variance.md"].decode()
    evidence = text.split("## Evidence")[1].split("\n## ")[0]
    for said in ("isotune variance --models", "2026-01-05", "Runs: 20", "10 min 0 s", "Example CPU", "c0ffee", "dddd"):
        assert said in evidence
    assert "- augmentation: idle, as nothing draws from it" in text
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1
    assert len(table) == 2 + 2 * 5  # all together, three components, the same seeds again


def test_the_figure_shows_every_run_and_no_interval_pushes_the_rest_aside(tmp_path):
    asked = study(levels=2)  # whose intervals are thirty times as wide as what they are of
    fill(tmp_path, asked, by_seed)
    finding = judged(tmp_path, asked)
    dots = {line.name: len(line.dots) for line in lines(finding)}
    assert dots == {"all together": 4, "head": 2, "order": 2, "head x order": 4, "the same seeds again": 2}
    seeds, spread = figure([finding]).axes
    assert sum(len(line.get_xdata()) for line in seeds.lines if line.get_marker() == "o") == sum(dots.values())
    assert any(line.get_marker() == ">" for line in spread.lines)
    largest = max(line.sd for line in lines(finding))
    assert spread.get_xlim()[1] < 3.3 * largest
    drawn = [float(x) for line in seeds.lines if line.get_marker() == "o" for x in line.get_xdata()]
    assert seeds.get_xlim()[0] < min(drawn) <= max(drawn) < seeds.get_xlim()[1]


def test_json_holds_what_the_table_holds(tmp_path):
    asked = study()
    fill(tmp_path, asked, by_seed)
    told = json.loads(
        json.dumps(
            variance.as_json(asked, variance.outlook(asked, tmp_path), variance.judge(asked, tmp_path)), allow_nan=False
        )
    )
    (finding,) = told["findings"]
    assert told["outlook"]["runs"] == told["outlook"]["done"] == 10
    assert [part["streams"] for part in finding["components"]] == [["head"], ["order"], ["head", "order"]]
    assert finding["same_seeds"]["same"] == 1
    assert finding["noise"]["variance"] == 0


# -- real runs


@pytest.fixture
def real(house) -> Callable[..., Study]:
    """A study of small models that takes a moment to run."""
    sets = {"digits": data.prepare("digits")}
    (house / "tiny.toml").write_text(TOML, encoding="utf-8")

    def make(*models: str, levels: int = 2, repeats: int = 1) -> Study:
        design = variance.design(TINY, "identical", levels, repeats)
        with Workers() as workers:
            return variance.plan(design, models, "digits", "./tiny.toml", "identical", "random:0", sets, workers)

    return make


def changed(stream: str) -> Seeds:
    """0 of all streams but this one."""
    return Seeds(**dict.fromkeys(STREAMS, 0) | {stream: 1})


def test_an_idle_stream_changes_no_prediction_and_a_drawn_one_does(real, house):
    first = real("example:random-features").firsts[0]
    zeros = first.model_copy(update={"conventions": "identical,head_initialisation=zeros"})
    flips = first.model_copy(update={"protocol": FLIPS})
    unmixed = EVERY.augmentation.model_copy(update={"mixing": None, "random_erasing": None})  # the adapter takes bytes
    whole = tuple(stage.model_copy(update={"stochastic_depth": None}) for stage in EVERY.stage)  # it has no branches
    recipe = EVERY.model_copy(update={"augmentation": unmixed, "stage": whole})
    techniques = first.model_copy(update={"protocol": recipe})
    for cell in (first, zeros, flips, techniques):
        design = variance.design(cell.protocol, cell.conventions, 2, 0)
        alone = {stream: seeded(cell, changed(stream)) for stream in STREAMS}
        cells = [seeded(cell, Seeds.all(0)), *alone.values()]
        base, *others = Driver(Store(house / "records"), Local()).run(cells)
        losses = {stream: record.metrics.loss for stream, record in zip(STREAMS, others, strict=True)}
        assert {stream for stream, loss in losses.items() if loss != base.metrics.loss} == set(design.drawn)


def test_a_study_goes_on_where_it_stopped_and_repeats_run_in_workers_of_their_own(real, house, monkeypatch):
    started = []

    class Counted(execution.WorkerProcess):
        def __init__(self, adapter, **options):
            started.append(adapter)
            super().__init__(adapter, **options)

    asked, folder = real("example:random-features", repeats=2), house / "study"
    monkeypatch.setattr(execution, "WorkerProcess", Counted)
    assert variance.outlook(asked, folder) == variance.Outlook(6, 0, None)
    records = list(variance.run(asked, folder))
    assert (len(records), started) == (6, ["example"] * 3)
    shutil.rmtree(store(folder, 0).folder / asked.cells(0)[3].key)
    shutil.rmtree(store(folder, 2).folder / asked.firsts[0].key)
    ahead = variance.outlook(asked, folder)
    assert (ahead.runs, ahead.done) == (6, 4)
    assert ahead.seconds is not None
    assert ahead.seconds > 0
    again = list(variance.run(asked, folder))
    assert started == ["example"] * 5
    assert sum(record in records for record in again) == 4
    assert variance.outlook(asked, folder) == variance.Outlook(6, 6, 0)
    finding = judged(folder, asked)
    assert (finding.floor.repeats, finding.floor.same, finding.floor.moved) == (2, 2, 0)
    assert len(finding.sources.components) == 3


def test_records_made_elsewhere_say_how_long_a_study_takes(real, house):
    asked = real("example:random-features")
    (record,) = Driver(elsewhere := Store(house / "elsewhere"), Local()).run(asked.firsts)
    took = (record.finished - record.started).total_seconds()
    ahead = variance.outlook(asked, house / "study", [elsewhere])
    assert (ahead.runs, ahead.done, ahead.seconds) == (5, 0, pytest.approx(5 * took))
    with_another = replace(asked, firsts=(*asked.firsts, *study("timm:a").firsts))
    assert variance.outlook(with_another, house / "study", [elsewhere]).seconds is None


# -- command line


TINIEST = ("variance", "--checkpoint", "random:0", "--protocol", "./tiny.toml", "--levels", "2", "--repeats", "1")


def test_a_plan_says_the_streams_and_runs_nothing(real, here, house):
    status, out, err = here(*TINIEST, "--models", "example:random-features", "--plan")
    assert (status, err) == (0, "")
    assert "tiny on digits, identical: two of eight seed streams affect the result" in out
    assert "- order: the order of the images, 2 seeds" in out
    assert "- augmentation: idle, as the protocol draws no crops and no flips" in out
    assert "4 crossed runs, the first seeds once more, of 1 model: 5 runs, 0 of them done" in out
    assert "the time needed is not known" in out
    assert not (house / "reports").exists()
    assert not (house / ".isotune").exists()


def test_a_study_is_run_written_and_told_as_json(real, here, house):
    status, out, err = here(*TINIEST, "--models", "example:random-features", "--out", "told", "--json")
    assert status == 0, err
    (finding,) = json.loads(out)["findings"]
    assert len(finding["accuracies"]) == 4
    assert err.count("of 50") == 5
    assert "told/variance.md" in err
    text = (house / "told/variance.md").read_text(encoding="utf-8")
    (drawn,) = (house / "told/figures").iterdir()
    assert f"](figures/{drawn.name})" in text
    assert finding["sentence"].replace("_", r"\_") in text
    status, out, err = here(*TINIEST, "--models", "example:random-features", "--plan")
    assert "5 runs, 5 of them done" in out


def test_a_model_that_fails_is_said_and_the_other_has_its_answer(real, here):
    status, out, err = here(*TINIEST, "--models", "faulty:raises,faulty:works")
    assert status == 1, err
    assert out.count("FAILED: faulty:raises digits tiny identical seed") == 5
    assert "There are no components for faulty:raises: 5 of 5 runs failed" in out
    assert "variance of faulty:works" in out or "faulty:works reaches" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--protocol", "own-classifier"], "draws nothing at random"),
        (["--protocol", "quik"], "did you mean 'quick'"),
        (["--levels", "1"], "at least 2 levels"),
        (["--repeats", "-1"], "0 repeats"),
        (["--dataset", "digit"], "did you mean 'digits'"),
        (["--models", ""], "give at least one"),
        (["--models", "exampel:random-features"], "did you mean 'example'"),
        (["--conventions", "natve"], "did you mean 'native'"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(here, arguments, said):
    status, out, err = here("variance", "--plan", *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
