"""The axes of what a library computes, each declared once: its values, what each means and who does so, and what else
is to be known of it. Those of a recipe's techniques are `_forms`.

What needs to know an axis derives it from here (`_known`): which a checkpoint carries, which can matter to a recipe, at
which rung of the ladder one shows, which values a search tries, what the command line lists. What realises an axis
stands in the adapters, in one module for each engine.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from isotune.conventions._declaring import Rung, axis
from isotune.conventions._head_laws import head_law
from isotune.errors import UsageError

_OWN = {"own": "as the library builds the model"}
_LAYERS: tuple[Rung, ...] = ("layers", "logits", "training-mode layers")
_BUFFERS: tuple[Rung, ...] = ("BatchNorm buffers",)
_STEPS: tuple[Rung, ...] = ("one step", "drift")


class Computed(BaseModel):
    """One value per axis of what a library computes. The defaults are torch's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # -- input: what becomes of an image before the network sees it
    decode: Literal["pillow", "tensorflow"] = axis(
        "pillow",
        "who decodes encoded images",
        {"pillow": "Pillow (torchvision, timm)", "tensorflow": "TensorFlow (tf.io, tf.data)"},
        kind="input",
        rungs=("decoded bytes",),
    )
    resize: Literal["antialias", "plain", "nearest", "opencv", "opencv-area"] = axis(
        "antialias",
        "how images are resized",
        {
            "antialias": "as Pillow does, with antialias (torchvision, timm)",
            "plain": "bilinear without antialias (Keras Resizing, tf.image.resize)",
            "nearest": "nearest pixel (Keras load_img)",
            "opencv": "without antialias in fixed point, bicubic with a = -3/4 (cv2.resize)",
            "opencv-area": "mean over what a pixel covers (cv2.INTER_AREA)",
        },
        kind="input",
        rungs=("resized pixels",),
    )
    input_scaling: str = axis(
        "mean-std",
        "from bytes to the numbers that the network sees",
        {
            "mean-std": "by ImageNet's mean and standard deviation (torchvision, most of timm)",
            "minus-one-to-one": "to -1..1 (Keras's tf mode)",
            "caffe": "BGR minus mean (Keras's caffe mode)",
            "unit": "to 0..1",
            "none": "0..255, as the network scales for itself",
            "mean-std(R,G,B;R,G,B)": "by a mean and a standard deviation of your own",
        },
        kind="input",
        carried=True,
        reference="mean-std",
        rungs=("scaled input",),
        candidates=("mean-std", "minus-one-to-one", "unit", "none", "caffe"),
    )
    # -- network: a checkpoint carries these
    stride2_padding: Literal["own", "symmetric", "same"] = axis(
        "own",
        "how strided convolutions and pools pad",
        _OWN | {"symmetric": "k//2 on both sides (torch)", "same": "as SAME does, the odd pixel at the end"},
        kind="network",
        reference="symmetric",
        rungs=_LAYERS,
        former_values={"end": "same"},
    )
    count_include_pad: Literal["own", "true", "false", "when-strided"] = axis(
        "own",
        "whether average pooling counts the padding",
        _OWN
        | {
            "true": "it counts (torch)",
            "false": "it does not (SAME)",
            "when-strided": "where the pool strides (Keras NASNet)",
        },
        kind="network",
        reference="true",
        rungs=_LAYERS,
        formerly="pooling_border",
        former_values={"counted": "true", "not-counted": "false", "counted-when-strided": "when-strided"},
    )
    max_pool_padding: Literal["own", "minus-infinity", "zeros"] = axis(
        "own",
        "what max pooling sees outside the image",
        _OWN | {"minus-infinity": "nothing (torch, SAME)", "zeros": "zeros (Keras ResNet, NASNet)"},
        kind="network",
        reference="minus-infinity",
        rungs=_LAYERS,
        formerly="max_pooling_border",
    )
    stride_location: Literal["own", "3x3", "first-1x1", "last-block"] = axis(
        "own",
        "where a ResNet strides",
        _OWN
        | {
            "3x3": "on the 3x3 (torchvision, timm)",
            "first-1x1": "on the first 1x1 (Keras v1)",
            "last-block": "in the block before (Keras v2)",
        },
        kind="network",
        reference="3x3",
        rungs=_LAYERS,
    )
    batchnorm_epsilon: float | None = axis(
        None,
        "epsilon of BatchNorm",
        _OWN | {"1e-5": "torch", "1e-3": "Keras, TensorFlow"},
        kind="network",
        reference=1e-5,
        rungs=_LAYERS,
        layer="norm",
        candidates=(1e-3, 1e-5, 1e-6),
        ge=0,
    )
    batchnorm_momentum: float | None = axis(
        None,
        "weight of the new batch in BatchNorm's running averages (torch's notation; Keras's is 1 minus it)",
        _OWN | {"0.1": "torch", "0.01": "Keras"},
        kind="network",
        reference=0.1,
        rungs=_BUFFERS,
        needs=("batch statistics",),
        candidates=(0.1, 0.01, 0.001),
        ge=0,
        le=1,
    )
    layernorm_epsilon: float | None = axis(
        None,
        "epsilon of LayerNorm",
        _OWN | {"1e-6": "ViT and ConvNeXt, in every library", "1e-5": "torch", "1e-3": "Keras"},
        kind="network",
        rungs=_LAYERS,
        layer="norm",
        candidates=(1e-3, 1e-5, 1e-6),
        ge=0,
    )
    gelu: Literal["own", "exact", "tanh"] = axis(
        "own",
        "how GELU is computed",
        _OWN | {"exact": "by erf (torch, Keras's activation)", "tanh": "approximated (keras.ops.gelu)"},
        kind="network",
        rungs=("layers", "logits", "training-mode layers", "gradients"),
    )
    leaky_relu_slope: float | None = axis(
        None,
        "slope of LeakyReLU below zero",
        _OWN | {"0.01": "torch", "0.1": "DarkNet, YOLO", "0.2": "Keras's activation", "0.3": "Keras's layer"},
        kind="network",
        rungs=_LAYERS,
        candidates=(0.01, 0.1, 0.2, 0.3),
    )
    hard_sigmoid: Literal["own", "sixth", "fifth", "half"] = axis(
        "own",
        "how the hard sigmoid is computed",
        _OWN
        | {
            "sixth": "relu6(x+3)/6 (torch, Keras)",
            "fifth": "0.2x+0.5, clipped (Keras 2, TensorFlow, ONNX)",
            "half": "(x+1)/2, clipped (OpenMMLab)",
        },
        kind="network",
        rungs=_LAYERS,
    )
    # -- recipe
    optional_tensors: Literal["checkpoint", "own"] = axis(
        "checkpoint",
        "which convolutions have a bias and which BatchNorms a scale",
        {"checkpoint": "those of the checkpoint", "own": "those of the library's network"},
        kind="recipe",
        rungs=("weights",),
        candidates=("checkpoint",),
    )
    batchnorm_running_variance: Literal["unbiased", "biased"] = axis(
        "unbiased",
        "the variance that enters the running average",
        {"unbiased": "n/(n-1) of the batch's (torch)", "biased": "the batch's own (Keras)"},
        kind="recipe",
        rungs=_BUFFERS,
        needs=("batch statistics",),
    )
    frozen_batchnorm: Literal["updates", "inference"] = axis(
        "inference",
        "what a frozen BatchNorm does",
        {
            "updates": "it uses and tracks batch statistics (torch, requires_grad=False)",
            "inference": "it is in inference mode (Keras, trainable=False)",
        },
        kind="recipe",
        rungs=_BUFFERS,
        needs=("batch statistics", "frozen layers"),
    )
    head_initialisation: str = axis(
        "uniform-fan-in",
        "from which law the new classifier is drawn",
        {
            "uniform-fan-in": "U(+-1/sqrt(fan_in)) for weight and bias (torch's nn.Linear)",
            "uniform-fan-in-weight": "U(+-1/sqrt(fan_in)) for the weight, a zero bias (timm's DenseNet)",
            "uniform-fan-out": "U(+-1/sqrt(classes)) for the weight, a zero bias (timm's EfficientNet, MobileNet)",
            "glorot-uniform": "Glorot's for the weight, a zero bias (Keras)",
            "normal(STD)": "N(0, STD^2) for the weight, a zero bias (timm's ViT, ConvNeXt: 0.02; RegNet: 0.01)",
            "truncated-normal(STD)": "the same, cut off at two STD (TensorFlow's; timm's MViT: 0.02)",
            "zeros": "zeros",
        },
        kind="recipe",
        rungs=("weights",),
        needs=("training",),
        candidates=("uniform-fan-in", "glorot-uniform", "uniform-fan-out", "normal(0.02)", "normal(0.01)", "zeros"),
    )
    momentum_form: Literal["rate-outside", "rate-inside"] = axis(
        "rate-outside",
        "whether the velocity holds the learning rate",
        {"rate-outside": "w -= lr*v (torch)", "rate-inside": "v holds it (Keras)"},
        kind="recipe",
        rungs=_STEPS,
        needs=("momentum",),
    )
    weight_decay_form: Literal["coupled", "decoupled", "in-loss", "decoupled-unscaled"] = axis(
        "coupled",
        "how weights decay",
        {
            "coupled": "L2 in the gradient (torch SGD, Adam, RMSprop)",
            "decoupled": "w -= lr*wd*w (Keras, AdamW)",
            "in-loss": "wd*sum(w^2) in the loss, which is twice the L2 (Keras's regularizers.L2)",
            "decoupled-unscaled": "w -= wd*w, whatever the rate (TensorFlow Addons, AdamW's paper)",
        },
        kind="recipe",
        rungs=_STEPS,
        needs=("weight decay",),
    )
    weight_decay_on: Literal["all", "kernels"] = axis(
        "all",
        "which trainable tensors decay",
        {"all": "all of them (torch, Keras)", "kernels": "kernels only (many recipes)"},
        kind="recipe",
        rungs=_STEPS,
        needs=("weight decay",),
    )
    adam_epsilon: Literal["after-correction", "before-correction"] = axis(
        "after-correction",
        "where Adam's epsilon stands",
        {
            "after-correction": "sqrt(v)/sqrt(1-b2^t)+eps (torch)",
            "before-correction": "sqrt(v)+eps, then corrected (Keras)",
        },
        kind="recipe",
        rungs=_STEPS,
        needs=("adam",),
    )
    rmsprop_epsilon: Literal["outside-root", "inside-root"] = axis(
        "outside-root",
        "where RMSprop's epsilon stands",
        {"outside-root": "sqrt(v)+eps (torch)", "inside-root": "sqrt(v+eps) (Keras)"},
        kind="recipe",
        rungs=_STEPS,
        needs=("rmsprop",),
    )
    clipping: Literal["global-norm", "per-variable"] = axis(
        "global-norm",
        "whose norm clip_norm bounds",
        {
            "global-norm": "that of all gradients together (torch)",
            "per-variable": "that of each gradient (Keras clipnorm)",
        },
        kind="recipe",
        rungs=_STEPS,
        needs=("clipping",),
    )
    loss: Literal["logits", "clipped-probabilities"] = axis(
        "logits",
        "from what the cross-entropy is computed",
        {
            "logits": "logits (torch)",
            "clipped-probabilities": "softmax clipped to [1e-7, 1-1e-7] (Keras's default)",
        },
        kind="recipe",
        rungs=("loss", "gradients"),
        needs=("training",),
    )
    hyperparameters: Literal["float64", "float32"] = axis(
        "float64",
        "precision in which momentum, betas and weight decay are held",
        {"float64": "torch, Keras on JAX and torch", "float32": "Keras on TensorFlow"},
        kind="recipe",
        rungs=_STEPS,
        needs=("training",),
    )

    @field_validator("head_initialisation")
    @classmethod
    def is_a_law(cls, value: str) -> str:
        try:
            head_law(value, 1, 1)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return value
