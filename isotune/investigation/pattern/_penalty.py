"""An L2 part that one side's loss has and the other's lacks, told from the loss and its gradients.

lambda * sum(w^2) in a loss adds 2 * lambda * w to the gradient, which is what a coupled decay of 2 * lambda in an
optimizer adds (torch/optim/sgd.py; keras/src/regularizers/regularizers.py, L2). Written as lambda / 2 * sum(w^2), the
two numbers are one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from isotune.investigation.pattern._equations import MARGIN

Array = np.ndarray
_SAME = 1e-6  # two factors are one, relative
LOSS = "loss"


def penalty(reference: Mapping[str, Array], other: Mapping[str, Array], weights: Mapping[str, Array]) -> str:
    """Which side's loss has the part, of what, and the decay that it is; empty: the two differ in something else.

    reference, other: gradients by canonical name, and under LOSS the loss, float64, of the same weights. weights: by
    the same names.
    """
    if LOSS not in reference or LOSS not in other:
        return ""
    apart = float(np.asarray(other[LOSS])) - float(np.asarray(reference[LOSS]))
    parts_by_name: dict[str, float] = {}
    total = 0.0
    for name in reference:
        if name == LOSS or name not in other or name not in weights:
            continue
        ours, theirs, w = (np.asarray(side[name], np.float64).ravel() for side in (reference, other, weights))
        if ours.size != theirs.size or ours.size != w.size:
            return ""
        difference, size = theirs - ours, max(float(np.abs(ours).max(initial=0.0)), 1e-300)
        if float(np.abs(difference).max(initial=0.0)) <= 1e-9 * size or not (length := float(w @ w)):
            continue
        part = float(difference @ w) / length
        if float(np.abs(difference - part * w).max()) * MARGIN > float(np.abs(difference).max()):
            return ""
        parts_by_name[name], total = part, total + part / 2 * length
    if not parts_by_name or abs(total - apart) > 1e-6 * abs(apart) + 1e-12:
        return ""
    side, lacking = ("other's", "reference's") if apart > 0 else ("reference's", "other's")
    kinds = Counter(name.rpartition(".")[2] for name in parts_by_name)
    of = " and ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in kinds.items())
    parts = [abs(part) for part in parts_by_name.values()]
    decay = f"{max(parts):.6g}"
    factor = f"{max(parts) / 2:.6g}"
    if max(parts) - min(parts) > _SAME * max(parts):
        decay, factor = f"{min(parts):.6g} to {decay}", f"{min(parts) / 2:.6g} to {factor}"
    return (
        f"L2 in the {side} loss, {factor} * sum(w^2) of {of}, which the {lacking} lacks: it is what a coupled"
        f" weight_decay of {decay}, twice that factor, would do in the optimizer"
    )
