"""Which tokens a classifier reads is told from its logits."""

from __future__ import annotations

import numpy as np
import pytest

from isotune.investigation.pattern import heads_tokens
from isotune.investigation.pattern._tokens import tokens_read

STREAM = np.random.default_rng(0)
TOKENS, KERNEL, BIAS = STREAM.normal(size=(4, 10, 8)), STREAM.normal(size=(8, 3)), STREAM.normal(size=3)


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (TOKENS[:, 0], "token 0 (the first)"),
        (TOKENS[:, -1], "the last token"),
        (TOKENS.mean(axis=1), "the mean of all tokens"),
        (TOKENS[:, 1:].mean(axis=1), "the mean of all tokens but the first"),
        (TOKENS.max(axis=1), "the largest of all tokens, channel by channel"),
        (TOKENS[:, 3], ""),
    ],
)
def test_the_tokens_that_are_read_are_named(read, said):
    assert tokens_read(TOKENS, KERNEL, BIAS, read @ KERNEL + BIAS, 1e-9) == said
    assert tokens_read(TOKENS, KERNEL, None, read @ KERNEL, 1e-9) == said
    assert tokens_read(TOKENS, KERNEL, BIAS, read @ KERNEL + BIAS + 1e-3, 1e-9) == ""


def test_nothing_is_said_where_it_cannot_be_told():
    alike = np.broadcast_to(TOKENS[:, :1], TOKENS.shape)
    assert tokens_read(alike, KERNEL, BIAS, alike[:, 0] @ KERNEL + BIAS, 1e-9) == ""
    assert tokens_read(TOKENS[:, 0], KERNEL, BIAS, TOKENS[:, 0] @ KERNEL + BIAS, 1e-9) == ""
    assert tokens_read(TOKENS, KERNEL[:5], BIAS, TOKENS[:, 0] @ KERNEL + BIAS, 1e-9) == ""


def test_two_classifiers_that_read_different_tokens_are_told_apart():
    tensors = {"head.kernel": KERNEL, "head.bias": BIAS}
    ours = {"000.conv": TOKENS[..., :2], "001.norm": TOKENS, "head": TOKENS[:, 0] @ KERNEL + BIAS}
    theirs = ours | {"head": TOKENS[:, 1:].mean(axis=1) @ KERNEL + BIAS}
    assert heads_tokens("head", ours, theirs, tensors, 1e-9) == (
        "The reference's classifier reads token 0 (the first), the other's the mean of all tokens but the first."
    )
    assert heads_tokens("head", ours, ours, tensors, 1e-9) == ""
    assert heads_tokens("head", ours, theirs, {}, 1e-9) == ""
    assert heads_tokens("head", {"head": ours["head"]}, theirs, tensors, 1e-9) == ""
