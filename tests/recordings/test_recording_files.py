"""A recording's folder: whole, bounded, of its version; or refused in one line."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from numpy_loop import Loop

import isotune
from isotune import sealing
from isotune.errors import UsageError
from isotune.recordings import Recording, Writer


@pytest.fixture
def folder(tmp_path):
    Loop().record(tmp_path / "loop")
    return tmp_path / "loop"


def test_what_is_written_is_read_again(folder) -> None:
    recording = Recording(folder)
    assert list(recording.steps) == [0, 1, 2, 3]
    assert recording.rates.tolist() == [0.1, 0.1, 0.01, 0.01]
    assert recording.images.tolist() == [8] * 4
    step = recording.steps[1]
    assert step.tensors("gradients")["head.kernel"].shape == (16, 5)
    assert np.array_equal(step.tensors("before")["head.kernel"], recording.steps[0].tensors("after")["head.kernel"])
    assert set(step.tensors("layers")) == set()
    assert set(recording.steps[0].tensors("layers")) == {"000.dense", "head"}


def _reseal(folder) -> None:
    """As somebody would who wants it read."""
    (folder / "seal.json").unlink()
    (folder / "verified.json").unlink(missing_ok=True)
    sealing.seal(folder)


def _version(folder) -> None:
    about = json.loads((folder / "recording.json").read_text())
    (folder / "recording.json").write_text(json.dumps(about | {"version": 7}))


def _cut_seal(folder) -> None:
    (folder / "seal.json").unlink()


def _cut_file(folder) -> None:
    path = folder / "step-000001" / "gradients.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _flip(folder) -> None:
    path = folder / "step-000001" / "gradients.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))


def _lose(folder) -> None:
    shutil.rmtree(folder / "step-000001")


def _spoil(folder) -> None:
    (folder / "recording.json").write_text('{"version": 1')


def _strange(folder) -> None:
    (folder / "steps.json").write_text('{"steps": "many"}')
    _reseal(folder)


def _step(folder) -> None:
    (folder / "step-000001" / "step.json").write_text("[]")
    _reseal(folder)


def _bad_tensors(folder) -> None:
    (folder / "step-000000" / "gradients.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    _reseal(folder)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_version, "is of version 7, and this isotune reads 1; record it again"),
        (_cut_seal, "is cut off: its loop was killed, or still runs"),
        (_cut_file, "is not what was written"),
        (_flip, "is not what was written"),
        (_lose, "is missing"),
        (_spoil, "is cut off or damaged: recording.json is not whole"),
        (_strange, "is damaged, or of another version"),
        (_step, "is damaged, or of another version"),
        (_bad_tensors, "incomplete or damaged safetensors file"),
    ],
)
def test_what_is_not_whole_is_refused_in_one_line(spoil, message: str, folder) -> None:
    spoil(folder)
    with pytest.raises(UsageError, match=message) as refused:
        isotune.investigate(f"recording:{folder}", f"recording:{folder}")
    assert "\n" not in str(refused.value)


def test_a_loop_that_ends_within_a_step_keeps_the_steps_before(tmp_path) -> None:
    loop = Loop()
    writer = Writer(tmp_path / "loop", range(3), (), 0, 1 << 30)
    writer.describe("numpy", "Loop", loop.entries(), {}, in_order=True, per_step=1)
    step = writer.begin()
    step.finish(loop.optimizer(0))
    writer.passed(0.1, 8, 1)
    writer.begin().add_pass(np.zeros((2, 3)))
    writer.close()
    writer.close()
    recording = Recording(tmp_path / "loop")
    assert list(recording.steps) == [0]
    assert recording.every.steps == 1


def test_a_folder_that_vanished_does_not_end_a_loop(tmp_path, caplog) -> None:
    writer = Writer(tmp_path / "loop", range(3), (), 0, 1 << 30)
    writer.describe("numpy", "Loop", Loop().entries(), {}, in_order=True, per_step=1)
    shutil.rmtree(tmp_path / "loop")
    writer.close()
    assert "could not be finished: No such file or directory" in caplog.text


def test_a_recording_is_bounded(tmp_path) -> None:
    writer = Writer(tmp_path / "loop", range(10), (), 0, 1000)
    with pytest.raises(UsageError, match=r"10 full steps of this network have about .* record fewer steps"):
        writer.describe("numpy", "Loop", Loop().entries(), {}, in_order=True, per_step=200)
    writer.abandon()


def test_a_folder_with_something_else_is_left_alone(tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        Writer(tmp_path, range(3), (), 0, 1000)
    assert (tmp_path / "mine.txt").exists()


def test_an_earlier_recording_is_replaced_and_that_is_said(folder, caplog) -> None:
    Loop(steps=2).record(folder)
    assert list(Recording(folder).steps) == [0, 1]
    assert f"the recording that was in {folder} is replaced" in caplog.text


def test_a_recording_beside_something_else_is_left_alone(folder) -> None:
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        Loop(steps=2).record(folder)
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "recording.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": -1}, "steps: -1 is no number of a step"),
        ({"steps": ["one"]}, "steps: 'one' is no number of a step"),
        ({"steps": 1.5}, "steps: 1.5 is no number of a step"),
        ({"layers": -1}, "layers: -1 is no number of a step"),
        ({"statistics": -1}, "statistics = -1"),
        ({"most": 1.5}, "most = 1.5"),
        ({"steps_per_epoch": 0}, "steps_per_epoch = 0"),
        ({}, "builtins.object is no network that can be watched; those of keras, torch can"),
    ],
)
def test_wrong_arguments_are_one_line(arguments: dict, message: str, tmp_path) -> None:
    with pytest.raises(UsageError, match=message):
        isotune.watch(object(), None, tmp_path / "loop", **arguments)
    assert not (tmp_path / "loop").exists()
