"""The pytest plug-in, as a port's own project uses it: pytest in a process of its own, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = "isotune.testing"
INSTALLED = "isotune" in {entry.name for entry in metadata.entry_points(group="pytest11")}
NETWORK = """
from torch import nn


def make(slope=0.0):
    body = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4, eps=EPS), nn.LeakyReLU(slope))
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
"""


@pytest.fixture
def project(house):
    """Writes a test file and runs pytest on it; warnings are errors there, as they are here."""

    def run(text: str, *options: str, status: int, statement: str = "") -> str:
        (house / "port").mkdir(exist_ok=True)
        for name, epsilon in (("ours", "1e-5"), ("same", "1e-5"), ("other", "1e-3")):
            (house / f"port/{name}.py").write_text(NETWORK.replace("EPS", epsilon))
        (house / "port/test_port.py").write_text(text)
        (house / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n")
        start = [sys.executable, "-m", "pytest"] if not statement else [sys.executable, "-c", statement]
        named = [] if INSTALLED else ["-p", PLUGIN]
        done = subprocess.run(
            [*start, *named, "-q", "-p", "no:cacheprovider", "port", *options],
            cwd=house, env=os.environ | {"PYTEST_ADDOPTS": ""}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == status, said
        assert "Traceback" not in said
        return said

    return run


TWO_PAIRS = """
import isotune


@isotune.identical("torchvision:mobilenet_v3_small", "torchvision:mobilenet_v3_small:width_mult=0.5")
@isotune.identical("torch:port/ours.py:make", "torch:same.py:make", checkpoint="random:0", images=2, quick=True)
def test_port(isotune_pair):
    assert not [rung for rung in isotune_pair.result.rungs if rung.verdict == "fails"]
"""


def test_each_pair_is_a_test_and_says_for_a_ci_what_came_of_it(project, house):
    pytest.importorskip("torchvision", reason="needs the extra torch")
    said = project(TWO_PAIRS, "--junitxml=found.xml", "-n", "2", status=1)
    assert "1 failed, 1 passed" in said
    cases = ElementTree.parse(house / "found.xml").getroot().iter("testcase")
    found = {
        case.get("name"): {each.get("name"): each.get("value") for each in case.iter("property")} for case in cases
    }
    wide, same = (
        "test_port[torchvision:mobilenet_v3_small=torchvision:mobilenet_v3_small:width_mult=0.5]",
        "test_port[torch:port/ours.py:make=torch:same.py:make]",
    )
    assert set(found) == {wide, same}
    assert found[same]["isotune.verdict"] == "identical"
    assert found[same]["isotune.right"] == f"torch:{house}/port/same.py:make"
    assert "torch 2" in found[same]["isotune.versions"]
    assert found[wide]["isotune.verdict"] != "identical"
    assert "torchvision:mobilenet_v3_small" in found[wide]["isotune.why"]


OTHER = """
import isotune
from other import make as mine


@isotune.identical("torch:port/ours.py:make", mine, checkpoint="random:0", images=2, steps=2)
def test_port():
    raise AssertionError("the body runs only where both are the same")
"""


def test_a_difference_fails_in_a_few_lines_that_name_it(project, house):
    pytest.importorskip("torch", reason="needs the extra torch")
    said = project(OTHER, "--junitxml=found.xml", status=1)
    lines = [line for line in said.splitlines() if line.strip()]
    assert len(lines) < 16, said
    assert "batchnorm_epsilon 0.001 against 1e-05" in said
    assert "test_port[torch:port/ours.py:make=make]" in said
    assert "the body runs" not in said
    (case,) = ElementTree.parse(house / "found.xml").getroot().iter("testcase")
    found = {each.get("name"): each.get("value") for each in case.iter("property")}
    assert found["isotune.verdict"] == "differs"
    assert found["isotune.rung"] == "layers"
    assert float(found["isotune.error"]) > 1e-6


PROVED = """
import isotune


@isotune.identical("torchvision:mobilenet_v3_small", "timm:mobilenetv3_small_100", batch=2)
def test_sound():
    pass


@isotune.identical(
    "torchvision:mobilenet_v2:width_mult=0.35", "planted:mobilenet_v2:fault=epsilon-changed:width_mult=0.35", batch=2,
    only="inference",
)
def test_planted():
    pass
"""


def test_pairs_of_libraries_are_proved(project):
    pytest.importorskip("timm", reason="needs the extra torch")
    said = project(PROVED, status=1)
    assert "1 failed, 1 passed" in said
    assert "  features: error " in said
    assert "isotune investigate torchvision:mobilenet_v2:width_mult=0.35 planted:mobilenet_v2:" in said
    assert len([line for line in said.splitlines() if line.strip()]) < 16, said


WRONG = """
import isotune


@isotune.identical("torchvision:mobilenet_v9", "timm:mobilenetv2_100")
def test_name(): ...


@isotune.identical("torchvision:mobilenet_v2", "timm:mobilenetv2_100", onyl="inference")
def test_option(): ...


def test_no_decorator(isotune_pair): ...
"""


def test_wrong_use_is_one_line(project):
    pytest.importorskip("timm", reason="needs the extra torch")
    said = project(WRONG, status=1)
    assert "mobilenet_v9" in said
    assert "no option 'onyl' here; did you mean 'only'?" in said
    assert "is a fixture of tests under @isotune.identical" in said


MISSING = """
import importlib.util

known = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "timm" else known(name, package)
"""


@pytest.mark.parametrize("strict", ["", "--isotune-strict", "isotune_strict = true"])
def test_a_library_that_is_not_installed_is_a_skip_or_under_strictness_a_failure(project, house, strict):
    (house / "conftest.py").write_text(MISSING)
    options = [strict] if strict.startswith("--") else ["-o", strict.replace(" ", "")] if strict else []
    said = project(PROVED, "-rs", "-k", "test_sound", *options, status=1 if strict else 0)
    assert "pip install 'isotune[torch]'" in said
    assert ("1 failed" if strict else "1 skipped") in said


def test_a_session_without_pairs_imports_nothing_of_isotune(project):
    watched = (
        "import sys, pytest; status = pytest.main(sys.argv[1:]);"
        " print(sorted(name for name in sys.modules if name.startswith('isotune') or name == 'numpy'));"
        " sys.exit(status)"
    )
    said = project("def test_nothing(): pass\n", status=0, statement=watched)
    assert said.splitlines()[-1] == "['isotune', 'isotune.testing']"


def test_the_plugin_is_an_entry_point():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"isotune": PLUGIN}
