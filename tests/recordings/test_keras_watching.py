"""Training in Keras, watched, on TensorFlow, torch and JAX: what it does is read off."""

from __future__ import annotations

import pytest
from keras_processes import process_of

from isotune.recordings import Recording, compare, judge

pytestmark = pytest.mark.xdist_group("keras")
EXPECTED = {
    "sgd": {"optimizer": "sgd", "momentum_form": "rate-inside", "weight_decay_form": "decoupled",
            "weight_decay_on": "all", "batchnorm": "training", "batchnorm_momentum": 0.1,
            "batchnorm_running_variance": "biased", "trained": "all", "label_smoothing": 0.0, "batch_size": 8,
            "clipping": None},
    "kernels": {"weight_decay_on": "kernels"},
    "adam": {"adam_epsilon": "before-correction", "weight_decay_form": "decoupled", "clipping": "global-norm"},
    "rmsprop": {"rmsprop_epsilon": "inside-root", "momentum_form": "rate-inside", "clipping": "per-variable",
                "label_smoothing": 0.1},
    "frozen": {"frozen_batchnorm": "inference"},
    "own": {"nesterov": True, "momentum_form": "rate-inside", "label_smoothing": 0.0},
}  # fmt: skip


@pytest.fixture(scope="module", params=["tensorflow", "jax", pytest.param("torch", marks=pytest.mark.slow)])
def recordings(request, tmp_path_factory) -> dict[str, Recording]:
    folder = tmp_path_factory.mktemp(request.param)
    process_of(request.param).run("watching.py", request.param, folder)
    found = {name: Recording(folder / name) for name in (*EXPECTED, "schedule") if name not in left_out(request.param)}
    assert {each.about.configuration["engine"] for each in found.values()} == {request.param}
    return found


def left_out(engine: str) -> set[str]:
    """A step of one's own is refused on JAX."""
    return {"own"} if engine == "jax" else set()


def of_each(*names: str):
    """A recording of each engine that has it."""
    cases = [(engine, name) for engine in ("tensorflow", "jax", "torch") for name in names]
    return pytest.mark.parametrize(
        ("recordings", "name"),
        [pytest.param(engine, name, marks=[pytest.mark.slow] * (engine == "torch"))
         for engine, name in cases if name not in left_out(engine)],
        indirect=["recordings"],
    )  # fmt: skip


@of_each(*EXPECTED)
def test_what_training_does_is_read_off(name: str, recordings) -> None:
    habits = judge(recordings[name])
    assert {habit: habits.value(habit) for habit in EXPECTED[name]} == EXPECTED[name]
    assert "step" not in habits, habits["step"].words


def test_fit_knows_its_epoch_and_every_rate(recordings) -> None:
    assert recordings["sgd"].about.steps_per_epoch == 6
    assert recordings["sgd"].rates == pytest.approx([0.1] * 6)
    assert recordings["schedule"].rates == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025, 0.025])


@of_each("own")
def test_a_loop_of_ones_own_is_watched(name: str, recordings) -> None:
    assert list(recordings[name].steps) == [0, 1]


def test_statistics_are_of_the_weights_after_each_step(recordings) -> None:
    seen = [each["weight norm"] for each in recordings["sgd"].statistics]
    assert len(seen) == 3
    assert len(set(seen)) == 3


def test_layers_are_named_as_in_other_frameworks(recordings) -> None:
    entries = [entry.name for entry in recordings["sgd"].about.tensors]
    assert entries == ["000.conv.kernel", "001.norm.scale", "001.norm.shift", "001.norm.mean", "001.norm.variance",
                       "head.kernel", "head.bias"]  # fmt: skip
    assert set(recordings["sgd"].steps[0].tensors("layers")) == {"000.conv", "001.norm", "head"}


def test_decay_on_biases_is_the_cause(recordings) -> None:
    found = compare(recordings["sgd"], recordings["kernels"])
    assert "weight_decay_on" in {cause.name for cause in found.causes}
    assert found.first_failure is not None
    assert found.first_failure.name == "weights after"


def test_two_frameworks_are_compared(recordings, tmp_path) -> None:
    """A twin in torch of Keras's network, with the same weights and images: its decay is coupled, on everything."""
    torch = pytest.importorskip("torch")
    import numpy as np
    from torch import nn

    import isotune

    stream = np.random.default_rng(0)
    images, labels = stream.normal(size=(48, 16, 16, 3)).astype(np.float32), stream.integers(0, 5, 48)
    before = recordings["sgd"].steps[0].tensors("before")
    running = recordings["sgd"].steps[0].tensors("batchnorm-before")
    convolution, norm, head = (
        nn.Conv2d(3, 8, 3, 2, bias=False),
        nn.BatchNorm2d(8, eps=1e-3, momentum=0.1),
        nn.Linear(8, 5),
    )
    net = nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)), convolution, norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head
    )
    for tensor, array in ((convolution.weight, before["000.conv.kernel"].transpose(3, 2, 0, 1)),
                          (norm.weight, before["001.norm.scale"]), (norm.bias, before["001.norm.shift"]),
                          (head.weight, before["head.kernel"].T), (head.bias, before["head.bias"]),
                          (norm.running_mean, running["001.norm.mean"]),
                          (norm.running_var, running["001.norm.variance"])):  # fmt: skip
        tensor.data.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    with isotune.watch(net, optimizer, tmp_path / "twin", steps=range(3)) as watching:
        for step in range(3):
            chosen = slice(8 * step, 8 * step + 8)
            optimizer.zero_grad()
            logits = net(torch.from_numpy(images[chosen]).permute(0, 3, 1, 2))
            watching.loss(nn.functional.cross_entropy(logits, torch.from_numpy(labels[chosen]))).backward()
            optimizer.step()
    found = compare(recordings["sgd"], Recording(tmp_path / "twin"))
    assert found.pairing == "Tensors are paired by canonical name."
    assert {cause.name for cause in found.causes} == {
        "momentum_form",
        "weight_decay_form",
        "batchnorm_running_variance",
    }
    verdicts = {rung.name: rung.verdict for rung in found.rungs if rung.step == 0}
    assert {
        verdicts[name] for name in ("batch", "rate", "weights before", "layers", "logits", "loss", "gradients")
    } == {"holds"}
