"""Axes of the network, of BatchNorm in training and of the numeric mode: each value on every engine.

`outcomes` runs tests/adapters/keras_scripts/axes.py, one process an engine, for this file, test_axes_recipe.py and
test_axes_input.py. A test shows how the values of its axis differ, by the number that adapters/SEMANTICS.md gives, and
that every engine has the numbers of torch.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import numpy as np
import pytest
import torch
from keras_processes import process_of
from torch.nn import functional

from isotune.conventions import FORM_AXES, Conventions

ENGINES = ("torch", "keras@tensorflow", "keras@jax", "keras@torch")
ELSEWHERE = {"decode", *FORM_AXES}  # test_axes_input.py; forms, which no engine realises: tests/runs/test_forms.py
NOT_HERE = {"last-block"}  # of ResNets v2 alone: tests/test_torch_strides.py, tests/test_parity.py
pytestmark = [pytest.mark.parametrize("engine", ENGINES), pytest.mark.xdist_group("keras")]


@cache
def outcomes(engine: str) -> dict[str, np.ndarray]:
    """What tests/adapters/keras_scripts/axes.py gives on an engine, by AXIS/VALUE/..."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "out.npz"
        process_of(engine.rpartition("@")[2]).run("axes.py", engine, out)
        with np.load(out) as arrays:
            return dict(arrays)


def agrees_with_torch(engine: str, axis: str, bound: float = 1e-10) -> None:
    """Every number of the axis's experiments is that of torch, to `bound` relative to the array's largest."""
    ours, reference = outcomes(engine), outcomes("torch")
    keys, theirs = ({key for key in found if key.startswith(f"{axis}/")} for found in (ours, reference))
    assert keys == theirs
    assert keys
    for key in keys:
        largest = np.abs(reference[key]).max()
        np.testing.assert_allclose(ours[key], reference[key], rtol=0, atol=bound * largest, err_msg=f"{engine} {key}")


def test_every_value_of_every_axis_has_its_experiment(engine):
    seen = [key.split("/") for key in outcomes(engine)]
    for axis, field in Conventions.model_fields.items():
        if axis in ELSEWHERE:
            continue
        values = {value for value in get_args(field.annotation) if isinstance(value, str)} - {"own"} - NOT_HERE
        tried = {value for name, value, *_ in (parts for parts in seen if parts[0] == axis)}
        assert len(tried) >= 2, axis
        assert values <= tried, axis


def test_padding_at_the_end_samples_one_pixel_further_on(engine):
    """Of an even size; of an odd size both paddings are the same zeros."""
    found = outcomes(engine)
    cases = {"even": ("transparent", 0, 1), "odd": ("odd", 0, 0)}
    for size, (run, *first_pixels) in cases.items():
        pixels = found[f"images/{size}"] / 127.5 - 1
        for form, first in zip(("symmetric", "same"), first_pixels, strict=True):
            key = f"stride2_padding/{form}/{run}"
            np.testing.assert_allclose(found[f"{key}/000.conv"][..., :3], pixels[:, first::2, first::2], atol=1e-12)
    key = "stride2_padding/{}/transparent/{}"
    for form, first in (("symmetric", 0), ("same", 1)):  # 5x5 with stride 2, of 8x8
        given, taken = (found[key.format(form, layer)] for layer in ("001.norm", "002.conv"))
        np.testing.assert_allclose(taken[..., ::2], _gelu(given[:, first::2, first::2]), rtol=1e-9, atol=1e-12)
    agrees_with_torch(engine, "stride2_padding")


def test_a_counted_border_takes_a_third_off_the_edge_and_five_ninths_off_the_corner(engine):
    found = outcomes(engine)
    share = np.array([2 / 3, 1, 1, 2 / 3])
    for value, expected in (("true", np.outer(share, share)), ("false", np.ones((4, 4)))):
        pooled = found[f"count_include_pad/{value}/transparent/004.conv"]  # of a map of ones
        np.testing.assert_allclose(pooled, np.broadcast_to(expected[..., None], pooled.shape), rtol=1e-12)
    agrees_with_torch(engine, "count_include_pad")


def test_zeros_around_a_max_pool_are_larger_than_what_is_negative(engine):
    """Of a map of -1, padded on both sides, 15 of 8 x 8 values become 0."""
    found = outcomes(engine)
    seen = {}
    for value in ("minus-infinity", "zeros"):
        pooled = found[f"max_pool_padding/{value}/002.conv"]  # strides nowhere, hands on what was pooled
        seen[value] = [(pooled[0, :, :, 0] == level).sum() for level in (-1.0, 0.0)]
    assert seen == {"minus-infinity": [64, 0], "zeros": [49, 15]}
    agrees_with_torch(engine, "max_pool_padding")


