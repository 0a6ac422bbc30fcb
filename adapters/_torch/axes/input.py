"""From an image to the network's input: how to write it. `TorchModel` scales, isotune decodes and resizes itself."""

from __future__ import annotations

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

_PLAIN = '''
import torch
from torch.nn import functional


def resize(image, height, width):
    """uint8 [height, width, 3] of a uint8 [H, W, 3] array."""
    maps = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    maps = functional.interpolate(maps, (height, width), mode="bilinear", align_corners=False, antialias=False)
    return maps[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
'''


_TO_TORCH = "torch.from_numpy(np.ascontiguousarray(inputs)).permute(0, 3, 1, 2).to(next(model.parameters()))"


def _scaling(value: str) -> Lines:
    code = f"import numpy as np\nimport torch\n\n{scaled(value)}\ninputs = {_TO_TORCH}"
    return code, "These lines take the place of the transform's ToTensor and Normalize."


REMEDIES: Table = {
    "decode": {
        "pillow": (PILLOW_DECODES, "The libraries' data sets read with Pillow too, but leave EXIF orientation alone."),
        "tensorflow": (
            TENSORFLOW_DECODES,
            "It needs TensorFlow: decode in a program of its own, and keep the result without loss (PNG).",
        ),
    },
    "resize": {
        "antialias": (ANTIALIAS, "`torchvision.transforms.Resize` does the same to Pillow images."),
        "plain": (_PLAIN, "Halves between two grey levels may round the other way."),
        "nearest": (NEAREST, ""),
        "opencv": (OPENCV, OPENCV_NOTE),
        "opencv-area": (OPENCV_AREA, ""),
    },
    "input_scaling": _scaling,
}
