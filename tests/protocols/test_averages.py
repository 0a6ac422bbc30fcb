"""Averages of the weights: timm's, torch's and the formulas that others have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune.errors import UsageError
from isotune.protocols import Averaging, Protocol
from isotune.protocols.averages import decays
from isotune.runs.selection.averaging import Average

STREAM = np.random.default_rng(0)
PATH = [{"a.kernel": STREAM.normal(size=(3, 4)), "a.mean": STREAM.normal(size=4)} for _ in range(12)]


def averaged(averaging: Averaging) -> dict[str, np.ndarray]:
    """After the first of PATH, of those that follow."""
    average = Average(averaging, PATH[0], len(PATH) - 1)
    for step, weights in enumerate(PATH[1:], 1):
        if average.is_due(step):
            average.update(step, weights)
    return average.tensors


@given(st.floats(0.01, 0.999), st.integers(1, 30))
def test_an_average_from_zero_is_divided_by_what_its_shares_sum_to(decay: float, updates: int) -> None:
    """optax.ema(decay, debias=True): m = d*m + (1-d)*w; m / (1 - d**n)."""
    values, m = STREAM.normal(size=updates), 0.0
    average = 0.0
    for number, (value, d) in enumerate(
        zip(values, decays(Averaging(decay=decay, start="zero"), updates), strict=True), 1
    ):
        m = decay * m + (1 - decay) * value
        average = d * average + (1 - d) * value
        assert average == pytest.approx(m / (1 - decay**number), rel=1e-6, abs=1e-9)


def test_warm_ups_are_tensorflows_and_timms() -> None:
    n = np.arange(50)
    np.testing.assert_allclose(
        decays(Averaging(decay=0.9, warmup="counted"), 50), np.minimum(0.9, (1 + n) / (10 + n)), rtol=1e-12
    )
    timm = pytest.importorskip("timm")
    torch = pytest.importorskip("torch")
    theirs = timm.utils.ModelEmaV3(torch.nn.Linear(2, 2), decay=0.95, use_warmup=True)
    wanted = [theirs.get_decay(step) for step in range(1, 51)]  # its first update is that of step 1
    np.testing.assert_allclose(decays(Averaging(decay=0.95, warmup="power"), 50), wanted, rtol=1e-9)


def test_from_the_initial_weights_it_is_timms() -> None:
    timm = pytest.importorskip("timm")
    torch = pytest.importorskip("torch")
    net = torch.nn.BatchNorm1d(4).double()

    def put(weights: dict[str, np.ndarray]) -> None:
        with torch.no_grad():
            net.weight.copy_(torch.from_numpy(weights["a.kernel"][0]))
            net.running_mean.copy_(torch.from_numpy(weights["a.mean"]))

    put(PATH[0])
    theirs = timm.utils.ModelEmaV2(net, decay=0.8)
    for weights in PATH[1:]:
        put(weights)
        theirs.update(net)
    ours = averaged(Averaging(decay=0.8))
    np.testing.assert_allclose(ours["a.kernel"][0], theirs.module.weight.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(ours["a.mean"], theirs.module.running_mean.numpy(), rtol=1e-12)


def test_from_the_first_update_it_is_torchs() -> None:
    torch = pytest.importorskip("torch")
    swa = torch.optim.swa_utils
    net = torch.nn.Linear(4, 3, bias=False).double()
    theirs = swa.AveragedModel(net, multi_avg_fn=swa.get_ema_multi_avg_fn(0.8))
    for weights in PATH[1:]:
        with torch.no_grad():
            net.weight.copy_(torch.from_numpy(weights["a.kernel"]))
        theirs.update_parameters(net)
    ours = averaged(Averaging(decay=0.8, start="first", statistics="copied"))
    np.testing.assert_allclose(ours["a.kernel"], theirs.module.weight.detach().numpy(), rtol=1e-12)
    np.testing.assert_array_equal(ours["a.mean"], PATH[-1]["a.mean"])


def test_every_so_many_steps() -> None:
    ours = averaged(Averaging(decay=0.5, every=4))
    expected = 0.5 * (0.5 * PATH[0]["a.kernel"] + 0.5 * PATH[4]["a.kernel"]) + 0.5 * PATH[8]["a.kernel"]
    np.testing.assert_allclose(ours["a.kernel"], expected, rtol=1e-12)


def test_going_on_from_a_draft_ends_where_it_would_have() -> None:
    averaging = Averaging(decay=0.7, warmup="counted")
    first = Average(averaging, PATH[0], 11)
    for step in range(1, 6):
        first.update(step, PATH[step])
    second = Average(averaging, PATH[0], 11)
    second.restore(first.tensors)
    for step in range(6, 12):
        second.update(step, PATH[step])
    np.testing.assert_array_equal(second.tensors["a.kernel"], averaged(averaging)["a.kernel"])


def test_single_precision_stays_single() -> None:
    average = Average(Averaging(decay=0.9), {"a": np.ones(3, np.float32)}, 2)
    average.update(1, {"a": np.zeros(3, np.float32)})
    assert average.tensors["a"].dtype == np.float32


def test_an_average_of_nothing_that_is_trained_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a"):
        Protocol(name="x", title="x", source="x", probe={"l2": [0.1]}, average={"decay": 0.9})
    with pytest.raises(UsageError, match="decay"):
        Averaging(decay=1.0)
