"""Network conventions realised on an `nn.Module`, and read off it.

`realise` changes a network in place so that it computes under the values asked; `own` leaves the library's.
`describe` says which values a network has. Both work on modules, whatever library they come from:

- padding of strided convolutions and of pooling: `_torch_windows`; where a ResNet strides: `_torch_strides`.
- BatchNorm epsilon and momentum, and the variance that enters the running average: torch takes n/(n-1) of the
  batch's (torch/nn/modules/batchnorm.py), Keras the batch's own.
- GELU exact or by tanh.

`remove_randomness` takes dropout and stochastic depth out: what is random is drawn outside.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from isotune.adapters._torch.padding import describe_windows, realise_windows
from isotune.adapters._torch.strides import set_stride_location, stride_location
from isotune.conventions import Conventions


def realise(net: nn.Module, conventions: Conventions) -> None:
    """Make `net` compute under `conventions`, in place."""
    set_stride_location(net, conventions.stride_location)
    realise_windows(net, conventions)
    for module in list(net.modules()):
        if isinstance(module, _BatchNorm):
            if conventions.batchnorm_epsilon is not None:
                module.eps = conventions.batchnorm_epsilon
            if conventions.batchnorm_momentum is not None:
                module.momentum = conventions.batchnorm_momentum
            if conventions.batchnorm_running_variance == "biased" and module.track_running_stats:
                _BiasedRunningVariance(module).attach()
    if conventions.gelu != "own":
        _set_gelu(net, conventions.gelu)


def describe(net: nn.Module) -> dict[str, Any]:
    """The network axes of `net` but for the input scaling. `own` or None: none such, or not all alike."""
    modules = list(net.modules())
    norms = [module for module in modules if isinstance(module, _BatchNorm)]
    windows = describe_windows(net)
    return {
        "stride2_padding": _only(windows["stride2_padding"], "own"),
        "count_include_pad": _only(windows["count_include_pad"], "own"),
        "max_pool_padding": _only(windows["max_pool_padding"], "own"),
        "stride_location": stride_location(net) or "own",
        "batchnorm_epsilon": _only([module.eps for module in norms], None),
        "batchnorm_momentum": _only([module.momentum for module in norms], None),
        "gelu": _only([_gelu(module) for module in modules], "own"),
    }


def _only(values: list[Any], otherwise: Any) -> Any:
    distinct = {value for value in values if value is not None}
    return distinct.pop() if len(distinct) == 1 else otherwise


# -- BatchNorm


class _BiasedRunningVariance:
    """Hooks that make the batch's biased variance enter the running average.

    torch sets new = (1-m)*old + m*u with u = n/(n-1) of the biased variance; hence
    (1-m)*old + m*u*(n-1)/n = new*(n-1)/n + (1-m)*old/n. torch/nn/modules/batchnorm.py.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        self.norm = norm
        self.old: Tensor | None = None

    def attach(self) -> None:
        self.norm.register_forward_pre_hook(self.before)
        self.norm.register_forward_hook(self.after)

    def before(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        running = self.norm.running_var
        self.old = running.clone() if self.norm.training and running is not None else None

    def after(self, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        running, momentum = self.norm.running_var, self.norm.momentum
        if self.old is None or running is None:
            return
        if momentum is None:  # a cumulative average
            momentum = 1 / float(self.norm.num_batches_tracked or 1)
        count = inputs[0].numel() // inputs[0].shape[1]
        # `.data`: autograd has noted the buffer's version, although in training mode the backward pass never reads it
        running.data.mul_((count - 1) / count).add_(self.old * (1 - momentum), alpha=1 / count)
        self.old = None


# -- activations and randomness


def _gelu(module: nn.Module) -> str | None:
    if isinstance(module, nn.GELU):
        return "exact" if module.approximate == "none" else "tanh"
    return {"GELU": "exact", "GELUTanh": "tanh"}.get(type(module).__name__)


def _set_gelu(net: nn.Module, value: str) -> None:
    for module in net.modules():
        for name, child in module.named_children():
            if _gelu(child) is not None:
                setattr(module, name, nn.GELU(approximate="none" if value == "exact" else "tanh"))


def remove_randomness(net: nn.Module) -> None:
    """Set every probability of dropping something to zero, in place."""
    for module in net.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        elif type(module).__name__ == "StochasticDepth":
            module.p = 0.0  # type: ignore[assignment]
        elif type(module).__name__ == "DropPath":
            module.drop_prob = 0.0  # type: ignore[assignment]
        for name in ("drop_rate", "dropout", "attention_dropout"):  # what forward hands to F.dropout
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
