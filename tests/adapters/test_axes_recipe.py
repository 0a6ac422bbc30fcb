"""Axes of the recipe: each value on every engine, as in test_axes_network.py.

Trajectories are those of a kernel and a bias under given gradients. That every form of every optimizer is its formula,
on every engine, is in test_torch_optimizers.py and test_keras_optimizers.py; here stands what the forms differ by.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_axes_network import ENGINES, agrees_with_torch, outcomes

from isotune.weights import head_weights

pytestmark = [pytest.mark.parametrize("engine", ENGINES), pytest.mark.xdist_group("keras")]


def test_a_new_head_of_2048_features_starts_within_0221_or_0540(engine):
    """For 10 classes: torch's bound is 2.44 times smaller, and its bias is drawn too."""
    greatest = {
        value: [np.abs(array).max() for array in head_weights(2048, 10, value, 0).values()]
        for value in ("uniform-fan-in", "glorot-uniform", "zeros")
    }
    assert greatest["uniform-fan-in"] == pytest.approx([0.0221, 0.0221], rel=0.15)
    assert greatest["uniform-fan-in"][0] == pytest.approx(0.0221, rel=2e-3)
    assert greatest["glorot-uniform"] == pytest.approx([0.0540, 0.0], rel=2e-3)
    assert greatest["zeros"] == [0.0, 0.0]
    assert greatest["glorot-uniform"][0] / greatest["uniform-fan-in"][0] == pytest.approx(2.44, rel=2e-3)
    for value in greatest:
        for slot in ("kernel", "bias"):
            drawn = head_weights(4, 3, value, 0)[f"head.{slot}"]
            np.testing.assert_array_equal(outcomes(engine)[f"head_initialisation/{value}/{slot}"], drawn)
    agrees_with_torch(engine, "head_initialisation")


def test_a_rate_inside_the_velocity_steps_9_1_times_as_far_after_a_tenfold_fall(engine):
    """And ends 8.1 gradients further on after 100 steps at rate 0.01; while the rate stays, both are one."""
    outside, inside = (outcomes(engine)[f"momentum_form/{form}"][:, 0] for form in ("rate-outside", "rate-inside"))
    np.testing.assert_allclose(inside[:150], outside[:150], rtol=1e-12)
    first = [steps[149] - steps[150] for steps in (inside, outside)]
    assert first[0] / first[1] == pytest.approx(9.1, rel=1e-4)
    assert outside[-1] - inside[-1] == pytest.approx(8.1, rel=1e-4)
    agrees_with_torch(engine, "momentum_form")


def test_momentum_0_9_multiplies_coupled_decay_by_9_1_in_100_steps(engine):
    """By 10 - 90 * (1 - 0.9^n) / n in n steps: 9.91 in 1000, 9.96 in 2250, 10 in the end."""
    found = outcomes(engine)
    logs = [np.log(found[f"weight_decay_form/{form}/momentum"][-1, 0]) for form in ("coupled", "decoupled")]
    assert logs[1] == pytest.approx(100 * math.log(1 - 0.1 * 1e-5), rel=1e-9)
    assert logs[0] / logs[1] == pytest.approx(10 - 90 * (1 - 0.9**100) / 100, rel=1e-3)
    assert logs[0] / logs[1] == pytest.approx(9.1, rel=1e-3)
    agrees_with_torch(engine, "weight_decay_form")


def test_l2_in_the_loss_decays_twice_and_without_the_rate_ten_times(engine):
    """At rate 0.1: L2 of wd*sum(w^2) twice as much as torch's decay of wd, which is L2 of half of that."""
    found = outcomes(engine)
    logs = {
        form: np.log(found[f"weight_decay_form/{form}/momentum"][-1, 0])
        for form in ("coupled", "decoupled", "in-loss", "decoupled-unscaled")
    }
    assert logs["in-loss"] / logs["coupled"] == pytest.approx(2, rel=1e-3)
    assert logs["decoupled-unscaled"] / logs["decoupled"] == pytest.approx(10, rel=1e-4)
    steps = [1 - found[f"weight_decay_form/{form}/adam"][0, 0] for form in ("decoupled", "decoupled-unscaled")]
    assert steps == pytest.approx([0.1 + 1e-4, 0.1 + 1e-3], rel=1e-6)


