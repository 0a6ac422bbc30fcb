"""The known forms of an optimizer's step, and what each leaves of a recorded one, in float64.

From weights, slots, gradient and rate before the step, a form gives weights and slots after it; what it leaves is
counted in units of the recorded precision's rounding. Notation and sources of the formulas: g gradient, w weight,
r rate, m momentum, t step from 1, c decay (torch/optim/{sgd,adam,adamw,rmsprop}.py,
keras/src/optimizers/{sgd,adam,rmsprop}.py):

    coupled         g += c*w                      decoupled       w -= r*c*w before the step
    rate-outside    v = m*v + g; w -= r*v         Nesterov: w -= r*(g + m*v)
    rate-inside     v = m*v + r*g; w -= v         Nesterov: w -= m*v + r*g
    Adam            a = b1*a + (1-b1)*g; s = b2*s + (1-b2)*g^2
      after-correction    w -= r/(1-b1^t) * a / (sqrt(s)/sqrt(1-b2^t) + eps)
      before-correction   w -= r*sqrt(1-b2^t)/(1-b1^t) * a / (sqrt(s) + eps)
    RMSprop         s = rho*s + (1-rho)*g^2; d = sqrt(s) + eps (outside-root), sqrt(s + eps) (inside-root)
      without momentum w -= r*g/d; with it as above, of g/d in place of g
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from isotune.recordings._format import Optimizer, TensorEntry
from isotune.recordings._reading import RecordedStep

Array = np.ndarray
UNITS = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}
_SAMPLE = 20_000  # values of a tensor that are looked at
SLOTS = ("velocity", "first_moment", "second_moment")


@dataclass(frozen=True)
class Form:
    """A form of a step; an axis that the family does not have is empty."""

    family: str
    momentum_form: str = ""
    nesterov: bool = False
    adam_epsilon: str = ""
    rmsprop_epsilon: str = ""
    hyperparameters: str = "float64"
    decay: str = "none"

    @property
    def axes(self) -> dict[str, Any]:
        """What it says, decay left out."""
        named = {"momentum_form": self.momentum_form, "adam_epsilon": self.adam_epsilon,
                 "rmsprop_epsilon": self.rmsprop_epsilon}  # fmt: skip
        said: dict[str, Any] = {name: value for name, value in named.items() if value}
        return said | ({"nesterov": self.nesterov} if self.momentum_form and self.family == "sgd" else {})


class Moved(NamedTuple):
    """A tensor in one step, a sample of its values, float64."""

    entry: TensorEntry
    before: Array
    after: Array
    gradient: Array
    slots: dict[str, Array]
    slots_after: dict[str, Array]
    hyper: dict[str, Any]
    t: int
    fresh: bool  # whether the optimizer had no slots yet

    @property
    def unit(self) -> float:
        return UNITS.get(self.entry.dtype, UNITS["float32"])


def moved(entries: Mapping[str, TensorEntry], step: RecordedStep) -> Iterator[Moved]:
    """The tensors that an optimizer stepped. Slots that were not there before are zero."""
    before, after, gradients = (step.tensors(name) for name in ("before", "after", "gradients"))
    optimizer = step.entry.optimizer
    for name, entry in entries.items():
        if entry.buffer or name not in gradients or name not in optimizer.members or name not in after:
            continue
        slots = {slot: _sampled(before[f"{name}/{slot}"]) for slot in SLOTS if f"{name}/{slot}" in before}
        then = {slot: _sampled(after[f"{name}/{slot}"]) for slot in SLOTS if f"{name}/{slot}" in after}
        fresh = not slots
        slots = {slot: slots.get(slot, np.zeros_like(value)) for slot, value in then.items()} or slots
        yield Moved(
            entry, _sampled(before[name]), _sampled(after[name]), _sampled(gradients[name]), slots, then,
            optimizer.of(name), optimizer.steps_taken + 1, fresh,
        )  # fmt: skip


def _sampled(array: Array) -> Array:
    flat = array.reshape(-1)
    return flat[:: max(1, -(-flat.size // _SAMPLE))].astype(np.float64)


def candidates(optimizer: Optimizer, tensors: list[Moved]) -> list[Form]:
    """The forms that could be, decay left out; what the optimizer's class is known for comes first."""
    slots = {slot for tensor in tensors for slot in tensor.slots}
    family = optimizer.family
    if family == "unknown":
        family = "adam" if "first_moment" in slots else "rmsprop" if "second_moment" in slots else "sgd"
    carried = "velocity" in slots or any(tensor.hyper.get("momentum") for tensor in tensors)
    momenta = ("rate-outside", "rate-inside") if carried and family != "adam" else ("",)
    epsilons = {"adam": ("after-correction", "before-correction"), "rmsprop": ("outside-root", "inside-root")}
    wide = any(tensor.unit < 1e-10 for tensor in tensors)
    forms = [
        Form(
            family, momentum, nesterov, epsilon if family == "adam" else "", epsilon if family == "rmsprop" else "",
            precision,
        )
        for momentum, nesterov, epsilon, precision in itertools.product(
            momenta, (False, True) if family == "sgd" and momenta[0] else (False,), epsilons.get(family, ("",)),
            ("float64", "float32") if wide else ("float64",),
        )
    ]  # fmt: skip
    known = optimizer.forms | {"nesterov": bool(optimizer.groups and optimizer.groups[0].get("nesterov"))}
    return sorted(forms, key=lambda form: sum(known.get(name, value) != value for name, value in form.axes.items()))


