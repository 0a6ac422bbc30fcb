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


@pytest.mark.parametrize(("per", "every"), [("step", 1), ("epoch", 5)])
def test_a_drop_every_so_often_is_torchs_step(per: str, every: int) -> None:
    schedule = Schedule(name="step", learning_rate=PEAK, per=per, drop_every=3, gamma=0.5)
    theirs = torch_rates(lambda module, optimizer: module.StepLR(optimizer, 3, gamma=0.5), 40, every)
    np.testing.assert_allclose(learning_rates(schedule, 40, 5), theirs, rtol=1e-12)


def test_a_drop_every_2_4_epochs_after_a_warm_up_is_timms() -> None:
    torch = pytest.importorskip("torch")
    scheduler = pytest.importorskip("timm.scheduler")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    theirs = scheduler.StepLRScheduler(
        optimizer, decay_t=2.4, decay_rate=0.97, warmup_t=5, warmup_lr_init=0.2 * PEAK, warmup_prefix=False
    )
    schedule = Schedule(
        name="step", learning_rate=PEAK, per="epoch", drop_every=2.4, gamma=0.97, warmup_epochs=5, start=0.2
    )
    wanted = [theirs._get_lr(step // 4)[0] for step in range(400)]
    np.testing.assert_allclose(learning_rates(schedule, 400, 4), wanted, rtol=1e-12)


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


def test_a_warm_up_from_a_share_before_a_cosine_is_torchs_references() -> None:
    """references/classification/train.py: LinearLR, then CosineAnnealingLR over what remains, once an epoch."""

    def references(module, optimizer):
        warmup = module.LinearLR(optimizer, start_factor=0.01, total_iters=3)
        main = module.CosineAnnealingLR(optimizer, T_max=8 - 3, eta_min=0.1 * PEAK)
        return module.SequentialLR(optimizer, [warmup, main], milestones=[3])

    schedule = Schedule(
        name="cosine", learning_rate=PEAK, per="epoch", warmup_epochs=3, start=0.01, final=0.1
    )  # fmt: skip
    np.testing.assert_allclose(learning_rates(schedule, 40, 5), torch_rates(references, 40, every=5), rtol=1e-9)


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize(("per", "unit"), [("step", 1), ("epoch", 5)])
def test_a_warm_up_that_the_decay_counts_is_timms(counts: bool, per: str, unit: int) -> None:
    torch = pytest.importorskip("torch")
    scheduler = pytest.importorskip("timm.scheduler")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    length = 40 // unit
    theirs = scheduler.CosineLRScheduler(
        optimizer, t_initial=length if counts else length - 3, lr_min=0.02 * PEAK, warmup_t=3,
        warmup_lr_init=0.2 * PEAK, warmup_prefix=not counts,
    )  # fmt: skip
    warmup = {"warmup_epochs": 3} if per == "epoch" else {"warmup_steps": 3}
    schedule = Schedule(
        name="cosine", learning_rate=PEAK, per=per, start=0.2, warmup_counts=counts, final=0.02, **warmup
    )
    wanted = [theirs._get_lr(step // unit)[0] for step in range(40)]
    np.testing.assert_allclose(learning_rates(schedule, 40, 5), wanted, rtol=1e-9)


def test_a_warm_up_from_zero_is_kerass_cosine_decay() -> None:
    """keras/src/optimizers/schedules/learning_rate_schedule.py: CosineDecay(0, 30, warmup_target=PEAK, warmup_steps=10,
    alpha=0.1): at step i below 10 i/10 of the peak."""
    step = np.arange(40)
    decayed = 0.9 * 0.5 * (1 + np.cos(np.pi * np.minimum(step - 10, 30) / 30)) + 0.1
    schedule = Schedule(name="cosine", learning_rate=PEAK, warmup_steps=10, start=0.0, final=0.1)
    wanted = PEAK * np.where(step < 10, step / 10, decayed)
    np.testing.assert_allclose(learning_rates(schedule, 40, 7), wanted, rtol=1e-12)


def test_linear_falls_to_what_is_left() -> None:
    rates = learning_rates(Schedule(name="linear", learning_rate=1.0, final=0.5), 10, 1)
    np.testing.assert_allclose(rates, 1 - 0.05 * np.arange(10), rtol=1e-12)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"warmup_steps": 3, "warmup_epochs": 1}, "either"),
        ({"start": 0.0}, "belong to a warm-up"),
        ({"warmup_steps": 3, "warmup_counts": True}, "cosine' or 'linear"),
        ({"final": 0.1}, "cosine' or 'linear"),
        ({"start": 1.5, "warmup_steps": 3}, "start"),
        ({"drop_every": 2.0}, "drop_every belongs to name = 'step'"),
        ({"name": "step", "drop_every": 2.0, "milestones": (3,)}, "in the place of milestones"),
        ({"name": "step", "drop_every": 0.0}, "drop_every"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(values: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Schedule(learning_rate=PEAK, **values)


def test_what_is_not_asked_for_leaves_no_trace_in_a_protocols_key() -> None:
    assert set(Schedule(learning_rate=PEAK).model_dump()) == {
        "name", "learning_rate", "warmup_steps", "per", "milestones", "gamma"
    }  # fmt: skip


def test_a_warm_up_of_epochs_longer_than_the_training_is_refused() -> None:
    with pytest.raises(UsageError, match=r"warmup_epochs = 3 \(15 steps\) is more than the 10 steps"):
        learning_rates(Schedule(name="cosine", learning_rate=PEAK, warmup_epochs=3), 10, 5)


@pytest.mark.parametrize("anneal", ["cosine", "linear"])
@pytest.mark.parametrize(("steps", "rise"), [(40, 0.3), (37, 0.25), (10, 0.99)])
def test_one_cycle_that_ends_at_the_last_step_is_torchs(anneal: str, steps: int, rise: float) -> None:
    strategy = {"cosine": "cos", "linear": "linear"}[anneal]
    how = {"pct_start": rise, "div_factor": 10.0, "final_div_factor": 100.0, "anneal_strategy": strategy}
    theirs = torch_rates(
        lambda module, optimizer: module.OneCycleLR(
            optimizer, max_lr=PEAK, total_steps=steps, cycle_momentum=False, **how
        ),
        steps,
    )
    schedule = Schedule(
        name="one-cycle", learning_rate=PEAK, rise=rise, start=0.1, final=1e-3, anneal=anneal, reach="last"
    )
    np.testing.assert_allclose(learning_rates(schedule, steps, 7), theirs, rtol=1e-9)


@given(st.integers(1, 200), st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(0, 0.5))
def test_one_cycle_is_fastais(steps: int, rise: float, start: float, final: float) -> None:
    """fastai/callback/schedule.py, combined_cos: step i of N is at i/N of the training."""
    theirs = []
    for place in np.arange(steps) / steps:
        begin, end, progress = (start, 1, place / rise) if place < rise else (1, final, (place - rise) / (1 - rise))
        theirs.append(PEAK * (begin + (1 + np.cos(np.pi * (1 - progress))) * (end - begin) / 2))
    schedule = Schedule(name="one-cycle", learning_rate=PEAK, rise=rise, start=start, final=final)
    np.testing.assert_allclose(learning_rates(schedule, steps, 7), theirs, rtol=1e-9)


def test_one_cycle_starts_at_a_25th_of_the_peak() -> None:
    assert learning_rates(Schedule(name="one-cycle", learning_rate=PEAK), 40, 7)[0] == pytest.approx(PEAK / 25)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "one-cycle", "warmup_steps": 3}, "rises by itself"),
        ({"name": "one-cycle", "per": "epoch"}, "with every step"),
        ({"name": "one-cycle", "reach": "last"}, "give final"),
        ({"name": "one-cycle", "start": 0.0}, "above 0"),
        ({"name": "cosine", "rise": 0.3}, "rise belongs to name = 'one-cycle'"),
        ({"name": "cosine", "anneal": "linear"}, "anneal belongs to name = 'one-cycle'"),
    ],
)
def test_a_one_cycle_that_cannot_be_is_refused(values: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Schedule(learning_rate=PEAK, **values)
