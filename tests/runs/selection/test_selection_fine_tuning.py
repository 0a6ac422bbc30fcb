"""Fine-tunings that select, on a small network in NumPy: what is reported is what it is called, by other ways round."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from killed_runs import run_cell

from isotune import data, names, protocols
from isotune.runs.drafts import VARIABLE
from isotune.runs.records import Cell, Record
from isotune.runs.selection import fine_tuning
from isotune.seeds import Seeds

EXAMPLE = "example:random-features"
SEEDS = Seeds(head=1, order=2, augmentation=3)
RECIPE = """
name = "chosen"
title = "What is chosen on held-out images"
source = "this test"
images = { train = 100, test = 60 }
input = { size = 16 }
augmentation = { horizontal_flip = 0.5 }
%s
[[stage]]
epochs = 4
batch_size = 16
optimizer = { name = "adam" }
schedule = { learning_rate = 0.02 }
"""
HELD = '[selection]\nheld_out = 0.3\nevery = "epoch"\n'  # of 70 images, 5 steps an epoch


@pytest.fixture
def run(house, monkeypatch):
    """Runs the recipe with more of it, in a store of its own; with `kills`, ended after these steps and gone on."""
    monkeypatch.setenv(VARIABLE, "1e-9")  # a draft after every step

    def run(more: str = "", top: str = "", store: str = "whole", kills=(), recipe=lambda text: text) -> Record:
        protocol = protocols.parse(recipe(RECIPE % top) + more, "chosen.toml")
        cell = Cell(
            model=EXAMPLE, checkpoint="random:0", dataset="digits", dataset_digest=data.prepare("digits").digest,
            protocol=protocol, seeds=SEEDS, numeric_mode="float64",
        )  # fmt: skip
        return run_cell(names.load_adapter(names.parse(EXAMPLE)), cell, store, kills)

    return run


def of_steps(steps: int):
    return lambda text: text.replace("epochs = 4", f"steps = {steps}")


def test_the_best_step_is_the_end_of_a_training_of_so_many_steps(run) -> None:
    record = run(HELD + 'reports = "best"')
    chosen = record.metrics.selected
    assert [step for step, _ in chosen.curve] == [5, 10, 15, 20]
    values = dict(chosen.curve)
    assert values[chosen.best_step] == max(values.values())
    assert chosen.held_out_images == 30
    assert record.metrics.train_images == 70
    shorter = run("[selection]\nheld_out = 0.3\n", recipe=of_steps(chosen.best_step))
    assert record.metrics.accuracy == chosen.accuracy["best"] == shorter.metrics.accuracy
    assert record.predictions_digest == shorter.predictions_digest
    assert shorter.metrics.selected.curve == ((chosen.best_step, values[chosen.best_step]),)
    assert chosen.accuracy["last"] == run(HELD).metrics.accuracy


def test_the_mean_of_the_last_is_that_of_trainings_that_end_there(run) -> None:
    record = run('[selection]\nevery = 8\nlast = 2\nreports = "mean-of-last"', recipe=of_steps(20))
    ends = [run(recipe=of_steps(steps)).metrics for steps in (16, 20)]
    assert [step for step, _ in record.metrics.selected.curve] == [8, 16, 20]
    for metric in ("accuracy", "mean_per_class"):
        assert getattr(record.metrics, metric) == pytest.approx(np.mean([getattr(end, metric) for end in ends]))
    assert record.metrics.selected.accuracy["last"] == ends[1].accuracy == record.metrics.of_predictions
    assert record.metrics.train_images == 100, "nothing is held out"
    assert run(recipe=of_steps(20)).predictions_digest == record.predictions_digest, "evaluations change nothing"


def test_the_best_on_the_test_images_is_the_best_of_all(run) -> None:
    record = run('[selection]\nevery = 4\nreports = "best-on-test"', recipe=of_steps(12))
    ends = [run(recipe=of_steps(steps)).metrics.accuracy for steps in (4, 8, 12)]
    chosen = record.metrics.selected
    assert [value for _, value in chosen.curve] == ends
    assert record.metrics.accuracy == max(ends)
    assert chosen.accuracy == {"last": ends[2], "best-on-test": max(ends)}
    assert "at the step that is best on the test images" in record.line


def test_early_stopping_ends_where_nothing_gets_better(run) -> None:
    """At a rate of nothing no evaluation is better than the first."""
    frozen = lambda text: text.replace("0.02", "1e-30").replace("epochs = 4", "steps = 200")  # noqa: E731
    record = run("[selection]\nheld_out = 0.3\nevery = 2\npatience = 3", recipe=frozen)
    assert record.metrics.selected.stopped == 8
    assert record.metrics.selected.best_step == 2
    assert len(record.metrics.selected.curve) == 4
    assert record.timings.training_images == 16 * 6 + 6, "8 steps, one of them short, without the first"
    assert "ended after step 8" in record.line


GRID = "[selection]\nheld_out = 0.3\n[selection.grid]\nlearning_rate = [1e-5, 0.02]\nsteps = [4, 12]\n"


def test_a_grid_chooses_what_trainings_one_by_one_would_have_chosen(run) -> None:
    record = run(GRID)
    tried = {(one.values["learning_rate"], one.values["steps"]): one for one in record.metrics.selected.tried}
    for (rate, steps), one in tried.items():
        alone = run(
            "[selection]\nheld_out = 0.3",
            recipe=lambda text, rate=rate, steps=int(steps): of_steps(steps)(text).replace("0.02", f"{rate}"),
        )
        assert alone.metrics.selected.curve == ((steps, one.score),)
        assert one.steps == steps
    best = max(tried, key=lambda values: tried[values].score)
    assert tuple(record.metrics.selected.chosen.values()) == best
    again = run(recipe=lambda text: of_steps(int(best[1]))(text).replace("0.02", f"{best[0]}"))
    assert record.predictions_digest == again.predictions_digest, "trained on all images with the chosen values"
    assert (record.metrics.train_images, record.timings.trainings) == (100, 5)
    assert record.timings.choosing >= sum(one.seconds for one in record.metrics.selected.tried) > 0
    assert f"chosen among 4: learning_rate = {best[0]:g}, steps = {best[1]:g}" in record.line


def test_without_a_refit_the_chosen_training_is_the_one_that_counts_and_none_comes_after_it(run) -> None:
    """It is, to the bit, what a protocol of the chosen values alone gives."""
    more = 'held_out = 0.3\nevery = 3\nlast = 2\nreports = "best"'
    record = run(GRID.replace("held_out = 0.3", more) + "refit = false", AVERAGE)
    chosen = record.metrics.selected
    rate = chosen.chosen["learning_rate"]
    again = run(
        f"[selection]\n{more}", AVERAGE,
        recipe=lambda text: of_steps(int(chosen.chosen["steps"]))(text).replace("0.02", f"{rate}"),
    )  # fmt: skip
    assert record.predictions_digest == again.predictions_digest
    alone = again.metrics.selected
    assert record.metrics == again.metrics.model_copy(
        update={"selected": alone.model_copy(update={"chosen": chosen.chosen, "tried": chosen.tried})}
    )
    assert (record.timings.trainings, len(chosen.tried)) == (4, 4), "it was five"
    others = [one.seconds for one in chosen.tried if one.values != chosen.chosen]
    assert sum(others) < record.timings.choosing < sum(one.seconds for one in chosen.tried)
    assert record.timings.training_images == again.timings.training_images


TWO = """
[[stage]]
trained = "head"
steps = 6
batch_size = 16
optimizer = { name = "adam" }
schedule = { learning_rate = 0.05 }
"""


def test_a_grid_of_one_of_two_stages_is_that_of_trainings_one_by_one(run) -> None:
    grid = "[selection]\nheld_out = 0.3\n[selection.grid]\nstage = 2\nlearning_rate = [1e-5, 0.05]\n"
    record = run(TWO + grid, recipe=of_steps(8))
    tried = {one.values["learning_rate"]: one for one in record.metrics.selected.tried}
    for rate, one in tried.items():
        alone = run(TWO.replace("0.05", f"{rate}") + "[selection]\nheld_out = 0.3", recipe=of_steps(8))
        assert alone.metrics.selected.curve == ((14, one.score),)
        assert one.steps == 14
    rate = record.metrics.selected.chosen["learning_rate"]
    assert tried[rate].score == max(one.score for one in tried.values())
    again = run(TWO.replace("0.05", f"{rate}"), recipe=of_steps(8))
    assert record.predictions_digest == again.predictions_digest


def test_early_stopping_of_two_stages_ends_the_last(run) -> None:
    """At a rate of nothing the last stage's first evaluation is its best, whatever the first stage had."""
    frozen = TWO.replace("0.05", "1e-30").replace("steps = 6", "steps = 90")
    record = run(frozen + "[selection]\nheld_out = 0.3\nevery = 4\npatience = 2", recipe=of_steps(20))
    assert [step for step, _ in record.metrics.selected.curve] == [4, 8, 12, 16, 20, 24, 28, 32]
    assert record.metrics.selected.stopped == 32
    assert "ended after step 32" in record.line


