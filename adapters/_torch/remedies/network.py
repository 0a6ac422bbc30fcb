"""The lines for torchvision and timm, axes of the network and its BatchNorms: axis -> value -> (code, note).

In them, `VALUE` stands for a number, `OVERRIDE` for what isotune is told instead. `*`: any value.
"""

from __future__ import annotations

_PAIR = """
def pair(value):
    return value if isinstance(value, tuple) else (value, value)
"""


_PAD_AT_END = f'''
import torch
from torch import nn
from torch.nn import functional

{_PAIR}

def symmetric(window):
    return tuple((k - 1) * d // 2 for k, d in zip(pair(window.kernel_size), pair(getattr(window, "dilation", 1))))


def pad_at_end(window, inputs):
    """SAME for the size at hand: the odd pixel of padding goes to the end."""
    sides = []
    dilations = pair(getattr(window, "dilation", 1))
    shapes = zip(inputs[0].shape[-2:], pair(window.kernel_size), pair(window.stride), dilations)
    for size, length, stride, dilation in shapes:
        total = max(0, (-(-size // stride) - 1) * stride + (length - 1) * dilation + 1 - size)
        sides = [total // 2, total - total // 2, *sides]
    outside = float("-inf") if isinstance(window, nn.MaxPool2d) else 0.0
    return (functional.pad(inputs[0], sides, value=outside),)


for window in model.modules():
    if isinstance(window, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)) and max(pair(window.stride)) > 1:
        counted = getattr(window, "count_include_pad", True)
        if pair(window.padding) == symmetric(window) != (0, 0) and counted:
            window.padding = (0, 0)
            window.register_forward_pre_hook(pad_at_end)
'''


_PAD_BOTH_SIDES = """
from timm.layers import Conv2dSame
from torch import nn

for parent in list(model.modules()):
    for name, conv in list(parent.named_children()):
        if isinstance(conv, Conv2dSame):
            padding = tuple((k - 1) * d // 2 for k, d in zip(conv.kernel_size, conv.dilation))
            plain = nn.Conv2d(
                conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, padding, conv.dilation, conv.groups
            )
            plain.weight, plain.bias = conv.weight, conv.bias
            setattr(parent, name, plain)
"""


_BORDER = f"""
import torch
from torch import nn
from torch.nn import functional

{_PAIR}

def take_padding_out(_module, inputs):
    share = functional.avg_pool2d(torch.ones_like(inputs[0][:1, :1]), 3, stride=1, padding=1)
    return (inputs[0] / share,)


for module in model.modules():
    if isinstance(module, nn.AvgPool2d):
        module.count_include_pad = COUNTED
    elif type(module).__name__ in ("InceptionA", "InceptionC", "InceptionE"):  # these call their pools as functions
        module.branch_pool.register_forward_pre_hook(take_padding_out)
"""


_COUNT_BORDER = """
from torch import nn

for module in model.modules():
    if isinstance(module, nn.AvgPool2d):
        module.count_include_pad = True
"""


_ZEROS_AROUND_MAXIMUM = f"""
from torch import nn
from torch.nn import functional

{_PAIR}

def pad_with_zeros(height, width):
    return lambda _module, inputs: (functional.pad(inputs[0], (width, width, height, height)),)


for module in model.modules():
    if isinstance(module, nn.MaxPool2d) and max(pair(module.padding)) > 0:
        module.register_forward_pre_hook(pad_with_zeros(*pair(module.padding)))
        module.padding = (0, 0)
"""


_FIRST_1X1 = """
for block in model.modules():
    if type(block).__name__ == "Bottleneck":
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
"""


_NORMS = """
from torch import nn

for module in model.modules():
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
        module.FIELD = VALUE
"""


_GELU = """
from torch import nn

for parent in list(model.modules()):
    for name, child in list(parent.named_children()):
        if type(child).__name__ in ("GELU", "GELUTanh"):
            setattr(parent, name, nn.GELU(approximate=FORM))
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


_ITSELF = "torchvision and timm do so by themselves: nothing is to be written."


_TORCH_ITSELF = "torch does so by itself: nothing is to be written."


_ISOTUNE = "No few lines do it; isotune does it with OVERRIDE."


_AGAIN = "`model.train()` undoes it: call these lines in its place."

REMEDIES: dict[str, dict[str, tuple[str, str]]] = {
    "stride2_padding": {
        "symmetric": (
            _PAD_BOTH_SIDES,
            "torchvision pads so by itself; the lines are for the models of timm that pad at the end (`tf_`).",
        ),
        "same": (_PAD_AT_END, "Average pools that stride and leave their padding out stay as they are."),
    },
    "count_include_pad": {
        "true": (_COUNT_BORDER, ""),
        "false": (_BORDER.replace("COUNTED", "False"), ""),
        "when-strided": (_BORDER.replace("COUNTED", "max(pair(module.stride)) > 1"), ""),
    },
    "max_pool_padding": {
        "minus-infinity": ("", _TORCH_ITSELF),
        "zeros": (
            _ZEROS_AROUND_MAXIMUM,
            "After a ReLU both are the same. The lines keep the padding symmetric.",
        ),
    },
    "stride_location": {
        "3x3": ("", _ITSELF),
        "first-1x1": (_FIRST_1X1, "For a ResNet v1 of bottlenecks; no other has such a stride."),
        "last-block": ("", "For timm's ResNets v2 isotune does it with OVERRIDE; no other network has such a stride."),
    },
    "batchnorm_epsilon": {"*": (_NORMS.replace("FIELD", "eps"), "")},
    "batchnorm_momentum": {
        "*": (_NORMS.replace("FIELD", "momentum"), "It is the weight of the new batch: 1 minus Keras's momentum.")
    },
    "gelu": {
        "exact": (_GELU.replace("FORM", '"none"'), ""),
        "tanh": (_GELU.replace("FORM", '"tanh"'), "GELU that a forward calls as a function stays as it is."),
    },
    "optional_tensors": {
        "checkpoint": (
            "",
            "Biases of convolutions and scales of BatchNorms that the library's network lacks need another network."
            f" {_ISOTUNE}",
        ),
        "own": ("", "It is what the library builds by itself; `isotune transfer` folds the other tensors into it."),
    },
    "batchnorm_running_variance": {"unbiased": ("", _TORCH_ITSELF), "biased": (_BIASED_VARIANCE, "")},
    "frozen_batchnorm": {"updates": ("", _TORCH_ITSELF), "inference": (_FROZEN_STAND_STILL, _AGAIN)},
}
