"""Conventions: the semantic choices in which libraries differ, one value per axis.

An axis either belongs to the *network* (a checkpoint was trained with it and means something else under
another value) or to the *recipe* (how it is fine-tuned). A set-up is

- `identical`: the checkpoint's network axes and the protocol's recipe axes, in every library alike;
- `native`: what each library does by default, the input scaling excepted: no library has a default
  scaling for weights that came from elsewhere, so the checkpoint's is used in both set-ups.

Either may be followed by overrides: `native,input_scaling=minus-one-to-one`.

`own` on a network axis means "as the library builds this model". It is what a library's own checkpoint
carries, and the only value that need not be the same function in two libraries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isotune.errors import UsageError, nearest

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN_RGB = (123.68, 116.779, 103.939)  # keras/src/applications/imagenet_utils.py, in RGB order

_COMMA = re.compile(r",(?![^(]*\))")  # not those inside the brackets of mean-std(R,G,B;R,G,B)
_CUSTOM_SCALING = re.compile(r"mean-std\(([^;()]+);([^;()]+)\)")


class Conventions(BaseModel):
    """One value per axis. The defaults are torch's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # -- input: what becomes of an image before the network sees it
    decode: Literal["pillow", "tensorflow"] = Field("pillow", description="who decodes encoded images")
    resize: Literal["antialias", "plain", "nearest"] = Field(
        "antialias",
        description="Pillow with antialias (torchvision, timm), without it (Keras Resizing), nearest (load_img)",
    )
    # -- network: a checkpoint carries these
    input_scaling: str = Field(
        "mean-std",
        description="mean-std (ImageNet's), minus-one-to-one, caffe (BGR minus mean), unit, none,"
        " or mean-std(R,G,B;R,G,B)",
    )
    stride2_padding: Literal["own", "symmetric", "end"] = Field(
        "own", description="strided convolutions and pools pad k//2 on both sides (torch) or at the end (SAME)"
    )
    pooling_border: Literal["own", "counted", "not-counted", "counted-when-strided"] = Field(
        "own", description="average pooling counts the padding (torch), not (SAME), or where it strides (Keras NASNet)"
    )
    max_pooling_border: Literal["own", "minus-infinity", "zeros"] = Field(
        "own",
        description="what max pooling sees outside the image: nothing (torch, SAME), zeros (Keras ResNet, NASNet)",
    )
    stride_location: Literal["own", "3x3", "first-1x1", "last-block"] = Field(
        "own", description="a ResNet strides on the 3x3 (torch), the first 1x1 (Keras v1), the block before (Keras v2)"
    )
    batchnorm_epsilon: float | None = Field(None, gt=0, description="None: the library's own value for the model")
    batchnorm_momentum: float | None = Field(
        None, gt=0, le=1, description="weight of the new batch (torch's notation; Keras's is 1 minus it); None: own"
    )
    gelu: Literal["own", "exact", "tanh"] = "own"
    # -- recipe
    optional_tensors: Literal["checkpoint", "own"] = Field(
        "checkpoint",
        description="convolution biases and BatchNorm scales: the checkpoint's, or those of the library's network",
    )
    batchnorm_running_variance: Literal["unbiased", "biased"] = Field(
        "unbiased", description="the variance that enters the running average: n/(n-1) (torch) or not (Keras)"
    )
    frozen_batchnorm: Literal["updates", "inference"] = Field(
        "inference", description="a frozen BatchNorm uses and tracks batch statistics (torch), or is in inference mode"
    )
    head_initialisation: Literal["uniform-fan-in", "glorot-uniform", "zeros"] = Field(
        "uniform-fan-in", description="U(+-1/sqrt(fan_in)) for weight and bias (torch), Glorot with zero bias (Keras)"
    )
    momentum_form: Literal["rate-outside", "rate-inside"] = Field(
        "rate-outside", description="w -= lr*v (torch) or v holds the learning rate (Keras)"
    )
    weight_decay_form: Literal["coupled", "decoupled"] = Field(
        "coupled", description="L2 in the gradient (torch SGD, Adam, RMSprop) or w -= lr*wd*w (Keras, AdamW)"
    )
    weight_decay_on: Literal["all", "kernels"] = Field("all", description="which trainable tensors decay")
    adam_epsilon: Literal["after-correction", "before-correction"] = Field(
        "after-correction", description="sqrt(v)/sqrt(1-b2^t)+eps (torch) or sqrt(v)+eps, then corrected (Keras)"
    )
    rmsprop_epsilon: Literal["outside-root", "inside-root"] = Field(
        "outside-root", description="sqrt(v)+eps (torch) or sqrt(v+eps) (Keras)"
    )
    clipping: Literal["global-norm", "per-variable"] = Field(
        "global-norm", description="clip_norm bounds the norm of all gradients (torch) or of each (Keras clipnorm)"
    )
    loss: Literal["logits", "clipped-probabilities"] = Field(
        "logits", description="cross-entropy from logits, or from softmax clipped to [1e-7, 1-1e-7] (Keras default)"
    )
    hyperparameters: Literal["float64", "float32"] = Field(
        "float64", description="precision in which momentum, betas and weight decay are held (Keras: float32)"
    )


NETWORK_AXES = (
    "input_scaling",
    "stride2_padding",
    "pooling_border",
    "max_pooling_border",
    "stride_location",
    "batchnorm_epsilon",
    "batchnorm_momentum",
    "gelu",
)