AVERAGE = 'average = { decay = 0.8, start = "first" }'


@pytest.mark.parametrize(
    ("more", "top", "kills"),
    [
        (HELD + 'reports = "best"\nlast = 2\npatience = 3', AVERAGE, (1, 5, 12, 19)),
        (GRID.replace("held_out = 0.3", 'held_out = 0.3\nevery = 3\nlast = 2\nreports = "best"') + "refit = false",
         "", (3, 9, 17, 27)),
        (GRID, AVERAGE, (2, 18, 33)),
        (GRID.replace("held_out = 0.3", 'held_out = 0.3\nevery = 3\nreports = "best"\nlast = 2') + "refit = false",
         AVERAGE, (5, 17, 25)),
        (TWO + "[selection]\nheld_out = 0.3\nevery = 1\npatience = 2\n[selection.grid]\nstage = 2\nrefit = false\n"
         "learning_rate = [0.05, 1e-30]\n", "", (3, 22, 30, 48)),
    ],
    ids=["best-of-an-average", "grid", "grid-refitted", "grid-of-an-average", "grid-of-a-second-stage"],
)  # fmt: skip
def test_a_choice_that_is_killed_goes_on_to_bitwise_the_same_end(run, more, top, kills) -> None:
    assert all(first < second for first, second in pairwise(kills))
    whole, parts = run(more, top), run(more, top, "parts", kills)

    def compared(record: Record):
        chosen = record.metrics.selected
        tried = [one.model_copy(update={"seconds": 0.0}) for one in chosen.tried]
        return record.metrics.model_copy(update={"selected": chosen.model_copy(update={"tried": tuple(tried)})})

    assert compared(parts) == compared(whole)
    assert parts.predictions_digest == whole.predictions_digest
    assert parts.timings.resumed == kills


