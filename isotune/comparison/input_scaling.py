"""Whether two networks of somebody's own keep the input scaling that each of them has.

Random weights were trained with no scaling, so that under `native` as under `identical` both sides get the reference's,
in the place of one inside a network too. Where a file says how its network scales, by INPUT_SCALING or by layers inside
of it, that may be the very thing that is wrong. So a network keeps its own scaling where the other side's is known and
another, or where the other's is not known and its own is none that people use and call by a name.
"""

from __future__ import annotations

from collections.abc import Mapping

from isotune import conventions, names
from isotune.comparison.sides import Side

AXIS = "input_scaling"
INSIDE = "none"  # outside of a network that scales its input itself


def keeps_its_own(side: Side, own: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether a side is to scale by itself. own, other: what is known of each side's axes, where nothing sets them; of
    a scaling inside a network what it amounts to."""
    base, overrides = conventions.parse(side.conventions)
    drawn = side.checkpoint.startswith("random:")
    mine, others = own.get(AXIS), other.get(AXIS)
    if base != "native" or AXIS in overrides or not drawn or not names.is_file(side.model.partition(":")[2]):
        return False
    if mine is None:
        return False
    return mine != others if others is not None else not conventions.is_named(str(mine))
