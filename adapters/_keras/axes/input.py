"""From an image to the network's input: scaling inside a Keras model, realised and read off, and how to write it.

`Network` scales outside the model, isotune decodes and resizes itself.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import numpy as np

from isotune.adapters.input_lines import (
    ANTIALIAS,
    NEAREST,
    OPENCV,
    OPENCV_AREA,
    OPENCV_NOTE,
    PILLOW_DECODES,
    TENSORFLOW_DECODES,
    scaled,
)
from isotune.adapters.remedies import Lines, Table
from isotune.conventions import IMAGENET_STD, affine, named_scaling


def settle_scaling(model: Any) -> None:
    """Have the Normalizations inside `model` take up their variables, which their call does not read; to be
    called after these are set, and before anything is traced."""
    import keras

    from isotune.adapters._keras.layers import flatten

    for layer in flatten(model):
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.finalize_state()


def scaling_layers(model: Any) -> list[Any]:
    """The preprocessing layers inside `model` (EfficientNet, MobileNetV3, ConvNeXt), in order: those before any other
    layer that owns tensors. What follows them is the network proper."""
    import keras

    from isotune.adapters._keras.layers import flatten

    kinds = keras.layers.Rescaling | keras.layers.Normalization
    first = takewhile(lambda layer: isinstance(layer, kinds) or not layer.weights, flatten(model))
    return [layer for layer in first if isinstance(layer, kinds)]


def own_scaling(model: Any, rescaled: bool) -> str | None:
    """What the preprocessing layers inside `model` amount to, as a value of input_scaling; None: it has none.

    rescaled: as in `conventions.realise`, for a model that lacks the second Rescaling.
    """
    import keras

    scale, offset, acts = np.ones(3), np.zeros(3), False
    for layer in scaling_layers(model):
        if isinstance(layer, keras.layers.Rescaling):
            factor, shift = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
        else:
            given = layer.input_mean is not None
            mean, variance = (
                np.asarray(keras.ops.convert_to_numpy(values), np.float64).reshape(-1)
                for values in ((layer.mean, layer.variance) if given else (layer.adapt_mean, layer.adapt_variance))
            )
            factor = 1 / np.maximum(np.sqrt(variance), 1e-7)
            shift = -mean * factor
            if rescaled:
                factor, shift = (values / np.sqrt(IMAGENET_STD) for values in (factor, shift))
        scale, offset, acts = scale * factor, offset * factor + shift, True
    return named_scaling(scale, offset) if acts else None


def set_normalization(model: Any, scaling: str) -> None:
    """Have the trainable Normalization inside `model`, EfficientNet's after its division by 255, scale the input as
    `scaling` says; nothing happens without one, or for a scaling that it cannot be (BGR)."""
    import keras

    from isotune.adapters._keras.layers import flatten

    reverse, scale, offset = affine(scaling)
    for layer in flatten(model):
        if isinstance(layer, keras.layers.Normalization) and layer.weights and scaling != "none" and not reverse:
            std = 1 / (255 * scale)
            for variable, values in ((layer.adapt_mean, -offset * std), (layer.adapt_variance, std**2)):
                variable.assign(np.reshape(values, tuple(variable.shape)))


# -- the lines to write


_PLAIN = '''
import keras
import numpy as np


def resize(image, height, width):
    """uint8 [height, width, 3] of a uint8 [H, W, 3] array."""
    pixels = keras.ops.image.resize(image.astype("float32"), (height, width), antialias=False)
    return np.clip(np.rint(keras.ops.convert_to_numpy(pixels)), 0, 255).astype("uint8")
'''


def _scaling(value: str) -> Lines:
    lines = scaled(value)
    return ("import numpy as np\n\n" if "np." in lines else "") + lines, (
        "It takes the place of `preprocess_input`. Models that scale their input themselves need"
        " `include_preprocessing=False` (MobileNetV3, EfficientNetV2, ConvNeXt); EfficientNet B0 to B7 has no such"
        " argument, and isotune takes its scaling out."
    )


REMEDIES: Table = {
    "decode": {
        "pillow": (PILLOW_DECODES, "`keras.utils.load_img` reads with Pillow too, but leaves EXIF orientation alone."),
        "tensorflow": (TENSORFLOW_DECODES, "`keras.utils.image_dataset_from_directory` does so by itself."),
    },
    "resize": {
        "antialias": (
            ANTIALIAS,
            "`keras.layers.Resizing(height, width, antialias=True)` is the same filter, without rounding to levels.",
        ),
        "plain": (_PLAIN, "`keras.layers.Resizing` does so by itself, without rounding to levels."),
        "nearest": (NEAREST, "`keras.utils.load_img` does so by itself when it is given a size."),
        "opencv": (OPENCV, OPENCV_NOTE),
        "opencv-area": (OPENCV_AREA, ""),
    },
    "input_scaling": _scaling,
}
