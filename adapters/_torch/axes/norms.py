"""BatchNorm's epsilon, momentum, running variance and what a frozen one does, and LayerNorm's epsilon: realised, read
off, and how to write it.

torch takes n/(n-1) of the batch's variance into the running average (torch/nn/modules/batchnorm.py), Keras the batch's
own. Momentum is the weight of the new batch.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from isotune.adapters.remedies import ITSELF, Table
from isotune.conventions import Conventions, agreed

if TYPE_CHECKING:
    from torch import nn

    from isotune.adapters._torch.layers import ModuleLayer


def realise(net: nn.Module, conventions: Conventions) -> None:
    """Give the norms of `net` what `conventions` say, in place; None leaves the library's."""
    from isotune.adapters._torch.axes.substitutes import BiasedRunningVariance

    for norm in _batchnorms(net):
        if conventions.batchnorm_epsilon is not None:
            norm.eps = conventions.batchnorm_epsilon
        if conventions.batchnorm_momentum is not None:
            norm.momentum = conventions.batchnorm_momentum
        if conventions.batchnorm_running_variance == "biased" and norm.track_running_stats:
            BiasedRunningVariance(norm).attach()
    if conventions.layernorm_epsilon is not None:
        for norm in _layernorms(net):
            norm.eps = conventions.layernorm_epsilon


def describe(net: nn.Module) -> dict[str, Any]:
    """The norms' numbers."""
    norms = _batchnorms(net)
    averaging = [norm.momentum for norm in norms if norm.track_running_stats]
    if None in averaging:  # of all batches alike, which is no one weight of the new one
        averaging = []
    return {
        "batchnorm_epsilon": agreed("batchnorm_epsilon", [norm.eps for norm in norms]),
        "batchnorm_momentum": agreed("batchnorm_momentum", averaging),
        "layernorm_epsilon": agreed("layernorm_epsilon", [norm.eps for norm in _layernorms(net)]),
    }


def still(
    layers: list[ModuleLayer], trained: Collection[str], conventions: Conventions, *, statistics: bool
) -> list[nn.Module]:
    """The BatchNorms that stand still in training: those of layers that are frozen, unless they are to track the batch;
    without `statistics` all of them."""
    from torch.nn.modules.batchnorm import _BatchNorm

    norms = [layer for layer in layers if isinstance(layer.module, _BatchNorm)]
    if not statistics:
        return [norm.module for norm in norms]
    if conventions.frozen_batchnorm == "updates":
        return []
    return [norm.module for norm in norms if norm.layer.name not in trained]


def _batchnorms(net: nn.Module) -> list[Any]:
    from torch.nn.modules.batchnorm import _BatchNorm

    return [module for module in net.modules() if isinstance(module, _BatchNorm)]


def _layernorms(net: nn.Module) -> list[Any]:
    from torch import nn

    return [module for module in net.modules() if isinstance(module, nn.LayerNorm)]


# -- the lines to write


_NORMS = """
from torch import nn

for module in model.modules():
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
        module.FIELD = VALUE
"""


_LAYERNORMS = """
from torch import nn

for module in model.modules():
    if isinstance(module, nn.LayerNorm):
        module.eps = VALUE
"""


_BIASED_VARIANCE = '''
from torch import nn


def remember(norm, _inputs):
    norm.before = norm.running_var.clone() if norm.training else None


def take_biased(norm, inputs, _outputs):
    """torch put n/(n-1) of the batch's variance into the average; the batch's own belongs there."""
    if norm.before is not None:
        values = inputs[0].numel() // inputs[0].shape[1]
        kept = norm.before * (1 - norm.momentum)
        norm.running_var.data.mul_((values - 1) / values).add_(kept, alpha=1 / values)


for module in model.modules():
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
        module.register_forward_pre_hook(remember)
        module.register_forward_hook(take_biased)
'''


_FROZEN_STAND_STILL = """
from torch import nn

model.train()
for module in model.modules():
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
        if not any(parameter.requires_grad for parameter in module.parameters()):
            module.eval()
"""


_AGAIN = "`model.train()` undoes it: call these lines in its place."


REMEDIES: Table = {
    "batchnorm_epsilon": {"*": (_NORMS.replace("FIELD", "eps"), "")},
    "batchnorm_momentum": {
        "*": (_NORMS.replace("FIELD", "momentum"), "It is the weight of the new batch: 1 minus Keras's momentum.")
    },
    "layernorm_epsilon": {"*": (_LAYERNORMS, "")},
    "batchnorm_running_variance": {"unbiased": ("", ITSELF.format("torch")), "biased": (_BIASED_VARIANCE, "")},
    "frozen_batchnorm": {"updates": ("", ITSELF.format("torch")), "inference": (_FROZEN_STAND_STILL, _AGAIN)},
}
