"""The house: imports run down only, and no room is crowded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"isotune": "isotune", "adapters": "isotune.adapters", "reference_results": "isotune.reference_results"}
MOST_MODULES = 16  # in one folder, its __init__ not counted


@cache
def modules() -> dict[str, Path]:
    """Every module of the installed packages, by its name there."""
    named = {}
    for folder, package in PACKAGES.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            named[".".join((package, *parts)).removesuffix(".__init__")] = path
    return named


@cache
def imports() -> dict[str, set[str]]:
    """Of every module, the modules that it imports: at the top, in functions, and for type checkers alone."""
    return {name: {other for other in _imported(path) if other != name} for name, path in modules().items()}


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom) and node.module in modules():
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else node.module


def circle(edges: dict[str, set[str]]) -> list[str]:
    """The nodes of one circle, in order; empty where there is none."""
    done: set[str] = set()

    def walk(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node in done:
            return []
        for other in sorted(edges.get(node, ())):
            if closed := walk(other, [*way, node]):
                return closed
        done.add(node)
        return []

    return next((closed for node in sorted(edges) if (closed := walk(node, []))), [])


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c", "a"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_two_modules_import_each_other() -> None:
    assert circle(imports()) == []


@pytest.mark.parametrize("folder", sorted({path.parent.relative_to(ROOT) for path in modules().values()}), ids=str)
def test_a_folder_shows_few_modules_and_says_what_is_inside(folder: Path) -> None:
    here = sorted(path.name for path in (ROOT / folder).glob("*.py") if path.name != "__init__.py")
    assert len(here) <= MOST_MODULES, here
    said = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(said) > 40, "its __init__ says what is inside"
