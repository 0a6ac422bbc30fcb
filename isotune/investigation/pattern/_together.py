"""What all layers or tensors beyond the bound have in common: their kind, and the equation of the first.

One layer's error says little where twenty fail; that they are the LayerNorms, all of them and nothing else, or that
each is half of the reference, says where to look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from isotune.investigation.pattern._arrangement import arrangement
from isotune.investigation.pattern._equations import Equation
from isotune.investigation.pattern._shape import pattern

Array = np.ndarray
_LEAST = 2  # layers that fail, of which something can be in common
_MOST_ARRANGED = 20  # tensors that are looked through for an arrangement


def described(
    failing: Sequence[str], reference: Mapping[str, Array], other: Mapping[str, Array], bound: float, *, layers: bool
) -> Iterator[str]:
    """Statements about the first array beyond the bound, and whether they hold of all.

    failing: names of the arrays beyond the bound, in order. layers: the arrays are layers' outputs, images first; else
    tensors in canonical layout, as weights, gradients and buffers are.
    """
    both = [name for name in failing if name in reference and name in other]
    if not both or failing[0] not in both:
        return
    first = both[0]
    if not layers and (said := arrangement(reference[first], other[first], bound)):
        yield f"{first}: {said}{_arranged_alike(said, both, reference, other, bound)}."
        return
    first_pattern = pattern(np.asarray(reference[first]), np.asarray(other[first]), bound, batched=layers)
    for statement in first_pattern.statements:
        yield f"{first}: {statement}"
    if first_pattern.equation is not None and _holds_of_all(first_pattern.equation, both[1:], reference, other, bound):
        yield f"The same holds of all {len(both)} that fail."


def _arranged_alike(
    said: str, names: Sequence[str], reference: Mapping[str, Array], other: Mapping[str, Array], bound: float
) -> str:
    """How many of those that fail do so alike, of the first few."""
    tried = names[:_MOST_ARRANGED]
    alike = sum(arrangement(reference[name], other[name], bound) == said for name in tried)
    return f" (so are {alike} of the {'first ' * (len(tried) < len(names))}{len(tried)} that fail)" if alike > 1 else ""


def _holds_of_all(
    equation: Equation, names: Sequence[str], reference: Mapping[str, Array], other: Mapping[str, Array], bound: float
) -> bool:
    """Whether the other arrays are the same number of times their reference, or the same number off it."""
    factor = {"sign": -1.0, "zero": 0.0, "scale": equation.values.get("a"), "offset": 1.0}.get(equation.name)
    if not names or factor is None or (equation.name == "zero" and equation.values["side"] != "other"):
        return False
    constant = equation.values["b"] if equation.name == "offset" else 0.0
    for name in names:
        ours, theirs = np.asarray(reference[name]), np.asarray(other[name])
        if ours.size != theirs.size:
            return False
        right = factor * ours.reshape(theirs.shape) + constant
        size = float(np.abs(ours).max(initial=0.0))
        if not float(np.abs(theirs - right).max(initial=0.0)) <= 10 * bound * size:
            return False
    return True


def alike(failing: Sequence[str], layers: Sequence[str], tensors: Mapping[str, Sequence[int]]) -> str:
    """That all layers that fail are of one kind, as a sentence; empty where they are not, or too few fail.

    failing, layers: canonical names of those that fail, and of all that were compared ("007.norm"). tensors: of every
    canonical tensor, its shape, from which a layer's kind is told.
    """
    if len(failing) < _LEAST or len(failing) == len(layers):
        return ""
    kinds = {layer: _kinds(layer, tensors) for layer in layers}
    shared = [kind for kind in kinds.get(failing[0], ()) if all(kind in kinds.get(layer, ()) for layer in failing)]
    if not shared:
        return ""
    counts = {kind: sum(kind in of for of in kinds.values()) for kind in shared}
    kind = min(
        shared, key=lambda kind: counts[kind]
    )  # the narrowest; of equal ones the more general, which comes first
    if counts[kind] == len(layers):
        return ""
    if counts[kind] == len(failing):
        return f"All {len(failing)} layers that fail are {kind}, and no other of them holds."
    return f"All {len(failing)} layers that fail are {kind}, of {counts[kind]} there are."


def _kinds(layer: str, tensors: Mapping[str, Sequence[int]]) -> list[str]:
    """What a layer can be called, the better name first."""
    kind, kernel = layer.rpartition(".")[2], tuple(tensors.get(f"{layer}.kernel", ()))
    if kind == "norm" and f"{layer}.mean" in tensors:
        return ["BatchNorms", "norms"]
    if kind == "norm":
        return ["LayerNorms" if f"{layer}.shift" in tensors else "norms without statistics and shift", "norms"]
    if kind == "transposed":
        return ["transposed convolutions"]
    if len(kernel) == 4:
        depthwise = kernel[2] == 1 and kernel[3] > 1
        special = ["depthwise convolutions"] if depthwise else []
        last = (special or ["convolutions"])[0]
        return ["convolutions", *special, f"{last} of {kernel[0]} x {kernel[1]}"]
    return {"scale": ["layer scales"], "dense": ["dense layers"], "head": ["dense layers"]}.get(kind, [])
