"""What Keras does by itself at a rung of the recipe, as lines of a script. No framework is imported here.

The lines read arrays that the script has (`isotune.investigation.reproducing`), and return one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isotune.adapters._keras.native import NATIVE
from isotune.adapters._keras.remedies import REMEDIES
from isotune.adapters.input_lines import scaled
from isotune.adapters.remedies import Beside, of_optimizer
from isotune.excerpts import STEPS, NotWritten, OwnLines, arguments, checked
from isotune.protocols import SGD, Adam, Optimizer, RMSprop, Stage

_FREE = ("input_scaling", "batchnorm_momentum", "loss")  # of which Keras does any value by itself
_WITH_MODEL = ("weight_decay_form=coupled", "weight_decay_form=in-loss", "hyperparameters=float64")
_WIDE = 'keras.config.set_floatx("float64")'
_MODES = {"minus-one-to-one": "tf", "caffe": "caffe", "mean-std": "torch"}


def own_lines(rung: str, axes: Mapping[str, Any], stage: Stage, engine: str) -> OwnLines:
    """axes: what the side has of those that differ. NotWritten: Keras does not do so by itself, or not in few lines."""
    precision = {"hyperparameters": "float32" if engine == "tensorflow" else "float64"}
    own = {name: value for name, value in (NATIVE.model_dump() | precision).items() if name not in _FREE}
    beside = of_optimizer(REMEDIES, axes if rung in STEPS else {}, own, _WITH_MODEL)
    checked("Keras", {axis: value for axis, value in axes.items() if axis not in beside.axes}, own)
    backend = ("import os", f'os.environ["KERAS_BACKEND"] = "{engine}"', "import keras")
    lines = _before_training(rung, axes, backend) or _training(rung, axes, stage, (*backend, _WIDE), beside)
    if lines is None:
        raise NotWritten(f"no lines are known of the rung {rung!r}")
    return lines


def _before_training(rung: str, axes: Mapping[str, Any], backend: tuple[str, ...]) -> OwnLines | None:
    start = (*backend, _WIDE)
    match rung:
        case "decoded bytes":
            return OwnLines(("import tensorflow as tf",), ("return tf.io.decode_jpeg(encoded).numpy()",))
        case "resized pixels":
            taken = "keras.ops.convert_to_numpy(keras.layers.Resizing(5, 5)(image[None]))[0]"
            return OwnLines(start, (f"return np.round({taken})",))
        case "scaled input":
            value = str(axes["input_scaling"])
            if value not in _MODES:
                return OwnLines((), (scaled(value), "return inputs"))
            scale = "keras.applications.imagenet_utils.preprocess_input"
            return OwnLines(start, (f'return {scale}(images.astype("float64"), mode="{_MODES[value]}")',))
        case "weights":
            return OwnLines(
                (*backend, "keras.utils.set_random_seed(0)"),
                ("layer = keras.layers.Dense(classes)", "layer.build((None, features))",
                 "kernel, bias = layer.get_weights()", "return np.array([kernel.std(), np.abs(bias).max()])"),
            )  # fmt: skip
    return None


def _training(
    rung: str, axes: Mapping[str, Any], stage: Stage, start: tuple[str, ...], beside: Beside
) -> OwnLines | None:
    match rung:
        case "loss":
            whole = "(from_logits=True)(labels, logits)"
            if axes.get("loss") == "clipped-probabilities":
                whole = "()(labels, keras.ops.softmax(logits))"
            taken = f"keras.losses.SparseCategoricalCrossentropy{whole}"
            return OwnLines(start, (f"return keras.ops.convert_to_numpy({taken})",))
        case "BatchNorm buffers":
            momentum = round(1 - axes.get("batchnorm_momentum", 0.1), 12)
            frozen = ["layer.trainable = False"] if "frozen_batchnorm" in axes else []
            return OwnLines(
                start,
                (f"layer = keras.layers.BatchNormalization(momentum={momentum!r})", *frozen, "layer(x, training=True)",
                 "return np.concatenate([keras.ops.convert_to_numpy(each) for each in layer.weights[2:]])"),
            )  # fmt: skip
        case "one step" | "drift":
            return OwnLines(start, tuple(_steps(stage.optimizer, beside)))
    return None


def _steps(optimizer: Optimizer, beside: Beside) -> list[str]:
    rate = "set_learning_rate(optimizer, rate)" if beside.sets_rate else "optimizer.learning_rate = rate"
    return [
        "w = [keras.Variable(each) for each in weights]",
        f"optimizer = keras.optimizers.{_optimizer(optimizer)}",
        *beside.lines,
        "optimizer.build(w)",
        "for rate, step in zip(rates, gradients):",
        f"    {rate}",
        "    optimizer.apply([keras.ops.convert_to_tensor(each) for each in step], w)",
        "return np.concatenate([keras.ops.convert_to_numpy(each) for each in w])",
    ]


def _optimizer(optimizer: Optimizer) -> str:
    common = {"weight_decay": optimizer.weight_decay or None, "clipnorm": optimizer.clip_norm}
    match optimizer:
        case SGD():
            given = arguments(momentum=optimizer.momentum or None, nesterov=optimizer.nesterov or None, **common)
            return f"SGD(rates[0]{given})"
        case Adam():
            name = "AdamW" if optimizer.name == "adamw" else "Adam"
            given = arguments(beta_1=optimizer.beta1, beta_2=optimizer.beta2, epsilon=optimizer.epsilon, **common)
            return f"{name}(rates[0]{given})"
        case RMSprop():
            given = arguments(
                rho=optimizer.rho, epsilon=optimizer.epsilon, momentum=optimizer.momentum or None, **common
            )
            return f"RMSprop(rates[0]{given})"
