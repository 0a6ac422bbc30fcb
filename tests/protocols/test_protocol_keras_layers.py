"""The canonical layers from which recipes of Keras train are those that its guides count in `model.layers`."""

from __future__ import annotations

from pathlib import Path

import pytest
from keras_processes import process_of

from isotune import protocols

pytest.importorskip("h5py", reason="needs the extra keras")


@pytest.mark.xdist_group("keras")
def test_stages_start_at_the_layers_that_keras_guides_count(tmp_path: Path) -> None:
    """`base_model.layers[100:]` of MobileNetV2; the last 20 layers of the EfficientNet example, of which a new head has
    four: pooling, BatchNorm, dropout and the classifier."""
    process_of("tensorflow").run("facts/guide_layers.py", tmp_path / "layers.txt")
    first, second = (tmp_path / "layers.txt").read_text().split()
    assert protocols.load("tensorflow-tutorial").stage[1].trained == f"from:{first}"
    assert protocols.load("keras-dogs").stage[1].trained == f"from:{second}"
