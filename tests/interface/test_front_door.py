"""`import isotune` is a table of contents: nothing behind it is imported before it is used."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import isotune
from isotune import errors

REFERENCE = (Path(__file__).parents[2] / "docs/reference/python.md").read_text(encoding="utf-8")
HEAVY = ("numpy", "pandas", "scipy", "matplotlib", "pydantic", "rich", "torch", "tensorflow", "keras", "PIL", "sklearn")


def imported(statement: str) -> set[str]:
    """Modules that a fresh Python has after the statement."""
    script = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_isotune_imports_nothing_heavy():
    modules = imported("import isotune")
    assert not modules & set(HEAVY)
    assert {name for name in modules if name.startswith("isotune.")} == set()


@pytest.mark.parametrize("statement", ["from isotune import cli", "from isotune import errors", "isotune.__version__"])
def test_neither_do_the_command_line_the_errors_and_the_version(statement):
    assert not imported(f"import isotune\n{statement}") & set(HEAVY)


def test_using_it_imports_no_framework_and_nothing_to_draw_with():
    modules = imported("import isotune\nisotune.run, isotune.Protocol, isotune.open_model, isotune.models")
    assert not modules & {"torch", "tensorflow", "keras", "pandas", "matplotlib", "statsmodels"}


def test_scipys_statistics_are_imported_when_they_are_needed():
    """They take longer than all else that a command needs before its workers start."""
    assert "scipy.stats" not in imported("import isotune\nisotune.run, isotune.investigate, isotune.prove")


def test_every_name_of_the_front_door_is_there_and_documented():
    for name in isotune.__all__:
        value = getattr(isotune, name)
        assert name in dir(isotune)
        if name != "__version__":
            assert value.__doc__, name
            assert re.search(rf"\b{name}\b", REFERENCE), f"{name} is not in the reference"
    assert set(isotune._PLACES) | {"__version__", *isotune._WHOLE} == set(isotune.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        isotune.trian  # noqa: B018
    assert not hasattr(isotune, "_repr_html_")


def test_models_is_a_package_that_can_be_called():
    from isotune.models import checkpoints

    assert isotune.models.checkpoints is checkpoints
    assert callable(isotune.models)
    assert "adapters" in isotune.models.__call__.__annotations__


def test_the_errors_are_one_family():
    for kind in (errors.Unavailable, errors.NotCached, errors.MissingExtra):
        assert issubclass(kind, isotune.errors.UsageError)