def resolve(
    spec: str,
    *,
    native: Conventions,
    protocol: Mapping[str, Any],
    checkpoint: Mapping[str, Any],
) -> Conventions:
    """The conventions that `spec` stands for.

    spec: `identical` or `native`, then overrides `,axis=value`.
    native: the adapter's defaults for the model.
    protocol: recipe and input axes that the protocol fixes (the rest are torch's).
    checkpoint: network axes that the checkpoint carries.
    Errors: UsageError for a spec that does not parse, a checkpoint with other axes or unknown values.
    """
    if stray := next((axis for axis in checkpoint if axis not in NETWORK_AXES), None):
        raise UsageError(f"the checkpoint carries {stray!r}, no axis of the network; {nearest(stray, NETWORK_AXES)}")
    base, overrides = parse(spec)
    if base == "identical":
        values = Conventions().model_dump() | dict(protocol) | dict(checkpoint)
    else:
        values = native.model_dump()
        if "input_scaling" in checkpoint:
            values["input_scaling"] = checkpoint["input_scaling"]
    return _validated(values | overrides)


def parse(spec: str) -> tuple[str, dict[str, Any]]:
    """`"native,axis=value"` -> `("native", {"axis": value})`, validated."""
    base, *pairs = (part.strip() for part in _COMMA.split(spec))
    if base not in ("identical", "native"):
        raise UsageError(f"conventions {base!r} are unknown; {nearest(base, ['identical', 'native'])}")
    values: dict[str, Any] = {}
    for pair in pairs:
        axis, sign, value = pair.partition("=")
        if not sign or axis not in Conventions.model_fields:
            raise UsageError(
                f"convention {pair!r} is not axis=value with a known axis; {nearest(axis, Conventions.model_fields)}"
            )
        if axis in values:
            raise UsageError(f"convention {axis!r} is given twice in {spec!r}")
        values[axis] = None if value == "own" and axis in ("batchnorm_epsilon", "batchnorm_momentum") else value
    checked = _validated(values)
    return base, {axis: getattr(checked, axis) for axis in values}


def _validated(values: Mapping[str, Any]) -> Conventions:
    try:
        checked = Conventions.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"convention {first['loc'][0]}={first.get('input')!r}: {first['msg']}") from None
    affine(checked.input_scaling)
    return checked


def written_conventions(text: str | None, path: object) -> dict[str, Any]:
    """Network axes that a checkpoint file names as JSON; empty for None. UsageError: they are damaged or unknown."""
    if text is None:
        return {}
    try:
        found = json.loads(text)
        return {axis: getattr(Conventions.model_validate(found), axis) for axis in NETWORK_AXES if axis in found}
    except (ValueError, TypeError):
        raise UsageError(f"{path}: the conventions in the file are damaged; write the file again") from None


def border_values(averages: set[tuple[bool, bool]]) -> list[str]:
    """Values of the axis pooling_border for average pools seen, each as (strided, padding counted)."""
    if averages == {(True, True), (False, False)}:
        return ["counted-when-strided"]
    return ["counted" if counted else "not-counted" for _, counted in averages]


def affine(scaling: str) -> tuple[bool, np.ndarray, np.ndarray]:
    """Input scaling as `(bgr, scale, offset)`: y = x * scale + offset for x in 0..255.

    scale and offset are float64 [3], in the order of the channels that the network receives (already
    reversed when bgr). Sources: torchvision.transforms.Normalize; keras imagenet_utils.preprocess_input.
    """
    match scaling:
        case "mean-std":
            return False, *_mean_std(IMAGENET_MEAN, IMAGENET_STD)
        case "minus-one-to-one":
            return False, *_mean_std((0.5,) * 3, (0.5,) * 3)
        case "unit":
            return False, *_mean_std((0.0,) * 3, (1.0,) * 3)
        case "none":
            return False, np.ones(3), np.zeros(3)
        case "caffe":
            return True, np.ones(3), -np.array(CAFFE_MEAN_RGB[::-1])
    if found := _CUSTOM_SCALING.fullmatch(scaling.replace(" ", "")):
        try:
            mean, std = (tuple(float(number) for number in group.split(",")) for group in found.groups())
            if len(mean) == len(std) == 3 and np.isfinite([mean, std]).all() and min(std) > 0:
                return False, *_mean_std(mean, std)
        except ValueError:
            pass
    known = ["mean-std", "minus-one-to-one", "unit", "none", "caffe"]
    raise UsageError(f"input scaling {scaling!r} is unknown; {nearest(scaling, known)} or mean-std(R,G,B;R,G,B)")


def named_scaling(scale: np.ndarray, offset: np.ndarray) -> str:
    """The input scaling y = x * scale + offset, [3] each, by its name where it has one (to float32's precision)."""
    for name in ("mean-std", "minus-one-to-one", "unit", "none"):
        _, known_scale, known_offset = affine(name)
        if np.allclose(scale, known_scale, rtol=1e-6) and np.allclose(offset, known_offset, rtol=1e-6, atol=1e-7):
            return name
    std = 1 / (255 * scale)
    mean = -offset * std
    return "mean-std({};{})".format(*(",".join(f"{value:.9g}" for value in values) for values in (mean, std)))


def _mean_std(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    scale = 1 / (255 * np.array(std))
    return scale, -np.array(mean) / np.array(std)
