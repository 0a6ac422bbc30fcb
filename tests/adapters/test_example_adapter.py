"""A third party's adapter: its own package, found by its entry point, through the whole house."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from isotune.adapters.base import Recipe
from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.protocols import SGD
from isotune.weights import head_weights, random_weights

PACKAGE = Path(__file__).parent / "example_adapter"
spec = importlib.util.spec_from_file_location("isotune_example", PACKAGE / "isotune_example.py")
assert spec
assert spec.loader
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)


@pytest.fixture
def installed(packages, shared_cache) -> dict[str, str]:
    """The environment of a process in which the package is installed."""
    return os.environ | {
        "PYTHONPATH": str(packages),
        "ISOTUNE_CACHE": str(shared_cache),
        "OMP_NUM_THREADS": "1",
    }


def python(code: str, environment: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_found_by_its_entry_point_beside_the_others(installed) -> None:
    code = """
        import json
        from isotune import names
        adapter = names.load_adapter(names.parse("example:random-features"))
        print(json.dumps([sorted(names.adapters()), adapter.name, [info.name for info in adapter.models()]]))
    """
    found, name, models = json.loads(python("\n".join(line.strip() for line in code.splitlines()), installed))
    assert set(found) >= {"example", "keras", "timm", "torchvision"}
    assert (name, models) == ("example", ["random-features"])


def test_it_runs_a_protocol_from_the_command_line_to_a_record(installed, tmp_path) -> None:
    command = [sys.executable, "-m", "isotune.cli", "run", "--models", "example:random-features:width=128"]
    command += ["--datasets", "digits", "--protocols", "quick-fine-tune", "--conventions", "identical"]
    command += ["--checkpoint", "random:0", "--seeds", "1", "--store", str(tmp_path)]
    done = subprocess.run(command, env=installed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (record,) = (json.loads(file.read_text()) for file in tmp_path.glob("*/record.json"))
    assert record["status"] == "done"
    assert record["metrics"]["accuracy"] > 0.5
    assert record["metrics"]["train_loss"][-1] < record["metrics"]["train_loss"][0]


def build(**changes):
    asked = {"classes": 5, "checkpoint": None, "conventions": Conventions(), "numeric_mode": "float64"}
    model = example.ExampleAdapter().build("random-features", **(asked | changes))
    model.load(head_weights(model.tensors["head.kernel"].shape[0], 5, "uniform-fan-in", 0))
    return model


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    stream = np.random.default_rng(0)
    return stream.integers(0, 256, (6, 19, 24, 3), dtype=np.uint8), stream.integers(0, 5, 6)


def test_its_gradients_are_those_of_its_loss(batch) -> None:
    model = build(options={"width": "16"})
    gradients = model.gradients(*batch, label_smoothing=0.1)
    stream = np.random.default_rng(1)
    for key in model.tensors:
        direction, step = stream.normal(size=model.tensors[key].shape), 1e-6
        sides = []
        for sign in (1, -1):
            moved = build(options={"width": "16"})
            moved.tensors[key] = moved.tensors[key] + sign * step * direction
            sides.append(float(moved.gradients(*batch, label_smoothing=0.1)["loss"]))
        expected = (sides[0] - sides[1]) / (2 * step)
        assert (gradients[key] * direction).sum() == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_its_steps_lower_the_loss_and_leave_what_is_frozen(batch) -> None:
    model = build()
    before = model.weights()
    trainer = model.trainer(Recipe(SGD(name="sgd", momentum=0.9, nesterov=True), frozenset({"head"})))
    losses = [trainer.step(*batch, 0.01) for _ in range(20)]
    assert losses[-1] < losses[0] / 2
    np.testing.assert_array_equal(model.tensors["000.dense.kernel"], before["000.dense.kernel"])
    assert set(trainer.state()) == {"head.kernel/velocity", "head.bias/velocity"}


def test_it_keeps_what_it_was_given_and_refuses_the_rest() -> None:
    layout = {"000.dense.kernel": (192, 16), "000.dense.bias": (16,)}
    weights = random_weights(layout, 7)
    model = build(checkpoint=weights, options={"width": "16"})
    np.testing.assert_array_equal(model.weights()["000.dense.kernel"], weights["000.dense.kernel"])
    for wrong, said in [
        ({"checkpoint": weights, "options": {"width": "17"}}, r"\(192, 16\) in the checkpoint"),
        ({"checkpoint": "drwan"}, "did you mean 'drawn'"),
        ({"options": {"widht": "3"}}, "did you mean 'width'"),
        ({"numeric_mode": "bfloat16"}, "float32 and float64"),
    ]:
        with pytest.raises(UsageError, match=said):
            build(**wrong)
