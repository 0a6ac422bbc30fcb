"""The conventions of a model as it was named, options included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isotune import conventions
from isotune.conventions import NETWORK_AXES, Conventions

if TYPE_CHECKING:
    from isotune.adapters.base import Adapter
    from isotune.names import ModelName


def resolved(
    spec: str, adapter: Adapter, model: ModelName, *, protocol: Mapping[str, Any], checkpoint: Mapping[str, Any]
) -> Conventions:
    """The conventions that `spec` stands for (`conventions.resolve`) in this model.

    What an option of the model sets (`bn_eps=0.001`), or a file of the user's own states, is the user's word: it stands
    under `identical` too, where otherwise the checkpoint decides, and only an override of the spec is stronger.
    """
    native = adapter.native_conventions(model.name, model.options)
    asked = set_by_options(adapter, model, native) | dict(adapter.stated_conventions(model.name))
    return conventions.resolve(spec, native=native, protocol=protocol, checkpoint=checkpoint, asked=asked)


def set_by_options(adapter: Adapter, model: ModelName, native: Conventions) -> dict[str, Any]:
    """The network axes that the model's options change. native: of the model with them."""
    if not model.options:
        return {}
    plain = adapter.native_conventions(model.name)
    return {axis: getattr(native, axis) for axis in NETWORK_AXES if getattr(native, axis) != getattr(plain, axis)}
