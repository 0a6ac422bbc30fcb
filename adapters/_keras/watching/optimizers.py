"""What an optimizer of Keras says of itself, in the words of protocols and conventions."""

from __future__ import annotations

from typing import Any

import keras

from isotune.adapters._keras.watching.network import WatchedNetwork
from isotune.recordings import Optimizer, Streamed

# class -> family, what its class is known for, and its slots: attribute, the literature's name, sign. The velocity of
# Keras's SGD points the other way: v = m*v - r*g.
_KNOWN: dict[str, tuple[str, dict[str, Any], tuple[tuple[str, str, int], ...]]] = {
    "SGD": ("sgd", {"momentum_form": "rate-inside"}, (("momentums", "velocity", -1),)),
    "Adam": (
        "adam", {"adam_epsilon": "before-correction"},
        (("_momentums", "first_moment", 1), ("_velocities", "second_moment", 1)),
    ),
    "RMSprop": (
        "rmsprop", {"rmsprop_epsilon": "inside-root", "momentum_form": "rate-inside"},
        (("_velocities", "second_moment", 1), ("_momentums", "velocity", 1)),
    ),
}  # fmt: skip
_KNOWN["AdamW"] = _KNOWN["Adam"]
_NAMES = {"momentum": "momentum", "nesterov": "nesterov", "beta_1": "beta1", "beta_2": "beta2", "rho": "rho",
          "epsilon": "epsilon", "amsgrad": "amsgrad", "centered": "centered"}  # fmt: skip
_CLIPPING = {"clipnorm": "per-variable", "global_clipnorm": "global-norm", "clipvalue": "by value"}


def within(optimizer: Any) -> Any:
    """The optimizer inside a loss scale's."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def described(optimizer: Any, network: WatchedNetwork, rate: float) -> Optimizer:
    """The optimizer as it is now, in two groups: what decays, and what does not."""
    inner = within(optimizer)
    name = type(inner).__name__
    known = type(inner).__module__.startswith("keras.") and name in _KNOWN
    family, forms = (_KNOWN[name][0], dict(_KNOWN[name][1])) if known else ("unknown", {})
    forms["weight_decay_form"] = "decoupled"
    hyper: dict[str, Any] = {"learning_rate": rate}
    hyper |= {ours: getattr(inner, own) for own, ours in _NAMES.items() if getattr(inner, own, None) is not None}
    for own, kind in _CLIPPING.items():
        if getattr(inner, own, None) is not None:
            hyper["clip_norm"], forms["clipping"] = float(getattr(inner, own)), kind
    if inner.gradient_accumulation_steps:
        hyper["accumulated"] = inner.gradient_accumulation_steps
    decay = float(inner.weight_decay or 0.0)
    members = {}
    for tensor_name, tensor in network.tensors.items():
        if tensor.variable.trainable:
            members[tensor_name] = int(not (decay and inner._use_weight_decay(tensor.variable)))
    return Optimizer(
        own=name, family=family, forms=forms, groups=({**hyper, "weight_decay": decay}, {**hyper, "weight_decay": 0.0}),
        members=members, steps_taken=int(keras.ops.convert_to_numpy(inner.iterations)),
    )  # fmt: skip


def slots(optimizer: Any, network: WatchedNetwork) -> list[Streamed]:
    """The optimizer's state, `TENSOR/velocity`; none before it is built."""
    inner = within(optimizer)
    if not inner.built or type(inner).__name__ not in _KNOWN:
        return []
    streams = []
    for attribute, label, sign in _KNOWN[type(inner).__name__][2]:
        variables = getattr(inner, attribute, None) or []
        for variable in inner._trainable_variables:
            name = network.by_variable.get(id(variable))
            index = inner._get_variable_index(variable)
            if name is not None and index < len(variables):
                streams.append(network.streamed(name, variables[index], label=label, sign=sign))
    return streams
