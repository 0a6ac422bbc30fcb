"""GELU, exact or by tanh: realised, read off, and how to write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isotune.adapters.remedies import Table
from isotune.conventions import Conventions, agreed

if TYPE_CHECKING:
    from torch import nn


def realise(net: nn.Module, conventions: Conventions) -> None:
    """Give every GELU of `net` the form that `conventions` say, in place."""
    from torch import nn

    if conventions.gelu == "own":
        return
    for module in net.modules():
        for name, child in module.named_children():
            if _gelu(child) is not None:
                setattr(module, name, nn.GELU(approximate="none" if conventions.gelu == "exact" else "tanh"))


def describe(net: nn.Module) -> dict[str, Any]:
    """The form of GELU."""
    return {"gelu": agreed("gelu", [_gelu(module) for module in net.modules()])}


def _gelu(module: nn.Module) -> str | None:
    from torch import nn

    if isinstance(module, nn.GELU):
        return "exact" if module.approximate == "none" else "tanh"
    return {"GELU": "exact", "GELUTanh": "tanh"}.get(type(module).__name__)


# -- the lines to write


_GELU = """
from torch import nn

for parent in list(model.modules()):
    for name, child in list(parent.named_children()):
        if type(child).__name__ in ("GELU", "GELUTanh"):
            setattr(parent, name, nn.GELU(approximate=FORM))
"""


REMEDIES: Table = {
    "gelu": {
        "exact": (_GELU.replace("FORM", '"none"'), ""),
        "tanh": (_GELU.replace("FORM", '"tanh"'), "GELU that a forward calls as a function stays as it is."),
    },
}
