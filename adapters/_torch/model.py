"""One `nn.Module` behind the interface: what torchvision and timm share.

Images arrive as uint8 NHWC, which permuted to NCHW is torch's channels_last for free; in the layout `contiguous` they
are copied into the order that a DataLoader stacks them in. Weights are put into the same layout. A hook on the
classifier sees the features, so that any network will do, whatever its forward looks like. Input scaling happens on the
device. Nothing here waits for the device but what hands out arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from isotune.adapters._torch.axes.input import Inside
from isotune.adapters._torch.axes.loss import cross_entropy
from isotune.adapters._torch.compiler import compiled
from isotune.adapters._torch.conventions import describe
from isotune.adapters._torch.dataflow import Dataflow, with_calls
from isotune.adapters._torch.device import clocks, loud, synchronize
from isotune.adapters._torch.graph.branches import Branches, find, masked
from isotune.adapters._torch.layers import (
    BuffersKept,
    ModuleLayer,
    Slot,
    canonical,
    canonical_layers,
    is_map,
    on_output,
    to_array,
)
from isotune.adapters._torch.numeric import Precision
from isotune.adapters._torch.onednn import avoid_narrow_strided_pointwise
from isotune.adapters._torch.step_graph import Recorder, recorder
from isotune.adapters._torch.trainer import TorchTrainer
from isotune.adapters.base import INPUT, TECHNIQUES, Array, Layout, Model, NumericMode, Recipe
from isotune.adapters.handing_on import Pass, shown
from isotune.adapters.residual import unknown
from isotune.conventions import Conventions, affine
from isotune.errors import UsageError, nearest
from isotune.excerpts import Excerpt, NotWritten
from isotune.weights import Layer, Weights


class TorchModel(Model):
    """A network under its conventions, ready on a device.

    net: conventions already realised, weights loaded. head: name of the classifier in it, None when it has none.
    dataflow: of the same network; without it layers stand in the order of registration.
    numeric_mode: bfloat16 and float16 keep float32 weights and run the forward pass under autocast; float64 is double
    throughout. UsageError: the device has no such mode. compiled: forward and loss through torch.compile; an error of
    the compiler is a UsageError. layout: of weights and images in memory; a network may change it on the way (ConvNeXt
    does). graphs: whether training steps may become CUDA graphs where that pays.
    inside: how the network scales pixels itself; an input scaling but `none` takes the place of that.
    """

    techniques = TECHNIQUES

    def __init__(
        self,
        net: nn.Module,
        head: str | None,
        conventions: Conventions,
        *,
        dataflow: Dataflow | None = None,
        numeric_mode: NumericMode = "float32",
        device: torch.device,
        compiled: bool = False,
        layout: Layout = "contiguous",
        architecture: str = "",
        origin: str = "",
        graphs: bool = True,
        inside: Inside | None = None,
    ) -> None:
        self.precision = Precision(numeric_mode, device)
        self.dtype = self.precision.dtype
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._memory_format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        with loud(compiled):
            self.net = net.to(device=device, dtype=self.dtype, memory_format=self._memory_format)  # type: ignore[call-overload]
        if device.type == "cpu":
            avoid_narrow_strided_pointwise(self.net)
        self.conventions, self.device, self.compiled = conventions, device, compiled
        dataflow = dataflow or Dataflow()
        self.module_layers, self._calls = canonical_layers(self.net, head, dataflow), dataflow.calls
        self._beside = BuffersKept(self.net, without={id(slot.tensor) for _, slot in self.slots()})
        self._architecture, self._origin, self._graphs = architecture, origin, graphs
        self._tap = _HeadTap()
        (self.net.get_submodule(head) if head else self.net).register_forward_pre_hook(self._tap)
        scaling = conventions.input_scaling
        # in float64, constants inside count as they are written, not as float32 has them
        self._inside = inside if scaling != "none" or numeric_mode == "float64" else None
        if self._inside and scaling == "none":
            scaling = self._inside.named or scaling
        self._reversed, *constants = affine(scaling)
        self._scale, self._offset = (torch.tensor(values, dtype=self.dtype, device=device) for values in constants)
        self._cross_entropy = cross_entropy(conventions.loss)
        self._infer = self.compile(self._inference)
        self._mode: object = None
        self.image_size: tuple[int, int] | None = None  # that it was built for; None: not known
        self._branches: Branches | None = None

    # -- structure and weights

    def layers(self) -> list[Layer]:
        return [owner.layer for owner in self.module_layers]

    def slots(self) -> Iterator[tuple[ModuleLayer, Slot]]:
        for owner in self.module_layers:
            for slot in owner.slots:
                yield owner, slot

    def branches(self) -> tuple[str, ...]:
        names = {owner.layer.library_name: owner.layer.name for owner in self.module_layers}
        return tuple(names[layer] for layer in self._found_branches().layers)

    def _found_branches(self) -> Branches:
        if self._branches is None:
            if self.image_size is None:
                raise unknown("nothing says for which size of images it was built")
            self._branches = find(self.net, self.image_size)
            self._tap.seen = None
        return self._branches

    def weights(self) -> Weights:
        """All tensors, copied. `conventions`: the network axes as the network has them."""
        tensors = {slot.name: canonical(slot, slot.tensor) for _, slot in self.slots()}
        axes = {"input_scaling": self.conventions.input_scaling, **with_calls(describe(self.net), self._calls)}
        return Weights(tensors, axes, self._architecture, self._origin)

    def load(self, weights: Mapping[str, Array]) -> None:
        """As in `base`. Buffers that are no layer's tensors (a count of batches, a running value of a module's own) are
        again as the model was built with them."""
        slots = {slot.name: slot for _, slot in self.slots()}
        for name, array in weights.items():
            if name not in slots:
                raise UsageError(f"the model has no tensor {name!r}; {nearest(name, slots)}")
            if tuple(array.shape) != slots[name].shape:
                raise UsageError(f"tensor {name!r} is {tuple(array.shape)}, {slots[name].shape} in the model")
        with torch.no_grad():
            for name, array in weights.items():
                slot = slots[name]
                slot.tensor.copy_(torch.from_numpy(np.array(slot.from_canonical(np.asarray(array)), order="C")))
        self._beside.put_back()

    # -- inference

    def features(self, images: Array) -> Array:
        """[N, D]. Of a classifier that is a 1x1 convolution over a map (SqueezeNet): the map's mean."""
        return self._arrays(images)[0]

    def logits(self, images: Array) -> Array:
        return self._arrays(images)[1]

    def _arrays(self, images: Array) -> tuple[Array, Array]:
        self.set_mode("inference", self.net.eval)
        with torch.no_grad(), self.computing():  # no inference_mode: networks keep tensors (ConViT's positions)
            features, logits = self._infer(self.to_device(images))
        return to_array(features), to_array(logits)

    def _inference(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.forward(images)
        seen = self._tap.seen
        self._tap.seen = None
        assert seen is not None
        return (seen.mean(dim=(2, 3)) if seen.ndim == 4 else seen), logits

    def network_input(self, images: Array) -> Array:
        return np.moveaxis(to_array(self._outside(self.to_device(images))), 1, -1)

    def activations(
        self, images: Array, *, training: bool = False, replaced: Mapping[str, Array] | None = None
    ) -> Iterator[tuple[str, Array]]:
        """Outputs in the order of `layers()`, before a fused activation (timm's BatchNormAct2d).

        A layer that never runs as a module is left out (torch's MultiheadAttention calls its projections as functions),
        and so is a module that holds other layers beside a tensor of its own (ConvNeXt's blocks).
        """
        places = dict(replaced or {})
        owners = [owner for owner in self.module_layers if owner.slots and not _holds_layers(owner)]

        def through(one: Pass) -> None:
            handles = [_record_output(owner, one) for owner in owners]
            if INPUT in places:
                given = self._laid_out(self._moved(places[INPUT]).to(self.dtype))
                given = self._inside.undone(given) if self._inside else given
                handles.append(self.net.register_forward_pre_hook(lambda _module, _inputs: (given,)))
            try:
                with torch.no_grad(), self.computing(), self._left_as_it_was([]):
                    self.net.train(training)
                    self.forward(self.to_device(images))
            finally:
                for handle in handles:
                    handle.remove()
                self._tap.seen = None

        yield from shown(self.layers(), places, through)

    def excerpt(self, layer: str, images: Array, *, channels: int | None = None, training: bool = False) -> Excerpt:
        from isotune.adapters._torch.excerpts.layers import excerpt

        if self.compiled:
            raise NotWritten("what is compiled is not what its lines are")
        return excerpt(self, layer, images, channels=channels, training=training)

    # -- training

    def gradients(self, images: Array, labels: Array, label_smoothing: float = 0.0) -> dict[str, Array]:
        """Every layer counts as trained, whatever a trainer has frozen."""
        trainable = [slot for _, slot in self.slots() if slot.trainable]
        with self._left_as_it_was(trainable), self.computing():
            self.net.train()
            loss = self.loss(self.to_device(images), self.to_labels(labels), None, label_smoothing)
            parts = self.precision.gradients(loss, [slot.tensor for slot in trainable])
        gradients = {
            slot.name: np.zeros(slot.shape, to_array(loss).dtype) if part is None else canonical(slot, part)
            for slot, part in zip(trainable, parts, strict=True)
        }
        return gradients | {"loss": to_array(loss)}

    @contextmanager
    def _left_as_it_was(self, trainable: list[Slot]) -> Iterator[None]:
        """Put back buffers, frozenness and the mode of every module."""
        buffers = BuffersKept(self.net)
        frozen = [slot.tensor for slot in trainable if not slot.tensor.requires_grad]
        modes = [(module, module.training) for module in self.net.modules()]
        try:
            for tensor in frozen:
                tensor.requires_grad_(True)
            yield
        finally:
            buffers.put_back()
            for tensor in frozen:
                tensor.requires_grad_(False)
            for module, training in modes:
                module.training = training

    def trainer(self, recipe: Recipe) -> TorchTrainer:
        return TorchTrainer(self, recipe)

    def scaled(self, images: Tensor) -> Tensor:
        """The network's input, NCHW, of NCHW images in 0..255 on the device."""
        scaled = self._outside(images)
        return self._inside.undone(scaled) if self._inside else scaled

    def _outside(self, images: Tensor) -> Tensor:
        """The images as scaled, whatever the network makes of them itself."""
        scaled = (images.flip(1) if self._reversed else images).to(self.dtype, copy=True)
        if self._memory_format is torch.contiguous_format:
            return scaled.mul_(self._scale.view(3, 1, 1)).add_(self._offset.view(3, 1, 1))
        count, _, height, width = images.shape
        rows = scaled.permute(0, 2, 3, 1).reshape(count, height, 3 * width)  # three channels make too short a loop
        rows = rows.mul_(self._scale.repeat(width)).add_(self._offset.repeat(width))
        return rows.view(count, height, width, 3).permute(0, 3, 1, 2)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of NCHW images in 0..255 on the device, through scaling and network."""
        return self.precision.forward(self.net, self.scaled(images))

    def loss(
        self,
        images: Tensor,
        labels: Tensor,
        mask: Tensor | None,
        label_smoothing: float,
        branch_masks: Tensor | None = None,
    ) -> Tensor:
        """Mean loss, a scalar; mask: [N, D] multiplied into the features; branch_masks: as of `Trainer.step`."""
        self._tap.mask = mask
        scaled = self.scaled(images)
        with nullcontext() if branch_masks is None else masked(self._found_branches(), branch_masks):
            logits = self.precision.forward(self.net, scaled)
        self._tap.mask = self._tap.seen = None
        return self._cross_entropy(logits, labels, label_smoothing)

    # -- device

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Around all that the model computes: its numeric mode, and errors that a user can act on in one line."""
        with loud(self.compiled), self.precision.calls():
            yield

    def synchronize(self) -> None:
        synchronize(self.device)

    def device_clocks(self) -> dict[str, float]:
        return clocks()

    def device_memory(self) -> int | None:
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None

    def recorder(self) -> Recorder | None:
        """What makes a graph of a trainer's steps; None: nothing does."""
        plain = self._graphs and not self.compiled
        return recorder(self.device, self.precision.mode) if plain else None

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function through torch.compile when the model is compiled, itself otherwise."""
        return compiled(function) if self.compiled else function

    def set_mode(self, mode: object, switch: Callable[[], object]) -> None:
        """Call `switch`, which sets train or eval on the modules, unless `mode` was set last."""
        if self._mode is not mode:
            switch()
            self._mode = mode

    def to_device(self, images: Array, *, mixed: bool = False) -> Tensor:
        """uint8 [N, H, W, 3], or float32 where they may be mixed, as NCHW on the device, in the model's layout."""
        known = images.dtype == np.uint8 or (mixed and images.dtype == np.float32)
        if not known or images.ndim != 4 or images.shape[-1] != 3:
            raise UsageError(f"images must be uint8 [N, H, W, 3], not {images.dtype} {list(images.shape)}")
        return self._laid_out(self._moved(images))

    def _laid_out(self, images: Tensor) -> Tensor:
        """[N, H, W, C] as NCHW, in the model's layout."""
        return images.permute(0, 3, 1, 2).contiguous(memory_format=self._memory_format)

    def to_labels(self, labels: Array) -> Tensor:
        if labels.ndim == 2:
            return self._moved(labels).to(self.dtype)
        return self._moved(np.asarray(labels, dtype=np.int64))

    def to_mask(self, mask: Array) -> Tensor:
        return self._moved(np.asarray(mask)).to(self.dtype)

    def _moved(self, array: Array) -> Tensor:
        tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))  # a read-only map is copied
        if self.device.type != "cuda":
            return tensor.to(self.device)
        return tensor.pin_memory().to(self.device, non_blocking=True)