def test_coupled_decay_vanishes_in_adams_first_step(engine):
    """The gradient's size cancels out; decoupled, the decay is rate * decay."""
    found = outcomes(engine)
    coupled, decoupled = (found[f"weight_decay_form/{form}/adam"][0, 0] for form in ("coupled", "decoupled"))
    assert coupled == pytest.approx(0.9, abs=1e-8)
    assert coupled - decoupled == pytest.approx(0.1 * 1e-3, rel=1e-4)


def test_decay_on_kernels_leaves_the_bias(engine):
    found = outcomes(engine)
    for which, expected in (("all", [0.9999, 0.9999]), ("kernels", [0.9999, 1.0])):
        np.testing.assert_allclose(found[f"weight_decay_on/{which}"][0], expected, rtol=1e-14)
    agrees_with_torch(engine, "weight_decay_on")


def test_keras_adam_takes_0_76_of_torchs_first_step_where_the_gradient_is_1e_5(engine):
    """With each library's epsilon; 0.997 at 1e-3, 0.24 at 1e-6. Keras's 1e-7 acts as 1e-7 / sqrt(1 - 0.999^t)."""
    found = outcomes(engine)
    torch_like, keras_like = (
        found[f"adam_epsilon/{form}"][:, :3] for form in ("after-correction", "before-correction")
    )
    assert keras_like[0] / torch_like[0] == pytest.approx([0.9969, 0.7605, 0.2427], abs=1e-4)
    steps = -np.diff(keras_like[:, 2], prepend=0.0)  # the gradient is always 1e-6, so a step is 1e-6 / (1e-6 + eps)
    acting = 1e-6 / steps - 1e-6
    np.testing.assert_allclose(acting, 1e-7 / np.sqrt(1 - 0.999 ** np.arange(1, 101)), rtol=1e-6)
    assert acting[[0, 99]] == pytest.approx([3.16e-6, 3.24e-7], rel=2e-3)
    agrees_with_torch(engine, "adam_epsilon")


def test_an_epsilon_inside_rmsprops_root_shortens_a_step_tenfold_where_the_gradient_is_1e_4(engine):
    """The same epsilon of 1e-7: 0.995 at a gradient of 1e-2, 0.0998 at 1e-4, 0.0013 at 1e-6."""
    outside, inside = (outcomes(engine)[f"rmsprop_epsilon/{form}"][0, :3] for form in ("outside-root", "inside-root"))
    assert inside / outside == pytest.approx([0.995, 0.0998, 0.00132], rel=5e-3)
    agrees_with_torch(engine, "rmsprop_epsilon")


def test_gradients_of_norm_3_and_4_are_clipped_to_1_together_or_each(engine):
    found = outcomes(engine)
    for form, expected in (("global-norm", [0, -0.6, -0.8]), ("per-variable", [0, -1, -1])):
        np.testing.assert_allclose(found[f"clipping/{form}"][0], expected, rtol=1e-14, atol=0)
    agrees_with_torch(engine, "clipping")


def test_the_loss_of_a_sure_mistake_is_50_or_16_1_and_clipped_it_has_no_gradient(engine):
    """The wrong logit leads by 50; -ln(1e-7) is 16.118."""
    found = outcomes(engine)
    expected = {"logits": (50.0, [1, -1, 0]), "clipped-probabilities": (-math.log(1e-7), [0, 0, 0])}
    for form, (loss, gradient) in expected.items():
        assert found[f"loss/{form}/sure/loss"] == pytest.approx(loss, rel=1e-12)
        np.testing.assert_allclose(found[f"loss/{form}/sure/head.bias"], gradient, atol=1e-12)
    for smoothing in (0.0, 0.1):  # where nothing is clipped, the forms are one
        one, other = (found[f"loss/{form}/smoothing {smoothing}/loss"] for form in expected)
        assert one == pytest.approx(float(other), rel=1e-12)
    agrees_with_torch(engine, "loss")