def residual(form: Form, tensor: Moved) -> Array:
    """What a form leaves of a step's weights and slots, in units of what rounding may leave; float64, flat."""
    hyper = _Hyper(tensor.hyper, form.hyperparameters)
    w, g, unit = tensor.before, tensor.gradient, tensor.unit
    decay = hyper.weight_decay
    size = np.abs(g)
    if form.decay == "coupled":
        g = g + decay * w
        size = size + np.abs(decay * w)
    start = w - hyper.rate * decay * w if form.decay == "decoupled" else w
    slots, sizes, step = _FAMILIES[form.family](form, tensor, hyper, g, size)
    loose = {"sgd": 0.0, "adam": 2e-5, "rmsprop": 1e-5}[form.family] if unit > 1e-10 else 1e-11
    may = unit * (np.abs(w) + np.abs(tensor.after)) + (8 * unit + loose) * np.abs(step) + 4 * unit * hyper.rate * size
    parts = [(tensor.after - (start - step)) / np.maximum(may, 1e-300)]
    for name, predicted in slots.items():
        if name in tensor.slots_after:
            allowed = 4 * unit * sizes[name]
            parts.append((tensor.slots_after[name] - predicted) / np.maximum(allowed, 1e-300))
    left = np.concatenate(parts)
    return np.where(np.isfinite(left), np.clip(left, -1e9, 1e9), 1e9)


class _Hyper:
    def __init__(self, values: Mapping[str, Any], precision: str) -> None:
        def of(name: str, default: float) -> float:
            value = float(values.get(name, default) or 0.0)
            return float(np.float32(value)) if precision == "float32" else value

        self.rate = float(values.get("learning_rate", 0.0))
        self.weight_decay, self.momentum, self.dampening = (of(n, 0) for n in ("weight_decay", "momentum", "dampening"))
        self.beta1, self.beta2, self.rho = of("beta1", 0.9), of("beta2", 0.999), of("rho", 0.99)
        self.epsilon = float(values.get("epsilon", 1e-8) or 0.0)


Stepped = tuple[dict[str, Array], dict[str, Array], Array]  # slots after, sizes of their terms, what is subtracted


def _sgd(form: Form, tensor: Moved, hyper: _Hyper, g: Array, size: Array) -> Stepped:
    if not form.momentum_form:
        return {}, {}, hyper.rate * g
    v, size_v, step = _carried(form, tensor, hyper, g, size)
    return {"velocity": v}, {"velocity": size_v}, step


