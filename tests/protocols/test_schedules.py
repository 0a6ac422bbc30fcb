"""Learning rates: the formulas, against torch's schedulers and Keras's formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune.errors import UsageError
from isotune.protocols import Schedule
from isotune.protocols.schedules import learning_rates

PEAK = 0.3
lengths = st.integers(1, 200)


@st.composite
def schedules(draw: st.DrawFn, steps: int = 200) -> Schedule:
    name = draw(st.sampled_from(["constant", "cosine", "step"]))
    extra = {}
    if name == "step":
        extra["milestones"] = tuple(sorted(draw(st.sets(st.integers(1, steps), min_size=1, max_size=4))))
        extra["gamma"] = draw(st.floats(0.1, 1))
    warmup = draw(st.integers(0, steps))
    per = draw(st.sampled_from(["step", "epoch"]))
    return Schedule(name=name, learning_rate=PEAK, warmup_steps=warmup, per=per, **extra)


@given(schedules(), lengths, st.integers(1, 50))
def test_every_step_has_a_rate_above_zero_and_none_above_the_peak(schedule: Schedule, steps: int, epoch: int) -> None:
    if schedule.warmup_steps > steps:
        with pytest.raises(UsageError, match="warmup_steps"):
            learning_rates(schedule, steps, epoch)
        return
    rates = learning_rates(schedule, steps, epoch)
    assert rates.shape == (steps,)
    assert rates.dtype == np.float64
    assert (rates > 0).all()
    assert (rates <= PEAK * (1 + 1e-12)).all()


@given(schedules(), st.integers(200, 300), st.integers(1, 50))
def test_rates_rise_while_warming_up_and_never_after(schedule: Schedule, steps: int, epoch: int) -> None:
    rates = learning_rates(schedule, steps, epoch)
    warmup = schedule.warmup_steps
    np.testing.assert_allclose(rates[:warmup], PEAK * np.arange(1, warmup + 1) / max(warmup, 1), rtol=1e-12)
    assert (np.diff(rates[warmup:]) <= 0).all()


@given(schedules(), st.integers(200, 300), st.integers(1, 50))
def test_per_epoch_holds_the_rate_within_an_epoch(schedule: Schedule, steps: int, epoch: int) -> None:
    rates = learning_rates(schedule.model_copy(update={"per": "epoch", "warmup_steps": 0}), steps, epoch)
    for start in range(0, steps, epoch):
        assert len(set(rates[start : start + epoch])) == 1


def torch_rates(make_scheduler, steps: int, every: int = 1) -> list[float]:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = make_scheduler(torch.optim.lr_scheduler, optimizer)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0:
            scheduler.step()
    return rates


def test_cosine_per_step_is_torchs_cosine_annealing() -> None:
    ours = learning_rates(Schedule(name="cosine", learning_rate=PEAK), 37, 5)
    theirs = torch_rates(lambda module, optimizer: module.CosineAnnealingLR(optimizer, T_max=37), 37)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_cosine_per_epoch_is_torchs_cosine_annealing_stepped_each_epoch() -> None:
    ours = learning_rates(Schedule(name="cosine", learning_rate=PEAK, per="epoch"), 40, 5)
    theirs = torch_rates(lambda module, optimizer: module.CosineAnnealingLR(optimizer, T_max=8), 40, every=5)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize(("per", "every"), [("step", 1), ("epoch", 5)])
def test_step_is_torchs_multi_step(per: str, every: int) -> None:
    schedule = Schedule(name="step", learning_rate=PEAK, per=per, milestones=(2, 3, 6), gamma=0.5)
    theirs = torch_rates(lambda module, optimizer: module.MultiStepLR(optimizer, [2, 3, 6], gamma=0.5), 40, every)
    np.testing.assert_allclose(learning_rates(schedule, 40, 5), theirs, rtol=1e-12)


@given(st.integers(1, 100), st.integers(0, 99))
def test_cosine_after_warm_up_is_kerass_cosine_decay(steps: int, warmup: int) -> None:
    if warmup >= steps:
        return
    schedule = Schedule(name="cosine", learning_rate=PEAK, warmup_steps=warmup)
    # keras/src/optimizers/schedules/learning_rate_schedule.py, CosineDecay with alpha = 0
    step = np.arange(steps - warmup)
    theirs = PEAK * 0.5 * (1 + np.cos(np.pi * np.minimum(step, steps - warmup) / (steps - warmup)))
    np.testing.assert_allclose(learning_rates(schedule, steps, 7)[warmup:], theirs, rtol=1e-12)


def test_a_training_of_no_step_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        learning_rates(Schedule(learning_rate=PEAK), 0, 1)
