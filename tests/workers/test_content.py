"""What is installed for an adapter, where its version does not tell."""

from __future__ import annotations

import json
import os

import pytest

from isotune.workers import content


@pytest.fixture
def library(house, monkeypatch):
    """Installs a library with one module, under one version: library(code, edited in place or not)."""
    monkeypatch.syspath_prepend(str(house))
    monkeypatch.setattr(content, "packages", lambda adapter: ("a-library",))
    package, about = house / "a_library", house / "a_library-1.0.dist-info"
    for folder in (package, about):
        folder.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: a-library\nVersion: 1.0\n")

    def install(code: str, *, edited: bool) -> dict[str, str]:
        (package / "__init__.py").write_text(code)
        (about / "RECORD").write_text("" if edited else f"a_library/__init__.py,sha256={hash(code)},{len(code)}\n")
        (about / "direct_url.json").write_text(json.dumps({"url": "file:///", "dir_info": {"editable": edited}}))
        return content.content("example")

    return install


@pytest.mark.parametrize("edited", [True, False], ids=["edited in place", "installed again"])
def test_a_library_of_the_same_version_with_other_code_is_told_apart(library, edited):
    before = library("ONE = 1", edited=edited)
    assert library("ONE = 1", edited=edited) == before
    assert library("ONE = 2", edited=edited) != before


def test_what_is_not_code_and_what_python_makes_of_it_is_not_read(library, house):
    before = library("ONE = 1", edited=True)
    (house / "a_library/__pycache__").mkdir()
    (house / "a_library/__pycache__/a.pyc").write_bytes(b"1")
    assert library("ONE = 1", edited=True) == before
    weights = house / "a_library/weights.bin"
    weights.write_bytes(b"1")
    os.utime(weights, (1, 1))
    with_weights = library("ONE = 1", edited=True)
    assert with_weights != before
    weights.write_bytes(b"2")
    os.utime(weights, (1, 1))
    assert library("ONE = 1", edited=True) == with_weights


def test_an_adapter_that_is_not_installed_has_what_all_have(house):
    assert set(content.content("none-such")) >= {"isotune", "numpy"}
