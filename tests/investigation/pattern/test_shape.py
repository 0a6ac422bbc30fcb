"""The shape of an error: what is planted is named, and nothing is said that the arrays do not show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from isotune.investigation.pattern import Pattern, pattern

BOUND = 1e-4
SIDES = st.integers(1, 9)
SHAPES = st.tuples(st.integers(1, 4), SIDES, SIDES, st.integers(1, 6))
DTYPES = st.sampled_from([np.float32, np.float64])
SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=40)


def drawn(shape, seed: int, dtype=np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(1, 2, shape).astype(dtype)


def noised(array: np.ndarray, seed: int, size: float | None = None) -> np.ndarray:
    """With noise of a fifth of the bound, relative to `size` or the array's largest value."""
    size = BOUND / 5 * (np.abs(array).max(initial=0) if size is None else size)
    noise = np.random.default_rng([seed, 1]).uniform(-size, size, array.shape)
    return (array + noise).astype(array.dtype)


def named(found: Pattern) -> set[str]:
    parts = {"images": found.images, "channels": found.channels, "border": found.border}
    return {name for name, part in parts.items() if part} | ({found.equation.name} if found.equation else set())


def planted(reference: np.ndarray, right: np.ndarray, seed: int) -> Pattern:
    """Of `right` and noise in the other's place; an error that is far beyond the bound."""
    sizes = [np.abs(side).max(initial=0) for side in (reference, right)]
    assume(np.abs(right - reference).max(initial=0) > 100 * BOUND * max(sizes))
    return pattern(reference, noised(right, seed, min(sizes)), BOUND)


@few
@given(SHAPES, SEEDS, DTYPES)
def test_what_agrees_within_the_bound_is_no_pattern(shape, seed, dtype):
    reference = drawn(shape, seed, dtype)
    found = pattern(reference, noised(reference, seed), BOUND)
    assert (found.statements, found.named, found.differing) == ((), False, 0.0)
    assert found.error <= BOUND


@few
@given(SHAPES, SEEDS, DTYPES)
def test_noise_everywhere_is_no_pattern(shape, seed, dtype):
    reference, other = drawn(shape, seed, dtype), drawn(shape, [seed, 2], dtype)
    relative = np.abs(other - reference) / np.abs(reference).max()
    assume(relative.min() > BOUND)
    found = pattern(reference, other, BOUND)
    assert not found.named
    assert found.statements == (
        f"No simple pattern fits. 100 % of the values differ; the error is {relative.mean(dtype=np.float64):.1e} of the"
        f" largest value on average, {relative.max():.1e} at most.",
    )
    assert found.mean == pytest.approx(relative.mean(dtype=np.float64), rel=1e-5)


@few
@given(st.tuples(*[st.integers(5, 12)] * 2), st.tuples(*[st.integers(0, 1)] * 4), SEEDS, DTYPES)
def test_a_border_is_found_at_the_edges_where_it_is(size, depths, seed, dtype):
    """One pixel deep at any set of edges: what padding at the end against padding on both sides leaves."""
    assume(any(depths))
    top, left, bottom, right = depths
    reference = drawn((2, *size, 3), seed, dtype)
    inside = np.zeros(size, bool)
    inside[top : size[0] - bottom, left : size[1] - right] = True
    wrong = np.where(inside[None, :, :, None], reference, drawn(reference.shape, [seed, 3], dtype))
    found = planted(reference, wrong, seed)
    assert named(found) == {"border"}
    assert found.border is not None
    assert (found.border.top, found.border.left, found.border.bottom, found.border.right) == depths
    assert found.border.inside <= BOUND
    for edge, depth in zip(("at the top", "at the left", "at the bottom", "at the right"), depths, strict=True):
        assert (edge in found.statements[0]) == bool(depth)


