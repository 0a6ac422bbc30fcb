"""What stands beside a checkpoint's file and says how it is taken.

| file | what |
|---|---|
| `FILE.names.json` | what the file's tensors are in the model: {"the file's": "the model's"}, or "in order" |
| `preprocessor_config.json` | mean, deviation, size and crop of the images, as on the Hugging Face hub |
| `config.json` | the same as timm writes it, under `pretrained_cfg` or by itself |

Names and the scaling act wherever the file is used, so that they are part of a cell's key (`digest`). Size and crop are
how the checkpoint is evaluated (`isotune.runs.own_classifier`), and part of the protocol that a cell has.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from isotune import reading
from isotune.conventions import named_scaling
from isotune.errors import UsageError

NAMES = ".names.json"  # behind the name of a file of weights
PROCESSOR, CONFIG = "preprocessor_config.json", "config.json"
_MOST = 4 * reading.MIB  # bytes of each
_RESAMPLING = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers, which Hugging Face's files have
_LARGE = 384  # pixels; from here on Hugging Face's ConvNeXt takes the whole image (its `crop_pct`)
_IN_ORDER: Literal["in order"] = "in order"
Names = Mapping[str, str] | Literal["in order"] | None  # as `Adapter.load_renamed` takes them


@dataclass(frozen=True)
class Evaluation:
    """How a fine-tuned checkpoint's images are made, as its folder says.

    file: that says so. scaling: a value of the axis input_scaling; empty: it says nothing of that. size: of the input,
    pixels; None: it says nothing of that. resize: the shorter side before the crop, pixels, "squash", or the share that
    the crop takes of it. unlike: what of it `protocols.Input` cannot express, in words.
    """

    file: Path
    scaling: str = ""
    size: int | None = None
    resize: int | float | Literal["squash"] = "squash"
    interpolation: str = "bilinear"
    unlike: str = ""


def names(file: Path) -> Names:
    """Of the file's tensors; None: nothing is said. UsageError: it is no such map."""
    path = file.with_name(file.name + NAMES)
    if not path.exists():
        return None
    said = reading.json(path, _MOST)
    if said == _IN_ORDER:
        return _IN_ORDER
    if not isinstance(said, dict) or not said or not all(isinstance(name, str) for name in said.values()):
        raise UsageError(f'{path}: write {{"name in the file": "name in the model"}}, or "{_IN_ORDER}"')
    return said


def evaluation(file: Path) -> Evaluation | None:
    """How images for the checkpoint are made; None: nothing beside it says so. UsageError: it is said in two ways."""
    said = [
        each
        for name, read in ((PROCESSOR, _of_processor), (CONFIG, _of_config))
        if (path := file.with_name(name)).exists() and (each := read(path, _object(path))) is not None
    ]
    if len({each.scaling for each in said if each.scaling}) > 1:
        raise UsageError(
            f"{said[0].file} says that pixels are scaled by {said[0].scaling}, and {said[1].file.name} by"
            f" {said[1].scaling}; remove one of the two"
        )
    return said[0] if said else None


def files(file: Path) -> dict[str, Path]:
    """Those that are there, by their names."""
    return {path.name: path for path in _paths(file) if path.exists()}


def digest(file: Path) -> str | None:
    """SHA-256 of what is said beside the file of names and scaling; None: nothing is. UsageError: as of these."""
    said: dict[str, Any] = {"names": names(file), "input_scaling": (about := evaluation(file)) and about.scaling}
    said = {what: value for what, value in said.items() if value}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest() if said else None


def _paths(file: Path) -> Iterator[Path]:
    yield file.with_name(file.name + NAMES)
    yield file.with_name(PROCESSOR)
    yield file.with_name(CONFIG)


def _object(path: Path) -> dict[str, Any]:
    content = reading.json(path, _MOST)
    return content if isinstance(content, dict) else {}


