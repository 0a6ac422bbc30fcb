"""A Keras training that is killed goes on from its draft to bitwise the same end, on each engine."""

from __future__ import annotations

import json

import pytest
from keras_processes import process_of

pytestmark = [pytest.mark.parametrize("engine", ["tensorflow", "jax", "torch"]), pytest.mark.xdist_group("keras")]


def differing(engine, folder, *mode) -> dict[str, list[str]]:
    """By case, from tests/adapters/keras_scripts/going_on.py."""
    process_of(engine).run("going_on.py", engine, folder, out := folder / "out.json", *mode)
    return json.loads(out.read_text())


def test_a_training_goes_on_to_the_same_end(engine, tmp_path) -> None:
    assert differing(engine, tmp_path) == {"Keras's own": [], "formulas": [], "branches": []}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["float32", "bfloat16", "float64", "compiled"])
def test_every_optimizer_goes_on_to_the_same_end_in_every_mode(engine, mode, tmp_path) -> None:
    assert differing(engine, tmp_path, mode) == {"Keras's own": [], "formulas": [], "branches": []}
