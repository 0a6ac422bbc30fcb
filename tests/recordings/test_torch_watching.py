"""Loops in torch, watched: what they do is read off, and being watched changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import isotune  # noqa: E402
from isotune.errors import UsageError  # noqa: E402
from isotune.recordings import Recording, compare, judge  # noqa: E402

IMAGES = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 3, 16, 16)).astype(np.float32))
LABELS = torch.from_numpy(np.random.default_rng(1).integers(0, 5, 64))
SGD = torch.optim.SGD


def network(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1),
        nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(16, 5),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


def grouped(net: nn.Module) -> list[dict]:
    """Kernels decay, the rest does not."""
    kernels = [each for each in net.parameters() if each.ndim > 1]
    return [{"params": kernels, "weight_decay": 1e-2},
            {"params": [each for each in net.parameters() if each.ndim < 2], "weight_decay": 0.0}]  # fmt: skip


def train(net, optimizer, folder=None, *, steps=3, passes=1, divided=True, smoothing=0.0, clip=None, told=True, **how):
    """A loop as people write it."""
    criterion = nn.CrossEntropyLoss(label_smoothing=smoothing)
    with isotune.watch(
        net, optimizer, folder or "unused", steps=range(steps), enabled=folder is not None, **how
    ) as watching:
        for step in range(steps):
            optimizer.zero_grad()
            for place in range(passes):
                chosen = slice(8 * (step * passes + place), 8 * (step * passes + place + 1))
                loss = criterion(net(IMAGES[chosen]), LABELS[chosen]) / (passes if divided else 1)
                (watching.loss(loss, LABELS[chosen]) if told else loss).backward()
            if clip:
                clip(net)
            optimizer.step()
    return None if folder is None else Recording(folder)


@pytest.mark.parametrize("seed", [2**63 - 1, 2**63, 2**64 - 1])
def test_whatever_seed_a_loop_was_given_its_recording_is_read(tmp_path, seed):
    net = network()
    torch.manual_seed(seed)  # torch draws one of 64 bits where nobody gives one
    recording = train(net, SGD(net.parameters(), 0.1), tmp_path / "seeded", steps=1)
    assert str(recording.about.configuration["seed"]) == str(seed)


@pytest.mark.parametrize(
    ("make", "how", "expected"),
    [
        (lambda net: SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2), {},
         {"optimizer": "sgd", "momentum_form": "rate-outside", "nesterov": False, "weight_decay_form": "coupled",
          "weight_decay_on": "all", "trained": "all", "batchnorm": "training", "loss_reduction": "mean",
          "batchnorm_momentum": 0.1, "batchnorm_running_variance": "unbiased", "batch_size": 8}),
        (lambda net: SGD(grouped(net), lr=0.1, momentum=0.9, nesterov=True),
         {"passes": 2, "divided": False, "smoothing": 0.1, "told": False},
         {"nesterov": True, "accumulation": "summed", "label_smoothing": 0.1, "batch_size": 16}),
        (lambda net: torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.1),
         {"passes": 2, "clip": lambda net: nn.utils.clip_grad_norm_(net.parameters(), 0.25)},
         {"adam_epsilon": "after-correction", "weight_decay_form": "decoupled", "weight_decay_on": "all",
          "accumulation": "divided", "clipping": "global-norm"}),
        (lambda net: torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-2), {},
         {"adam_epsilon": "after-correction", "weight_decay_form": "coupled"}),
        (lambda net: torch.optim.RMSprop(net.parameters(), lr=1e-3, momentum=0.9),
         {"clip": lambda net: [nn.utils.clip_grad_norm_([each], 0.05) for each in net.parameters()]},
         {"rmsprop_epsilon": "outside-root", "momentum_form": "rate-outside", "clipping": "per-variable",
          "weight_decay_form": "none"}),
        (lambda net: SGD(net.parameters(), lr=0.1),  # what no known clipping does to gradients
         {"clip": lambda net: [each.grad.sub_(each.grad.mean(0, keepdim=True)) for each in net.parameters()]},
         {"clipping": "changed", "loss_reduction": "mean"}),
    ],
)  # fmt: skip
def test_what_a_loop_does_is_read_off(make, how, expected, tmp_path) -> None:
    net = network()
    habits = judge(train(net, make(net), tmp_path / "loop", **how))
    assert {name: habits.value(name) for name in expected} == expected
    assert "step" not in habits


def test_logits_near_zero_that_are_divided_are_not_taken_for_smoothed_labels(tmp_path) -> None:
    net = network()
    with torch.no_grad():
        net[-1].weight.mul_(0.01)
        net[-1].bias.zero_()
    optimizer = SGD(net.parameters(), lr=0.01)
    with isotune.watch(net, optimizer, tmp_path / "colder", steps=range(2)) as watching:
        for step in range(2):
            optimizer.zero_grad()
            chosen = slice(8 * step, 8 * step + 8)
            loss = nn.functional.cross_entropy(net(IMAGES[chosen]) / 2, LABELS[chosen])
            watching.loss(loss, LABELS[chosen]).backward()
            optimizer.step()
    habits = judge(Recording(tmp_path / "colder"))
    assert habits.value("loss") == "other"
    assert "label_smoothing" not in habits


def test_a_frozen_batchnorm_that_updates_is_seen_and_one_that_does_not(tmp_path) -> None:
    for still, value in ((False, "updates"), (True, "inference")):
        net = network()
        for module in list(net)[:5]:
            module.requires_grad_(False)
            if still:
                module.eval()
        recording = train(net, SGD(net.parameters(), lr=0.1), tmp_path / value)
        assert judge(recording).value("frozen_batchnorm") == value
        assert judge(recording).value("trained") == "head"


def test_being_watched_changes_no_bit(tmp_path) -> None:
    ends = []
    for folder in (None, tmp_path / "loop"):
        net = network(dropout=0.5)
        train(net, SGD(net.parameters(), lr=0.1, momentum=0.9), folder, told=folder is not None, statistics=2)
        ends.append([each.clone() for each in (*net.parameters(), *net.buffers())])
    assert all(map(torch.equal, *ends))


def test_nothing_is_left_on_the_network_when_it_is_over(tmp_path) -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=0.1)
    train(net, optimizer, tmp_path / "loop", statistics=0)
    for module in net.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert not optimizer._optimizer_step_pre_hooks
    assert all(not each._post_accumulate_grad_hooks for each in net.parameters())


def test_an_evaluation_between_steps_is_no_pass(tmp_path) -> None:
    net = network()
    optimizer = SGD(net.parameters(), lr=0.1)
    with isotune.watch(net, optimizer, tmp_path / "loop", steps=range(2)):
        for _ in range(2):
            with torch.no_grad():
                net.eval()(IMAGES)
            optimizer.zero_grad()
            nn.functional.cross_entropy(net.train()(IMAGES[:8]), LABELS[:8]).backward()
            optimizer.step()
    assert judge(Recording(tmp_path / "loop")).value("passes") == 1


def test_layers_are_named_canonically_in_the_order_of_execution(tmp_path) -> None:
    net = network()
    recording = train(net, SGD(net.parameters(), lr=0.1), tmp_path / "loop")
    assert recording.about.order == "execution"
    assert [entry.name for entry in recording.about.tensors][:3] == [
        "000.conv.kernel",
        "001.norm.scale",
        "001.norm.shift",
    ]
    assert recording.about.tensors[0].shape == (3, 3, 3, 8)
    assert set(recording.steps[0].tensors("layers")) == {"000.conv", "001.norm", "002.conv", "003.norm", "head"}
    assert recording.steps[0].tensors("layers")["000.conv"].shape == (4, 8, 8, 8)


def test_random_generators_that_are_drawn_from_are_seen(tmp_path) -> None:
    for dropout, moved in ((0.5, True), (0.0, False)):
        net = network(dropout)
        recording = train(net, SGD(net.parameters(), lr=0.1), tmp_path / str(dropout))
        random = recording.steps[0].entry.random
        assert (random["before"]["torch"] != random["after"]["torch"]) == moved
        assert random["before"]["numpy"] == random["after"]["numpy"]


def test_statistics_are_taken_every_so_many_steps(tmp_path) -> None:
    net = network()
    recording = train(net, SGD(net.parameters(), lr=0.1), tmp_path / "loop", steps=4, statistics=2)
    assert [each["step"] for each in recording.statistics] == [0, 2]
    assert recording.statistics[1]["gradient norm"] > 0


def test_a_decay_on_biases_is_the_cause(tmp_path) -> None:
    sides = []
    for name, make in (("before", lambda net: SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)),
                       ("after", lambda net: SGD(grouped(net), lr=0.1, momentum=0.9))):  # fmt: skip
        net = network()
        sides.append(train(net, make(net), tmp_path / name))
    found = compare(*sides)
    assert [cause.name for cause in found.causes] == ["weight_decay_on"]
    assert found.first_failure is not None
    assert (found.first_failure.step, found.first_failure.name) == (0, "slots after")


def test_a_loop_is_the_same_as_itself(tmp_path) -> None:
    sides = []
    for name in ("a", "b"):
        net = network()
        sides.append(train(net, SGD(net.parameters(), lr=0.1, momentum=0.9), tmp_path / name))
    assert compare(*sides).same


def test_a_network_that_is_no_image_network_is_watched_in_the_order_of_registration(tmp_path) -> None:
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    optimizer = SGD(net.parameters(), lr=0.1)
    with isotune.watch(net, optimizer, tmp_path / "loop", steps=0):
        nn.functional.cross_entropy(net(torch.randn(5, 6)), torch.tensor([0, 1, 2, 0, 1])).backward()
        optimizer.step()
    recording = Recording(tmp_path / "loop")
    assert recording.about.order == "registration"
    assert judge(recording).value("label_smoothing") == 0.0


def test_wrong_use_is_one_line(tmp_path) -> None:
    net = network()
    with pytest.raises(UsageError, match=r"give the torch\.optim\.Optimizer that the loop steps"):
        isotune.watch(net, None, tmp_path / "loop")
    assert not (tmp_path / "loop").exists()
    optimizer = SGD(net.parameters(), lr=0.1)
    with pytest.raises(UsageError, match="record fewer steps"):
        train(net, optimizer, tmp_path / "loop", most=10)
