"""Numeric modes of torch's adapters, memory that runs out, and what a GPU is read for: what a CPU can show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_torch_model import RATE, Small, batch, every, recipe, small

from isotune import defaults, protocols
from isotune.adapters._torch import device, numeric
from isotune.adapters._torch.model import TorchModel
from isotune.adapters._torch.numeric import Precision
from isotune.adapters.keras import KerasAdapter
from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.protocols import SGD, Adam, Schedule, Stage
from isotune.runs.records import Metrics
from isotune.runs.training import train
from isotune.seeds import Seeds

CPU = torch.device("cpu")
DECAYING = Adam(name="adamw", weight_decay=0.5)


def test_the_modes_in_words_are_those_declared():
    *rest, last = protocols.NUMERIC_MODES
    assert f"{', '.join(rest)} or {last}" == defaults.NUMERIC_MODES


def test_tf32_is_refused_where_there_is_none():
    with pytest.raises(UsageError, match=r"'tf32'.*'cpu' has no TF32.*float32") as caught:
        small(numeric_mode="tf32")
    assert "\n" not in str(caught.value)


def flags():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_tf32_is_on_for_the_calls_of_its_model_only(monkeypatch):
    monkeypatch.setattr(numeric, "_has_tf32", lambda _device: True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    seen = []
    model = small(numeric_mode="tf32")
    other = small()
    for one in (model, other):
        one.net.fc.register_forward_hook(lambda *_: seen.append(flags()))
        one.net.fc.weight.register_hook(lambda gradient: seen.append(flags()) or gradient)
        one.logits(batch()[0])
        one.gradients(*batch())
        one.trainer(recipe(one)).step(*batch(), RATE)
        list(one.activations(batch()[0]))
    assert seen == [(True, True)] * 6 + [(False, False)] * 6, "forward and backward"
    monkeypatch.setattr(model, "scaled", lambda _images: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.gradients(*batch())
    assert flags() == (False, False)


def test_gradients_in_float16_survive_what_float16_cannot_hold():
    images, labels = batch()
    exact = small(numeric_mode="float64").gradients(images, labels)
    narrow = small(numeric_mode="float16").gradients(images, labels)
    joined = [np.concatenate([found[name].ravel() for name in exact]) for found in (exact, narrow)]
    assert np.linalg.norm(joined[1] - joined[0]) < 0.02 * np.linalg.norm(joined[0])
    tiny = torch.full((4,), 2.0**-20, requires_grad=True)
    (gradient,) = Precision("float16", CPU).gradients((tiny.half() * 2.0**-10).float().sum() * 2.0**-16, [tiny])
    assert gradient.tolist() == [2.0**-26] * 4, "2^-16 times 2^-10: nothing in float16 without a scale"


def test_float16_trains_under_a_loss_scale():
    model, exact = small(numeric_mode="float16"), small(numeric_mode="float64")
    trainers = [one.trainer(recipe(one)) for one in (model, exact)]
    losses = np.array([[float(trainer.step(*batch(), RATE)) for trainer in trainers] for _ in range(3)])
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=5e-3)
    assert model.weights()["head.kernel"].dtype == np.float32
    assert (trainers[0].loss_scaling().scale, trainers[0].loss_scaling().skipped) == (2.0**16, 0)
    assert trainers[1].loss_scaling() is None


def test_clipping_sees_gradients_without_the_scale():
    clipped = SGD(name="sgd", clip_norm=0.5)
    changes = []
    for mode in ("float64", "float16"):
        model = small(numeric_mode=mode)
        before = model.weights()
        model.trainer(recipe(model, clipped)).step(*batch(), 1.0)
        after = model.weights()
        moved = [after[slot.name] - before[slot.name] for _, slot in model.slots() if slot.trainable]
        changes.append(sum(float((part**2).sum()) for part in moved) ** 0.5)
    np.testing.assert_allclose(changes, [0.5, 0.5], rtol=1e-3)


def test_a_step_whose_gradients_overflow_changes_nothing_and_is_counted():
    model = small(numeric_mode="float16")
    trainer = model.trainer(recipe(model, DECAYING))
    trainer.step(*batch(), RATE)
    model.load({"head.kernel": model.weights()["head.kernel"] * np.float32(1e7)})  # float16 ends at 65504
    trained = {slot.name for _, slot in model.slots() if slot.trainable}
    before = {**model.weights(), **trainer.state()}
    trainer.step(*batch(), RATE)
    after = {**model.weights(), **trainer.state()}
    for name, array in after.items():
        if name in trained or "/" in name:
            np.testing.assert_array_equal(array, before[name], err_msg=name)
    assert (trainer.loss_scaling().scale, trainer.loss_scaling().skipped) == (2.0**15, 1)


class Batches:
    mixes = False

    def batches(self, order, _seed):
        return (batch(len(samples)) for _, samples in order)


def test_a_training_says_its_loss_scale_and_the_steps_it_left_out():
    stage = Stage(steps=2, batch_size=6, optimizer=SGD(name="sgd"), schedule=Schedule(learning_rate=RATE))
    found = []
    for mode in ("float16", "float32"):
        model = small(numeric_mode=mode)
        result = train(model, (stage, stage), Batches(), batch(12)[1], Seeds.all(0), lambda *_: None)
        found.append((result.loss_scale, result.skipped_steps))
    assert found == [(2.0**16, 0), (None, None)]
    Metrics(accuracy=1, test_images=1, train_images=1, loss_scale=2.0**16, skipped_steps=0)


@pytest.mark.parametrize("mode", ["tf32", "float16"])
def test_keras_refuses_modes_that_it_has_not(mode):
    asked = {"classes": 2, "checkpoint": None, "conventions": Conventions()}
    with pytest.raises(UsageError, match=rf"no numeric mode '{mode}'.*float32, bfloat16, float64"):
        KerasAdapter().build("MobileNetV2", numeric_mode=mode, **asked)


class Greedy(Small):
    """Asks for more memory than there is: as a GPU says it, as the CPU's allocator does, as cuBLAS does."""

    errors = (
        torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 20.50 GiB. GPU 0 has a total capacity of 79.10 GiB of which 2.1 GiB"
            " is free.\nSee documentation"
        ),
        None,
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    )
    asked = 0

    def forward(self, images):
        if len(images) == 6:
            self.held = images.clone()
            error = self.errors[self.asked]
            if error is None:
                torch.empty(10**16, device=images.device)
            raise error
        return super().forward(images)


