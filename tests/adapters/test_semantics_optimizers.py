"""What the libraries' own optimizers, schedules, loss scales and averages do, as adapters/SEMANTICS.md says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_semantics import ENGINES, default, facts
from timm.optim import RMSpropTF
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

pytestmark = pytest.mark.xdist_group("keras")


def test_defaults_of_the_optimizers():
    keras = facts()["defaults"]
    optim = torch.optim
    assert (default(optim.Adam, "eps"), keras["Adam.epsilon"]) == (1e-8, 1e-7)
    assert (default(optim.AdamW, "weight_decay"), keras["AdamW.weight_decay"]) == (1e-2, 4e-3)
    assert (default(optim.RMSprop, "alpha"), keras["RMSprop.rho"]) == (0.99, 0.9)
    assert (default(optim.RMSprop, "eps"), keras["RMSprop.epsilon"]) == (1e-8, 1e-7)
    assert (default(RMSpropTF, "alpha"), default(RMSpropTF, "eps")) == (0.9, 1e-10)


def test_keras_adam_with_weight_decay_is_adamw():
    adam, adamw = facts()["adams"]
    assert adam == adamw == pytest.approx(1 - 0.1 * 0.5 - 0.1, rel=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_keras_holds_hyperparameters_in_float32_on_tensorflow_alone(engine):
    """In float32, Adam's first step is 6.7e-6 too short on every engine: 1 - 0.999 keeps five digits."""
    held = np.float32(0.9) if engine == "tensorflow" else 0.9
    assert facts(engine)["momentum_in_float64"] == pytest.approx(float(held), rel=1e-12)
    excess = facts(engine)["adam_against_its_formula"]
    assert excess["float32"] == pytest.approx(-6.7e-6, rel=0.05)
    assert excess["float64"] == pytest.approx(-6.7e-6 if engine == "tensorflow" else 0.0, rel=0.05, abs=1e-12)


def test_rmsprop_tf_begins_with_a_second_moment_of_1():
    """A first step of 0.00105 rates where torch's is 3.16, from a gradient of 1e-3; the rate is in the momentum."""
    steps = {}
    for kind, options in ((RMSpropTF, {}), (torch.optim.RMSprop, {"alpha": 0.9})):
        tensor = nn.Parameter(torch.zeros(1))
        tensor.grad = torch.full((1,), 1e-3)
        kind([tensor], lr=1.0, **options).step()
        steps[kind] = -tensor.item()
    assert steps[RMSpropTF] == pytest.approx(1.054e-3, rel=1e-3)
    assert steps[torch.optim.RMSprop] == pytest.approx(3.162, rel=1e-3)
    assert default(RMSpropTF, "lr_in_momentum") is True


def test_torchs_clipping_adds_1e_6_to_the_norm_and_keras_has_two_kinds():
    tensor = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    tensor.grad = torch.full((1,), 1e-3, dtype=torch.float64)
    nn.utils.clip_grad_norm_([tensor], 1e-3)
    assert tensor.grad.item() == pytest.approx(1e-3 * 1e-3 / (1e-3 + 1e-6), rel=1e-12)
    assert facts()["clipped"] == {"clipnorm": [1.0, 1.0], "global_clipnorm": pytest.approx([0.6, 0.8])}


def test_keras_excludes_from_decay_by_name_and_each_call_replaces_the_last():
    first, second = facts()["excluded_from_decay"]
    assert first == ["dense/kernel", "dense/bias", "norm/beta"], "a name is `kernel`; the layer's is in the path alone"
    assert second == ["dense/kernel", "norm/gamma", "norm/beta"], "also once built, although it says otherwise"


def test_keras_rates_change_one_step_later_and_accumulation_does_not_slow_them():
    tensor = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([tensor], lr=1.0)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3], gamma=0.5)
    theirs = []
    for _ in range(6):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert theirs == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5]
    assert facts()["piecewise_rates"] == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
    assert facts()["accumulation"] == [4.0, 2]


def test_loss_scales_and_what_a_skipped_step_moves():
    """Keras's iterations stand still with the weights; a scheduler of torch knows nothing of it."""
    scaler = torch.amp.GradScaler("cpu")
    assert (scaler.get_scale(), scaler.get_growth_factor(), scaler.get_backoff_factor()) == (2.0**16, 2.0, 0.5)
    assert scaler.get_growth_interval() == 2000
    keras = facts()["defaults"]
    assert keras["LossScaleOptimizer.initial_scale"] == 2.0**15
    assert keras["LossScaleOptimizer.dynamic_growth_steps"] == 2000
    assert facts()["loss_scale"] == [[2.0**15, 1, -0.5], [2.0**14, 1, -0.5]]

    tensor = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([tensor], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    scaler.scale(tensor.sum() * math.inf).backward()
    scaler.step(optimizer)
    scaler.update()
    assert (tensor.item(), scaler.get_scale()) == (0.0, 2.0**15)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_moving_averages_of_weights_begin_and_end_differently():
    """Weights 5, then 9, decay 0.75: timm from the initial 1, AveragedModel from the first; buffers averaged or not."""
    net = nn.Sequential(nn.BatchNorm1d(1))
    kinds = ModelEmaV3(net, decay=0.75), AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.75))
    for value in (5.0, 9.0):
        net[0].weight.data.fill_(value)
        net[0].running_mean.fill_(value)
        kinds[0].update(net)
        kinds[1].update_parameters(net)
    averaged = [(kind.module[0].weight.item(), kind.module[0].running_mean.item()) for kind in kinds]
    assert averaged == [(0.75 * 2 + 0.25 * 9, 0.75 * 1.25 + 0.25 * 9), (0.75 * 5 + 0.25 * 9, 9.0)]
    assert default(ModelEmaV3, "decay") == 0.9999
    assert facts()["defaults"]["SGD.ema_momentum"] == 0.99
    averages, final = facts()["ema"]
    assert averages == [-1.0, -1.25], "weights -1, then -2: the first is copied"
    assert final == averages[-1], "what fit() leaves is the average"
