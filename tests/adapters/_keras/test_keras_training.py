"""Training in Keras on each engine: gradients, steps, buffers, freezing, determinism."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from keras_processes import ENVIRONMENT, SCRATCH, process_of

SCRIPT = Path(__file__).parents[1] / "keras_scripts" / "training.py"
ENGINES = ("tensorflow", "jax", "torch")
pytestmark = [pytest.mark.parametrize("engine", ENGINES), pytest.mark.xdist_group("keras")]


@cache
def run(engine: str) -> dict[str, np.ndarray]:
    """What tests/adapters/keras_scripts/training.py gives, in the process that other scripts use too."""
    out = SCRATCH / f"training-{engine}.npz"
    process_of(engine).run("training.py", engine, out)
    return dict(np.load(out))


def run_by_itself(engine: str) -> dict[str, np.ndarray]:
    """The digests that a process of its own gives."""
    out = SCRATCH / f"training-{engine}-digests.npz"
    done = subprocess.run(
        [sys.executable, SCRIPT, engine, out, "digests"],
        capture_output=True, text=True, check=False, env=os.environ | ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(out))


def test_gradients_are_differences_of_the_loss(engine):
    found = run(engine)
    for key in [key for key in found if key.startswith("difference/")]:
        name = key.partition("/")[2]
        gradient = found[f"gradient/{name}"][tuple(found[f"place/{name}"])]
        assert gradient == pytest.approx(found[key][0], rel=1e-5, abs=1e-9)


def test_gradients_cover_every_trainable_tensor_in_canonical_layout(engine):
    found = run(engine)
    trainable = {key.removeprefix("before/") for key in found if key.startswith("before/")}
    trainable = {name for name in trainable if not name.endswith((".mean", ".variance"))}
    assert {key.removeprefix("gradient/") for key in found if key.startswith("gradient/")} == trainable | {"loss"}
    for name in trainable:
        assert found[f"gradient/{name}"].shape == found[f"before/{name}"].shape


def test_a_plain_step_subtracts_the_gradient_and_gives_the_loss_before_it(engine):
    found = run(engine)
    assert found["step/unbiased/loss"] == pytest.approx(float(found["gradient/loss"]), rel=1e-12)
    for key in [key for key in found if key.startswith("gradient/") and key != "gradient/loss"]:
        name = key.partition("/")[2]
        expected = found[f"before/{name}"] - 0.1 * found[key]
        np.testing.assert_allclose(found[f"step/unbiased/{name}"], expected, rtol=1e-10, atol=1e-13)


def test_running_variance_takes_the_unbiased_or_the_biased_variance_of_the_batch(engine):
    found = run(engine)
    for name, count in (("001.norm", 6 * 8 * 8), ("003.norm", 6 * 4 * 4)):
        old = found[f"before/{name}.variance"]
        biased, unbiased = (
            (found[f"step/{form}/{name}.variance"] - 0.75 * old) / 0.25 for form in ("biased", "unbiased")
        )
        np.testing.assert_allclose(unbiased, biased * count / (count - 1), rtol=1e-10)
        np.testing.assert_array_equal(found[f"step/biased/{name}.mean"], found[f"step/unbiased/{name}.mean"])


def test_running_statistics_are_the_batch_s_own(engine):
    found = run(engine)
    images = found["images"]
    scale, offset = (
        1 / (255 * np.array([0.229, 0.224, 0.225])),
        -np.array([0.485 / 0.229, 0.456 / 0.224, 0.406 / 0.225]),
    )
    padded = np.pad(images * scale + offset, ((0, 0), (0, 1), (0, 1), (0, 0)))
    kernel = found["before/000.conv.kernel"]
    maps = sum(
        padded[:, row : row + 16 : 2, column : column + 16 : 2] @ kernel[row, column]
        for row in range(3)
        for column in range(3)
    )
    expected = 0.75 * found["before/001.norm.mean"] + 0.25 * maps.mean((0, 1, 2))
    np.testing.assert_allclose(found["step/biased/001.norm.mean"], expected, rtol=1e-9)
    expected = 0.75 * found["before/001.norm.variance"] + 0.25 * maps.var((0, 1, 2))
    np.testing.assert_allclose(found["step/biased/001.norm.variance"], expected, rtol=1e-9)


def test_frozen_layers_stay_and_frozen_batchnorm_is_as_the_convention_says(engine):
    found = run(engine)
    names = {key.removeprefix("before/") for key in found if key.startswith("before/")}
    trained = {name for name in names if name.startswith(("head.", "006.norm."))}
    buffers = {name for name in names if name.endswith((".mean", ".variance"))}
    assert set(found["frozen/inference"]) == names - trained
    assert set(found["frozen/updates"]) == names - trained - buffers
    assert set(found["state/inference"]) == buffers | {f"{name}/velocity" for name in trained}


def test_the_feature_mask_cuts_the_features_off(engine):
    names = {key.removeprefix("before/") for key in run(engine) if key.startswith("before/")}
    changed = names - set(run(engine)["masked"])
    assert changed == {"head.bias", *(name for name in names if name.endswith((".mean", ".variance")))}


def test_losses_of_both_forms_agree_where_nothing_is_clipped(engine):
    found = run(engine)
    assert found["loss/clipped"] == pytest.approx(float(found["loss/0.1"]), rel=1e-6)
    assert abs(found["loss/0.1"] - found["loss/0.0"]) > 1e-4


def test_a_fresh_process_gives_bitwise_the_same_weights(engine):
    fresh = run_by_itself(engine)
    for key in ("digest", "digest32"):
        assert str(run(engine)[key]) == str(fresh[key])


def test_narrow_modes_stand_near_float64(engine):
    found = run(engine)
    exact = found["logits/float64"]
    for mode, allowed in (("float32", 1e-5), ("bfloat16", 0.1)):
        error = np.abs(found[f"logits/{mode}"] - exact).max() / np.abs(exact).max()
        assert 0 < error < allowed
