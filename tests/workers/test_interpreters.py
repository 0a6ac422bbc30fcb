"""Other environments: a library of another version runs there on the isotune of here, and what is lacking is said."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

from isotune import investigation
from isotune.errors import Unavailable, UsageError
from isotune.workers import interpreters

HOW = ["--checkpoint", "random:0", "--protocol", "quick-fine-tune", "--images", "2", "--steps", "2"]
OUT = ["--out", "found", "--name", "n"]
OLD = "1.0.15"
# In timm up to 1.0.20 the BatchNorm behind space-to-depth takes its channels for its epsilon.
NETWORK = """
from torch import nn
from timm.models._efficientnet_blocks import InvertedResidual

def made():
    block = InvertedResidual(4, 6, stride=2, s2d=1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10))
"""


@pytest.fixture
def bare(house) -> Path:
    """An environment with nothing in it; its folder."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", house / "other"], check=True)
    return house / "other"


def site(environment: Path) -> Path:
    (found,) = environment.glob("lib/python*/site-packages")
    return found


@pytest.fixture
def old(bare) -> Path:
    """An environment with what this one has, isotune excepted, and an older timm."""
    pytest.importorskip("torch", reason="needs the extra torch")
    if metadata.version("timm") == OLD:
        pytest.skip(f"timm {OLD} is what runs here")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "--retries", "0", "--target", site(bare), f"timm=={OLD}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"pip cannot fetch timm {OLD}: {done.stderr.strip().splitlines()[-1]}")
    (site(bare) / "also.pth").write_text(sysconfig.get_path("purelib"))
    return bare


def test_two_versions_of_a_library_are_compared_and_what_differs_is_named(here, house, old):
    (house / "network.py").write_text(NETWORK)
    side = "torch:network.py:made"
    status, said, told = here(
        "investigate", side, side, *HOW, "--left-python", "other/bin/python", *OUT, "--json"
    )  # fmt: skip
    assert status == 1, told
    found, now = json.loads(said), metadata.version("timm")
    assert [found["environment"][which]["timm"] for which in ("left", "right")] == [OLD, now]
    assert len({found["environment"][which]["isotune"] for which in ("left", "right")}) == 1
    failing = [rung for rung in found["rungs"] if rung["verdict"] == "fails"]
    assert [rung["name"] for rung in failing] == ["layers", "training-mode layers"]
    assert "bn_s2d" in failing[0]["where"]
    assert [flip["axis"] for flip in failing[0]["cause"]["flips"]] == ["batchnorm_epsilon"]
    assert f"(native, timm {OLD})" in found["verdict"]
    report = (house / "found/n.md").read_text()
    assert "| interpreter | `other/bin/python` | isotune's own |" in report
    assert f"| timm | **{OLD}** | **{now}** |" in report


def test_an_environment_that_lacks_packages_is_named_with_what_to_install(here, house, bare):
    python = "other/bin/python"
    (site(bare) / "PIL").mkdir()
    (site(bare) / "numpy.py").touch()
    with pytest.raises(Unavailable) as caught:
        interpreters.check(python)
    lacking = [package for package in interpreters.NEEDED if package not in ("numpy", "pillow")]
    assert str(caught.value) == (
        f"the environment of {python} lacks {', '.join(lacking[:-1])} and {lacking[-1]};"
        f" run: {python} -m pip install {' '.join(lacking)}"
    )
    model = "example:random-features"
    status, said, told = here("investigate", model, model, *HOW, "--right-python", python, *OUT)
    assert status == 1, told
    assert str(caught.value) in said
    assert (house / "found/n-left-dump/dump.json").exists()


def test_what_every_worker_needs_is_all_that_it_needs(house, bare):
    """A worker starts in an environment with these packages and what they need, and no others."""
    wanted, links = [*interpreters.NEEDED], site(bare)
    for package in wanted:
        wanted += [name for name in requirements(package) if name not in wanted]
    for package in wanted:
        for file in metadata.files(package) or []:
            top = file.parts[0]
            if top != ".." and not (links / top).exists() and top != "__pycache__":
                (links / top).symlink_to(Path(str(metadata.distribution(package).locate_file(top))))
    done = subprocess.run(
        [*interpreters.command("isotune.workers.worker", str(bare / "bin/python")), "example"],
        input='{"do": "isotune.runs.requests:environment", "from": ".", "with": {}}',
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["result"]["isotune"] == metadata.version("isotune")


def requirements(package: str) -> list[str]:
    every = [each for each in metadata.requires(package) or [] if ";" not in each]
    return [re.split(r"[^\w.-]", each)[0] for each in every]


@pytest.mark.parametrize("python", ["not-python", "old-python", "silent"])
def test_what_is_no_interpreter_or_too_old_is_one_line(here, house, python):
    """An old Python is played by a script, for there may be none here."""
    said = {"not-python": "echo hello", "old-python": "echo 'isotune asks 3 8'", "silent": "exit 3"}[python]
    (house / python).write_text(f"#!/bin/sh\n{said}\n")
    (house / python).chmod(0o755)
    what = "is Python 3.8, and isotune needs 3.11 or newer" if python == "old-python" else "is no Python interpreter"
    with pytest.raises(UsageError, match=what):
        interpreters.check(f"./{python}")
    model = "example:random-features"
    status, out, told = here("investigate", model, model, *HOW, "--right-python", f"./{python}", *OUT)
    assert (status, out) == (2, "")
    assert len(told.strip().splitlines()) == 1
    assert not (house / "found").exists()


def test_an_extra_is_installed_with_the_versions_that_isotune_needs():
    assert [each.partition(">")[0] for each in interpreters.packages_of("isotune[torch]")] == [
        "torch",
        "torchvision",
        "timm",
    ]
    assert interpreters.packages_of("isotune[none]") == []


def test_the_embedded_checkpoint_is_in_the_cache_before_another_environment_asks_for_it(house, monkeypatch):
    pytest.importorskip("torch", reason="needs the extra torch")
    monkeypatch.setenv("ISOTUNE_CACHE", str(house / "cache"))
    investigation.side("torchvision:mobilenet_v2", "offline", "native", "float64", python=sys.executable)
    assert list((house / "cache/checkpoints").glob("offline-*.safetensors"))
