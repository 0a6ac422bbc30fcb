"""Architectures that Keras shares with timm or torchvision: one set of canonical weights, the same function.

What `tests/test_keras_mobilenet_v2.py` shows for one architecture at every width and size, for others at one odd and
oblong size, in float64, under torch's conventions and with every tensor drawn at random. Keras runs in a process of
its own.
"""

from __future__ import annotations

import numpy as np
import pytest
from test_keras_conventions import features

from isotune import conventions, names
from isotune.checkpoints import TORCH_CONVENTIONS
from isotune.weights import random_weights

pytest.importorskip("timm", reason="needs the extra torch")
SIZE = (64, 75)
PAIRS = [
    ("MobileNet", "timm:mobilenetv1_100"),
    ("DenseNet121", "timm:densenet121"),
    ("DenseNet121", "torchvision:densenet121"),
    ("EfficientNetB0", "timm:tf_efficientnet_b0"),
    ("EfficientNetB0", "torchvision:efficientnet_b0"),
    ("EfficientNetV2B0", "timm:tf_efficientnetv2_b0"),
]


def torch_layers(name: names.ModelName, images: np.ndarray, folder) -> tuple[dict[str, np.ndarray], str]:
    """Output of every layer, the pooled features as "features", and the file of the weights."""
    adapter = names.load_adapter(name)
    axes = conventions.resolve(
        "identical", native=adapter.native_conventions(name.name), protocol={}, checkpoint=TORCH_CONVENTIONS
    )
    model = adapter.build(
        name.name, classes=10, checkpoint=None, conventions=axes, numeric_mode="float64", image_size=SIZE
    )
    layout = {key: array.shape for key, array in model.weights().without_head().items()}
    weights = random_weights(layout, 1)
    model.load({key: array.astype(np.float64) for key, array in weights.items()})
    file = folder / f"{name.adapter}-{name.name}.safetensors"
    weights.write(file)
    return dict(model.activations(images)) | {"features": model.features(images)}, str(file)


def test_the_same_weights_are_the_same_function(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    given, expected = [], []
    for keras, other in PAIRS:
        wanted, file = torch_layers(names.parse(other), images, tmp_path)
        expected.append(wanted)
        given.append(
            {
                "name": keras,
                "options": {},
                "size": SIZE,
                "mode": "float64",
                "conventions": TORCH_CONVENTIONS,
                "weights": file,
                "images": f"{tmp_path}/images.npy",
                "activations": True,
            }
        )
    found = features("tensorflow", given, tmp_path)
    for number, (pair, wanted) in enumerate(zip(PAIRS, expected, strict=True)):
        for layer, array in wanted.items():
            if layer != "head":  # a new one, zero in both
                ours = found[str(number) if layer == "features" else f"{number}/{layer}"]
                error = np.abs(ours - array).max() / np.abs(array).max()
                assert error < 1e-10, (pair, layer, error)
