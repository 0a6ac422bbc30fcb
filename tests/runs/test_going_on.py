"""A fine-tuning whose process dies is gone on from its draft, to bitwise the end that it would have had."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isotune import data, names, protocols
from isotune.runs import requests
from isotune.runs.drafts import FOLDER, VARIABLE, begun
from isotune.runs.records import Cell, Record
from isotune.runs.store import Store
from isotune.seeds import Seeds
from isotune.workers import environment
from isotune.workers.worker import Worker

SCRIPT = Path(__file__).parent / "scripts" / "run_cell.py"
RECIPE = """
name = "two-stages"
title = "What a long fine-tuning has, in twenty steps"
source = "this test"
images = { train = 60, test = 50 }
input = { size = 33 }
augmentation = { random_resized_crop = [0.5, 1.0], horizontal_flip = 0.5 }

[[stage]]
epochs = 3
batch_size = 16
label_smoothing = 0.1
head_dropout = 0.2
optimizer = { name = "adam", weight_decay = 1e-3, clip_norm = 2.0 }
schedule = { name = "cosine", learning_rate = 0.003, warmup_steps = 3 }

[[stage]]
trained = "head"
steps = 8
batch_size = 16
optimizer = { name = "sgd", momentum = 0.9, nesterov = true }
schedule = { learning_rate = 0.01 }
"""
CHOOSING = f"""{RECIPE}
[selection]
held_out = 0.2
every = 2
reports = "best"
patience = 2
last = 2

