"""The canonical layers from which recipes of Keras train are those that its guides count in `model.layers`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from isotune import protocols

pytest.importorskip("h5py", reason="needs the extra keras")

SCRIPT = """
import keras
kinds = {"Conv2D": "conv", "DepthwiseConv2D": "conv", "BatchNormalization": "norm"}
for build, size, first in ((keras.applications.MobileNetV2, 160, 100), (keras.applications.EfficientNetB0, 224, -16)):
    model = build(weights=None, include_top=False, input_shape=(size, size, 3))
    named = {}
    for layer in model.layers:
        if type(layer).__name__ in kinds:
            named[layer.name] = f"{len(named):03d}.{kinds[type(layer).__name__]}"
    print(next(named[layer.name] for layer in model.layers[first:] if layer.name in named))
"""


def test_stages_start_at_the_layers_that_keras_guides_count() -> None:
    """`base_model.layers[100:]` of MobileNetV2; the last 20 layers of the EfficientNet example, of which a new head has
    four: pooling, BatchNorm, dropout and the classifier."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    if "No module named" in done.stderr:
        pytest.skip("needs the extra keras")
    first, second = done.stdout.split()[-2:]
    assert protocols.load("tensorflow-tutorial").stage[1].trained == f"from:{first}", done.stderr
    assert protocols.load("keras-dogs").stage[1].trained == f"from:{second}"
