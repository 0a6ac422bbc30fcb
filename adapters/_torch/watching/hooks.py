"""The hooks: three that stay (before a pass, before and after a step), the others for full steps alone."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from isotune.adapters._torch.watching import optimizers, surroundings
from isotune.adapters._torch.watching.draws import drawing, drawing_modules
from isotune.adapters._torch.watching.network import WatchedNetwork, first_tensor, nhwc
from isotune.errors import UsageError
from isotune.recordings import OpenStep, Writer

T = TypeVar("T")
_IMAGES = 4  # whose layers' outputs are kept


class TorchWatching:
    """Watches one network and its optimizer until it is closed. writer: None: it does nothing.

    A step is what happens up to `optimizer.step()`; every pass with gradients before it belongs to it, so that several
    are accumulation. What is looked at changes nothing: no random number is drawn, no tensor moved.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer | None, writer: Writer | None) -> None:
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise UsageError("watch(model, optimizer, folder): give the torch.optim.Optimizer that the loop steps")
        self._net = getattr(model, "_orig_mod", getattr(model, "module", model))  # compiled, or in DataParallel
        self._optimizer, self._writer = optimizer, writer
        self._network: WatchedNetwork | None = None
        self._open: OpenStep | None = None
        self._average: nn.Module | None = None
        self._waiting: OpenStep | None = None  # a step that was taken, for the average after it
        self._images = self._passes = 0
        self._looking = False  # at the network itself, whose hooks then mean nothing
        self._staying, self._passing = contextlib.ExitStack(), contextlib.ExitStack()
        self._sample: dict[str, Any] = {}
        if writer is not None:
            handles = (
                model.register_forward_pre_hook(self._before_pass, with_kwargs=True),
                optimizer.register_step_pre_hook(self._before_step),
                optimizer.register_step_post_hook(self._after_step),
            )
            for handle in handles:
                self._staying.callback(handle.remove)
            self._model = model
            writer.when_done(self._remove_hooks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Take the hooks off and seal the recording."""
        if self._writer is not None:
            self._writer.close()

    def average(self, average: nn.Module) -> None:
        """Record this network too, which holds a moving average of the weights: as it is when the next pass begins.

        average: has the same tensors under the same names, such as `AveragedModel` or a copy.
        """
        if not isinstance(average, nn.Module):
            raise UsageError("average(model): give the torch.nn.Module that holds the average of the weights")
        self._average = average

    def loss(self, loss: T, labels: Any = None) -> T:
        """Tell the loss of the last pass as `backward` is called on it, and the labels it was of; gives the loss.

        labels: class numbers [N], or shares of classes [N, K], one-hot or mixed.
        """
        if self._writer is not None and (self._open is not None or self._writer.sampled):
            value = float(torch.as_tensor(loss).detach())
            self._sample["loss"] = value
            if self._open is not None:
                array = None if labels is None else torch.as_tensor(labels).detach().cpu().numpy()
                self._open.tell(labels=array, loss=value)
        return loss

    def _remove_hooks(self) -> None:
        self._finish()
        self._passing.close()
        self._staying.close()

    # -- every step

    def _before_pass(self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        if self._looking or not torch.is_grad_enabled():  # an evaluation
            return
        if self._waiting is not None:
            self._finish()
        inputs = first_tensor(given) if given else first_tensor(named)
        self._passes += 1
        if inputs is not None and inputs.ndim:
            self._images += len(inputs)
        writer = self._writer
        assert writer is not None
        if writer.full:
            if self._open is None:
                self._begin(inputs)
            assert self._open is not None
            self._open.add_pass(None if inputs is None else nhwc(inputs))
        elif writer.sampled and inputs is not None:
            if self._network is None:
                self._describe(writer, inputs)
            self._sample |= {"input mean": float(inputs.mean()), "input deviation": float(inputs.std(correction=0))}

    def _before_step(self, optimizer: Any, *_: Any) -> None:
        writer = self._writer
        assert writer is not None
        self._rate = float(optimizer.param_groups[0]["lr"])
        if writer.sampled:
            tensors = [each for group in optimizer.param_groups for each in group["params"] if each.grad is not None]
            if tensors:
                gradients = torch.nn.utils.get_total_norm([each.grad for each in tensors])
                weights = torch.nn.utils.get_total_norm([each.detach() for each in tensors])
                self._sample |= {"gradient norm": float(gradients), "weight norm": float(weights)}
            writer.sample(self._sample | {"learning rate": self._rate})
        if writer.full:
            if self._open is None:  # the loop calls parts of the network
                self._begin(None)
            assert self._open is not None
            assert self._network is not None
            self._open.norms = self._network.norm_states()
            self._described = optimizers.described(optimizer, self._network)
            self._open.keep("before", [*self._network.weights(), *optimizers.slots(optimizer, self._network)])
            self._open.keep("gradients", self._network.gradients())

    def _after_step(self, optimizer: Any, *_: Any) -> None:
        writer = self._writer
        assert writer is not None
        if self._open is not None and self._network is not None:
            self._passing.close()
            tensors = [*self._network.weights(), *optimizers.slots(optimizer, self._network), *self._network.buffers()]
            self._open.keep("after", tensors)
            self._open.random["after"] = surroundings.random_states()
            self._waiting, self._open = self._open, None
        writer.passed(self._rate, self._images, self._passes)
        self._images, self._passes, self._sample = 0, 0, {}
        if self._average is None:  # else it is updated now
            self._finish()

    def _finish(self) -> None:
        """The last step, with the average after it; and the recording where that was its last."""
        writer = self._writer
        assert writer is not None
        if self._waiting is not None:
            if self._average is not None and self._network is not None:
                self._waiting.keep("average", self._network.averaged(self._average))
            self._waiting.finish(self._described)
            self._waiting = None
        if writer.over:
            writer.close()

    # -- full steps

    def _begin(self, inputs: Tensor | None) -> None:
        writer = self._writer
        assert writer is not None
        if self._network is None:
            self._describe(writer, inputs)
        network = self._network
        assert network is not None
        self._open = step = writer.begin()
        step.random["before"] = surroundings.random_states()
        step.keep("batchnorm-before", network.buffers())
        step.draws = {}
        for name, module, head in drawing_modules(self._net):
            self._hook(module.register_forward_pre_hook(drawing(step, name, head)))
        self._watch_gradients(step, network)
        self._hook(self._model.register_forward_hook(self._after_pass))
        for name, norm in network.norms():
            self._hook(norm.register_forward_pre_hook(_seeing_batches(step, name)))
        if step.number in writer.layers:
            for layer in network.layers:
                self._hook(layer.module.register_forward_hook(_keeping_output(step, layer.layer.name)))

    def _describe(self, writer: Writer, inputs: Tensor | None) -> None:
        size = (inputs.shape[2], inputs.shape[3]) if inputs is not None and inputs.ndim == 4 else None
        self._looking = True
        try:
            network = WatchedNetwork(self._net, size)
        finally:
            self._looking = False
        weights = sum(each.size for each in network.weights())
        writer.describe(
            "torch", type(self._net).__name__, network.entries(self._optimizer),
            surroundings.configuration(self._net, self._optimizer), in_order=network.in_order,
            per_step=7 * weights,  # before and after with up to two slots each, and gradients
        )  # fmt: skip
        self._network = network

    def _hook(self, handle: Any) -> None:
        self._passing.callback(handle.remove)

    def _watch_gradients(self, step: OpenStep, network: WatchedNetwork) -> None:
        """The size of every gradient when backward is through with it, before anything changes it."""

        def see(tensor: Tensor) -> None:
            if tensor.grad is not None:
                gradient = tensor.grad.detach()
                norm = torch.linalg.vector_norm(gradient, dtype=torch.float64)
                step.raw[network.by_tensor[id(tensor)].name] = float(norm), float(gradient.abs().max())

        for _, slot in network.slots:
            if slot.tensor.requires_grad and slot.tensor.is_leaf:
                self._hook(slot.tensor.register_post_accumulate_grad_hook(see))  # type: ignore[no-untyped-call]

    def _after_pass(self, module: nn.Module, given: Any, result: Any) -> None:
        step, output = self._open, first_tensor(result)
        if step is None or self._looking or output is None or output.ndim != 2 or not output.requires_grad:
            return
        number = step.passes - 1
        step.output("logits", nhwc(output), number)
        output.register_hook(lambda gradient: step.output("gradient", nhwc(gradient), number))  # type: ignore[no-untyped-call]


def _seeing_batches(step: OpenStep, name: str) -> Any:
    def see(module: Any, given: tuple[Tensor, ...]) -> None:
        if module.training and torch.is_grad_enabled():
            values = given[0].detach().double().transpose(0, 1).flatten(1)
            variance, mean = torch.var_mean(values, dim=1, correction=0)
            step.batch_statistics(name, mean.cpu().numpy(), variance.cpu().numpy(), values.shape[1])

    return see


def _keeping_output(step: OpenStep, name: str) -> Any:
    def keep(module: nn.Module, given: Any, result: Any) -> None:
        if (output := first_tensor(result)) is not None and output.ndim and step.passes == 1:
            step.layer(name, nhwc(output, _IMAGES))

    return keep
