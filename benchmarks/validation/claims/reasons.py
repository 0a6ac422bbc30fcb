"""Why a claim does not hold: the price of each step of preprocessing, and where two sides part."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import isotune
from isotune import verification
from isotune.investigation import Investigation

_STEPS = (
    {"name": "torch-scaling", "conventions": {"input_scaling": "mean-std"}},
    {"name": "keras-scaling", "conventions": {"input_scaling": "minus-one-to-one"}},
    {"name": "unit-scaling", "conventions": {"input_scaling": "unit"}},
    {"name": "no-scaling", "conventions": {"input_scaling": "none"}},
)


@dataclass(frozen=True)
class Reason:
    """left, right: models with their checkpoints. beside: the claim that holds where the reason is mended."""

    claim: str
    beside: str
    left: dict[str, str]
    right: dict[str, str]
    why: str


@dataclass(frozen=True)
class Explained:
    """prices: of each step of preprocessing, a line. walk: the two sides."""

    reason: Reason
    prices: list[str]
    walk: Investigation = field(repr=False)


def reasons() -> list[Reason]:
    said = tomllib.loads((Path(__file__).parent / "reasons.toml").read_text(encoding="utf-8"))["reasons"]
    return [Reason(**each) for each in said]


def explain(reason: Reason) -> Explained:
    claim = verification.read(Path(f"{reason.claim}.toml"))
    recipe: dict[str, Any] = claim.protocol.model_dump(exclude_none=True)
    recipe["own_classifier"] |= {"beside": _STEPS}
    runs = isotune.run(
        claim.model, claim.dataset, recipe, conventions="identical", checkpoint=claim.checkpoint, store="records",
        progress=False,
    )  # fmt: skip
    walk = isotune.investigate(
        reason.left["model"], reason.right["model"], dataset=claim.dataset,
        checkpoint=reason.left["checkpoint"], right_checkpoint=reason.right["checkpoint"], conventions="identical",
        protocol={
            "name": "as-is", "title": "The claim's input, to compare two sides", "source": "the claim",
            "probe": {"l2": [0.01]}, "input": {"size": claim.protocol.input.size},
        },
        quick=True, name=reason.claim, progress=False,
    )  # fmt: skip
    assert isinstance(walk, Investigation)
    return Explained(reason, runs.preprocessing_lines(), walk)
