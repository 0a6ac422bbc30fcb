"""ENGINE OUT.json: losses of three steps with masks of residual branches, compiled and not, in float64."""

import json
import sys
from pathlib import Path

import numpy as np

from isotune.adapters.base import Recipe
from isotune.adapters.keras import KerasAdapter
from isotune.conventions import Conventions
from isotune.protocols import SGD
from isotune.weights import random_weights

engine, out = sys.argv[1:]
adapter = KerasAdapter(engine)
adapter.environment()
from networks import branched  # noqa: E402, F401

stream = np.random.default_rng(0)
images = stream.integers(0, 256, (3, 6, 16, 16, 3), dtype=np.uint8)
labels = stream.integers(0, 3, (3, 6))
masks = stream.integers(0, 2, (3, 6, 3)).astype(np.float32) * 2
said = {}
for compiled in (False, True):
    model = adapter.build(
        "Branched", classes=3, checkpoint=None, conventions=Conventions(), image_size=(16, 16),
        numeric_mode="float64", compiled=compiled,
    )  # fmt: skip
    model.load(random_weights({name: array.shape for name, array in model.weights().items()}, 7))
    trainer = model.trainer(Recipe(SGD(momentum=0.875), frozenset(layer.name for layer in model.layers())))
    steps = zip(images, labels, masks, strict=True)
    said[str(compiled)] = [float(trainer.step(some, theirs, 2**-6, None, each)) for some, theirs, each in steps]
    said[f"{compiled}, whole"] = float(trainer.step(images[0], labels[0], 2**-6))
Path(out).write_text(json.dumps(said))