[selection.grid]
stage = 2
learning_rate = [0.05, 0.001]
refit = false
"""  # 20 steps each
LONG = """
name = "long"
title = "Long"
source = "this test"
images = { train = 64, test = 50 }
input = { size = 16 }
stage = [{ steps = 3000, batch_size = 16, optimizer = { name = "adam" }, schedule = { learning_rate = 0.001 } }]
"""
EXAMPLE = "example:random-features"
KILLED_AFTER = (5, 13)


@pytest.fixture
def recipe(house, monkeypatch) -> Path:
    monkeypatch.setenv(VARIABLE, "1e-9")  # a draft after every step
    Path("recipe.toml").write_text(RECIPE)
    return Path("recipe.toml")


def run_cell(model: str, store: str, *last: int) -> str:
    """The digest of its weights in the end; nothing where it was killed."""
    arguments = [sys.executable, SCRIPT, model, "recipe.toml", store, *map(str, last)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == (-signal.SIGKILL if last else 0), done.stderr[-3000:]
    return done.stdout


def check_the_end(model: str, kills: tuple[int, ...] = KILLED_AFTER) -> tuple[Record, Record]:
    whole = run_cell(model, "whole")
    for last in kills:
        run_cell(model, "parts", last)
        assert [one.done for one in begun(Path("parts"))] == [last]
    assert run_cell(model, "parts") == whole, "the weights"
    (one,), (other,) = Store(Path("whole")), Store(Path("parts"))
    assert other.predictions_digest == one.predictions_digest
    assert (one.timings.resumed, other.timings.resumed) == ((), kills)
    assert f"; went on from a draft after step {', '.join(map(str, kills))}" in other.line
    assert not (Path("parts") / FOLDER).exists()
    return one, other


def check_a_plain_end(model: str) -> None:
    one, other = check_the_end(model)
    assert other.metrics == one.metrics
    assert one.timings.training_images - other.timings.training_images == 16 + 16, "the first step of each part"


def test_a_killed_cell_goes_on_to_bitwise_the_same_end(recipe) -> None:
    check_a_plain_end(EXAMPLE)


LIBRARIES = (
    "torchvision:mobilenet_v2", "timm:mobilenetv2_100", "keras:MobileNetV2", "keras@jax:MobileNetV2",
    "keras@torch:MobileNetV2",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("model", LIBRARIES)
def test_a_killed_cell_of_a_library_goes_on_to_bitwise_the_same_end(recipe, model) -> None:
    check_a_plain_end(model)


@pytest.mark.slow
@pytest.mark.parametrize("model", LIBRARIES)
def test_a_killed_choice_of_a_library_goes_on_to_bitwise_the_same_end(recipe, model) -> None:
    """In both stages of both combinations."""
    recipe.write_text(CHOOSING)
    one, other = check_the_end(model, (5, 13, 23, 34))
    chosen, again = one.metrics.selected, other.metrics.selected
    assert again.model_copy(update={"tried": ()}) == chosen.model_copy(update={"tried": ()})
    assert [each.score for each in again.tried] == [each.score for each in chosen.tried]
    assert other.metrics.model_copy(update={"selected": None}) == one.metrics.model_copy(update={"selected": None})
    assert one.timings.trainings == other.timings.trainings == 2


@pytest.fixture
def asked(recipe):
    """A cell, and a worker in this process that runs it: (status of the request, what it told of the training)."""
    cell = Cell(
        model=EXAMPLE, checkpoint="random:0", dataset="digits", dataset_digest=data.prepare("digits").digest,
        protocol=protocols.load("recipe.toml"), seeds=Seeds.all(0),
    )  # fmt: skip

    def ask(steps: int | None = None, **how):
        told = []

        class Told(Worker):
            def progress(self, what, done, total):
                told.append(done) if what == "training" else None
                if steps is not None and what == "training" and done > steps:
                    raise KeyboardInterrupt

        worker = Told(names.load_adapter(names.parse(EXAMPLE)), io.StringIO())
        try:
            kept = requests.run(worker, cell.model_dump(mode="json"), str(Path("store").resolve()), **how)
        except KeyboardInterrupt:
            kept = None
        return kept, told

    return ask


def test_when_time_is_over_it_is_left_off_and_goes_on_from_there(asked) -> None:
    assert asked(seconds=-1.0) == (False, [1])
    assert [(one.done, one.total) for one in begun(Path("store"))] == [(1, 20)]
    assert list(Store(Path("store"))) == []
    assert asked(seconds=3600.0) == (True, list(range(2, 21)))
    assert begun(Path("store")) == []


def test_a_draft_of_other_code_is_not_used_and_the_end_is_the_same(asked, caplog, monkeypatch) -> None:
    assert asked(7)[0] is None
    monkeypatch.setattr(environment.code, "adapter_code", lambda adapter: "another")
    kept, told = asked()
    assert (kept, told[0]) == (True, 1)
    assert "starts from its beginning, not from its draft: adapter code was" in caplog.text
    (record,) = Store(Path("store"))
    assert record.timings.resumed == ()


def test_a_draft_that_does_not_fit_is_not_used(asked, caplog) -> None:
    from isotune_example import ExampleTrainer

    assert asked(7)[0] is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExampleTrainer, "snapshot", lambda self: {"steps": self.model.tensors["head.bias"]})
        assert asked(9)[0] is None
    kept, told = asked()
    assert (kept, told[0]) == (True, 1)
    assert "not from its draft: tensors are missing" in caplog.text


def test_a_fresh_run_begins_anew(asked, caplog) -> None:
    caplog.set_level(logging.WARNING)
    assert asked(7)[0] is None
    kept, told = asked(fresh=True)
    assert (kept, told[0]) == (True, 1)
    assert not caplog.text


def test_a_cell_that_fails_by_itself_leaves_no_draft(asked, monkeypatch) -> None:
    monkeypatch.setattr("isotune.runs.training.logits_in_batches", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        asked()
    assert begun(Path("store")) == []


COMMAND = [
    sys.executable, "-m", "isotune.cli", "run", "--models", EXAMPLE, "--checkpoint", "random:0", "--datasets", "digits",
    "--protocols", "./long.toml", "--conventions", "identical", "--seeds", "1",
]  # fmt: skip


def commanded(store: str, *more: str) -> str:
    done = subprocess.run([*COMMAND, "--store", store, *more], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("ended", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_ended_goes_on(house, here, monkeypatch, ended) -> None:
    monkeypatch.setenv(VARIABLE, "0.05")
    Path("long.toml").write_text(LONG)
    first = subprocess.Popen([*COMMAND, "--store", "parts"], stdout=-1, stderr=-1, start_new_session=True)
    until = time.monotonic() + 120
    while not begun(Path("parts")):
        assert time.monotonic() < until
        time.sleep(0.02)
    os.killpg(first.pid, ended)
    first.communicate()
    (left,) = begun(Path("parts"))
    _, said, _ = here("status", "parts")
    assert f"begun, and goes on after step {left.done:,} of 3,000: {EXAMPLE}" in said
    _, told, _ = here("status", "parts", "--json")
    assert json.loads(told)["begun"][0]["done"] == left.done
    said = commanded("parts")
    assert f"went on from a draft after step {left.done:,}" in said
    commanded("whole")
    (one,), (other,) = Store(Path("whole")), Store(Path("parts"))
    assert (other.metrics, other.predictions_digest) == (one.metrics, one.predictions_digest)
    assert other.timings.resumed == (left.done,)


@pytest.mark.slow
def test_a_command_leaves_off_what_takes_longer(house, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, "0.05")
    Path("long.toml").write_text(LONG.replace("3000", "100000"))
    assert "0 cells done, 0 failed, 1 left" in commanded("parts", "--stop-after", "15s")
    (left,) = begun(Path("parts"))
    assert 0 < left.done < left.total
