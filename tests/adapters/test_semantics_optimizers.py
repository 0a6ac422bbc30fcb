"""What the libraries' own optimizers, schedules, loss scales, averages and augmentations do, as adapters/SEMANTICS.md
says; and that `native` has the forms of techniques that they have by default."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_semantics import ENGINES, default, facts
from timm.data import Mixup, create_transform
from timm.data.random_erasing import RandomErasing
from timm.layers import DropPath
from timm.optim import RMSpropTF
from timm.scheduler import create_scheduler_v2
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.models import efficientnet_b0
from torchvision.ops import StochasticDepth
from torchvision.transforms import RandomErasing as TorchvisionErasing
from torchvision.transforms import v2

from isotune import protocols
from isotune.adapters._keras.native import NATIVE
from isotune.adapters.timm import TimmAdapter
from isotune.adapters.torchvision import TorchvisionAdapter
from isotune.conventions import FORM_AXES
from isotune.protocols import form_axes
from isotune.protocols.schedules import learning_rates
from isotune.runs.selection.averaging import Average

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


# -- forms of techniques


KERAS = NATIVE.model_dump(include=set(FORM_AXES))
RECIPE = protocols.Protocol(
    name="forms", title="Every technique", source="this test", average=protocols.Averaging(decay=0.75, start="zero"),
    augmentation=protocols.Augmentation(mixing=protocols.Mixing(mixup=1.0)),
    stage=[
        protocols.Stage(
            epochs=12, batch_size=4, optimizer=protocols.SGD(),
            schedule=protocols.Schedule(name="cosine", learning_rate=1.0, warmup_epochs=4),
        )
    ],
)  # fmt: skip


def test_every_form_has_a_native_value():
    for forms in (KERAS, TimmAdapter.forms, TorchvisionAdapter.forms):
        assert set(forms) == set(FORM_AXES)
        assert "protocol" not in forms.values()


def test_warm_ups_and_decays_are_by_default_what_native_says():
    """Twelve epochs of two steps, of which four are the warm-up."""

    def rates(forms):
        (stage,) = form_axes.under(RECIPE, forms).stage
        return learning_rates(stage.schedule, 24, 2)

    def optimizer():
        return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)

    by_epoch = []
    ours = optimizer()
    scheduler = SequentialLR(ours, [LinearLR(ours, total_iters=4), CosineAnnealingLR(ours, 8)], [4])
    for _ in range(12):
        by_epoch.append(ours.param_groups[0]["lr"])
        ours.step()
        scheduler.step()
    assert rates(TorchvisionAdapter.forms) == pytest.approx(np.repeat(by_epoch, 2), rel=1e-12)
    assert ">>> for epoch in range(100):" in CosineAnnealingLR.__doc__ + LinearLR.__doc__

    theirs = optimizer()
    scheduler, epochs = create_scheduler_v2(theirs, num_epochs=12, warmup_epochs=4)
    by_epoch = []
    for epoch in range(epochs):
        scheduler.step(epoch)
        by_epoch.append(theirs.param_groups[0]["lr"])
    assert rates(TimmAdapter.forms) == pytest.approx(np.repeat(by_epoch, 2), rel=1e-12)
    assert default(create_scheduler_v2, "step_on_epochs") is True

    assert rates(KERAS) == pytest.approx(facts()["warmed_up"], rel=1e-5, abs=1e-7)


def test_averages_are_by_default_what_native_says():
    """Weights 5, then 9, and statistics alike, by each library's class and by isotune's average under its forms."""
    net = nn.Sequential(nn.BatchNorm1d(1))
    kinds = {
        TimmAdapter: ModelEmaV3(net, decay=0.75),
        TorchvisionAdapter: AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.75)),
    }
    averages = {adapter: averaged(adapter.forms) for adapter in kinds}
    for step, value in enumerate((5.0, 9.0), 1):
        net[0].weight.data.fill_(value)
        net[0].running_mean.fill_(value)
        kinds[TimmAdapter].update(net)
        kinds[TorchvisionAdapter].update_parameters(net)
        for adapter, kind in kinds.items():
            averages[adapter].update(step, {"norm.scale": np.array([value]), "norm.mean": np.array([value])})
            found = {name: array.item() for name, array in averages[adapter].tensors.items()}
            own = kind.module[0]
            assert found == {"norm.scale": own.weight.item(), "norm.mean": own.running_mean.item()}
    assert default(ModelEmaV3, "use_warmup") is False
    keras = averaged(KERAS)
    for step, (weight, average) in enumerate(zip((-1.0, -2.0), facts()["ema"][0], strict=True), 1):
        keras.update(step, {"norm.scale": np.array([weight]), "norm.mean": np.array([weight])})
        assert {name: array.item() for name, array in keras.tensors.items()} == {
            "norm.scale": average,
            "norm.mean": weight,
        }
    assert facts()["averaged_variables"] == [2, 4], "scale and shift alone"


def averaged(forms) -> Average:
    rule = form_axes.under(RECIPE, forms).average
    return Average(rule, {"norm.scale": np.ones(1), "norm.mean": np.zeros(1)}, 2)


def test_who_is_mixed_with_whom_by_default():
    labels = torch.arange(8)

    def partners(targets):
        rows = targets.numpy().copy()
        shares = rows[np.arange(8), np.arange(8)].copy()
        rows[np.arange(8), np.arange(8)] = 0
        return rows.argmax(axis=1).tolist(), len(set(np.round(shares, 6)))

    torch.manual_seed(0)
    _, targets = v2.MixUp(num_classes=8)(torch.zeros(8, 3, 2, 2), labels)
    assert partners(targets) == (np.roll(np.arange(8), 1).tolist(), 1)
    assert (TorchvisionAdapter.forms["mixing_partner"], TorchvisionAdapter.forms["mixing_per"]) == ("rolled", "batch")
    np.random.seed(0)  # from which timm draws
    _, targets = Mixup(label_smoothing=0.0, num_classes=8)(torch.zeros(8, 3, 2, 2), labels)
    assert partners(targets) == (list(range(7, -1, -1)), 1)
    assert (TimmAdapter.forms["mixing_partner"], TimmAdapter.forms["mixing_per"]) == ("reversed", "batch")
    for shares, drawn, every in facts()["mixtures"].values():
        assert (shares[0], every) == (8, list(range(8)))
        assert drawn not in (every, every[::-1], every[-1:] + every[:-1])
    assert (KERAS["mixing_partner"], KERAS["mixing_per"]) == ("shuffled", "image")


def test_what_is_erased_becomes_zeros_or_the_noise_of_bytes():
    assert default(TorchvisionErasing, "value") == 0
    assert (default(RandomErasing, "mode"), default(create_transform, "re_mode")) == ("const", "const")
    assert {adapter.forms["erasing_fill"] for adapter in (TimmAdapter, TorchvisionAdapter)} == {"mean"}
    assert facts()["erased"] == pytest.approx([0.0, 255.0, 0.5, 0.1587], abs=0.01)
    assert KERAS["erasing_fill"] == "clipped-noise"


def test_depth_is_drawn_for_each_image_and_scaled_by_default():
    """Keras's own layers: test_keras_branches.py."""
    with torch.device("meta"):
        modes = {module.mode for module in efficientnet_b0().modules() if isinstance(module, StochasticDepth)}
    assert modes == {"row"}
    assert default(DropPath, "scale_by_keep") is True
    kept = DropPath(0.5)
    assert set(kept(torch.ones(64, 2, 2)).flatten(1).mean(1).tolist()) == {0.0, 2.0}, "an image at a time"
    for forms in (KERAS, TimmAdapter.forms, TorchvisionAdapter.forms):
        assert (forms["depth_per"], forms["depth_scaling"]) == ("image", "scaled")
