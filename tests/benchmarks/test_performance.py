"""The comparison with what users would run: its arithmetic, and what its sides compute."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

PERFORMANCE = Path(__file__).parents[2] / "benchmarks/validation/performance"
CALM = {"others": 0.0}
BUSY = {"others": 0.5}


@pytest.fixture(scope="module")
def report():
    spec = importlib.util.spec_from_file_location("performance_report", PERFORMANCE / "report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def side(*seconds: float, busy: int | None = None) -> dict[str, object]:
    disturbances = [BUSY if turn == busy else CALM for turn in range(len(seconds))]
    return {"seconds": list(seconds), "disturbances": disturbances, "memory": 2e6}


def test_a_ratio_is_of_rounds_and_leaves_out_those_in_which_either_side_was_disturbed(report):
    found = report.ratio(side(1, 2, 4), side(1.5, 3, 40, busy=2))
    assert (found.median, found.low, found.high, found.left_out) == (1.5, 1.5, 1.5, 1)
    assert report.ratio(side(9, 2, 4, busy=0), side(1, 3, 6)).median == 1.5


def test_each_mode_is_held_against_the_same_and_against_what_comes_by_itself(report):
    sides = {
        "adapter | float32": side(2.0),
        "by hand | float32": side(3.0),
        "adapter | bfloat16": side(1.0),
        "by hand | bfloat16": side(1.0),
    }
    found = [(*names, figure.median) for *names, figure in report.pairs({"sides": sides}, "adapter")]
    assert found == [
        ("adapter | float32", "by hand", "float32", 1.5),
        ("adapter | bfloat16", "by hand", "bfloat16", 1.0),
        ("adapter | bfloat16", "by hand", "float32", 3.0),
    ]


def test_of_a_compiled_measurement_the_table_shows_what_was_compiled(report):
    sides = {
        "adapter | float32": side(2.0),
        "by hand | float32": side(3.0),
        "adapter | float32 compiled": side(1.0),
        "by hand | float32 compiled": side(1.0),
    }
    asked = {"question": "training", "batch": 8, "library": "timm", "network": "resnet50"}
    asked["modes"] = ["float32", "float32-compiled"]
    measured = {"compiled training timm": {"asked": asked, "sides": sides, "flops": 1e9, "bytes": 1e9}}
    lines, figures = report.steps_table("training", measured, {})
    assert [figure.median for figure in figures] == [1.0, 3.0]
    assert all("| float32 compiled |" in line for line in lines)


def test_a_measurement_that_failed_and_one_that_is_not_there_are_named(report):
    asked = {"library": "timm", "network": "resnet50", "question": "training", "batch": 8}
    sides = {"adapter | float32": side(2.0), "by hand | float32": side(3.0)}
    measured = {
        "machine": {"float32": 1e11, "float32 (NumPy)": 1e11, "bfloat16": 2e11, "copy": 1e10},
        "one": {"asked": asked, "sides": sides, "failed": {"by hand | float64": "ValueError: no"},
                "flops": 1e11, "bytes": 1e10},
        "two": {"error": "not done after 5 s"},
    }  # fmt: skip
    text = report.report(measured, ["one", "two", "three"])
    assert "| timm | resnet50 | float32 | 4.0 | by hand | 1.50 (1.50 to 1.50) | 12.50 | 0.50 | 0.50 | 2, 2 |" in text
    assert "- two: not done after 5 s" in text
    assert "- one, by hand | float64: ValueError: no" in text
    assert "- Not measured: three." in text


@pytest.mark.slow  # networks, loops and a profile of each
def test_a_step_is_measured_in_turn_and_its_operations_counted():
    asked = {"library": "torchvision", "network": "mobilenet_v2", "question": "training", "size": 32, "batch": 2,
             "modes": ["float32"], "rounds": 2, "seconds": 0.0}  # fmt: skip
    command = [sys.executable, str(PERFORMANCE / "row.py"), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found["sides"]) == {"adapter | float32", "by hand | float32"}
    assert all(len(each["seconds"]) == 2 for each in found["sides"].values())
    # Sandler et al., CVPR 2018: 300 million multiplications and additions at 224 pixels, 1.28 of them the classifier's
    forward = 2 * (300.8e6 - 1.28e6) * (32 / 224) ** 2 + 2 * 12800
    # backward twice as much, but for the images' gradient
    assert found["flops"] / 2 == pytest.approx(3 * forward, rel=0.04)
