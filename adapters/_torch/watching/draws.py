"""Modules that draw at random in training: dropout, stochastic depth of torchvision and timm, and others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from isotune.recordings import Draw, OpenStep

_MAPS = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


def drawing_modules(net: nn.Module) -> Iterator[tuple[str, nn.Module, bool]]:
    """Name, module, and whether nothing with weights but the classifier is registered after it."""
    modules = list(net.named_modules())
    owners = [place for place, (_, module) in enumerate(modules) if any(True for _ in module.parameters(recurse=False))]
    last = owners[-1] if owners else len(modules)
    before = owners[-2] if len(owners) > 1 else -1
    for place, (name, module) in enumerate(modules):
        if _draws(module):
            yield name, module, before < place < last


def drawing(step: OpenStep, name: str, head: bool) -> Any:
    """A hook before a module's forward."""

    def see(module: nn.Module, given: Any) -> None:
        if module.training and step.draws is not None and (draw := _draw(module, head)) is not None:
            step.draws[name] = draw

    return see


def _draws(module: nn.Module) -> bool:
    kind = type(module).__name__
    known = isinstance(module, _DropoutNd | nn.MultiheadAttention)
    return known or kind in ("StochasticDepth", "DropPath") or kind.startswith("Random")


def _draw(module: Any, head: bool) -> Draw | None:
    """None: it drops nothing."""
    own = type(module).__name__
    if own == "StochasticDepth":  # torchvision.ops
        per: Any = {"row": "image", "batch": "batch"}.get(module.mode, "")
        return Draw(kind="stochastic depth", own=own, rate=float(module.p), per=per) if module.p else None
    if own == "DropPath":  # timm.layers
        rate = float(module.drop_prob or 0.0)
        scaled = bool(getattr(module, "scale_by_keep", True))
        return Draw(kind="stochastic depth", own=own, rate=rate, per="image", scaled=scaled) if rate else None
    if own.startswith("Random"):
        return Draw(kind="other", own=own)
    if isinstance(module, nn.MultiheadAttention):
        return Draw(kind="dropout", own=own, rate=float(module.dropout), per="value") if module.dropout else None
    per = "map" if isinstance(module, _MAPS) else "value"
    return Draw(kind="dropout", own=own, rate=float(module.p), per=per, head=head) if module.p else None