@pytest.mark.parametrize("more", [HELD + 'reports = "best"', GRID])
def test_the_test_images_are_not_read_before_all_is_chosen(run, monkeypatch, more) -> None:
    order = []
    inputs, train = data.inputs, fine_tuning.train

    def watched(dataset, part, *rest, **how):
        order.append(part)
        return inputs(dataset, part, *rest, **how)

    monkeypatch.setattr(fine_tuning.data, "inputs", watched)
    monkeypatch.setattr(fine_tuning, "train", lambda *rest, **how: (order.append("trained"), train(*rest, **how))[1])
    record = run(more)
    assert order.index("test") > len(order) - 1 - order[::-1].index("trained")
    assert record.metrics.selected.held_out_images == 30


class Sealed:
    """A part of a data set whose images are not to be looked at until it is opened; labels and length may be."""

    def __init__(self, part) -> None:
        self._part, self.opened = part, False

    def __len__(self) -> int:
        return len(self._part)

    def __getattr__(self, name: str):
        if name != "labels" and not self.opened:
            raise AssertionError(f"the test images' {name} is read before all is chosen")
        return getattr(self._part, name)


@pytest.mark.parametrize(
    ("more", "images"),
    [
        (HELD + 'reports = "best"\nlast = 2\npatience = 2', 51),
        (TWO + "[selection]\nheld_out = 0.3\nevery = 5\n[selection.grid]\nstage = 2\nlearning_rate = [0.1, 0.01]", 52),
    ],
    ids=["best", "grid"],
)
def test_a_data_set_whose_test_images_cannot_be_read_early_gives_the_same(run, monkeypatch, more, images) -> None:
    load, scored = data.load, fine_tuning.FineTuning._scored
    parts = []

    def sealed(*what):
        dataset = load(*what)
        parts.append(Sealed(dataset.test))
        return replace(dataset, test=parts[-1])

    def opened(tuning, training):
        assert not parts[-1].opened
        parts[-1].opened = True
        return scored(tuning, training)

    def asked(more: str, store: str, count: int = images) -> Record:  # as many as no other test has a view of
        return run(more, store=store, recipe=lambda text: text.replace("test = 60", f"test = {count}"))

    with monkeypatch.context() as patch:
        patch.setattr("isotune.runs.cell_runner.data.load", sealed)
        with pytest.raises(AssertionError, match="is read before all is chosen"):
            asked(more, "early")
        patch.setattr(fine_tuning.FineTuning, "_scored", opened)
        record = asked(more, "sealed")
        with pytest.raises(AssertionError, match="is read before all is chosen"):
            asked('[selection]\nevery = "epoch"\nreports = "best-on-test"', "on-test", images - 10)
    assert record.metrics.test_images == images
    assert record.predictions_digest == asked(more, "whole").predictions_digest


def test_three_crops_are_averaged_and_held_out_images_with_them(run) -> None:
    wider = lambda text: text.replace("{ size = 16 }", "{ size = 16, resize = 24 }")  # noqa: E731
    crops = '\n[evaluation]\nviews = "three-crop"\n'
    one, three = run(recipe=wider), run(crops, recipe=wider)
    assert three.metrics.centre_accuracy == one.metrics.accuracy, "the same weights, one of three passes"
    assert f"; {one.metrics.accuracy:.2%} of the centre crop alone" in three.line
    assert len(three.timings.crops) == 3
    assert 0 < sum(three.timings.crops) <= three.timings.evaluation
    assert (one.metrics.centre_accuracy, one.timings.crops) == (None, None)
    assert one.metrics.train_loss == three.metrics.train_loss
    assert one.metrics.loss != three.metrics.loss
    assert run(HELD + crops, recipe=wider).metrics.selected.curve != run(HELD, recipe=wider).metrics.selected.curve


