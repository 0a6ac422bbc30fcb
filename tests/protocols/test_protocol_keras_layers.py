"""The canonical layers that recipes of Keras train are those that its guides count in `model.layers`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from keras_processes import process_of

from isotune import protocols
from isotune.protocols.trained import trained_layers
from isotune.weights import HEAD, Layer

pytest.importorskip("h5py", reason="needs the extra keras")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """From guide_layers.py."""
    process_of("tensorflow").run("facts/guide_layers.py", out := tmp_path_factory.mktemp("layers") / "out.json")
    return json.loads(out.read_text())


@pytest.mark.xdist_group("keras")
def test_stages_train_the_layers_that_keras_guides_count(said: dict) -> None:
    """`base_model.layers[100:]` of MobileNetV2; the last 20 layers of the EfficientNet example, of which a new head has
    four, pooling, BatchNorm, dropout and the classifier, but no BatchNorm of the network."""
    dogs = protocols.load("keras-dogs").stage[1]
    assert [protocols.load("tensorflow-tutorial").stage[1].trained, dogs.trained] == [
        f"from:{first}" for first in said["first"]
    ]
    names = [*said["all"], HEAD]
    layers = [Layer(name, name.rpartition(".")[2], 0, name) for name in names]
    tensors = [f"{name}.{slot}" for name in names for slot in (("mean",) if name.endswith(".norm") else ("kernel",))]
    chosen = trained_layers(dogs, layers, lambda: tensors)
    assert chosen == {*said["trained"], HEAD}
    every = trained_layers(dogs.model_copy(update={"batchnorm": "inference"}), layers, lambda: tensors)
    assert {name.rpartition(".")[2] for name in every - chosen} == {"norm"}


@pytest.mark.xdist_group("keras")
def test_stochastic_depth_of_keras_acts_in_frozen_layers(said: dict) -> None:
    """A whole image or none of it, divided by what is kept; of block 14 of 16."""
    drop, given = said["drop"], np.array(said["drop"]["given"])
    assert not drop["trainable"]
    depth = protocols.load("keras-dogs").stage[0].stochastic_depth
    assert drop["rate"] == pytest.approx(depth.rate * 14 / 16)
    assert np.all(given == given[:, :1])
    assert {0.0, *given[given > 0]} == {0.0, np.float32(1 / (1 - drop["rate"]))}
    assert np.mean(given == 0) == pytest.approx(drop["rate"], abs=0.1)
