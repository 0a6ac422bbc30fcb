"""Every command in the README is run, and its table is the committed leaderboard's."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.removeprefix("$ ") for block in BLOCKS for line in block.splitlines()]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, shared_cache) -> tuple[Path, dict[str, str]]:
    """A folder with what the README takes for granted: photos, the protocol, the suite."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("workplace")
    stream = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 4)):
        for number, label in enumerate(("ants", "bees")):
            place = folder / "photos" / split / label
            place.mkdir(parents=True)
            for image in range(count):
                pixels = stream.integers(0, 128, (40, 50, 3)) + 100 * number
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{image}.png")
    toml = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert toml
    (folder / "one-epoch.toml").write_text(toml[1], encoding="utf-8")
    (folder / "benchmarks").symlink_to(ROOT / "benchmarks")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "ISOTUNE_CACHE": str(shared_cache), "OMP_NUM_THREADS": "1"}
    return folder, environment


def test_there_are_commands():
    assert len(COMMANDS) > 8
    assert all(line.startswith("$ ") for block in BLOCKS for line in block.splitlines())


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_make_knows_the_target(command):
    done = subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [command for command in COMMANDS if not command.startswith("make ")])
def test_the_command_does_what_it_says(command, workplace):
    folder, environment = workplace
    done = subprocess.run(
        shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Traceback" not in done.stderr


def test_the_table_is_the_committed_leaderboards():
    table = re.search(r"<!-- leaderboard -->\n(.*?)<!-- /leaderboard -->", README, re.DOTALL)
    assert table
    rows = [line for line in table[1].splitlines() if line.strip()]
    committed = (ROOT / "reports/leaderboard.md").read_text(encoding="utf-8").splitlines()
    assert len(rows) > 4
    for row in rows:
        assert row in committed


def test_every_file_that_the_readme_names_is_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
