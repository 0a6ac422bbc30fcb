"""Residual branches of Keras's networks: found where its own layers leave them out, and left out alike."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from keras_processes import process_of

pytestmark = pytest.mark.xdist_group("keras")


@cache
def said() -> dict:
    """From branches.py."""
    with TemporaryDirectory() as folder:
        process_of("torch").run(Path(__file__).parent / "branches.py", "torch", out := Path(folder) / "out.json")
        return json.loads(out.read_text())


@pytest.mark.parametrize("network", ["EfficientNet", "ConvNeXt"])
def test_branches_and_rates_are_those_of_keras_own_layers(network):
    found = said()[network]
    assert found["own"] == pytest.approx([rate for rate in found["given"] if rate], rel=1e-12)
    assert found["differs"] == 0
    assert found["changed"] > 0
    if network == "ConvNeXt":  # as in torch
        assert found["blocks"] == [1, 3, 5, 6, 8]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["tensorflow", "jax", "torch"])
def test_a_compiled_step_leaves_the_same_branches_out(engine, tmp_path):
    process_of(engine).run(Path(__file__).parent / "compiled_branches.py", engine, out := tmp_path / "out.json")
    found = json.loads(out.read_text())
    assert found["True"] == pytest.approx(found["False"], rel=1e-9)
    assert found["True, whole"] == pytest.approx(found["False, whole"], rel=1e-9)


@pytest.mark.parametrize("network", ["VGG16", "DenseNet121"])
def test_a_network_without_any_is_refused(network):
    assert "adds nothing to a shortcut" in said()[network]
