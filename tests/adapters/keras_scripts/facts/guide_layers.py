"""OUT.json: the first layers with weights that Keras's guides train, in canonical names, counted off Keras; all of
EfficientNetB0, and those that the EfficientNet example trains in its second stage; what its frozen dropout gives of
ones."""

import json
import sys
from pathlib import Path

from isotune.adapters.keras import KerasAdapter

KerasAdapter("tensorflow").environment()
import keras  # noqa: E402

kinds = {"Conv2D": "conv", "DepthwiseConv2D": "conv", "BatchNormalization": "norm"}
first_layers = []
for build, size, first in ((keras.applications.MobileNetV2, 160, 100), (keras.applications.EfficientNetB0, 224, -16)):
    model = build(weights=None, include_top=False, input_shape=(size, size, 3))
    named = {}
    for layer in model.layers:
        if type(layer).__name__ in kinds:
            named[layer.name] = f"{len(named):03d}.{kinds[type(layer).__name__]}"
    first_layers.append(next(named[layer.name] for layer in model.layers[first:] if layer.name in named))

model.trainable = False  # the example's build_model, then its unfreeze_model
x = keras.layers.BatchNormalization()(keras.layers.GlobalAveragePooling2D()(model.output))
outputs = keras.layers.Dense(120, activation="softmax")(keras.layers.Dropout(0.2)(x))
example = keras.Model(model.input, outputs)
for layer in example.layers[-20:]:
    if not isinstance(layer, keras.layers.BatchNormalization):
        layer.trainable = True
trained = [named[layer.name] for layer in example.layers if layer.name in named and layer.trainable_weights]
drop = example.get_layer("block6d_drop")
given = keras.ops.convert_to_numpy(drop(keras.ops.ones((256, 2, 2, 1)), training=True)).reshape(256, 4)
said = {
    "first": first_layers, "all": list(named.values()), "trained": trained,
    "drop": {"trainable": drop.trainable, "rate": drop.rate, "given": given.tolist()},
}  # fmt: skip
Path(sys.argv[1]).write_text(json.dumps(said))
