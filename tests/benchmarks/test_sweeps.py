"""What a sweep costs: figures beside their goals, and parts that are measured apart."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[2] / "benchmarks/validation/sweeps"


@pytest.fixture
def sweeps(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOM), *sys.path])
    spec = importlib.util.spec_from_file_location("sweeps_main", ROOM / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for name in ("figures", *module.PARTS):
        sys.modules.pop(name, None)


def part(name: str, value: float) -> dict[str, object]:
    figure = {"what": name, "value": value, "unit": "s", "most": 1.0, "least": None}
    return {"title": name, "figures": [figure], "lines": ["a line"], "command": "c", "date": "d", "seconds": 3,
            "environment": {"cpu": "one", "cores": "2"}}  # fmt: skip


def test_a_goal_is_reached_or_missed_and_what_is_not_measured_is_named(sweeps):
    text = sweeps.page({"seed": part("slow", 2), "warm": part("quick", 0.5)})
    assert "| slow | 2.00 s | at most 1.00 s | **missed** |" in text
    assert "| quick | 0.50 s | at most 1.00 s | reached |" in text
    absent = [name for name in sweeps.PARTS if name not in ("seed", "warm")]
    assert f"Not measured: {', '.join(absent)}." in text


def test_a_part_that_is_measured_again_leaves_the_others(sweeps, tmp_path, monkeypatch, capsys):
    (tmp_path / sweeps.FILE).write_text(json.dumps({"seed": part("seed", 2), "warm": part("warm", 2)}))
    monkeypatch.setattr(sys, "argv", ["sweeps", "--only", "warm", "--out", str(tmp_path)])
    measured = {"title": "again", "figures": part("again", 0.5)["figures"], "lines": []}
    monkeypatch.setitem(sys.modules, "warm", type("Warm", (), {"measure": staticmethod(lambda place, quick: measured)}))
    sweeps.main()
    kept = json.loads((tmp_path / sweeps.FILE).read_text())
    assert (kept["seed"]["title"], kept["warm"]["title"]) == ("seed", "again")
    assert kept["warm"]["command"] == "python benchmarks/validation/sweeps --only warm"
    assert "| again | 0.50 s |" in (tmp_path / sweeps.PAGE).read_text()


def test_a_part_that_is_not_there_is_said(sweeps, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sweeps", "--only", "wram"])
    with pytest.raises(SystemExit, match="2"):
        sweeps.main()
    assert "--only wram: the parts are " in capsys.readouterr().err


def test_every_part_is_a_module_of_the_room(sweeps):
    assert [name for name in sweeps.PARTS if not (ROOM / f"{name}.py").exists()] == []
