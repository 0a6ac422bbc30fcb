"""Every optimizer variant against its formula written out in NumPy, in float64, while the learning rate changes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isotune.adapters._torch.axes.clipping import clipper
from isotune.adapters._torch.updater import Updater
from isotune.conventions import Conventions
from isotune.protocols import SGD, Adam, RMSprop

RATES = (0.1, 0.1, 0.01, 0.05, 0.003)


def sgd(w, g, s, t, r, spec, c):
    v, m = s.setdefault("v", np.zeros_like(w)), spec.momentum
    if c.momentum_form == "rate-outside":
        v = s["v"] = m * v + g
        return w - r * ((g + m * v) if spec.nesterov else v)
    v = s["v"] = m * v + r * g
    return w - (m * v + r * g if spec.nesterov else v)


def adam(w, g, s, t, r, spec, c):
    b1, b2 = spec.beta1, spec.beta2
    m = s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    v = s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    if c.adam_epsilon == "after-correction":
        return w - r * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + spec.epsilon)
    return w - r * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + spec.epsilon)


def rmsprop(w, g, s, t, r, spec, c):
    v = s["v"] = spec.rho * s.get("v", 0) + (1 - spec.rho) * g * g
    root = np.sqrt(v) + spec.epsilon if c.rmsprop_epsilon == "outside-root" else np.sqrt(v + spec.epsilon)
    if not spec.momentum:
        return w - r * g / root
    if c.momentum_form == "rate-outside":
        s["b"] = spec.momentum * s.get("b", 0) + g / root
        return w - r * s["b"]
    s["b"] = spec.momentum * s.get("b", 0) + r * g / root
    return w - s["b"]


SPECS = {
    "plain": SGD(name="sgd"),
    "momentum": SGD(name="sgd", momentum=0.9),
    "nesterov": SGD(name="sgd", momentum=0.9, nesterov=True),
    "adam": Adam(name="adam", epsilon=1e-3),
    "adamw": Adam(name="adamw", beta1=0.8, epsilon=1e-3),
    "rmsprop": RMSprop(name="rmsprop", epsilon=1e-3),
    "rmsprop momentum": RMSprop(name="rmsprop", rho=0.9, epsilon=1e-3, momentum=0.7),
}
FORMULAS = {"sgd": sgd, "adam": adam, "adamw": adam, "rmsprop": rmsprop}
AXES = {
    "momentum_form": ("rate-outside", "rate-inside"),
    "weight_decay_form": ("coupled", "decoupled", "in-loss", "decoupled-unscaled"),
    "weight_decay_on": ("all", "kernels"),
    "adam_epsilon": ("after-correction", "before-correction"),
    "rmsprop_epsilon": ("outside-root", "inside-root"),
    "clipping": ("global-norm", "per-variable"),
}


def in_numpy(spec: Any, c: Conventions, start: list[np.ndarray], gradients: list[list[np.ndarray]]) -> list[np.ndarray]:
    """Clip, decay, step, as the protocol says. The first tensor is a kernel, the second is not."""
    tensors, states = [w.copy() for w in start], [{} for _ in start]
    for t, (rate, raw) in enumerate(zip(RATES, gradients, strict=True), start=1):
        if c.weight_decay_form == "in-loss" and spec.name != "adamw":
            decays = [c.weight_decay_on == "all" or i == 0 for i in range(len(raw))]
            raw = [g + 2 * spec.weight_decay * d * w for g, d, w in zip(raw, decays, tensors, strict=True)]  # noqa: PLW2901
        norms = [np.linalg.norm(g) for g in raw]
        if c.clipping == "global-norm":
            norms = [np.linalg.norm(norms)] * len(raw)
        clipped = [g * min(1, spec.clip_norm / n) if spec.clip_norm else g for g, n in zip(raw, norms, strict=True)]
        for i, g in enumerate(clipped):
            wd = spec.weight_decay if c.weight_decay_on == "all" or i == 0 else 0.0
            w = tensors[i]
            if c.weight_decay_form == "decoupled-unscaled":
                w = w - wd * w
            elif c.weight_decay_form == "decoupled" or spec.name == "adamw":
                w = w - rate * wd * w
            elif c.weight_decay_form == "coupled":
                g = g + wd * w  # noqa: PLW2901
            tensors[i] = FORMULAS[spec.name](w, g, states[i], t, rate, spec, c)
    return tensors


def in_torch(spec: Any, c: Conventions, start: list[np.ndarray], gradients: list[list[np.ndarray]]) -> list[np.ndarray]:
    tensors = [torch.tensor(w, requires_grad=True) for w in start]
    kernels_only = c.weight_decay_on == "kernels"
    updater = Updater(spec, c, tensors[:1] if kernels_only else tensors, tensors[1:] if kernels_only else [])
    for rate, raw in zip(RATES, gradients, strict=True):
        for tensor, g in zip(tensors, raw, strict=True):
            tensor.grad = torch.tensor(g)
        updater.step(rate)
    return [tensor.detach().numpy() for tensor in tensors]


def drawn(seed: int = 0) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    stream = np.random.default_rng(seed)
    shapes = ((4, 3), (5,))
    start = [stream.normal(size=shape) for shape in shapes]
    return start, [[stream.normal(scale=0.3, size=shape) for shape in shapes] for _ in RATES]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_every_variant_follows_its_formula(spec):
    start, gradients = drawn()
    for values in itertools.product(*AXES.values()):
        conventions = Conventions(**dict(zip(AXES, values, strict=True)))
        for decay, clip in ((0.0, None), (0.05, None), (0.05, 0.7)):
            asked = spec.model_copy(update={"weight_decay": decay, "clip_norm": clip})
            expected = in_numpy(asked, conventions, start, gradients)
            for found, wanted in zip(in_torch(asked, conventions, start, gradients), expected, strict=True):
                np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-15, err_msg=str(conventions))


@pytest.mark.parametrize("axis", AXES)
def test_any_two_values_of_an_axis_differ_for_some_optimizer(axis):
    start, gradients = drawn()
    specs = [s.model_copy(update={"weight_decay": 0.05, "clip_norm": 0.7}) for s in SPECS.values()]
    ends = {
        value: [in_torch(s, Conventions(**{axis: value}), start, gradients)[1] for s in specs] for value in AXES[axis]
    }
    for one, other in itertools.combinations(ends, 2):
        assert any(not np.allclose(a, b, rtol=1e-6) for a, b in zip(ends[one], ends[other], strict=True)), (one, other)


def test_float32_hyperparameters_are_those_that_float32_holds():
    start, gradients = drawn()
    rounded = Conventions(hyperparameters="float32")
    spec = SGD(name="sgd", momentum=0.9, weight_decay=1e-3)
    exact = SGD(name="sgd", momentum=float(np.float32(0.9)), weight_decay=float(np.float32(1e-3)))
    for one, other in zip(
        in_torch(spec, rounded, start, gradients), in_torch(exact, Conventions(), start, gradients), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(
        in_torch(spec, rounded, start, gradients)[0], in_torch(spec, Conventions(), start, gradients)[0]
    )


def test_a_rate_inside_the_velocity_outlives_a_fall_of_the_rate():
    """After a tenfold fall the step is 9.1 times as large as with the rate outside (momentum 0.9, steady gradient)."""
    spec, steps = SGD(name="sgd", momentum=0.9), {}
    for form in ("rate-outside", "rate-inside"):
        tensor = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        updater = Updater(spec, Conventions(momentum_form=form), [tensor], [])
        for rate in [0.1] * 400 + [0.01]:
            before = tensor.item()
            tensor.grad = torch.ones(1, dtype=torch.float64)
            updater.step(rate)
        steps[form] = before - tensor.item()
    assert steps["rate-inside"] / steps["rate-outside"] == pytest.approx(9.1, rel=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4), min_size=1, max_size=4),
    st.floats(1e-3, 1e3),
)
def test_clipping_bounds_the_norm_exactly_and_keeps_the_direction(values, limit):
    before = [np.array(v) for v in values]
    for value, norm_of in (
        ("global-norm", lambda arrays: [np.linalg.norm(np.concatenate(arrays))] * len(arrays)),
        ("per-variable", lambda arrays: [np.linalg.norm(array) for array in arrays]),
    ):
        tensors = [torch.tensor(v, dtype=torch.float64) for v in values]
        clipper(value)(tensors, limit)
        for tensor, array, norm in zip(tensors, before, norm_of(before), strict=True):
            wanted = array if norm <= limit else array * (limit / norm)
            np.testing.assert_allclose(tensor.numpy(), wanted, rtol=1e-12, atol=1e-300)


def test_slots_have_the_names_of_the_literature():
    tensor = torch.ones(2, dtype=torch.float64, requires_grad=True)
    for spec, names in (
        (SPECS["momentum"], {"velocity"}),
        (SPECS["adam"], {"first_moment", "second_moment"}),
        (SPECS["rmsprop momentum"], {"second_moment", "velocity"}),
    ):
        for conventions in (Conventions(), Conventions(momentum_form="rate-inside", adam_epsilon="before-correction")):
            updater = Updater(spec, conventions, [tensor], [])
            assert updater.slots(tensor) == {}
            tensor.grad = torch.ones(2, dtype=torch.float64)
            updater.step(0.1)
            assert set(updater.slots(tensor)) == names
