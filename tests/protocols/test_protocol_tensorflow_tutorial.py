"""The canonical layer from which `tensorflow-tutorial` trains is Keras's layer 100."""

from __future__ import annotations

import subprocess
import sys

import pytest

from isotune import protocols

pytest.importorskip("h5py", reason="needs the extra keras")

SCRIPT = """
import keras
model = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(160, 160, 3))
kinds = {"Conv2D": "conv", "DepthwiseConv2D": "conv", "BatchNormalization": "norm"}
named = {}
for layer in model.layers:
    if layer.weights:
        named[layer.name] = f"{len(named):03d}.{kinds[type(layer).__name__]}"
print(next(named[layer.name] for layer in model.layers[100:] if layer.weights))
"""


def test_the_second_stage_starts_at_the_first_weights_from_keras_layer_100_on() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    if "No module named" in done.stderr:
        pytest.skip("needs the extra keras")
    assert protocols.load("tensorflow-tutorial").stage[1].trained == f"from:{done.stdout.split()[-1]}", done.stderr
