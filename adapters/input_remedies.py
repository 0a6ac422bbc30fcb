"""The lines for the input, beside torchvision and timm and beside Keras: axis -> value -> (code, note)."""

from __future__ import annotations

from collections.abc import Iterable

from isotune.conventions import affine

_PILLOW_DECODES = """
import numpy as np
from PIL import Image, ImageOps


def decode(path):
    return np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
"""

_TENSORFLOW_DECODES = """
import tensorflow as tf


def decode(path):
    return tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False).numpy()
"""

_ANTIALIAS = '''
import numpy as np
from PIL import Image


def resize(image, height, width):
    """uint8 [height, width, 3] of a uint8 [H, W, 3] array."""
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
'''
_NEAREST = _ANTIALIAS.replace("BILINEAR", "NEAREST")

_TORCH_PLAIN = '''
import torch
from torch.nn import functional


def resize(image, height, width):
    """uint8 [height, width, 3] of a uint8 [H, W, 3] array."""
    maps = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    maps = functional.interpolate(maps, (height, width), mode="bilinear", align_corners=False, antialias=False)
    return maps[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
'''

_KERAS_PLAIN = '''
import keras
import numpy as np


def resize(image, height, width):
    """uint8 [height, width, 3] of a uint8 [H, W, 3] array."""
    pixels = keras.ops.image.resize(image.astype("float32"), (height, width), antialias=False)
    return np.clip(np.rint(keras.ops.convert_to_numpy(pixels)), 0, 255).astype("uint8")
'''

TORCH: dict[str, dict[str, tuple[str, str]]] = {
    "decode": {
        "pillow": (_PILLOW_DECODES, "The libraries' data sets read with Pillow too, but leave EXIF orientation alone."),
        "tensorflow": (
            _TENSORFLOW_DECODES,
            "It needs TensorFlow: decode in a program of its own, and keep the result without loss (PNG).",
        ),
    },
    "resize": {
        "antialias": (_ANTIALIAS, "`torchvision.transforms.Resize` does the same to Pillow images."),
        "plain": (_TORCH_PLAIN, "Halves between two grey levels may round the other way."),
        "nearest": (_NEAREST, ""),
    },
}
KERAS: dict[str, dict[str, tuple[str, str]]] = {
    "decode": {
        "pillow": (_PILLOW_DECODES, "`keras.utils.load_img` reads with Pillow too, but leaves EXIF orientation alone."),
        "tensorflow": (_TENSORFLOW_DECODES, "`keras.utils.image_dataset_from_directory` does so by itself."),
    },
    "resize": {
        "antialias": (
            _ANTIALIAS,
            "`keras.layers.Resizing(height, width, antialias=True)` is the same filter, without rounding to levels.",
        ),
        "plain": (_KERAS_PLAIN, "`keras.layers.Resizing` does so by itself, without rounding to levels."),
        "nearest": (_NEAREST, "`keras.utils.load_img` does so by itself when it is given a size."),
    },
}

_TO_TORCH = "torch.from_numpy(np.ascontiguousarray(inputs)).permute(0, 3, 1, 2).to(next(model.parameters()))"


def torch_scaling(value: str) -> tuple[str, str]:
    code = f"import numpy as np\nimport torch\n\n{_scaled(value)}\ninputs = {_TO_TORCH}"
    return code, "These lines take the place of the transform's ToTensor and Normalize."


def keras_scaling(value: str) -> tuple[str, str]:
    scaled = _scaled(value)
    return ("import numpy as np\n\n" if "np." in scaled else "") + scaled, (
        "It takes the place of `preprocess_input`. Models that scale their input themselves need"
        " `include_preprocessing=False` (MobileNetV3, EfficientNetV2, ConvNeXt); EfficientNet B0 to B7 has no such"
        " argument, and isotune takes its scaling out."
    )


def _scaled(value: str) -> str:
    """The network's input from `images`, in NumPy."""
    reverse, scale, offset = affine(value)
    pixels = "images[..., ::-1]" if reverse else "images"
    if (scale == 1).all():
        return f"inputs = {pixels}.astype(np.float64)" + (f" - [{_list(-offset)}]" if offset.any() else "")
    std = 1 / (255 * scale)
    mean = -offset * std
    if len({*mean}) == len({*std}) == 1:
        return f"inputs = {pixels} / {255 * std[0]:.9g}" + (f" - {-offset[0]:.9g}" if offset.any() else "")
    return f"inputs = ({pixels} / 255 - [{_list(mean)}]) / [{_list(std)}]"


def _list(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:.9g}" for number in numbers)
