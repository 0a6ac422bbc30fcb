"""How to make a library behave as a value of a convention axis says: the lines of code to write.

The lines use the library's public interface and stand for themselves: `model` and, where it is about training,
`optimizer` are the user's own; `images` are uint8 [N, H, W, 3], RGB. Each does one axis, on a model as the library
built it. Where no few lines do it, the note says what does.
"""

from __future__ import annotations

from isotune.adapters import input_remedies as _input_remedies
from isotune.adapters._keras.remedies import network as _keras_network_remedies
from isotune.adapters._keras.remedies import padding as _keras_windows_remedies
from isotune.adapters._keras.remedies import recipe as _keras_recipe_remedies
from isotune.adapters._torch.remedies import network as _torch_network_remedies
from isotune.adapters._torch.remedies import recipe as _torch_recipe_remedies
from isotune.adapters.base import Remedy
from isotune.conventions import parse

_OWN = "It is what the library builds by itself: nothing is to be written."
_TORCH = _input_remedies.TORCH | _torch_network_remedies.REMEDIES | _torch_recipe_remedies.REMEDIES
_KERAS = (
    _input_remedies.KERAS
    | _keras_windows_remedies.REMEDIES
    | _keras_network_remedies.REMEDIES
    | _keras_recipe_remedies.REMEDIES
)
_KNOWN = {
    "torchvision": (_TORCH, _input_remedies.torch_scaling),
    "timm": (_TORCH, _input_remedies.torch_scaling),
    "keras": (_KERAS, _input_remedies.keras_scaling),
}


def remedy(library: str, axis: str, value: object) -> Remedy:
    """The lines that make a model, its input or its trainer behave as `axis` = `value`.

    library: `torchvision`, `timm` or `keras`, with or without an engine (`keras@jax`); another adapter's gets a note.
    value: as in `isotune.conventions.Conventions`; None and "own" are what the library builds.
    Errors: UsageError for an unknown axis or value.
    """
    given = "own" if value is None else value
    known = parse(f"native,{axis}={given}")[1][axis]
    name = library.partition("@")[0]
    override = f"`--conventions native,{axis}={given}`"
    if axis != "optional_tensors" and known in (None, "own"):
        return Remedy("", _OWN)
    if name not in _KNOWN:
        return Remedy("", f"No lines are known for {name}; isotune does it with {override}.")
    table, scaling = _KNOWN[name]
    if axis == "input_scaling":
        code, note = scaling(str(known))
    else:
        code, note = table[axis]["*" if "*" in table[axis] else str(known)]
    code = code.replace("VALUE", repr(known)).strip()
    return Remedy(f"{code}\n" if code else "", note.replace("OVERRIDE", override))
