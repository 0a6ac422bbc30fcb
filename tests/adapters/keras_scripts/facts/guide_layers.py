"""OUT.txt: the first layers with weights that Keras's guides train, in canonical names, counted off Keras."""

import sys
from pathlib import Path

from isotune.adapters.keras import KerasAdapter

KerasAdapter("tensorflow").environment()
import keras  # noqa: E402

kinds = {"Conv2D": "conv", "DepthwiseConv2D": "conv", "BatchNormalization": "norm"}
said = []
for build, size, first in ((keras.applications.MobileNetV2, 160, 100), (keras.applications.EfficientNetB0, 224, -16)):
    model = build(weights=None, include_top=False, input_shape=(size, size, 3))
    named = {}
    for layer in model.layers:
        if type(layer).__name__ in kinds:
            named[layer.name] = f"{len(named):03d}.{kinds[type(layer).__name__]}"
    said.append(next(named[layer.name] for layer in model.layers[first:] if layer.name in named))
Path(sys.argv[1]).write_text("\n".join(said))