@few
@given(SHAPES, SEEDS, DTYPES, st.data())
def test_only_some_images_or_channels_differ(shape, seed, dtype, data):
    reference = drawn(shape, seed, dtype)
    for axis, name in ((0, "images"), (3, "channels")):
        chosen = data.draw(st.sets(st.integers(0, shape[axis] - 1), min_size=1))
        place = (slice(None),) * axis + (sorted(chosen),)
        right = reference.copy()
        right[place] = drawn(reference[place].shape, [seed, 4], dtype)
        assume(np.abs(right - reference)[place].max(axis=tuple({0, 1, 2, 3} - {axis})).min() > 100 * BOUND)
        found = planted(reference, right, seed)
        whole = len(chosen) == shape[axis]
        assert getattr(found, name) == (() if whole else tuple(sorted(chosen)))
        if not whole:
            start = "image" if axis == 0 else "channel"
            assert f"{len(chosen)} of {shape[axis]}" in found.statements[0]
            assert found.statements[0].startswith(("Only ", f"All {start}s but"))


@few
@given(SHAPES, SEEDS, DTYPES, st.floats(-3, 3), st.floats(-3, 3))
def test_scale_and_offset_are_read_off(shape, seed, dtype, factor, offset):
    assume(np.prod(shape) >= 8 and min(abs(factor - 1), abs(factor + 1), abs(offset)) > 0.1)
    assume(abs(factor) > 0.5)  # an error counts relative to a * reference
    reference = drawn(shape, seed, dtype)
    assume(np.ptp(reference) > 1)
    for name, a, b in (("scale", factor, 0), ("offset", 1, offset), ("scale and offset", factor, offset)):
        found = planted(reference, (a * reference + b).astype(dtype), seed)
        assert named(found) == {name}
        assert found.equation is not None
        assert found.equation.values.get("a", 1) == pytest.approx(a, rel=0.01, abs=0.01)
        assert found.equation.values.get("b", 0) == pytest.approx(b, rel=0.01, abs=0.01)
        assert found.statements[0].startswith("Other = ")


@few
@given(SHAPES, SEEDS, DTYPES)
def test_batchnorms_epsilon_is_a_factor_and_an_offset_in_each_channel(shape, seed, dtype):
    images, height, width, channels = shape
    assume(images * height * width >= 12 and channels > 1)
    stream = np.random.default_rng(seed)
    normed = stream.normal(0, 1, shape)
    variance, scale, shift = stream.uniform(1e-4, 1e-3, channels), *stream.uniform(0.5, 1.5, (2, channels))
    small, large = (normed * scale * np.sqrt(variance / (variance + epsilon)) + shift for epsilon in (1e-5, 1e-3))
    found = planted(small.astype(dtype), large.astype(dtype), seed)
    assert named(found) == {"scale and offset by channel"}
    assert found.equation is not None
    expected = np.sqrt((variance + 1e-5) / (variance + 1e-3))
    np.testing.assert_allclose(found.equation.values["a"], expected, rtol=0.02)
    assert found.statements[0].startswith("In each channel other = a * reference + b, a from 0.")


@few
@given(SHAPES, SEEDS, DTYPES, st.integers(-2, 2), st.integers(-2, 2))
def test_a_map_moved_by_pixels_is_found_with_its_direction(shape, seed, dtype, down, right):
    images, height, width, channels = shape
    assume((down, right) != (0, 0) and height >= 3 + abs(down) and width >= 3 + abs(right))
    large = drawn((images, height + 4, width + 4, channels), seed, dtype)
    other = large[:, 2 - down : 2 - down + height, 2 - right : 2 - right + width]
    found = planted(large[:, 2:-2, 2:-2], other, seed)
    assert named(found) == {"shift"}
    assert found.equation is not None
    assert found.equation.values == {"down": down, "right": right}
    for pixels, way in ((down, "down"), (-down, "up"), (right, "right"), (-right, "left")):
        assert (f" {way}" in found.statements[0]) == (pixels > 0)


