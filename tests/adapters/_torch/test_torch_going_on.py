"""A torch training that is killed goes on from its draft to bitwise the same end."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from going_on import SEEDS, Pictures, differences, drawn, stages
from torch import nn

from isotune.adapters._torch.conventions import realise
from isotune.adapters._torch.model import TorchModel
from isotune.adapters.base import Recipe
from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.protocols import SGD, Adam, RMSprop
from isotune.runs.training import train

KERAS_LIKE = Conventions(
    momentum_form="rate-inside", adam_epsilon="before-correction", rmsprop_epsilon="inside-root",
    weight_decay_form="in-loss", clipping="per-variable", batchnorm_running_variance="biased",
    frozen_batchnorm="inference", hyperparameters="float32",
)  # fmt: skip
CONVENTIONS = {"torch's": Conventions(), "Keras's": KERAS_LIKE}
SHARED = {"weight_decay": 0.01, "clip_norm": 0.5}
OPTIMIZERS = {
    "sgd": SGD(),
    "momentum": SGD(momentum=0.9, **SHARED),
    "nesterov": SGD(momentum=0.9, nesterov=True),
    "adam": Adam(**SHARED),
    "adamw": Adam(name="adamw", weight_decay=0.1),
    "rmsprop": RMSprop(),
    "rmsprop with momentum": RMSprop(momentum=0.5, **SHARED),
}


class Stateful(nn.Module):
    """What a network may keep beside its weights: a cumulative average, a number, draws of its own."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.average = nn.BatchNorm2d(8, momentum=None)
        self.norm = nn.BatchNorm2d(8)
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.unused = nn.Linear(3, 3)
        self.register_buffer("hidden", torch.zeros(2), persistent=False)
        self.calls = 0
        self.fc = nn.Linear(8, 5)

    def forward(self, images):
        values = self.norm(self.average(self.conv(images)).relu()).mean((2, 3))
        values = self.second(self.first(values).relu())
        if self.training:
            self.calls += 1
            self.hidden += 0.25
            values = nn.functional.dropout(values * (1 + self.calls / 64) + self.hidden.sum(), 0.3)
        return self.fc(values)


def model(number, conventions=None, **changes):
    torch.manual_seed(number)
    net = Stateful()
    realise(net, conventions := conventions or Conventions())
    made = TorchModel(net, "fc", conventions, device=torch.device("cpu"), **changes)
    drawn(made, number)
    torch.manual_seed(number)
    return made


@pytest.mark.parametrize("conventions", CONVENTIONS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_goes_on_to_the_same_end(optimizer, conventions, tmp_path) -> None:
    recipe = stages(OPTIMIZERS[optimizer], OPTIMIZERS["momentum"], trained=("all", "last:1"))
    axes = CONVENTIONS[conventions]
    assert differences(lambda number: model(number, axes), recipe, tmp_path) == []


@pytest.mark.parametrize("mode", ["float64", "bfloat16", "float16", "channels_last"])
def test_every_mode_goes_on_to_the_same_end(mode, tmp_path) -> None:
    changes = {"layout": mode} if mode == "channels_last" else {"numeric_mode": mode}
    recipe = stages(OPTIMIZERS["adam"], OPTIMIZERS["momentum"], trained=("all", "head"), batchnorm="inference")
    assert differences(lambda number: model(number, **changes), recipe, tmp_path) == []


def test_norms_that_a_stage_freezes_stay_as_they_are_and_nothing_else_does():
    made, pictures = model(0), Pictures((17, 14))
    before = {name: np.array(array) for name, array in made.weights().items()}
    recipe = stages(OPTIMIZERS["adam"], batchnorm="frozen")
    train(made, recipe, pictures, pictures.labels, SEEDS, lambda *_: None)  # type: ignore[arg-type]
    stays = {name for name, array in made.weights().items() if np.array_equal(array, before[name])}
    stays -= {"005.dense.kernel", "005.dense.bias"}  # which nothing uses
    norms = {name.rpartition(".")[0] for name in before if name.endswith(".mean")}
    assert len(norms) == 2
    assert stays == {f"{norm}.{slot}" for norm in norms for slot in ("scale", "shift", "mean", "variance")}


def test_a_loss_scale_that_was_lowered_stays_so(tmp_path) -> None:
    def large(number):
        made = model(number, numeric_mode="float16")
        made.load({"head.kernel": made.weights()["head.kernel"] * np.float32(100)})
        return made

    assert differences(large, stages(OPTIMIZERS["adam"]), tmp_path, kills=(2, 3, 5)) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, while it compiles
def test_a_compiled_training_goes_on_to_the_same_end(tmp_path) -> None:
    recipe = stages(OPTIMIZERS["adam"], OPTIMIZERS["momentum"], trained=("all", "head"))
    assert differences(lambda number: model(number, compiled=True), recipe, tmp_path) == []


def test_another_trainers_snapshot_is_refused_and_changes_nothing() -> None:
    one, other = model(0), model(1)
    every = frozenset(layer.name for layer in one.layers())
    kept = one.trainer(Recipe(SGD(), every)).snapshot()
    before = other.weights().digest()
    for name, array in (("network/conv.weight", np.zeros(3, np.float32)), ("optimizer/0/exp_avg", np.zeros(77))):
        with pytest.raises(UsageError):
            other.trainer(Recipe(SGD(), every)).restore(kept | {name: array})
    narrow = model(1, numeric_mode="float16").trainer(Recipe(SGD(), every))
    with pytest.raises(UsageError, match="counts otherwise"):
        narrow.restore(kept)
    assert other.weights().digest() == before
