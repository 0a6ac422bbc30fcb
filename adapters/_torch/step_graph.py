"""The forward and backward pass of a training step as one CUDA graph, where launching its kernels takes longer than
they run: small images, small batches.

A graph is taken up only when it has shown, on two batches of the training, that it gives the same bits as the step
without it: loss, every gradient, every BatchNorm buffer. Whatever stands against that (a network that waits for the
device, a kernel that adds in no fixed order, dropout inside the network, no memory for both) leaves the step as it was.
The optimizer runs outside of the graph, so that nothing of a step's learning rate is in it. A batch of another shape,
as the last of an epoch often is, goes without. Networks that are a user's own code go without too: what such code
counts in Python, a graph would not count.

What is captured and how: https://docs.pytorch.org/docs/stable/notes/cuda.html#whole-network-capture
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from isotune.adapters.base import NumericMode

_WITHOUT = 2  # steps before the capture; the second on the capture's stream, which libraries prepare for
_COMPARED = 2  # steps that are computed both ways
_MODES = ("float32", "tf32", "bfloat16")  # float16's loss scale is read at every step; float64 is for proofs
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

Passes = Callable[..., Tensor]
"""(images, labels, feature mask, branch masks) on the device, of which masks may be None -> loss, gradients left in
`.grad`, which is None before."""


class Recorder(Protocol):
    """What captures work on the device; `CudaRecorder` is the one."""

    def aside(self, work: Callable[[], Tensor]) -> Tensor:
        """Do the work where captures take place."""

    def capture(self, work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        """Note the work without doing it: where its result will be, and what does it from then on."""


class CudaRecorder:
    """On a stream of its own."""

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def aside(self, work: Callable[[], Tensor]) -> Tensor:
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            result = work()
        current.wait_stream(self._stream)
        return result

    def capture(self, work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            result = work()
        return result, graph.replay


def recorder(device: torch.device, mode: NumericMode) -> Recorder | None:
    """None where steps go without a graph: on the CPU, in modes that need none, or as `ISOTUNE_CUDA_GRAPHS=0` says."""
    return CudaRecorder() if enabled(device) and mode in _MODES else None


def enabled(device: torch.device) -> bool:
    """Whether training steps on the device may become graphs."""
    is_nvidia = device.type == "cuda" and torch.version.cuda is not None
    return is_nvidia and os.environ.get("ISOTUNE_CUDA_GRAPHS", "1") != "0"


class StepGraph:
    """Called as `passes` is, with the same results to the bit.

    tensors: those whose gradients `passes` leaves. buffers: what it changes besides.
    said: what became of the graph, in plain words.
    """

    def __init__(
        self, passes: Passes, tensors: Sequence[Tensor], buffers: Sequence[Tensor], recorder: Recorder
    ) -> None:
        self._passes, self._recorder = passes, recorder
        self._tensors, self._buffers = list(tensors), list(buffers)
        self._shapes: object = None
        self._steps = 0
        self._inputs: list[Tensor | None] = []
        self._replay: Callable[[], None] | None = None
        self._loss: Tensor | None = None
        self._gradients: list[Tensor | None] = []
        self._gave_up = False
        self.said = "not captured yet"

    def __call__(self, *inputs: Tensor | None) -> Tensor:
        shapes = [None if one is None else (one.shape, one.stride(), one.dtype) for one in inputs]
        self._shapes = self._shapes or shapes
        if self._gave_up or shapes != self._shapes:
            return self._plain(*inputs)
        self._steps += 1
        if self._steps < _WITHOUT:
            return self._plain(*inputs)
        if self._steps == _WITHOUT:
            return self._recorder.aside(lambda: self._plain(*inputs))
        try:
            if self._replay is None:
                self._capture(inputs)
            if self._steps <= _WITHOUT + _COMPARED:
                return self._compared(inputs)
        except Exception as error:  # of many classes; what is wrong with the step itself, the step will say
            self._give_up(" ".join(f"{type(error).__name__}: {error}".split())[:200])
            return self._plain(*inputs)
        return self._replayed(inputs)

    def _plain(self, *inputs: Tensor | None) -> Tensor:
        for tensor in self._tensors:
            tensor.grad = None
        return self._passes(*inputs)

    def _capture(self, inputs: Sequence[Tensor | None]) -> None:
        self._inputs = [None if one is None else one.clone() for one in inputs]
        self._loss, self._replay = self._recorder.capture(lambda: self._plain(*self._inputs))
        self._gradients = [tensor.grad for tensor in self._tensors]

    def _compared(self, inputs: Sequence[Tensor | None]) -> Tensor:
        """The step without the graph, after one with it."""
        before = _copies(self._buffers)
        try:
            loss = self._replayed(inputs)
            with_graph = [loss, *_copies(self._gradients), *_copies(self._buffers)]
        finally:
            with torch.no_grad():
                for buffer, value in zip(self._buffers, before, strict=True):
                    buffer.copy_(value)  # type: ignore[arg-type]
        loss = self._plain(*inputs)
        without = [loss, *(tensor.grad for tensor in self._tensors), *self._buffers]
        if not all(map(_same_bits, with_graph, without)):
            self._give_up("a graph gave other bits")
        elif self._steps == _WITHOUT + _COMPARED:
            self.said = "captured"
        return loss

    def _replayed(self, inputs: Sequence[Tensor | None]) -> Tensor:
        assert self._replay is not None
        assert self._loss is not None
        for place, value in zip(self._inputs, inputs, strict=True):
            if place is not None and value is not None:
                place.copy_(value)
        self._replay()
        for tensor, gradient in zip(self._tensors, self._gradients, strict=True):
            tensor.grad = gradient  # a step without the graph left its own
        return self._loss.clone()

    def _give_up(self, reason: str) -> None:
        self._gave_up, self.said = True, f"without: {reason}"
        self._replay = self._loss = None
        self._inputs, self._gradients = [], []


def _copies(tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    return [None if one is None else one.detach().clone() for one in tensors]


def _same_bits(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    bits = _BITS[one.element_size()]
    return one.dtype == other.dtype and torch.equal(one.view(bits), other.view(bits))