@few
@given(SHAPES, SEEDS, DTYPES, st.data())
def test_another_order_of_channels_or_images_is_found(shape, seed, dtype, data):
    reference = drawn(shape, seed, dtype)
    for axis, name in ((3, "channel order"), (0, "image order")):
        order = data.draw(st.permutations(range(shape[axis])))
        if order == sorted(order) or reference.size < 12:
            continue
        found = planted(reference, np.take(reference, order, axis), seed)
        assert found.equation is not None
        assert (found.equation.name, found.equation.values["order"]) == (name, order)


def test_channels_that_are_alike_take_different_places():
    reference = np.maximum(drawn((2, 4, 4, 6), 0), 0)
    reference[..., [1, 3, 4]] = 0
    found = pattern(reference, reference[..., [2, 1, 3, 0, 4, 5]], BOUND)
    assert found.equation is not None
    order = found.equation.values["order"]
    assert sorted(order) == list(range(6))
    assert (order[0], order[3], order[5]) == (2, 0, 5)
    assert found.statements[-1].startswith("The channels stand in another order: the other's 0, 2, 3 are")


def test_bgr_is_called_so():
    reference = drawn((2, 5, 5, 3), 0)
    found = pattern(reference, reference[..., ::-1], BOUND)
    assert found.statements[-1] == "The channels stand in the reverse order (RGB and BGR), to 0.0e+00."


@few
@given(SHAPES, SEEDS, DTYPES)
def test_sign_zero_and_clipping_are_named(shape, seed, dtype):
    reference = drawn(shape, seed, dtype)
    assert named(planted(reference, -reference, seed)) == {"sign"}
    assert pattern(reference, 0 * reference, BOUND).statements == ("The other is zero everywhere.",)
    for right, text, cut in (
        (np.minimum(reference, 1.5), "min(", (reference > 1.5).sum()),
        (np.maximum(reference, 0), "max(", (reference < 0).sum()),
        (np.clip(reference, 0, 1.5), "", min((reference > 1.5).sum(), (reference < 0).sum())),
    ):
        assume(cut >= 5 and cut < reference.size / 2)
        whole = (np.abs(right - reference) > 0.1).any(axis=(1, 2, 3)).all()
        assume(whole and (np.abs(right - reference) > 0.1).any(axis=(0, 1, 2)).all())
        for ours, theirs, side in ((reference, right, "Other"), (right, reference, "Reference")):
            found = planted(ours, theirs, seed)
            if found.border is None:
                assert named(found) == {"clip"}
                assert found.statements[0].startswith(f"{side} = {text}")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_said_and_located(value):
    reference = drawn((2, 5, 5, 3), 0)
    other = reference.copy()
    other[1, :, :, 2] = value
    found = pattern(reference, other, BOUND)
    word = "NaN" if np.isnan(value) else "infinite"
    assert found.statements[0] == f"25 of 150 values of the other are {word}."
    assert (found.error, found.images, found.channels, found.mean) == (np.inf, (1,), (2,), 0.0)
    both = pattern(other, other, BOUND)
    assert (both.error, len(both.statements)) == (0.0, 2), "not finite in the same places is agreement, and is said"


def test_shapes_that_differ_are_said():
    found = pattern(np.zeros((2, 5, 5, 3)), np.zeros((2, 6, 6, 3)), BOUND)
    assert found.statements == ("The shapes differ: [2, 5, 5, 3] in the reference, [2, 6, 6, 3] in the other.",)


@pytest.mark.parametrize("shape", [(), (3,), (3, 4), (2, 5, 4), (0, 3, 3, 2)])
def test_any_number_of_axes_and_maps_of_one_pixel(shape):
    reference = drawn(shape, 0)
    found = pattern(reference, 2 * reference, BOUND)
    assert found.border is None
    assert bool(found.statements) == bool(reference.size)
    if len(shape) == 2:
        assert pattern(reference[:, None, None], 2 * reference, BOUND) == found
        assert pattern(reference, 2 * reference[:, None, None], BOUND) == found


