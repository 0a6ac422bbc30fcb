"""From an image to the network's input: a scaling inside of a network read off, and how to write one.

`TorchModel` scales outside, isotune decodes and resizes itself.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from isotune.conventions import affine, named_scaling

if TYPE_CHECKING:
    from torch import Tensor, nn

_SEED = 0


@dataclass(frozen=True)
class Inside:
    """What a network does to its input before its first layer: y = x * scale + offset, of channels in reverse order
    where `reverse`."""

    reverse: bool
    scale: Any  # float64 [1, 3, 1, 1]
    offset: Any

    @property
    def named(self) -> str | None:
        """As a value of input_scaling, constants of float32 being the decimals that they are written as; None: it has
        no such."""
        scale, offset = (values.flatten().cpu().numpy() for values in (self.scale, self.offset))
        if not self.reverse and scale.min() > 0:
            std = _written(1 / (255 * scale))
            return named_scaling(1 / (255 * std), -_written(-offset / (255 * scale)) / std)
        _, own_scale, own_offset = affine("caffe")
        known = abs(scale - own_scale).max() < 1e-6 and abs(offset - own_offset).max() < 1e-4
        return "caffe" if self.reverse and known else None

    def of(self, images: Tensor) -> Tensor:
        """What the first layer gets of [N, 3, H, W]."""
        given = images.flip(1) if self.reverse else images
        scaled: Tensor = given * self.scale.to(images) + self.offset.to(images)
        return scaled

    def undone(self, given: Tensor) -> Tensor:
        """The images of which the first layer gets this."""
        images: Tensor = (given - self.offset.to(given)) / self.scale.to(given)
        return images.flip(1) if self.reverse else images


def scaling_inside(net: nn.Module, size: tuple[int, int]) -> Inside | None:
    """Seen in a pass of a few random pixels of 0..255, in float64. None: `net` gives its input to its first layer as it
    is, or makes something else of it than a scaling of each channel."""
    import torch

    given: list[Tensor] = []

    class Seen(Exception):
        pass

    def see(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        given.append(inputs[0])
        raise Seen

    probed = copy.deepcopy(net).double().eval()
    for module in probed.modules():
        inner = any(True for child in module.children() for _ in child.parameters())
        if not inner and any(True for _ in module.parameters(recurse=False)):
            module.register_forward_pre_hook(see)
    generator = torch.Generator().manual_seed(_SEED)
    images = 255 * torch.rand((2, 3, *size), dtype=torch.float64, generator=generator)
    try:
        with torch.no_grad():
            probed(images)
    except Seen:
        pass
    except Exception:  # whatever a foreign forward does in float64: nothing is known
        return None
    if not given or given[0].shape != images.shape or torch.equal(given[0], images):
        return None
    return next((scaling for reverse in (False, True) if (scaling := _fitted(images, given[0], reverse))), None)


def _written(values: np.ndarray) -> np.ndarray:
    """[3]; what is a number of float32, to float64's rounding, as the shortest decimal of it."""
    narrow = values.astype(np.float32)
    exact = np.abs(narrow - values) <= 1e-12 * np.abs(values)
    return np.where(exact, [float(str(each)) for each in narrow], values)


def _fitted(images: Tensor, given: Tensor, reverse: bool) -> Inside | None:
    ordered = images.flip(1) if reverse else images
    mean, wanted = (values.mean((0, 2, 3), keepdim=True) for values in (ordered, given))
    around = ordered - mean
    scale = (around * (given - wanted)).sum((0, 2, 3), keepdim=True) / around.square().sum((0, 2, 3), keepdim=True)
    scaling = Inside(reverse, scale, wanted - mean * scale)
    error = (scaling.of(images) - given).abs().max() / given.abs().max()
    return scaling if error < 1e-9 and scale.abs().min() > 0 and scaling.named else None


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
