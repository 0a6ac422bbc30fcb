"""The site builds without a warning, has every name of the interface, and the examples in docstrings run."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import inspect
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blocks import check_printed

import isotune as interface
from isotune import cli, protocols
from isotune.conventions import AXES

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")
LONG = {
    "run",
    "plan",
    "status",
    "load_runs",
    "Runs",
    "Leaderboard",
    "compare",
    "measured_models",
    "transfer",
    "verify",
    "study_variance",
    "prove",
    "prove_all",
    "investigate",
    "dump",
    "Protocol",
}


def documented() -> Iterator[tuple[str, Any]]:
    """The objects of the Python reference, and their public members, by name."""
    for name, members in re.findall(r"auto(?:function|class|module):: (\S+)(\n   :members:)?", REFERENCE):
        thing = _imported(name)
        yield name, thing
        if inspect.isclass(thing) and members:
            yield from ((f"{name}.{each}", value) for each, value in vars(thing).items() if not each.startswith("_"))


def _imported(name: str) -> Any:
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        with contextlib.suppress(ImportError):
            thing: Any = importlib.import_module(".".join(parts[:count]))
            for part in parts[count:]:
                thing = getattr(thing, part)
            return thing
    raise AssertionError(name)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built pages."""
    pytest.importorskip("sphinx", reason="pip install 'isotune[docs]'")
    place = tmp_path_factory.mktemp("site")
    command = [
        "-m",
        "sphinx",
        "--fail-on-warning",
        "--keep-going",
        "--quiet",
        "-d",
        str(place / "doctrees"),
        "-c",
        "docs",
    ]
    done = subprocess.run(
        [sys.executable, *command, ".", str(place / "pages")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return place / "pages"


def words(page: Path) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_the_site_is_made_of_the_code(site: Path) -> None:
    commands, axes = words(site / "docs/reference/commands.html"), words(site / "docs/concepts/conventions.html")
    fields = words(site / "docs/reference/protocols.html")
    for command in cli.app.registered_commands:
        assert f"isotune {command.name or command.callback.__name__.replace('_', '-')}" in commands
    assert [axis for axis in AXES if axis not in axes] == []
    assert [name for name in protocols.names() if name not in fields] == []
    assert [field for field in protocols.Stage.model_fields if field not in fields] == []


def test_the_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"(https?:[^\"]+)", text)
        assert loaded == [], page
    assert (site / "index.html").read_text(encoding="utf-8").count("docs/index.html") == 2


def test_no_place_for_what_is_generated_is_left_empty(site: Path) -> None:
    pages = [path for path in (ROOT / "docs").rglob("*.md") if "<!-- generated:" in path.read_text(encoding="utf-8")]
    assert len(pages) >= 3
    for page in pages:
        built = site / page.relative_to(ROOT).with_suffix(".html")
        assert "<!-- generated" not in built.read_text(encoding="utf-8")


def test_every_name_of_the_interface_is_in_the_reference() -> None:
    known = {name.split(".")[-1]: thing for name, thing in documented()} | {"errors": None, "__version__": None}
    modules = {name for name in interface.__all__ if inspect.ismodule(getattr(interface, name))}
    assert [name for name in interface.__all__ if name not in known and name not in modules - {"models"}] == []


def test_what_the_reference_documents_says_something() -> None:
    silent = [name for name, thing in documented() if callable(thing) and not inspect.getdoc(thing)]
    assert silent == []


@pytest.mark.parametrize("long", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_examples_in_docstrings_run_and_print_what_they_say(long: bool, house: Path) -> None:
    pytest.importorskip("torch")
    names: dict[str, Any] = {"isotune": interface, "numpy": importlib.import_module("numpy")}
    ran = 0
    for name, thing in documented():
        if not long and not LONG.isdisjoint(name.split(".")):
            continue
        for example in doctest.DocTestParser().get_examples(inspect.getdoc(thing) or ""):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(example.source, name, "single"), names)
            check_printed(printed.getvalue(), example.want.splitlines(), name)
            ran += 1
    assert ran >= (12 if long else 3)