STRUCTURED = arrays.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.shared(st.tuples(*[st.integers(1, 4)] * 4), key="shape"),
    elements=st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]),
)


@settings(max_examples=300)
@given(STRUCTURED, STRUCTURED)
def test_every_claim_holds_on_small_integers(reference, other):
    """Where patterns come about by chance, each is one: the claim is checked against the arrays themselves."""
    found = pattern(reference, other, BOUND)
    reference, other = reference.astype(np.float64), other.astype(np.float64)
    gaps = np.abs(other - reference)
    live = (reference != 0).any((0, 1, 2)) | (other != 0).any((0, 1, 2))
    assert bool(found.statements) == bool(gaps.any())
    if found.images:
        assert list(found.images) == np.flatnonzero(gaps.any((1, 2, 3))).tolist()
        assert len(found.images) < len(gaps)
    if found.channels:
        assert list(found.channels) == np.flatnonzero(gaps.any((0, 1, 2))).tolist()
        assert len(found.channels) < live.sum()
    if border := found.border:
        _, height, width, _ = gaps.shape
        inside = gaps[:, border.top : height - border.bottom, border.left : width - border.right]
        assert inside.size
        assert not inside.any()
    if equation := found.equation:
        there = np.ix_(
            found.images or range(len(gaps)), *map(range, gaps.shape[1:3]), found.channels or range(gaps.shape[3])
        )
        ours, theirs = (side if equation.whole else side[there] for side in (reference, other))
        assert holds(equation.name, equation.values, ours, theirs), (equation, ours, theirs)


def holds(name, values, ours, theirs) -> bool:
    if name == "shift":
        height, width = ours.shape[1:3]
        seen = [
            (ours[:, row - values["down"], column - values["right"]], theirs[:, row, column])
            for row in range(height)
            for column in range(width)
            if 0 <= row - values["down"] < height and 0 <= column - values["right"] < width
        ]
        return all((one == other).all() for one, other in seen)
    if name == "clip":
        ours, theirs = (ours, theirs) if values["side"] == "other" else (theirs, ours)
        return bool((np.clip(ours, values.get("max"), values.get("min")) == theirs).all())
    right = {
        "zero": lambda: 0 * ours if values["side"] == "other" else theirs,
        "sign": lambda: -ours,
        "image order": lambda: ours[values["order"]],
        "one image": lambda: np.broadcast_to(ours[values["image"]], ours.shape),
        "channel order": lambda: ours[..., values["order"]],
    }.get(name, lambda: np.array(values.get("a", 1)) * ours + np.array(values.get("b", 0)))()
    return bool(np.allclose(right, theirs, rtol=0, atol=1e-3))


@few
@given(SEEDS, st.sampled_from(["bfloat16", "float16", "float32"]), st.booleans())
def test_a_type_with_fewer_bits_is_told_by_the_values(seed, name, swapped):
    reference = drawn((2, 4, 4, 3), seed)
    narrow = reference.astype(np.float32 if name == "bfloat16" else name)
    if name == "bfloat16":
        narrow = (narrow.view(np.uint32) & 0xFFFF0000).view(np.float32)
    sides = (narrow.astype(np.float64), reference) if swapped else (reference, narrow.astype(np.float64))
    (said,) = (text for text in pattern(*sides, 1e-12).statements if "is a number of" in text)
    assert f"is a number of {name}, " in said
    assert ("of the reference is" in said) == swapped


@few
@given(SEEDS)
def test_a_few_round_numbers_tell_no_type(seed):
    stream = np.random.default_rng(seed)
    reference, other = stream.normal(0, 1, (3, 10)), stream.choice([0.0, 0.5, 1.0], (3, 10))
    assert not any("is a number of" in text for text in pattern(reference, other, 1e-12).statements)
    both = (stream.normal(0, 1, (3, 10)).astype(np.float32) for _ in range(2))
    assert not any("is a number of" in text for text in pattern(*both, 1e-12).statements)