def test_a_stride_on_the_first_1x1_drops_three_values_in_four_before_the_3x3_sees_them(engine):
    found = outcomes(engine)
    late, early = (found[f"stride_location/{value}/002.conv"] for value in ("3x3", "first-1x1"))
    np.testing.assert_allclose(early, late[:, ::2, ::2], rtol=1e-12)
    late, early = (found[f"stride_location/{value}/008.conv"] for value in ("3x3", "first-1x1"))
    np.testing.assert_array_equal(late, early, err_msg="the shortcut strides under both")
    late, early = (found[f"stride_location/{value}/004.conv"] for value in ("3x3", "first-1x1"))
    assert late.shape == early.shape
    assert np.abs(late - early).max() > 0.1 * np.abs(late).max()
    agrees_with_torch(engine, "stride_location")


def test_optional_tensors_are_the_checkpoints_or_folded_into_their_neighbours(engine):
    """The function is the same; the five biases and the scale are there, or are not."""
    found = outcomes(engine)
    names = {
        whose: {key.rpartition("/")[2] for key in found if key.startswith(f"optional_tensors/checkpoint/{whose}'s/")}
        for whose in ("torch", "keras")
    }
    biases = {f"{layer:03d}.conv.bias" for layer in range(0, 10, 2)}
    assert names["keras"] - names["torch"] == biases
    assert names["torch"] - names["keras"] == {"003.norm.scale"}
    for whose in ("torch", "keras"):
        taken, own = (found[f"optional_tensors/{value}/{whose}'s/features"] for value in ("checkpoint", "own"))
        np.testing.assert_allclose(own, taken, rtol=0, atol=3e-7 * np.abs(taken).max(), err_msg="folded in float32")
    agrees_with_torch(engine, "optional_tensors/checkpoint")


def test_a_larger_epsilon_shrinks_what_batchnorm_gives_where_the_variance_is_small(engine):
    found = outcomes(engine)
    small, large = (found[f"batchnorm_epsilon/{value}/transparent/001.norm"] for value in (1e-5, 1e-3))
    ratio = (large / small)[np.abs(small).min(axis=-1) > 0][0]  # channels of variance 1e-4, 1e-3, 1e-2, 1
    assert ratio == pytest.approx([0.316, 0.711, 0.954, 0.9995], abs=5e-4)
    np.testing.assert_allclose(large, small * ratio, rtol=1e-9)
    agrees_with_torch(engine, "batchnorm_epsilon")


def test_leaky_relu_lets_a_hundredth_a_fifth_or_three_tenths_through(engine):
    found = outcomes(engine)
    for slope in (0.01, 0.2, 0.3):
        given, taken = (found[f"leaky_relu_slope/{slope}/{layer}.conv"] for layer in ("000", "001"))
        assert (given < 0).mean() > 0.2
        np.testing.assert_allclose(taken, np.where(given < 0, slope * given, given), rtol=1e-10, atol=1e-12)
    agrees_with_torch(engine, "leaky_relu_slope")


def test_hard_sigmoids_reach_one_at_3_at_2_5_or_at_1(engine):
    """A layer of its own, and one that is written out as ReLU6."""
    found = outcomes(engine)
    for form, steepness in (("sixth", 1 / 6), ("fifth", 0.2), ("half", 0.5)):
        layers = [found[f"hard_sigmoid/{form}/{layer:03d}.conv"] for layer in (1, 2, 3)]
        for given, taken in ((layers[0] / 16, layers[1]), (layers[1], layers[2])):
            np.testing.assert_allclose(taken, np.clip(steepness * given + 0.5, 0, 1), rtol=0, atol=1e-10)
        assert 0 < (layers[1] == 1).mean() < 1
    agrees_with_torch(engine, "hard_sigmoid")


def test_layernorm_makes_less_of_a_small_vector_under_a_larger_epsilon(engine):
    found = outcomes(engine)
    for value, expected in ((1e-6, 0.995), (1e-5, 0.953), (1e-3, 0.302)):
        given = found[f"layernorm_epsilon/{value}/transparent/006.norm"]  # of +-0.01
        assert np.abs(given) == pytest.approx(expected, abs=5e-4)
    agrees_with_torch(engine, "layernorm_epsilon")