@pytest.mark.parametrize(
    ("more", "top", "said"),
    [
        ('[selection]\nevery = "epoch"\nlast = 9', "", "selection.last = 9 is more than the 4 evaluations in the 28"),
        ("[selection]\nevery = 99\nlast = 2", "", "selection.every = 99 is more than the 28 steps of 100 training"),
        ("", "average = { decay = 0.9, every = 99 }", "average.every = 99 is more than the 28 steps of 100"),
        (
            "", "average = { decay = 0.999 }",
            "average.decay = 0.999 is of a longer training: after the 28 steps of 100 training images, 97% of the"
            ' average are the weights from before; give 0.9755 at most, or start = "first"',
        ),
        ("[selection]\nheld_out = 0.001\n[selection.grid]\nsteps = [9]\nlearning_rate = [1]\nstage = 4", "",
         "stage = 4: there is 1"),
        ("[selection]\nheld_out = 0", "", "selection.held_out: Input should be greater than 0 (is 0)"),
        ("[selection]\nheld_out = 1", "", "selection.held_out: Input should be less than 1 (is 1)"),
        ("[selection]\nevery = 5\npatience = 3", "", "patience goes by images that are held out, and none are"),
        (HELD + 'metric = "f1"', "", "selection.metric: Input should be 'accuracy', 'mean_per_class' or 'loss'"),
        (HELD + "[selection.grid]\nmomentum = [0.9]", "", "selection.grid.momentum: unknown key; one of: learning_"),
    ],
)  # fmt: skip
def test_what_the_images_do_not_allow_is_refused_before_anything_runs(house, here, more, top, said) -> None:
    Path("chosen.toml").write_text(RECIPE % top + more)
    asked = ("--models", EXAMPLE, "--checkpoint", "random:0", "--protocols", "./chosen.toml", "--seeds", "1")
    status, _, err = here("run", *asked)
    assert status == 2
    assert said in err
    assert "chosen" in err.splitlines()[-1], "the protocol or its file is named"
    assert err.count("isotune: ") == 1


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ('name = "cosine", warmup_steps = 29', "schedule.warmup_steps = 29 is more than the 28 steps that are trained"),
        (
            'name = "step", milestones = [9, 28]',
            "schedule.milestones: 28 is never reached in the 28 steps of 100 train",
        ),
        ('name = "step", drop_every = 28.5', "schedule.drop_every: 28.5 is never reached in the 28 steps of 100"),
        ('name = "step", drop_every = 4, per = "epoch"', "schedule.drop_every: 4 is never reached in the 4 epochs"),
    ],
)
def test_a_schedule_that_the_images_do_not_allow_is_refused_before_anything_runs(house, here, schedule, said) -> None:
    Path("chosen.toml").write_text((RECIPE % "").replace("learning_rate", f"{schedule}, learning_rate"))
    asked = ("--models", EXAMPLE, "--checkpoint", "random:0", "--protocols", "./chosen.toml", "--seeds", "1")
    status, _, err = here("run", *asked)
    assert (status, said in err) == (2, True), err


def test_a_mean_per_class_is_of_all_classes_or_refused(house, here) -> None:
    """A class of one training image has none held out; one without test images is in no mean."""
    labels = np.arange(80) % 4
    train = np.where(np.arange(80) < 79, np.minimum(labels, 2), 3)
    pixels = np.random.default_rng(0).integers(0, 256, (80, 16, 16, 3)).astype(np.uint8)
    np.savez("few.npz", x_train=pixels, y_train=train, x_test=pixels, y_test=labels)
    np.savez("none.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=np.minimum(labels, 2))
    plain = (RECIPE % "").replace("{ train = 100, test = 60 }", "{}")
    Path("chosen.toml").write_text(plain + HELD + 'metric = "mean_per_class"')
    Path("plain.toml").write_text(plain)
    asked = ("run", "--models", EXAMPLE, "--checkpoint", "random:0", "--conventions", "identical", "--seeds", "1")
    status, _, err = here(*asked, "--protocols", "./chosen.toml", "--datasets", "npz:few.npz")
    assert status == 2
    assert 'chosen: selection.metric = "mean_per_class" is over all classes, and of 1 nothing can be held out' in err
    claim = ("--expect", "mean_per_class=90.0,source=here")
    status, _, err = here(*asked, "--protocols", "./plain.toml", "--datasets", "npz:none.npz", *claim)
    assert status == 2
    assert "expect: 90.0 %: mean_per_class is over all 4 classes, and 1 of npz:none.npz have no test images: 3" in err
