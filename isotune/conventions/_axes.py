"""The axes: what each value means, and who does so."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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


def border_values(averages: set[tuple[bool, bool]]) -> list[str]:
    """Values of the axis pooling_border for average pools seen, each as (strided, padding counted)."""
    if averages == {(True, True), (False, False)}:
        return ["counted-when-strided"]
    return ["counted" if counted else "not-counted" for _, counted in averages]
