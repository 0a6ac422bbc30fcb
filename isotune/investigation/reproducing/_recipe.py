"""Rungs of the recipe and of the input: what both libraries do by themselves, on a few numbers.

The numbers are chosen so that every axis of the rung shows: two steps at two learning rates and two tensors, of which
one gradient is small, another beyond any bound of clipping; logits whose softmax leaves what is clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isotune import names
from isotune.comparison.sides import Inputs, Side
from isotune.investigation.findings import SIDES, Findings, Rung, Which
from isotune.investigation.reproducing._running import NotReproduced
from isotune.investigation.reproducing._script import Half, composed
from isotune.printable import one_line

_DRAW = "draw = np.random.default_rng(0)"
_STEPS = (
    "weights = [np.array([0.5, -1.0]), np.array([2.0])]",
    "gradients = [[np.array([0.3, -1e-6]), np.array([9.0])], [np.array([-0.1, 1e-6]), np.array([9.0])]]",
    "rates = [0.125, 0.015625]",
)
_SHARED: dict[str, Sequence[str]] = {  # rung -> the arrays that `Adapter.own_lines` reads
    "decoded bytes": (
        _DRAW, "import io", "from PIL import Image", "file = io.BytesIO()",
        'Image.fromarray(draw.integers(0, 256, (16, 16, 3), np.uint8)).save(file, "JPEG")', "encoded = file.getvalue()",
    ),
    "resized pixels": (_DRAW, "image = draw.integers(0, 256, (16, 16, 3), np.uint8)"),
    "scaled input": ("images = np.array([[[[10, 100, 200]]]], np.uint8)  # [N, H, W, C], RGB",),
    "weights": ("features, classes = 64, 10",),
    "loss": ("logits, labels = np.array([[30.0, -30.0, 0.0]]), np.array([1])",),
    "BatchNorm buffers": ("x = np.array([0.0, 1.0, 2.0, 5.0]).reshape(4, 1, 1, 1)  # [N, H, W, C]",),
    "one step": _STEPS,
    "drift": _STEPS,
}  # fmt: skip
_TOLERANCE = {"decoded bytes": 0.0, "resized pixels": 0.01, "weights": 0.01}  # else rounding
_ROUNDING = 1e-12


def of_recipe(findings: Findings, rung: Rung, inputs: Inputs, about: Sequence[str]) -> str:
    """The script's text. NotReproduced, NotWritten: why there is none."""
    if rung.name not in _SHARED:
        raise NotReproduced("nothing smaller than the network shows it")
    if rung.cause is None:
        raise NotReproduced("no convention explains it, and nothing smaller is known")
    halves: dict[Which, Half] = {which: _half(findings, which, rung, inputs) for which in SIDES}
    shared = _SHARED[rung.name]
    moved = tuple(line for line in shared if line.startswith(("import ", "from ")))
    first = halves["left"]
    halves["left"] = Half(first.title, (*moved, *first.imports), first.body)
    rest = [line for line in shared if line not in moved]
    return composed(about, halves, rest, _TOLERANCE.get(rung.name, _ROUNDING))


def _half(findings: Findings, which: Which, rung: Rung, inputs: Inputs) -> Half:
    side: Side = getattr(findings, which)
    assert rung.cause is not None
    axes: dict[str, Any] = {}
    for flip in rung.cause.flips:
        if flip.axis not in findings.axes:
            raise NotReproduced(f"a side does not do as its {flip.axis} says, which its library's lines do not show")
        axes[flip.axis] = findings.axes[flip.axis][SIDES.index(which)]
        if axes[flip.axis] is None:
            raise NotReproduced(f"the layers of {side.model} do not share one {flip.axis}")
    library = names.facts(side.adapter)
    if library is None:
        raise NotReproduced(f"{side.adapter} is not installed")
    lines = library.own_lines(rung.name, axes, inputs.stage, side.adapter.partition("@")[2] or None)
    return Half(one_line(side.model), lines.imports, lines.body)
