"""The source that results depend on: of the adapter, of what it is built on, of what a cell runs; no other."""

from __future__ import annotations

import importlib
import shutil

import pytest

from isotune import names
from isotune.workers import code, environment
from isotune.workers.environment import CODE, CORE, codes, outdated


def test_what_a_cell_runs_counts_and_what_reports_or_plans_does_not() -> None:
    files = {name for name, _ in code.core_files()}
    assert {
        "runs/cell_runner.py", "runs/training.py", "runs/probe.py", "runs/own_classifier/classes.py",
        "data/resizing.py",
        "data/augmentation.py", "data/_views.py", "protocols/schedules.py", "weights/_drawing.py", "models/building.py",
        "conventions/_axes.py", "data/sources/imagenet_synsets.csv",
    } <= files  # fmt: skip
    rooms = {name.partition("/")[0] for name in files}
    assert not {"adapters", "cli", "interface", "report", "sweeps", "investigation", "parity", "statistics"} & rooms
    assert len(files) > 50


@pytest.mark.parametrize(("file", "counts"), [("runs/training.py", True), ("report/wording.py", False)])
def test_an_edit_of_what_a_cell_runs_is_told(tmp_path, monkeypatch, file: str, counts: bool) -> None:
    before = code.core_code.__wrapped__()
    copy = tmp_path / "isotune"
    shutil.copytree(code._PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "_PACKAGE", copy)
    assert code.core_code.__wrapped__() == before
    with (copy / file).open("a") as source:
        source.write("# other\n")
    assert (code.core_code.__wrapped__() != before) == counts


def test_the_packages_that_an_adapter_is_built_on_count(house, monkeypatch) -> None:
    """The class of a third party may derive from that of another."""
    for package in ("its_own", "its_base"):
        (house / package).mkdir()
        (house / package / "__init__.py").write_text("")
        (house / package / "more.py").write_text("ONE = 1\n")
    (house / "its_base/adapter.py").write_text("class Base: pass\n")
    (house / "its_own/adapter.py").write_text("from its_base.adapter import Base\nclass Own(Base): pass\n")
    monkeypatch.syspath_prepend(str(house))
    own = importlib.import_module("its_own.adapter").Own
    digests = {code._digest(code.adapter_files(own))}
    for file in ("its_own/more.py", "its_base/more.py", "its_base/adapter.py"):
        with (house / file).open("a") as source:
            source.write("# other\n")
        digests.add(code._digest(code.adapter_files(own)))
    assert len(digests) == 4


def test_the_adapters_own_files_and_those_of_its_base_count(house) -> None:
    files = {name for name, _ in code.adapter_files(names.adapter_class("example"))}
    assert {"isotune_example.py", "isotune.adapters/base.py", "isotune.adapters/execution_order.py"} <= files


def test_weights_beside_the_code_are_no_code(tmp_path) -> None:
    source, weights = ("a.py", tmp_path / "a.py"), ("weights.bin", tmp_path / "weights.bin")
    for _, file in (source, weights):
        file.write_text("1")
    assert code._digest({source, weights}) == code._digest({source})


@pytest.mark.parametrize("name", [CODE, CORE])
def test_other_code_makes_a_record_stale(name: str) -> None:
    now = codes("timm")
    assert all(len(digest) == 12 for digest in now.values())
    assert not outdated(now, "timm")
    assert outdated(now | {name: "0" * 12}, "timm") == [(name, "0" * 12, now[name])]


def test_packages_that_fitted_a_probe_make_its_record_stale(monkeypatch) -> None:
    then = {name: environment.version(name) for name in environment.PROBE}
    assert not outdated(then, "timm")
    assert [name for name, *_ in outdated(then | {"scipy": "0.1"}, "timm")] == ["scipy"]
