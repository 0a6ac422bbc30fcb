"""The field's words: names in code that said something else, or nothing, do not come back. Off the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# In their place: what it is; CellRunner; recorder and request; rung specifications; dump; optimizer case, proof inputs;
# mismatch; own_classifier; count_include_pad.
GONE = {
    "found", "Bench", "Showing", "Examiner", "Observer", "Asked", "Claim", "HOW", "Held", "Dumped", "Motion", "Trial",
    "Misfit", "misfit", "lent", "zero_shot", "pooling_border",
}  # fmt: skip
FILES = sorted(
    str(path.relative_to(ROOT))
    for top in ("isotune", "adapters", "reference_results")
    for path in (ROOT / top).rglob("*.py")
)


def named(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of all that the code gives a name: variables, arguments, functions, classes."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name


@pytest.mark.parametrize("where", FILES)
def test_names_say_what_they_are(where: str) -> None:
    tree = ast.parse((ROOT / where).read_text(encoding="utf-8"))
    assert not [(line, name) for line, name in named(tree) if name in GONE]


def test_a_name_is_seen_wherever_it_is_given() -> None:
    given = "found = 1\nfor found in (): ...\nif (found := 1): ...\ndef f(found): ...\nclass Misfit: ...\nfound.x = 2\n"
    assert [name for _, name in sorted(named(ast.parse(given)))] == ["found"] * 2 + ["found", "f", "found", "Misfit"]
