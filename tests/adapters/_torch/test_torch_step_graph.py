"""A training step as a graph: when one is taken up and when not, with a recorder that does again what it was given, as
a graph would: into the same memory, from the same memory, without Python's arguments."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_torch_model import RATE, batch, recipe, small
from torch import nn

from isotune.adapters._torch.axes.substitutes import Border, PaddedPool
from isotune.adapters._torch.model import TorchModel
from isotune.adapters._torch.step_graph import recorder
from isotune.adapters.torch_file import TorchFileAdapter
from isotune.adapters.torchvision import TorchvisionAdapter
from isotune.conventions import Conventions

CAPTURED, STEPS = 5, 7  # from this step on, a graph alone computes


class Again:
    """spoil: what to do to the model after each replay. fails: the capture does."""

    def __init__(self, model, *, spoil=None, fails=False):
        self.model, self.spoil, self.fails = model, spoil, fails
        self.aside_of, self.replays = 0, 0

    def aside(self, work):
        self.aside_of += 1
        return work()

    def capture(self, work):
        if self.fails:
            raise RuntimeError("operation not permitted\nwhen stream is capturing")
        tensors = [parameter for parameter in self.model.net.parameters() if parameter.requires_grad]
        buffers = list(self.model.net.buffers())
        before = [buffer.clone() for buffer in buffers]
        loss = work()
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)
        kept = [tensor.grad for tensor in tensors]
        for gradient in kept:
            gradient.fill_(float("nan"))  # a capture computes nothing

        def replay():
            self.replays += 1
            held = [tensor.grad for tensor in tensors]
            loss.copy_(work())
            for gradient, tensor, other in zip(kept, tensors, held, strict=True):
                gradient.copy_(tensor.grad)
                tensor.grad = other
            if self.spoil:
                self.spoil(self.model, kept)

        return loss, replay


def batches(steps=STEPS, size=6):
    return [batch(size, seed) for seed in range(steps)]


def trained(monkeypatch, given, *, build=small, mask=False, **how):
    """Losses of every step and the model at the end, with a graph where `how` says how it does."""
    model = build()
    if how.get("graph"):
        again = Again(model, **{name: value for name, value in how.items() if name != "graph"})
        monkeypatch.setattr(model, "recorder", lambda: again)
    trainer = model.trainer(recipe(model))
    stream = np.random.default_rng(0)
    masks = [(stream.random((len(labels), 12)) < 0.5).astype(np.float32) * 2 if mask else None for _, labels in given]
    steps = zip(given, masks, strict=True)
    losses = [
        trainer.step(images, labels, RATE, drop) for (images, labels), drop in steps
    ]  # read at the end, as runs do
    return [float(loss) for loss in losses], {**model.weights(), **trainer.state()}, trainer.graph


def same(one, other):
    assert one[0] == other[0]
    for name, array in one[1].items():
        np.testing.assert_array_equal(array, other[1][name], err_msg=name)


@pytest.mark.parametrize("mask", [False, True])
def test_a_training_with_a_graph_is_the_training_without_to_the_bit(monkeypatch, mask):
    with_graph = trained(monkeypatch, batches(), mask=mask, graph=True)
    same(with_graph, trained(monkeypatch, batches(), mask=mask))
    graph = with_graph[2]
    assert graph.said == "captured"
    assert (graph._recorder.aside_of, graph._recorder.replays) == (1, STEPS - 2)


def test_a_batch_of_another_shape_goes_without_and_leaves_the_graph_usable(monkeypatch):
    given = batches()
    given[CAPTURED] = batch(4)
    with_graph = trained(monkeypatch, given, graph=True)
    same(with_graph, trained(monkeypatch, given))
    assert with_graph[2]._recorder.replays == STEPS - 3


def nudged_gradient(_model, gradients):
    gradients[-1][0] = torch.nextafter(gradients[-1][0], torch.tensor(9.0))


def nudged_buffer(model, _gradients):
    model.net.stem[1].running_mean[3] += 1e-6


@pytest.mark.parametrize("spoil", [nudged_gradient, nudged_buffer])
def test_a_graph_that_gives_another_bit_is_not_taken_up(monkeypatch, spoil):
    with_graph = trained(monkeypatch, batches(), graph=True, spoil=spoil)
    same(with_graph, trained(monkeypatch, batches()))
    assert (with_graph[2].said, with_graph[2]._recorder.replays) == ("without: a graph gave other bits", 1)


def test_a_capture_that_fails_leaves_the_step_as_it_was(monkeypatch):
    with_graph = trained(monkeypatch, batches(), graph=True, fails=True)
    same(with_graph, trained(monkeypatch, batches()))
    said = "without: RuntimeError: operation not permitted when stream is capturing"
    assert with_graph[2].said == said


def test_memory_that_ends_while_both_are_compared_leaves_buffers_as_they_were(monkeypatch):
    def ended(_model, _gradients):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with_graph = trained(monkeypatch, batches(), graph=True, spoil=ended)
    same(with_graph, trained(monkeypatch, batches()))
    assert "out of memory" in with_graph[2].said


def test_an_error_of_the_step_itself_is_said(monkeypatch):
    model = small()
    monkeypatch.setattr(model, "recorder", lambda: Again(model))
    trainer = model.trainer(recipe(model))
    for given in batches(4):
        trainer.step(*given, RATE)
    with pytest.raises(IndexError):
        trainer.step(batch()[0], np.full(6, 99), RATE)


def test_the_cpu_and_modes_that_scale_the_loss_or_prove_have_no_graphs(monkeypatch):
    assert recorder(torch.device("cpu"), "float32") is None
    assert small().trainer(recipe(small())).graph is None
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    card = torch.device("cuda")
    assert [recorder(card, mode) for mode in ("float16", "float64")] == [None, None]
    monkeypatch.setenv("ISOTUNE_CUDA_GRAPHS", "0")
    assert recorder(card, "float32") is None


def test_what_a_pools_hook_keeps_holds_no_autograd_graph():
    """It would carry a step's accumulators, and the stream that they belong to, into the capture of the next."""
    pool = PaddedPool(Border((3, 3), (2, 2), "same", 0.0, counted=False))
    maps = torch.ones(1, 2, 5, 5, requires_grad=True)
    pool.before(nn.AvgPool2d(3, 2), (maps * 2,))
    assert pool.shape.grad_fn is None


def test_networks_of_a_users_own_code_have_no_graphs(monkeypatch):
    monkeypatch.setattr("isotune.adapters._torch.model.recorder", lambda *_: "a recorder")
    for graphs in (True, False):
        net = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
        model = TorchModel(net, "1", Conventions(), device=torch.device("cpu"), graphs=graphs)
        assert (model.recorder() is None) != graphs
    assert (TorchFileAdapter.own_code, TorchvisionAdapter.own_code) == (True, False)
