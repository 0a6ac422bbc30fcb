"""IMAGE.npy OUT.npz: what Keras's random layers make of an image, what they drew for it, and 3000 further draws.

For each layer `NAME.images`, `NAME.drawn` and `NAME.law`.
"""

import sys

import numpy as np

image, out = sys.argv[1:]
import keras  # noqa: E402
from keras import layers, ops  # noqa: E402

LAYERS = {
    "random-rotation": (layers.RandomRotation(0.15), "angle"),
    "random-translation": (layers.RandomTranslation(0.2, 0.1), "translations"),
    "random-flip": (layers.RandomFlip(), "flips"),
    "random-contrast": (layers.RandomContrast(0.3), "contrast_factor"),
}
images = ops.cast(np.repeat(np.load(image)[None], 8, axis=0), "float32")
results = {}
for name, (layer, key) in LAYERS.items():
    drawn = layer.get_random_transformation(images)
    results[f"{name}.images"] = layer.transform_images(images, drawn, training=True)
    results[f"{name}.drawn"] = drawn[key]
    results[f"{name}.law"] = layer.get_random_transformation(ops.zeros((3000, 40, 50, 3)))[key]
np.savez(out, **{name: keras.ops.convert_to_numpy(value) for name, value in results.items()})
