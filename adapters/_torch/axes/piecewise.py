"""Activations of straight pieces: the slope of LeakyReLU and the constants of the hard sigmoid. Realised, read off, and
how to write them.

LeakyReLU is 0.01 below zero in torch, 0.3 in Keras's layer, 0.2 in its activation. The hard sigmoid is relu6(x+3)/6 in
torch and Keras 3; clip(0.2x+0.5) in Keras 2, TensorFlow and ONNX; clip((x+1)/2) in OpenMMLab. A hard swish keeps its
own: OpenMMLab's has (x+3)/6 beside a gate of (x+1)/2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isotune.adapters.remedies import ITSELF, Table
from isotune.conventions import Conventions, agreed

if TYPE_CHECKING:
    from torch import nn

STEEPNESS = {"sixth": 1 / 6, "fifth": 0.2, "half": 0.5}  # of the hard sigmoid, whose middle is 0.5


def realise(net: nn.Module, conventions: Conventions) -> None:
    """Give LeakyReLUs and hard sigmoids what `conventions` say, in place; own leaves the library's."""
    from isotune.adapters._torch.axes.substitutes import HardSigmoid

    if conventions.leaky_relu_slope is not None:
        for module in _leaky(net):
            module.negative_slope = conventions.leaky_relu_slope
    wanted = conventions.hard_sigmoid
    if wanted == "own":
        return
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if _form(child) not in (None, wanted):
                setattr(parent, name, HardSigmoid(wanted, STEEPNESS[wanted]))


def describe(net: nn.Module) -> dict[str, Any]:
    """The slope, and the form of the hard sigmoid."""
    return {
        "leaky_relu_slope": agreed("leaky_relu_slope", [module.negative_slope for module in _leaky(net)]),
        "hard_sigmoid": agreed("hard_sigmoid", [_form(module) for module in net.modules()]),
    }


def _leaky(net: nn.Module) -> list[Any]:
    from torch import nn

    return [module for module in net.modules() if isinstance(module, nn.LeakyReLU)]


def _form(module: nn.Module) -> str | None:
    from isotune.adapters._torch.axes.substitutes import HardSigmoid

    if isinstance(module, HardSigmoid):
        return module.form
    known = ("Hardsigmoid", "HardSigmoid", "HardSigmoidMe")  # torch's, and timm's two
    return "sixth" if type(module).__name__ in known else None


# -- the lines to write


_LEAKY = """
from torch import nn

for module in model.modules():
    if isinstance(module, nn.LeakyReLU):
        module.negative_slope = VALUE
"""


_HARD = """
from torch import nn


class HardSigmoid(nn.Module):
    def forward(self, values):
        return (STEEPNESS * values + 0.5).clamp(0, 1)


for parent in list(model.modules()):
    for name, child in list(parent.named_children()):
        if type(child).__name__ in ("Hardsigmoid", "HardSigmoid", "HardSigmoidMe"):
            setattr(parent, name, HardSigmoid())
"""
_CALLED = "A hard sigmoid that a forward calls as a function, or within a hard swish, stays as it is."


REMEDIES: Table = {
    "leaky_relu_slope": {"*": (_LEAKY, "A `leaky_relu` that a forward calls as a function stays as it is.")},
    "hard_sigmoid": {
        "sixth": ("", ITSELF.format("torch")),
        "fifth": (_HARD.replace("STEEPNESS", "0.2"), _CALLED),
        "half": (_HARD.replace("STEEPNESS", "0.5"), _CALLED),
    },
}