class _HeadTap:
    """Forward pre-hook on the classifier: multiplies a mask into what it receives, and keeps that to be read."""

    def __init__(self) -> None:
        self.mask: Tensor | None = None
        self.seen: Tensor | None = None

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        features = inputs[0]
        if self.mask is not None:
            mask = self.mask if features.ndim == 2 else self.mask[:, :, None, None]
            features = features * mask.to(features.dtype)
        self.seen = features
        return (features, *inputs[1:])


def _holds_layers(owner: ModuleLayer) -> bool:
    return any(True for child in owner.module.children() for _ in child.parameters())


def _record_output(owner: ModuleLayer, one: Pass) -> Any:
    """Put the layer's output into the pass when it has run, NHWC, and have the network go on with what that says."""

    def keep(output: Tensor) -> Tensor | None:
        if owner.layer.name in one.seen:
            return None
        array = to_array(output)
        moved = is_map(owner.module, output)
        given = one.instead(owner.layer.name, np.moveaxis(array, 1, -1) if moved else array)
        if given is None:
            return None
        values = torch.from_numpy(np.ascontiguousarray(np.moveaxis(given, -1, 1) if moved else given))
        same = values.shape == output.shape
        return (torch.empty_like(output) if same else _like(output, values.shape)).copy_(values)

    return on_output(owner, keep)


def _like(output: Tensor, shape: torch.Size) -> Tensor:
    """Without values, of another shape and in the same memory format."""
    last = output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last)
    form = torch.channels_last if last else torch.contiguous_format
    return torch.empty(shape, dtype=output.dtype, device=output.device, memory_format=form)
