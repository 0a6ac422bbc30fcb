"""The core names no library: what is known of one stands in its adapter. Read off the syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = Path(__file__).parent.parent / "isotune"
LIBRARY = re.compile(r"torch|timm|keras|tensorflow|tfds|jax|\btf_", re.IGNORECASE)
EXAMPLES = {  # files with names of models in them, and why they may
    "names.py": "DEFAULT_MODELS, what `isotune run` runs where nothing is said",
    "conventions/_axes.py": "declares who does as each value of an axis says",
    "conventions/_forms.py": "declares who does as each form of a technique says",
    "protocols/forms.py": "declares whose each form of a technique is",
}
FILES = sorted(
    str(file.relative_to(CORE)) for file in CORE.rglob("*.py") if str(file.relative_to(CORE)) not in EXAMPLES
)
SHOWN = re.compile(r"\b(torch|torchvision|timm|keras)(@\w+)?:[\w.:/=]+")  # a model's name, as an example in help


def named(source: str) -> list[tuple[int, str]]:
    """Line and words of every library's name in code: identifiers and texts, docstrings excepted."""
    tree = ast.parse(source)
    return [(line, words) for line, words in _words(tree, _docstrings(tree)) if LIBRARY.search(words)]


def _docstrings(tree: ast.AST) -> set[ast.AST]:
    """Texts that stand for themselves: of modules, classes, functions, and below a constant or a type."""
    return {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def _words(tree: ast.AST, docstrings: set[ast.AST]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Constant(value=str(text)) if node not in docstrings:
                yield line, text
            case ast.Constant(value=bytes(text)):
                yield line, text.decode("latin-1")
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield line, name
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                yield line, " ".join(names)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                yield line, name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield line, name
            case ast.alias(name=name, asname=other):
                yield line, f"{name} {other or ''}"
            case ast.ImportFrom(module=str(module)):
                yield line, module


@pytest.mark.parametrize("where", FILES)
def test_the_core_names_no_library(where: str) -> None:
    words = named((CORE / where).read_text(encoding="utf-8"))
    if where.startswith("cli/"):  # the command line's help shows what a model's name looks like
        words = [(line, text) for line, text in words if LIBRARY.search(SHOWN.sub("", text))]
    assert not words, "\n".join(f"isotune/{where}:{line}: {text}" for line, text in words)


@pytest.mark.parametrize("where", sorted(str(file.relative_to(CORE)) for file in CORE.rglob("*.j2")))
def test_its_templates_name_none_either(where: str) -> None:
    assert not LIBRARY.findall((CORE / where).read_text(encoding="utf-8"))


def test_what_may_name_libraries_is_there() -> None:
    for where in EXAMPLES:
        assert named((CORE / where).read_text(encoding="utf-8")), f"{where} names none: take it off the list"


@pytest.mark.parametrize(
    "source",
    ["import torch", "from isotune.adapters import timm", "keras_models = 1", "f(tensorflow=1)", "x = f'{y} of JAX'",
     "x = b'keras'", "try: ...\nexcept E as timm: ...", "match x:\n case [*keras]: ...", "global jax",
     "match x:\n case y as torch: ...", "class TorchThing: ...", "def f(tfds): ...", "x.timm",
     "flags = {'TF_XLA_FLAGS': 1}"],
)  # fmt: skip
def test_a_librarys_name_is_seen(source: str) -> None:
    assert named(source)


def test_docstrings_and_comments_may_name_libraries() -> None:
    assert not named('"""As torch does."""\n\ndef f():\n    """Not as Keras."""\n    return 1  # timm gives 2\n')
