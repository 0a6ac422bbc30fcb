"""Which tensors of a module are one layer.

Mostly a module that directly owns tensors is a layer. But libraries put the tensors of a vision transformer into
different modules: torchvision's network owns the class token and its encoder the table of positions, timm's network
owns both; torch's MultiheadAttention owns the projection of queries, keys and values itself, timm has a Linear for it.
So these are layers of their own wherever they stand. What follows from shapes alone is no weight, and in no layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

NORM_SLOTS = {"weight": "scale", "bias": "shift", "running_mean": "mean", "running_var": "variance"}
TABLE_SLOTS = {"weight": "kernel", "bias": "bias"}
SCALES = {"gamma": "scale", "layer_scale": "scale"}  # timm's and torchvision's names of LayerScale's tensor
_SLOTS = {
    "norm": NORM_SLOTS, "conv": TABLE_SLOTS, "transposed": TABLE_SLOTS, "dense": TABLE_SLOTS, "scale": SCALES,
}  # fmt: skip
_PROJECTION = {"in_proj_weight": "kernel", "in_proj_bias": "bias"}
_TOKENS = ("class_token", "cls_token")  # torchvision's and timm's names
_POSITIONS = ("pos_embedding", "pos_embed")
_FOLLOWING = ("relative_coords_table",)  # of SwinV2: buffers that a window's size gives


@dataclass(frozen=True)
class Part:
    """One layer's tensors."""

    name: str  # the module's in its network; of a part of a module: with what is behind the last dot, "cls_token"
    owner: str  # the module's
    module: nn.Module
    kind: str  # conv, transposed, dense, norm, scale, token, position, other (`isotune.weights`)
    slots: tuple[tuple[str, str, Tensor, bool], ...]  # torch's name, canonical slot, tensor, whether it is a parameter


def parts(net: nn.Module) -> list[Part]:
    """The parts of a network, in the order of registration."""
    return [part for name, module in net.named_modules() for part in _of(name, module)]


def kind_of(module: nn.Module) -> str:
    """conv, transposed, dense, norm, scale or other."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        return "conv" if isinstance(module, nn.Conv2d) else "transposed"
    if isinstance(module, nn.Linear):
        return "dense"
    if isinstance(module, _BatchNorm | nn.LayerNorm | nn.GroupNorm):
        return "norm"
    own = [(name, tensor) for name, tensor, _ in _own(module)]
    if "norm" in type(module).__name__.lower() and all(tensor.ndim == 1 for _, tensor in own):
        return "norm"  # the RmsNorm classes of timm
    if len(own) == 1 and own[0][0] in SCALES and own[0][1].numel() == max(own[0][1].shape, default=0):
        return "scale"
    return "other"


def _of(path: str, module: nn.Module) -> Iterator[Part]:
    rest, projection = [], []
    for name, tensor, is_parameter in _own(module):
        if isinstance(module, nn.MultiheadAttention) and name in _PROJECTION:
            projection.append((name, _PROJECTION[name], tensor, is_parameter))
        elif (kind := _kind_of_loose(name, tensor)) is not None:
            yield Part(_joined(path, name), path, module, kind, ((name, kind, tensor, is_parameter),))
        else:
            rest.append((name, tensor, is_parameter))
    if projection:
        yield Part(_joined(path, "in_proj"), path, module, "dense", tuple(projection))
    kind = kind_of(module)
    if any(is_parameter for _, _, is_parameter in rest) or (rest and kind == "norm"):
        names = _SLOTS.get(kind, {})
        slots = ((name, names.get(name, name), tensor, is_parameter) for name, tensor, is_parameter in rest)
        yield Part(path, path, module, kind, tuple(slots))


def _kind_of_loose(name: str, tensor: Tensor) -> str | None:
    """token or position; None: the tensor stays with its module."""
    if tensor.ndim != 3 or len(tensor) != 1:
        return None
    if name in _TOKENS and tensor.shape[1] == 1:
        return "token"
    return "position" if name in _POSITIONS else None


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _own(module: nn.Module) -> Iterator[tuple[str, Tensor, bool]]:
    """(name, tensor, is a parameter) of what the module itself owns and a state dict would keep."""
    for name, parameter in module.named_parameters(recurse=False):
        yield name, parameter, True
    for name, buffer in module.named_buffers(recurse=False):
        if name in module._non_persistent_buffers_set or name in _FOLLOWING or not buffer.is_floating_point():
            continue
        yield name, buffer, False
