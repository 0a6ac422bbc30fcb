"""Tensors whose values stand in other places are named by what was done to them, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from isotune.investigation.pattern import arrangement

BOUND = 1e-9
KERNEL = np.random.default_rng(0).normal(size=(3, 5, 4, 6))
SQUARE = np.random.default_rng(1).normal(size=(3, 3, 4, 4))
DENSE = np.random.default_rng(2).normal(size=(12, 12))


def rows_channels_first(kernel):
    """A dense layer's rows as torch's Flatten makes them, taken for Keras's."""
    return kernel.transpose(2, 0, 1, 3).reshape(kernel.shape)


def rows_channels_last(kernel):
    height, width, inputs, outputs = kernel.shape
    return kernel.reshape(inputs, height, width, outputs).transpose(1, 2, 0, 3)


@pytest.mark.parametrize(
    ("reference", "change", "said"),
    [
        (SQUARE, lambda kernel: kernel.transpose(1, 0, 2, 3), "its height and width exchanged"),
        (SQUARE, lambda kernel: kernel.transpose(0, 1, 3, 2), "its input and output exchanged"),
        (KERNEL, lambda kernel: kernel.transpose(0, 1, 3, 2), "its input and output exchanged"),
        (
            SQUARE,
            lambda kernel: kernel.transpose(1, 0, 3, 2),
            "its axes in another order: width, height, output, input",
        ),
        (DENSE, np.transpose, "its matrix transposed"),
        (DENSE[:, :5], np.transpose, "its matrix transposed"),
        (KERNEL, lambda kernel: kernel[::-1, ::-1], "turned by half a turn"),
        (KERNEL, lambda kernel: kernel[:, ::-1], "mirrored from left to right"),
        (KERNEL, lambda kernel: kernel[::-1], "mirrored from top to bottom"),
        (KERNEL, rows_channels_first, "channels first (NCHW) where channels last (NHWC) were meant"),
        (KERNEL, rows_channels_last, "channels last (NHWC) where channels first (NCHW) were meant"),
        (
            KERNEL,
            lambda kernel: kernel.reshape(6, 4, 3, 5).transpose(2, 3, 1, 0),
            "its memory, height x width x input x output, read as output x input x height x width",
        ),
        (KERNEL, lambda kernel: kernel[:, :, ::-1], "the channels of its input stand in the reverse order"),
        (KERNEL, lambda kernel: kernel[..., [0, 2, 1, 3, 4, 5]], "the channels of its output stand in another order"),
        (
            SQUARE.reshape(3, 3, 1, 16),
            lambda kernel: kernel.reshape(3, 3, 8, 2).transpose(0, 1, 3, 2).reshape(3, 3, 1, 16),
            "the channels of its output are interleaved: 8 x 2 of them read as 2 x 8",
        ),
    ],
)
def test_what_was_done_to_a_kernel_is_named(reference, change, said):
    found = arrangement(reference, change(reference) * (1 + 1e-11), BOUND)
    assert said in found
    assert not arrangement(reference, change(reference) * 1.001, BOUND), "a factor is another statement"


@pytest.mark.parametrize("shape", [(3, 3, 4, 4), (1, 1, 8, 8), (7, 9), (5,)])
def test_another_tensor_is_no_arrangement(shape):
    ours, theirs = (np.random.default_rng(seed).normal(size=shape) for seed in (3, 4))
    assert arrangement(ours, theirs, BOUND) == ""


def test_one_value_that_is_wrong_among_many_spoils_it():
    wrong = SQUARE.transpose(1, 0, 2, 3).copy()
    wrong[1, 2, 3, 0] += 1e-3
    assert arrangement(SQUARE, wrong, BOUND) == ""


def test_what_cannot_be_one_is_none():
    assert arrangement(SQUARE, SQUARE[..., :3], BOUND) == ""
    assert arrangement(SQUARE, np.full_like(SQUARE, np.nan), BOUND) == ""
    assert arrangement(np.zeros_like(SQUARE), SQUARE, BOUND) == ""
