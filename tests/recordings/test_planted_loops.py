"""Loops in Keras and torch with the techniques of recipes: what differs from a recipe is named, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from keras_processes import process_of
from planted.loops.__main__ import HERE, chosen
from planted.loops.cases import Case, Framework

from isotune.recordings import Recording, compare, compare_with_protocol

pytestmark = pytest.mark.xdist_group("keras")
QUICK = {  # the rest are of reports/planted-loops.md, and slow
    "use_ema", "ema_overwrite_frequency", "average by hand", "tf.train.ExponentialMovingAverage", "MixUp", "CutMix",
    "Dropout", "gradient_accumulation_steps", "clipnorm",
}  # fmt: skip
ENGINES = ("tensorflow", "jax", "torch")


def loops(engine: str) -> list[str]:
    return list(dict.fromkeys(case.loop for case in chosen("keras", engine)))


def recorded(engine: str, names: list[str], folder: Path) -> dict[str, Recording]:
    process_of(engine).run(HERE / "in_keras.py", engine, folder, *names)
    return {name: Recording(folder / name) for name in names}


def judged(framework: Framework, engine: str, recordings: dict[str, Recording]) -> None:
    of_these = [case for case in chosen(framework, engine) if case.loop in recordings]
    assert of_these
    wrong = {f"{case.loop}: {case.said}": said.verdict for case in of_these
             if not case.right(said := held(case, recordings))}  # fmt: skip
    assert not wrong


def held(case: Case, recordings: dict[str, Recording]):
    return compare_with_protocol(recordings[case.loop], case.protocol)


@pytest.mark.parametrize("engine", [
    pytest.param(engine, marks=[pytest.mark.slow] * (engine != "tensorflow")) for engine in ENGINES])  # fmt: skip
def test_what_a_loop_in_keras_does_otherwise_is_named(engine: str, tmp_path) -> None:
    names = [name for name in loops(engine) if name in QUICK or engine != "tensorflow"]
    judged("keras", engine, recorded(engine, names, tmp_path))


@pytest.mark.slow
def test_what_the_other_loops_in_keras_do_otherwise_is_named(tmp_path) -> None:
    names = [name for name in loops("tensorflow") if name not in QUICK]
    judged("keras", "tensorflow", recorded("tensorflow", names, tmp_path))


def test_what_a_loop_in_torch_does_otherwise_is_named(tmp_path) -> None:
    pytest.importorskip("torchvision")
    pytest.importorskip("timm")
    from planted.loops import in_torch

    recordings = {}
    for name, train in in_torch.LOOPS.items():
        train(tmp_path / name)
        recordings[name] = Recording(tmp_path / name)
    judged("torch", "tensorflow", recordings)
    of_masks(recordings["Dropout"], recordings["plain"], tmp_path)


def of_masks(dropping: Recording, plain: Recording, folder: Path) -> None:
    """Two loops with one dropout part by their masks, which is no difference; a loop without is another."""
    import torch
    from planted.loops import in_torch

    torch.manual_seed(7)
    net = in_torch.network(behind=torch.nn.Dropout(0.2))
    torch.manual_seed(11)  # other masks
    in_torch.train(folder / "again", net)
    found = compare(dropping, Recording(folder / "again"))
    assert found.same, found.verdict
    assert "both draw at random, each by its own generator" in found.verdict
    assert "dropout" in {cause.name for cause in compare(plain, dropping).causes}
