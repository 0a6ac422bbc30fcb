"""What a loop does to gradients between backward and the step, from the sizes of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from isotune.recordings._reading import RecordedStep, Recording


def habits(recording: Recording) -> Iterator[dict[str, Any]]:
    """`clipping` and `clip_norm`, as the optimizer says where no gradient shows it; the value None where nothing was
    changed in these steps and nothing says that it would be."""
    seen: dict[int, tuple[str, float]] = {}
    for number, step in recording.steps.items():
        gradients = step.tensors("gradients")
        ratios = {name: _norm(gradients[name]) / raw for name, (raw, _) in step.entry.raw.items()
                  if raw > 0 and name in gradients}  # fmt: skip
        if ratios and (kind := _kind_of_clipping(step, gradients, ratios)):
            seen[number] = kind
    if not seen:
        if (said := _said(recording)) is not None:
            yield from said
        elif recording.steps and any(step.entry.raw for step in recording.steps.values()):
            yield {"name": "clipping", "value": None, "words": "no gradient was clipped in these steps"}
        return
    kinds = {kind for kind, _ in seen.values()}
    limit = float(np.median([limit for _, limit in seen.values()]))
    if len(kinds) == 1 and "changed" not in kinds:
        kind = kinds.pop()
        words = {"global-norm": f"gradients are clipped together to a norm of {limit:.6g}",
                 "per-variable": f"each gradient is clipped by itself to a norm of {limit:.6g}",
                 "by value": f"each value of a gradient is clipped to {limit:.6g}",
                 "scaled": f"all gradients are multiplied by {limit:.6g} before the step"}[kind]  # fmt: skip
        yield {"name": "clipping", "value": kind, "words": words, "steps": tuple(seen)}
        if kind != "scaled":
            yield {"name": "clip_norm", "value": limit, "words": words, "steps": tuple(seen)}
    else:
        yield {"name": "clipping", "value": "changed", "words": "gradients are changed between backward and the step",
               "steps": tuple(seen)}  # fmt: skip


def _said(recording: Recording) -> list[dict[str, Any]] | None:
    """What the optimizer itself clips by."""
    for number, step in recording.steps.items():
        optimizer = step.entry.optimizer
        limit = optimizer.groups[0].get("clip_norm") if optimizer.groups else None
        if limit is not None and (kind := optimizer.forms.get("clipping")):
            words = f"its optimizer clips to {limit:g} ({kind}); no gradient of these steps was that large"
            return [{"name": "clipping", "value": kind, "words": words, "steps": (number,)},
                    {"name": "clip_norm", "value": float(limit), "words": words, "steps": (number,)}]  # fmt: skip
    return None


def _kind_of_clipping(step: RecordedStep, gradients: Mapping[str, Any], ratios: dict[str, float]) -> Any:
    values = np.array(list(ratios.values()))
    if (np.abs(values - 1) < 1e-4).all():
        return None
    if np.ptp(values) <= 1e-4 * values.max():
        factor = float(np.median(values))
        total = factor * float(np.sqrt(sum(raw**2 for raw, _ in step.entry.raw.values())))
        return ("global-norm", total) if factor < 1 else ("scaled", factor)
    cut = [name for name, ratio in ratios.items() if ratio < 1 - 1e-4]
    limits = np.array([ratios[name] * step.entry.raw[name][0] for name in cut])
    if cut and np.ptp(limits) <= 1e-4 * limits.max() and (values <= 1 + 1e-4).all():
        return "per-variable", float(np.median(limits))
    largest = np.array([np.abs(gradients[name]).max() for name in cut])
    if cut and np.ptp(largest) <= 1e-5 * largest.max():
        return "by value", float(np.median(largest))
    return "changed", 0.0


def _norm(array: Any) -> float:
    return float(np.linalg.norm(np.asarray(array, np.float64)))
