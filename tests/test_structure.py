"""The house: imports run down only, rooms keep what is their own, and none is crowded."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"isotune": "isotune", "adapters": "isotune.adapters", "reference_results": "isotune.reference_results"}
MOST_MODULES = 16  # in one folder, its __init__ not counted
NEEDED = {("test_report_conclusions.py", "isotune.reference_results._tables")}  # to read its tables anew


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


def test_no_two_rooms_import_each_other() -> None:
    assert circle(rooms()) == []


def test_imports_run_down_the_list_of_the_guide_only() -> None:
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    places = {name: row for row, names in enumerate(rows) for name in re.findall("`([^`]+)`", names)}
    small = {name for name in rooms() if name.startswith("isotune/") and name.endswith(".py")}
    places |= dict.fromkeys(small - set(places), places["isotune/*.py"])
    assert set(rooms()) <= set(places)
    for room, others in rooms().items():
        up = {other for other in others if places[other] < places[room]}
        assert not up, f"{room} imports {', '.join(sorted(up))}, which stands above it"


def rooms() -> dict[str, set[str]]:
    """Of every room, the rooms that it imports, by the folder or file that CONTRIBUTING.md names."""
    edges: dict[str, set[str]] = {}
    for name, others in imports().items():
        edges.setdefault(_room(name), set()).update({_room(other) for other in others} - {_room(name)})
    return edges


def _room(module: str) -> str:
    path = modules()[module].relative_to(ROOT)
    if path.parts[0] != "isotune":
        return "adapters/base.py" if path == Path("adapters/base.py") else path.parts[0]
    return "/".join(path.parts[:2])


def test_a_module_with_an_underscore_is_imported_by_its_own_room_alone() -> None:
    """By a package's own modules and those below it; an adapter's `_torch` and `_keras` are rooms of all adapters."""
    for name, others in imports().items():
        here = name if modules()[name].name == "__init__.py" else name.rpartition(".")[0]
        for other in others:
            owner = re.match(r"(.*?)\._(?!_)", f"{other}.")
            assert not owner or f"{here}.".startswith(f"{owner[1]}."), f"{name} imports {other}"


def _folders() -> Iterable[Path]:
    """Those of the project that hold Python."""
    tops = (*PACKAGES, "benchmarks", "tests")
    return sorted({path.parent.relative_to(ROOT) for top in tops for path in (ROOT / top).rglob("*.py")})


@pytest.mark.parametrize("folder", _folders(), ids=str)
def test_a_folder_shows_few_modules(folder: Path) -> None:
    here = sorted(path.name for path in (ROOT / folder).glob("*.py") if path.name != "__init__.py")
    assert len(here) <= MOST_MODULES, here


@pytest.mark.parametrize("folder", sorted({path.parent.relative_to(ROOT) for path in modules().values()}), ids=str)
def test_a_package_says_what_is_inside(folder: Path) -> None:
    said = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(said) > 40, "its __init__ says what is inside"


def test_tests_stand_in_the_folders_of_what_they_test() -> None:
    """And take what is private from the room that they test, or from an adapter, whose rooms are all private."""
    tops = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.glob("test_*.py"))}
    tested = {path.parent.name for path in (ROOT / "isotune").glob("*/__init__.py")}
    assert tops - tested == {"adapters", "benchmarks", "docs", "fuzz", "reference_results"}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        room = path.relative_to(ROOT / "tests").parts[0]
        for other in _imported(path):
            owner = re.match(r"isotune\.(\w+)\b.*?\._(?!_)", f"{other}.")
            if owner and owner[1] not in (room, "adapters") and (path.name, other) not in NEEDED:
                raise AssertionError(f"{path.relative_to(ROOT)} imports {other}")
