"""`isotune doctor --references`: what it prints, and its exit status."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from isotune import reference_results as results
from isotune.cli import app
from isotune.reference_results import _installed as installed
from isotune.reference_results import _tables as tables

FACTS = {"version": "9.9", "checkpoints": {}}


@pytest.fixture
def doctor(monkeypatch, tmp_path):
    """Runs it on a copy of the tables, without asking torchvision."""
    for file in Path(str(tables.folder())).iterdir():
        if file.suffix in (".csv", ".bib"):
            shutil.copy(file, tmp_path)
    monkeypatch.setattr(tables, "folder", lambda: tmp_path)
    monkeypatch.setattr(installed, "installed_torchvision", lambda: None)

    def run(*options: str):
        return CliRunner().invoke(app, ["doctor", "--references", *options])

    run.tables = tmp_path
    return run


def test_sound_tables_are_counted_and_their_contradictions_shown(doctor) -> None:
    done = doctor()
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].startswith(f"{len(results.references())} published numbers, ")
    assert "torchvision not installed, not compared" in lines[0]
    assert any(line.split() == ["imagenet.csv", "3411"] for line in lines)
    assert any("contradictions, the widest gap first" in line for line in lines)
    assert any("keras:ResNet50V2" in line and "299 pixels" in line for line in lines)


def test_each_problem_is_a_line_and_the_exit_status_1(doctor) -> None:
    file = doctor.tables / "transfer.csv"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(",high,sfda,", ",certain,sfda,", 2), encoding="utf-8")
    done = doctor()
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 2
    assert all("transfer.csv, line " in line and "trust: 'certain'" in line for line in done.output.splitlines())


@pytest.mark.parametrize("sound", [True, False])
def test_json_says_the_same(doctor, sound: bool) -> None:
    if not sound:
        (doctor.tables / "sources.bib").write_text("", encoding="utf-8")
    done = doctor("--json")
    answer = json.loads(done.output)
    assert done.exit_code == (0 if sound else 1)
    assert bool(answer["problems"]) != sound
    assert answer["rows"]["imagenet.csv"] == 3411
    widest = answer["contradictions"][0]
    values = [each["value"] for each in widest["values"]]
    assert widest["gap"] == pytest.approx(max(values) - min(values))
    assert {"model", "checkpoint", "dataset", "metric", "status", "why", "sources"} <= set(widest)


def test_torchvision_that_disagrees_or_cannot_be_asked_is_a_problem(doctor, monkeypatch) -> None:
    monkeypatch.setattr(installed, "installed_torchvision", lambda: FACTS)
    done = doctor()
    assert done.exit_code == 1
    assert "imagenet.csv: torchvision 9.9 has no alexnet IMAGENET1K_V1" in done.output

    def broken() -> None:
        raise OSError("libtorch is gone")

    monkeypatch.setattr(installed, "installed_torchvision", broken)
    assert "the installed torchvision cannot be asked: libtorch is gone" in doctor().output


def test_the_installed_tables_and_torchvision_agree() -> None:
    pytest.importorskip("torchvision")
    done = CliRunner().invoke(app, ["doctor", "--references"])
    assert done.exit_code == 0, done.output
    assert "228 numbers compared" in done.output