@pytest.mark.parametrize(("kind", "said"), [(0, "20.50 GiB more was"), (1, "37252902.98 GiB more was"), (2, "no more")])
def test_memory_that_runs_out_is_one_line_and_ends_no_other_work(kind, said):
    net = Greedy()
    net.asked = kind
    model = TorchModel(net, "fc", Conventions(), device=CPU)
    trainer = model.trainer(recipe(model))
    for work in (lambda: model.logits(batch()[0]), lambda: trainer.step(*batch(), RATE)):
        with pytest.raises(UsageError, match=f"^out of memory: {said}.*batch_size") as caught:
            work()
        assert "\n" not in str(caught.value)
    assert model.logits(batch(2)[0]).shape == (2, 5)
    assert every(model)
    assert np.isfinite(float(trainer.step(*batch(3), RATE)))


def test_a_gpu_is_read_for_what_it_tells(monkeypatch):
    assert device.clocks() == {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "clock_rate", lambda: 1980)
    monkeypatch.setattr(torch.cuda, "power_draw", lambda: 350_000)
    monkeypatch.setattr(torch.cuda, "utilization", lambda: 7)
    monkeypatch.setattr(torch.cuda, "temperature", lambda: 1 / 0)  # any error of any driver
    assert device.clocks() == {"clock_mhz": 1980.0, "power_w": 350.0, "utilization_percent": 7.0}