def test_momentum_in_float32_is_off_by_16e_9_of_the_way_after_three_steps(engine):
    """0.9 is 0.89999998 in float32. Also where every other axis has Keras's value, and its own classes may run."""
    found = outcomes(engine)
    held = float(np.float32(0.9))
    for form in ("torch", "keras"):
        exact, rounded = (found[f"hyperparameters/{value}/{form}'s sgd"][2, 0] for value in ("float64", "float32"))
        assert exact == pytest.approx(-0.1 * (3 + 2 * 0.9 + 0.9**2), abs=1e-14)
        assert rounded == pytest.approx(-0.1 * (3 + 2 * held + held**2), abs=1e-14)
        assert rounded / exact - 1 == pytest.approx(-1.6e-8, rel=0.02)
    agrees_with_torch(engine, "hyperparameters", 1e-12)


def test_no_step_of_a_warm_up_has_rate_0_and_the_rest_is_keras_cosine(engine):
    """A Keras schedule warms up from rate 0, one step behind; then both are CosineDecay."""
    found = outcomes(engine)
    ours, theirs = found["schedule/cosine/rates"], outcomes("keras@tensorflow")["keras schedule/cosine"]
    assert theirs[0] == 0.0
    assert ours[0] == 0.25 / 4
    np.testing.assert_allclose(ours[:4], theirs[1:5], rtol=1e-6)
    np.testing.assert_allclose(ours[4:], theirs[4:], rtol=1e-6, atol=1e-8)
    agrees_with_torch(engine, "schedule")


# -- techniques: ten steps of each


@pytest.mark.parametrize("technique", ["mixing", "accumulation", "layer_rates", "stochastic_depth", "frozen_norms"])
def test_every_engine_trains_as_torch_does(engine, technique):
    agrees_with_torch(engine, technique, bound=1e-9)


def test_every_engine_trains_as_torch_does_in_float32_too(engine):
    agrees_with_torch(engine, "float32", bound=1e-5)
    assert outcomes(engine)["float32/losses"][0] != outcomes(engine)["float32/losses"][2]


def test_what_is_left_out_of_every_image_neither_acts_nor_learns(engine):
    """In each of its forms the masks are others, in parts too; under masks of 0 a branch's layers stay."""
    found = outcomes(engine)
    losses = [found[key] for key in found if key.startswith("stochastic_depth/") and key.endswith("/losses")]
    assert len({tuple(each.round(6)) for each in losses}) == len(losses) == 9
    within = ("002", "003", "004", "005", "006", "007", "008", "011", "012")
    start = {key.rpartition("/")[2]: array for key, array in found.items() if key.startswith("branched/")}
    stays = {name: np.array_equal(found[f"stochastic_depth/zeros/{name}"], array) for name, array in start.items()}
    assert all(stays[name] for name in start if name[:3] in within and not name.endswith((".mean", ".variance")))
    assert not any(stays[name] for name in start if name in ("000.conv.kernel", "009.conv.kernel", "head.kernel"))
    assert not any(stays[name] for name in start if name.endswith(".mean"))


def test_frozen_norms_neither_learn_nor_track_and_the_rest_learns(engine):
    found = outcomes(engine)
    start = {key.partition("/")[2]: array for key, array in found.items() if key.startswith("micro/")}
    stays = {name for name, array in start.items() if np.array_equal(found[f"frozen_norms/sgd/logits/{name}"], array)}
    assert stays == {f"001.norm.{slot}" for slot in ("scale", "shift", "mean", "variance")}


def test_two_passes_are_two_batches_to_batchnorm_and_one_step(engine):
    found = outcomes(engine)
    one, two = (found[f"accumulation/{parts}/logits/losses"] for parts in (1, 2))
    assert one[0] == pytest.approx(two[0], rel=0.2)
    assert one[0] != two[0]
    norms = [found[f"accumulation/{parts}/logits/001.norm.mean"] for parts in (1, 2)]
    assert np.abs(norms[0] - norms[1]).max() > 1e-6


def test_a_mixed_target_weighs_both_classes(engine):
    """From the same weights: the loss of a mixture is that of neither label."""
    found = outcomes(engine)
    forms = [found[f"mixing/sgd/{form}/losses"] for form in ("logits", "clipped-probabilities")]
    np.testing.assert_allclose(forms[0], forms[1], rtol=1e-5)  # the clip is far away
    assert len(set(np.round(forms[0], 9))) == 10
