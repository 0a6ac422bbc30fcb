"""Networks of the user's own, functions in Python files: taken as they are written, compared with a library's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from isotune import data, protocol
from isotune.errors import UsageError
from isotune.investigation import Side, investigate

HERE = Path(__file__).parent
NETWORKS = HERE / "own_networks"
PLAIN = f"torch:{NETWORKS / 'plain_torch.py'}:make"


def investigated(left: str, right: str, spec: str = "identical"):
    pytest.importorskip("torch", reason="needs the extra torch")
    pytest.importorskip("h5py", reason="needs the extra keras")
    sides = (
        Side(model=left, checkpoint="random:0", conventions="identical"),
        Side(model=right, checkpoint="random:0", conventions=spec),
    )
    return investigate(*sides, data.prepare("digits"), protocol.load("quick-fine-tune"), images=4, steps=2)


@pytest.mark.parametrize("engine", ["tensorflow", "jax", "torch"])
def test_a_keras_network_is_taken_however_it_is_written(engine, tmp_path):
    pytest.importorskip("h5py", reason="needs the extra keras")
    command = [sys.executable, HERE / "keras_scripts" / "own_networks.py", engine, tmp_path]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]


def test_a_keras_port_under_names_of_its_own_is_a_librarys_network_on_every_rung(house):
    pytest.importorskip("torchvision", reason="needs the extra torch")
    found = investigated("torchvision:mobilenet_v2:width_mult=0.35", f"keras:{NETWORKS / 'mobilenet.py'}:ported")
    assert found.stopped is None
    assert {rung.verdict for rung in found.rungs} == {"holds", "not applicable"}
    (layers,) = [rung for rung in found.rungs if rung.name == "layers"]
    assert layers.compared == 105
    assert found.names["000.conv"] == ("features.0.0", "conv2d")


@pytest.mark.parametrize(
    ("engine", "option", "axis", "was", "value"),
    [
        ("keras", "epsilon=0.001", "batchnorm_epsilon", 1e-3, 1e-5),
        ("keras@torch", "padding=same", "stride2_padding", "end", "symmetric"),
        ("keras@jax", "", "", None, None),
    ],
    ids=["epsilon", "padding", "sound"],
)
def test_what_is_wrong_in_a_keras_port_of_a_torch_network_is_named(house, engine, option, axis, was, value):
    right = f"{engine}:{NETWORKS / 'plain_keras.py'}:make" + (f":{option}" if option else "")
    found = investigated(PLAIN, right, "identical,batchnorm_epsilon=own,stride2_padding=own")
    assert found.stopped is None
    first = found.first_failure
    if not option:
        assert {rung.verdict for rung in found.rungs} == {"holds", "not applicable"}
        return
    assert first is not None
    assert first.name == "layers"
    assert [(flip.axis, flip.was, flip.value) for flip in first.cause.flips] == [(axis, was, value)]
    assert "eyes" in first.where or "first_norm" in first.where, first.where


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no.py:make", "there is no no.py; write keras:PATH.py:FUNCTION"),
        ("broken.py:make", "broken.py cannot be run, line 2: ZeroDivisionError"),
        ("broken.py", "is not keras:PATH.py:FUNCTION"),
        ("exits.py:make", "exits.py cannot be run, line 1: SystemExit"),
    ],
)
def test_a_file_that_does_not_run_is_one_line(house, name, said):
    (house / "broken.py").write_text("import math\n1 / 0\n")
    (house / "exits.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(UsageError) as caught:
        investigated(f"keras@torch:{name}", PLAIN)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plain_torch.py:mak", "did you mean 'make'?"),
        ("plain_torch.py:make:width=3", "has no option 'width'"),
        ("raises.py:make", "raises.py:make: make() fails, line 2: ValueError: too wide"),
    ],
)
def test_a_torch_function_that_fails_is_one_line(house, name, said):
    (house / "plain_torch.py").write_text((NETWORKS / "plain_torch.py").read_text())
    (house / "raises.py").write_text("def make():\n    raise ValueError('too wide')\n")
    with pytest.raises(UsageError) as caught:
        investigated(f"torch:{name}", PLAIN)
    assert said in str(caught.value)


@pytest.mark.parametrize("command", [["parity"], ["transfer", "-o", "out.weights.h5"]], ids=lambda command: command[0])
def test_what_goes_by_architectures_refuses_a_file_in_one_line(here, house, command):
    status, said, told = here(command[0], "keras:port.py:make", "torchvision:mobilenet_v2", *command[1:])
    assert (status, said) == (2, "")
    assert "isotune investigate compares it" in told
    assert len(told.strip().splitlines()) == 1
