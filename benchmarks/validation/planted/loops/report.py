"""What was named of planted loops: a row each, and the shares that are right."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from planted.loops.cases import Case

from isotune.recordings import Comparison

HEADER = """# Planted loops

Does `isotune investigate recording:LOOP protocol:RECIPE` name what a loop does otherwise than a recipe says, and
nothing else? Loops in Keras and torch, with the techniques as these, torchvision and people's own code have them, are
watched (`benchmarks/validation/planted/loops`) and held against recipes: sound ones, which say what the loop does, and
others.

    python benchmarks/validation/planted/loops

{verdict}

| framework | loop | the recipe says | named | not compared, among others |
| --- | --- | --- | --- | --- |
"""
Outcome = tuple[Case, Comparison]


def line(case: Case, said: Comparison) -> str:
    """For the terminal."""
    named = ", ".join(sorted(cause.name for cause in said.causes)) or "nothing"
    wrong = ""
    if not case.right(said):
        wrong = f", WRONG: {', '.join(sorted(case.named)) or 'nothing'} {case.unseen}: {said.verdict}"
    return f"{case.framework}: {case.loop}, {_said(case)}: {named}{wrong}"


def write(outcomes: Sequence[Outcome], folder: Path) -> Path:
    """`planted-loops.md`; its path."""
    faults, sound = ([each for each in outcomes if each[0].sound is kind] for kind in (False, True))
    verdict = (
        f"What differs is named, and nothing else, in **{_right(faults)}**. Sound recipes of which nothing is named:"
        f" **{_right(sound)}**."
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("keras", "tensorflow", "torch", "torchvision"))
    rows = [_row(case, said) for case, said in outcomes]
    evidence = f"\nKeras on TensorFlow. Python {platform.python_version()}, {versions}.\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "planted-loops.md"
    path.write_text(HEADER.format(verdict=verdict) + "\n".join(rows) + "\n" + evidence, encoding="utf-8")
    return path


def _right(outcomes: Sequence[Outcome]) -> str:
    return f"{sum(case.right(said) for case, said in outcomes)} of {len(outcomes)}"


def _said(case: Case) -> str:
    return json.dumps(case.said).replace('"', "") if case.said else "nothing more"


def _row(case: Case, said: Comparison) -> str:
    named = ", ".join(sorted(cause.name for cause in said.causes))
    if not case.right(said):
        named = f"**{named or 'nothing'}**, should be {', '.join(sorted(case.named)) or 'nothing'}"
    cells = (case.framework, case.loop, f"`{_said(case)}`" if case.said else _said(case), named, case.unseen)
    return f"| {' | '.join(cells)} |"
