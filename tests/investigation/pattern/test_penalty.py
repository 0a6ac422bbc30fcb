"""L2 that one side's loss has and the other's lacks is named by the loss and its gradients, with the decay it is."""

from __future__ import annotations

import numpy as np
import pytest

from isotune.investigation.pattern import penalty

SHAPES = {"000.conv.kernel": (3, 3, 3, 8), "000.conv.bias": (8,), "head.kernel": (8, 5), "head.bias": (5,)}


def sides(factors: dict[str, float]) -> tuple[dict, dict, dict]:
    """Gradients and loss without, and with `factor * sum(w^2)` of each tensor named; the weights."""
    stream = np.random.default_rng(0)
    weights = {name: stream.normal(0, 1, shape) for name, shape in SHAPES.items()}
    without = {name: stream.normal(0, 1, shape) for name, shape in SHAPES.items()} | {"loss": np.array(1.5)}
    added = sum(factor * float((weights[name] ** 2).sum()) for name, factor in factors.items())
    with_it = {name: without[name] + 2 * factors.get(name, 0.0) * weights[name] for name in SHAPES}
    return without, with_it | {"loss": np.array(1.5 + added)}, weights


KERNELS = {"000.conv.kernel": 5e-4, "head.kernel": 5e-4}


def test_its_side_its_factor_and_the_decay_that_it_is_are_said():
    without, with_it, weights = sides(KERNELS)
    assert penalty(without, with_it, weights) == (
        "L2 in the other's loss, 0.0005 * sum(w^2) of 2 kernels, which the reference's lacks: it is what a coupled"
        " weight_decay of 0.001, twice that factor, would do in the optimizer"
    )
    assert penalty(with_it, without, weights).startswith("L2 in the reference's loss, 0.0005 * sum(w^2) of 2 kernels")


def test_several_factors_are_a_range():
    said = penalty(*sides({"000.conv.kernel": 1e-3, "head.bias": 1e-2}))
    assert "0.001 to 0.01 * sum(w^2) of 1 kernel and 1 bias" in said
    assert "weight_decay of 0.002 to 0.02" in said


@pytest.mark.parametrize("break_", ["gradient", "loss", "nothing", "no loss"])
def test_what_is_not_l2_is_not_called_so(break_):
    without, other, weights = sides(KERNELS)
    match break_:
        case "gradient":
            other["000.conv.bias"] = other["000.conv.bias"] + 0.1
        case "loss":  # decay of the gradient alone, as some optimizers have it
            other["loss"] = without["loss"]
        case "nothing":
            other = without
        case "no loss":
            del other["loss"]
    assert penalty(without, other, weights) == ""
