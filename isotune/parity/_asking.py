"""From what a user names to questions."""

from __future__ import annotations

import re

from isotune import conventions
from isotune.errors import UsageError, nearest
from isotune.models import checkpoints
from isotune.models.counterparts import BATCH, BATCHES, SIZE, SIZES, Family
from isotune.models.layouts import resolved
from isotune.parity._proof_inputs import STAGES
from isotune.parity._results import Question
from isotune.workers.environment import versions


def questions(
    family: Family,
    *,
    checkpoint: str = "random:0",
    spec: str = "identical",
    size: tuple[int, int] | None = None,
    batch: int | None = None,
    seed: int = 0,
    numeric_mode: str = "float64",
) -> list[Question]:
    """One question a pair of the family; they share the left model. spec: as in a cell (`conventions.resolve`).
    size, batch: None is the architecture's default.
    UsageError: a value that cannot be."""
    checkpoints.check_name(checkpoint)
    conventions.parse(spec)
    if numeric_mode not in ("float64", "float32"):
        raise UsageError(f"numeric mode {numeric_mode!r}: {nearest(numeric_mode, ['float64', 'float32'])}")
    return [
        Question(
            left=family.first, right=right, checkpoint=checkpoint, conventions=spec,
            size=size or SIZES.get(family.architecture, SIZE),
            batch=batch or BATCHES.get(family.architecture, BATCH), seed=seed,
            numeric_mode=numeric_mode, versions=versions(_adapter(family.first), _adapter(right)),
            layouts=(resolved(None, _adapter(family.first)), resolved(None, _adapter(right))),
        )
        for right in family.others
    ]  # fmt: skip


def _adapter(model: str) -> str:
    return model.partition(":")[0]


def chosen(known: list[Family], architectures: list[str]) -> list[Family]:
    """The families named, all of them when none is. UsageError: no such architecture."""
    for architecture in architectures:
        if architecture not in (valid := {family.architecture for family in known}):
            raise UsageError(f"architecture {architecture!r} is none to be proved; {nearest(architecture, valid)}")
    return [family for family in known if not architectures or family.architecture in architectures]


def check_stages(names: list[str]) -> list[str]:
    """The stages named. UsageError: no such stage."""
    for name in names:
        if name not in STAGES:
            raise UsageError(f"stage {name!r} is unknown; {nearest(name, STAGES)}")
    return names


def parse_size(text: str) -> tuple[int, int]:
    """`"77x99"` -> (77, 99), `"96"` -> (96, 96)."""
    match = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", text.strip())
    if not match or min(size := (int(match[1]), int(match[2] or match[1]))) < 1:
        raise UsageError(f"size {text!r}: give pixels, HEIGHTxWIDTH (77x99) or one side (96)")
    return size
