"""Which known form of an optimizer's step made a recorded step, tensor by tensor, and what decays in it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from isotune.recordings._format import Optimizer
from isotune.recordings.habits._forms import Form, Moved, candidates, far, residual, size

Array = np.ndarray
_CERTAIN = 0.15  # standard error of a share, up to which it decides


class Share(NamedTuple):
    """Where a step stands between two forms: 0 the first, 1 the second; and the standard error of that."""

    share: float
    error: float

    @property
    def decided(self) -> int | None:
        """0 or 1; None where rounding hides it, or it is neither."""
        if not self.error < _CERTAIN:
            return None
        near = [value for value in (0, 1) if abs(self.share - value) < max(4 * self.error, 0.2)]
        return near[0] if len(near) == 1 else None


def share(first: list[Array], second: list[Array]) -> Share:
    """Projection of what the first form leaves onto the difference of both, over all tensors."""
    length = cross = left = 0.0
    count = 0
    for a, b in zip(first, second, strict=True):
        d = a - b
        length, cross, left, count = length + float(d @ d), cross + float(a @ d), left + float(a @ a), count + a.size
    if length <= 0:
        return Share(0.0, np.inf)
    part = cross / length
    noise = max(left - part * cross, 0.0) / max(count, 1)
    return Share(part, float(np.sqrt(max(noise, 0.01) / length)))


class Told(NamedTuple):
    """What became of explaining a step."""

    forms: tuple[Form, ...]  # that fit, decay left out; the first is the likeliest, the others cannot be told from it
    decay: str  # none, coupled, decoupled; empty: rounding hides which
    decays: dict[str, bool | None]  # tensor -> whether it decays; None: rounding hides it
    failing: dict[str, float | None]  # tensor -> how many times as far as the likeliest form it went; None: otherwise


def explain(optimizer: Optimizer, tensors: list[Moved]) -> Told:
    """Which forms give a recorded step. No form fits where `failing` has tensors."""
    bases = candidates(optimizer, tensors)
    best = {form: [_decayed(form, tensor) for tensor in tensors] for form in bases}
    fitting = {form: sum(size(left) <= 1.0 for _, left in tried) for form, tried in best.items()}
    most = max(fitting.values())
    fit = [form for form in bases if fitting[form] == most]
    fit.sort(key=lambda form: sum(float(left @ left) for _, left in best[form]))
    winner = fit[0]
    residuals = {form: [left for _, left in best[form]] for form in fit}
    alike = [form for form in fit[1:] if share(residuals[winner], residuals[form]).decided is None]
    order = [form for form in bases if form in (winner, *alike)]  # the declared first
    winner = order[0]
    decay, decays = _decay(winner, tensors)
    failing = {
        tensor.entry.name: far(replace(winner, decay=how), tensor)
        for tensor, (how, left) in zip(tensors, best[winner], strict=True)
        if size(left) > 1.0
    }
    return Told(tuple(order), decay, decays, failing)


def _decayed(form: Form, tensor: Moved) -> tuple[str, Array]:
    """The kind of decay under which the form fits a tensor best, and what it leaves then."""
    kinds = ("none", "coupled", "decoupled") if tensor.hyper.get("weight_decay") else ("none",)
    tried = [(kind, residual(replace(form, decay=kind), tensor)) for kind in kinds]
    return min(tried, key=lambda each: float(each[1] @ each[1]))


def _decay(form: Form, tensors: list[Moved]) -> tuple[str, dict[str, bool | None]]:
    """Which kind of decay, by all tensors together, and which of them decay."""
    may = [tensor for tensor in tensors if tensor.hyper.get("weight_decay")]
    decays: dict[str, bool | None] = {tensor.entry.name: False for tensor in tensors}
    if not may:
        return "none", decays
    left = {kind: [residual(replace(form, decay=kind), tensor) for tensor in may]
            for kind in ("none", "coupled", "decoupled")}  # fmt: skip
    kinds = [kind for kind in ("coupled", "decoupled")
             if any(share([a], [b]).decided == 1 for a, b in zip(left["none"], left[kind], strict=True))]  # fmt: skip
    if len(kinds) == 2:
        totals = {kind: [min(a, b, key=size) for a, b in zip(left["none"], left[kind], strict=True)] for kind in kinds}
        parted = share(totals["coupled"], totals["decoupled"]).decided
        kinds = [] if parted is None else [kinds[parted]]
    if not kinds:
        told = [share([a], [b]) for a, b in zip(left["none"], left["coupled"], strict=True)]
        none = all(each.decided == 0 for each in told if each.error < _CERTAIN) and any(
            e.error < _CERTAIN for e in told
        )
        for tensor, each in zip(may, told, strict=True):
            decays[tensor.entry.name] = None if each.decided is None else bool(each.decided)
        return "none" if none else "", decays
    for tensor, a, b in zip(may, left["none"], left[kinds[0]], strict=True):
        decided = share([a], [b]).decided
        decays[tensor.entry.name] = None if decided is None else bool(decided)
    return kinds[0], decays