def test_gelu_by_tanh_is_off_by_less_than_5e_4(engine):
    """At most 4.73e-4, where |x| is 2.70."""
    found = outcomes(engine)
    given = found["gelu/exact/transparent/001.norm"][:, ::2, ::2]
    exact, tanh = (found[f"gelu/{value}/transparent/002.conv"][..., ::2] for value in ("exact", "tanh"))
    np.testing.assert_allclose(exact, _gelu(given), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(tanh, _gelu(given, "tanh"), rtol=1e-9, atol=1e-12)
    assert 4.5e-4 < np.abs(tanh - exact).max() < 4.74e-4
    agrees_with_torch(engine, "gelu")


def _gelu(values: np.ndarray, approximate: str = "none") -> np.ndarray:
    return functional.gelu(torch.tensor(values), approximate=approximate).numpy()


@pytest.mark.parametrize(("momentum", "steps"), [(0.1, 29), (0.01, 299)])
def test_running_statistics_are_within_a_twentieth_after_29_or_299_steps(engine, momentum, steps):
    found = outcomes(engine)
    key = f"batchnorm_momentum/{momentum}"
    start, batch = found[f"{key}/start"], found[f"{key}/batch"]
    for step in (steps - 1, steps):
        left = (found[f"{key}/{step}"] - batch) / (start - batch)
        np.testing.assert_allclose(left, (1 - momentum) ** step, rtol=1e-9)
        assert (left.max() <= 0.05) == (step == steps)
    agrees_with_torch(engine, "batchnorm_momentum")


@pytest.mark.parametrize(("values", "factor"), [(32, 1.032), (8, 1.143)])
def test_the_unbiased_running_variance_is_larger_by_n_over_n_minus_1(engine, values, factor):
    found = outcomes(engine)
    key = "batchnorm_running_variance/{}/" + str(values)
    for form, expected in (("unbiased", values / (values - 1)), ("biased", 1.0)):
        ratio = found[f"{key.format(form)}/running"] / found[f"{key.format(form)}/batch"]
        np.testing.assert_allclose(ratio, expected, rtol=1e-9)
    assert values / (values - 1) == pytest.approx(factor, abs=5e-4)
    losses = [found[f"{key.format(form)}/loss"] for form in ("unbiased", "biased")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12), "normalisation itself takes the biased variance"
    agrees_with_torch(engine, "batchnorm_running_variance")


def test_a_frozen_batchnorm_updates_and_uses_the_batch_or_stands_still(engine):
    found = outcomes(engine)
    updates, inference = "frozen_batchnorm/updates", "frozen_batchnorm/inference"
    statistics = ("001.norm.mean", "001.norm.variance")
    for key, moving in ((updates, {*statistics}), (inference, set())):
        names = [name.partition("/before/")[2] for name in found if name.startswith(f"{key}/before/")]
        changed = {n for n in names if not np.array_equal(found[f"{key}/before/{n}"], found[f"{key}/after/{n}"])}
        assert changed == {"head.kernel", "head.bias"} | moving
    assert found[f"{updates}/loss"][0] == pytest.approx(float(found[f"{updates}/training loss"]), rel=1e-12)
    by_statistics = functional.cross_entropy(torch.tensor(found[f"{inference}/logits"]), torch.tensor([0, 1, 2]))
    assert found[f"{inference}/loss"][0] == pytest.approx(by_statistics.item(), rel=1e-9)
    # three steps with momentum 0.25 go 1 - 0.75^3 = 58 % of the way to the batch's mean
    start, end = (found[f"{updates}/{when}/001.norm.mean"] for when in ("before", "after"))
    batch = found["batchnorm_momentum/0.1/batch"]
    np.testing.assert_allclose((end - start) / (batch - start), 1 - 0.75**3, rtol=1e-9)
    agrees_with_torch(engine, "frozen_batchnorm")


def test_float32_keeps_six_digits_and_bfloat16_two(engine):
    found = outcomes(engine)
    exact = found["numeric mode/float64/logits"]
    error = {
        mode: np.abs(found[f"numeric mode/{mode}/logits"] - exact).max() / np.abs(exact).max()
        for mode in ("float32", "bfloat16")
    }
    assert 1e-9 < error["float32"] < 2.0**-24 * 64
    assert 1e-4 < error["bfloat16"] < 2.0**-8 * 8
    assert math.isclose(np.finfo(np.float32).eps, 2.0**-23)
    agrees_with_torch(engine, "numeric mode/float64")
    agrees_with_torch(engine, "numeric mode/float32", 2.0**-24 * 64)
    agrees_with_torch(engine, "numeric mode/bfloat16", 2.0**-8 * 8)
