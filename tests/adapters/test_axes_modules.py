"""The modules of the axes: the same on both sides, and to be had without a framework."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from isotune.conventions import AXES, FORM_AXES

ADAPTERS = Path(__file__).parents[2] / "adapters"
SIDES = {side: ADAPTERS / side / "axes" for side in ("_torch", "_keras")}
FRAMEWORKS = ("torch", "torchvision", "timm", "keras", "tensorflow", "jax")


def with_remedies(folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "REMEDIES" for node in tree.body):
            found.append(path.stem)
    return found


def test_the_same_axes_stand_in_files_of_the_same_names():
    assert with_remedies(SIDES["_torch"]) == with_remedies(SIDES["_keras"])
    assert {path.name for path in SIDES["_torch"].glob("*.py")} == {path.name for path in SIDES["_keras"].glob("*.py")}


@pytest.mark.parametrize("side", SIDES)
def test_the_lines_of_every_axis_are_had_without_a_framework(side):
    modules = [f"isotune.adapters.{side}.axes.{name}" for name in with_remedies(SIDES[side])]
    code = f"""
import importlib, sys
axes = [axis for module in {modules} for axis in importlib.import_module(module).REMEDIES]
from isotune.adapters.{side}.remedies import REMEDIES
assert sorted(axes) == sorted(REMEDIES), (axes, list(REMEDIES))
print(*axes)
print(*(name for name in {FRAMEWORKS} if name in sys.modules))
"""
    axes, frameworks, *_ = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    assert sorted(axes.split()) == sorted(set(AXES) - set(FORM_AXES)), "forms are realised in the core, for all"
    assert not frameworks