def _of_processor(path: Path, config: Mapping[str, Any]) -> Evaluation | None:
    """transformers' image processors (transformers/image_processing_base.py): [N, H, W, C] * rescale_factor, less mean,
    by deviation."""
    if not {"image_mean", "image_std", "size", "do_normalize"} & set(config):
        return None
    factor = config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1
    normalised = config.get("do_normalize", True)
    mean, deviation = (
        config.get(f"image_{name}") if normalised else value for name, value in (("mean", 0), ("std", 1))
    )
    scaling = "" if mean is None or deviation is None else _scaling(path, mean, deviation, factor)
    sides, crop = _sides(config.get("size")), _sides(config.get("crop_size"))
    share: Any = config.get("crop_pct")
    said: dict[str, Any] = {
        "file": path,
        "scaling": scaling,
        "interpolation": _RESAMPLING.get(config.get("resample", 2), ""),
    }
    if not sides:
        return Evaluation(**said)
    if _is_share(share) and len(sides) == 1:
        (size,) = sides
        return Evaluation(**said, size=size, resize="squash" if size >= _LARGE else int(size / share))
    if config.get("do_center_crop", bool(crop)) and crop:
        unlike = "" if len(sides) == 1 and len(set(crop)) == 1 else "a squash that is then cropped, or an oblong crop"
        return Evaluation(**said, size=crop[0], resize=sides[0], unlike=unlike)
    unlike = "" if len(sides) == 2 and len(set(sides)) == 1 else "an oblong input"
    return Evaluation(**said, size=sides[0], unlike=unlike)


def _of_config(path: Path, config: Mapping[str, Any]) -> Evaluation | None:
    """timm's `pretrained_cfg` (timm/data/config.py); its crop is a share of the resized side."""
    inner = config.get("pretrained_cfg")
    config = {**(inner if isinstance(inner, dict) else {}), **config}
    sides, mean, deviation = config.get("input_size"), config.get("mean"), config.get("std")
    if mean is None and deviation is None and sides is None:
        return None
    scaling = "" if mean is None or deviation is None else _scaling(path, mean, deviation, 1 / 255)
    said: dict[str, Any] = {
        "file": path,
        "scaling": scaling,
        "interpolation": str(config.get("interpolation", "bicubic")),
    }
    if sides is None:
        return Evaluation(**said)
    pixels = _sides(sides[1:] if isinstance(sides, list) and len(sides) == 3 else None)
    share, mode = config.get("crop_pct", 0.875), config.get("crop_mode", "center")
    if not pixels or not _is_share(share):
        raise UsageError(f"{path}: input_size must be [3, height, width], and crop_pct a share")
    unlike = "" if len(set(pixels)) == 1 else "an oblong input"
    if mode != "center" and (mode, share) != ("squash", 1):
        unlike = f"crop_mode {mode!r}"
    whole = mode == "squash"
    return Evaluation(**said, size=pixels[0], resize="squash" if whole else float(share), unlike=unlike)


def _scaling(path: Path, mean: Any, deviation: Any, factor: Any) -> str:
    """The axis' value of (x * factor - mean) / deviation. UsageError: they are no numbers of three channels."""
    try:
        offset, scale, by = (np.broadcast_to(np.asarray(each, np.float64), 3) for each in (mean, deviation, factor))
    except (TypeError, ValueError):
        offset, scale, by = (np.full(3, math.nan),) * 3
    if not np.isfinite([offset, scale, by]).all() or (scale <= 0).any() or (by <= 0).any():
        raise UsageError(f"{path}: mean and deviation must be three numbers each, the deviation above 0")
    return named_scaling(by / scale, -offset / scale)


def _sides(said: Any) -> tuple[int, ...]:
    """(shorter side) or (height, width), pixels; empty: nothing is said that could be one."""
    if isinstance(said, Mapping):
        said = [said[name] for name in ("height", "width") if name in said] or said.get("shortest_edge")
    values: Sequence[Any] = said if isinstance(said, list) else [said]
    whole = all(isinstance(side, int) and not isinstance(side, bool) and 0 < side < 1 << 16 for side in values)
    return tuple(values) if whole and 0 < len(values) <= 2 else ()


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1
