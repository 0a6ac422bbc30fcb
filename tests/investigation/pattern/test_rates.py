"""Another learning rate of some tensors is told from one step of torch's own optimizers; nothing else is called so."""

from __future__ import annotations

import numpy as np
import pytest

from isotune.investigation.pattern import rates

torch = pytest.importorskip("torch", reason="needs the extra torch")

SHAPES = {"000.conv.kernel": (3, 3, 3, 8), "000.conv.bias": (8,), "001.norm.scale": (8,), "head.kernel": (8, 5)}
SLOTS = {"SGD": ("momentum_buffer",), "AdamW": ("exp_avg", "exp_avg_sq")}
MADE = {"SGD": {"momentum": 0.9, "weight_decay": 1e-3}, "AdamW": {"weight_decay": 0.05}}


def drawn(seed: int) -> dict[str, np.ndarray]:
    stream = np.random.default_rng(seed)
    return {name: stream.normal(0, 1, shape) for name, shape in SHAPES.items()}


def stepped(kind: str, factors=(), gradient: float = 1.0) -> dict[str, np.ndarray]:
    """Tensors and slots after one step of torch's optimizer. factors: of the rate, by tensor; gradient: of all."""
    tensors = {name: torch.nn.Parameter(torch.tensor(array)) for name, array in drawn(0).items()}
    for name, array in drawn(1).items():
        tensors[name].grad = gradient * torch.tensor(array)
    groups = [{"params": [tensor], "lr": 0.01 * dict(factors).get(name, 1.0)} for name, tensor in tensors.items()]
    optimizer = getattr(torch.optim, kind)(groups, lr=0.01, **MADE[kind])
    optimizer.step()
    after = {name: tensor.detach().numpy() for name, tensor in tensors.items()}
    slots = {
        f"{name}/{slot}": optimizer.state[each][slot].numpy() for name, each in tensors.items() for slot in SLOTS[kind]
    }
    return after | slots


def told(one: dict, two: dict) -> str:
    failing = [name for name in one if abs(one[name] - two[name]).max() > 1e-9 * abs(one[name]).max()]
    return rates(failing, one, two, drawn(0))


@pytest.mark.parametrize("kind", SLOTS)
def test_a_group_with_a_rate_of_its_own_is_named_with_the_factor(kind):
    said = told(stepped(kind), stepped(kind, {"head.kernel": 10.0}))
    assert said == (
        "the other's learning rate is 10 times the reference's for 1 of 4 tensors (head.kernel): the slots agree, the"
        " updates are multiples"
    )
    said = told(stepped(kind), stepped(kind, {"head.kernel": 10.0, "000.conv.kernel": 0.1, "000.conv.bias": 0.1}))
    assert "0.1 times the reference's for 2 of 4 tensors (000.conv.kernel, 000.conv.bias) and 10 times" in said
    assert "0.5 times the reference's for all tensors" in told(stepped(kind), stepped(kind, dict.fromkeys(SHAPES, 0.5)))


@pytest.mark.parametrize("kind", SLOTS)
def test_a_scaled_gradient_a_tensor_that_stays_and_another_step_are_no_rate(kind):
    assert told(stepped(kind), stepped(kind, gradient=0.5)) == ""
    assert told(stepped(kind), stepped(kind, {"head.kernel": 0.0})) == ""
    other = stepped(kind)
    other["head.kernel"] = other["head.kernel"] + 1e-3 * drawn(2)["head.kernel"]
    assert told(stepped(kind), other) == ""


def test_without_slots_a_rate_and_a_gradient_are_not_told_apart():
    one, two = (
        {name: array for name, array in side.items() if "/" not in name}
        for side in (stepped("SGD"), stepped("SGD", {"head.kernel": 2.0}))
    )
    assert told(one, two) == ""