def _carried(form: Form, tensor: Moved, hyper: _Hyper, g: Array, size: Array) -> tuple[Array, Array, Array]:
    inside = form.momentum_form == "rate-inside"
    kept = 1.0 if tensor.fresh else 1.0 - hyper.dampening
    added = (hyper.rate if inside else kept) * g
    old = tensor.slots.get("velocity", np.zeros_like(g))
    v = hyper.momentum * old + added
    sizes = np.abs(hyper.momentum * old) + (hyper.rate if inside else 1.0) * size
    step = (hyper.rate * g if inside else g) + hyper.momentum * v if form.nesterov else v
    return v, sizes, step if inside else hyper.rate * step


def _adam(form: Form, tensor: Moved, hyper: _Hyper, g: Array, size: Array) -> Stepped:
    first, second = (tensor.slots.get(name, np.zeros_like(g)) for name in ("first_moment", "second_moment"))
    a = hyper.beta1 * first + (1 - hyper.beta1) * g
    s = hyper.beta2 * second + (1 - hyper.beta2) * g**2
    one, two = (1 - beta**tensor.t if beta else 1.0 for beta in (hyper.beta1, hyper.beta2))
    if form.adam_epsilon == "after-correction":
        step = hyper.rate / one * a / (np.sqrt(s) / np.sqrt(two) + hyper.epsilon)
    else:
        step = hyper.rate * np.sqrt(two) / one * a / (np.sqrt(s) + hyper.epsilon)
    sizes = {
        "first_moment": np.abs(hyper.beta1 * first) + (1 - hyper.beta1) * size,
        "second_moment": np.abs(hyper.beta2 * second) + 2 * (1 - hyper.beta2) * size**2,
    }
    return {"first_moment": a, "second_moment": s}, sizes, step


def _rmsprop(form: Form, tensor: Moved, hyper: _Hyper, g: Array, size: Array) -> Stepped:
    second = tensor.slots.get("second_moment", np.zeros_like(g))
    s = hyper.rho * second + (1 - hyper.rho) * g**2
    sizes = {"second_moment": np.abs(hyper.rho * second) + 2 * (1 - hyper.rho) * size**2}
    inside = form.rmsprop_epsilon == "inside-root"
    scaled = g / (np.sqrt(s + hyper.epsilon) if inside else np.sqrt(s) + hyper.epsilon)
    if not form.momentum_form:
        return {"second_moment": s}, sizes, hyper.rate * scaled
    v, size_v, step = _carried(form, tensor, hyper, scaled, 4 * np.abs(scaled))
    return {"second_moment": s, "velocity": v}, sizes | {"velocity": size_v}, step


_FAMILIES = {"sgd": _sgd, "adam": _adam, "rmsprop": _rmsprop}


def far(form: Form, tensor: Moved) -> float | None:
    """How many times as far as under the form the weights went, where that is one number for all of them."""
    hyper = _Hyper(tensor.hyper, form.hyperparameters)
    g = tensor.gradient + (hyper.weight_decay * tensor.before if form.decay == "coupled" else 0.0)
    _, _, step = _FAMILIES[form.family](form, tensor, hyper, g, np.abs(g))
    gone = tensor.before - tensor.after
    if form.decay == "decoupled":
        gone = gone - hyper.rate * hyper.weight_decay * tensor.before
    length = float(step @ step)
    if length <= 0:
        return None
    factor = float(gone @ step) / length
    rounding = tensor.unit * (np.abs(tensor.before) + np.abs(tensor.after)) + 1e-3 * np.abs(factor * step)
    return factor if size((gone - factor * step) / np.maximum(rounding, 1e-300)) <= 1.0 else None


def size(left: Array) -> float:
    """Root mean square of what a form leaves: up to 1 it fits."""
    return float(np.sqrt(np.mean(np.square(left)))) if left.size else 0.0
