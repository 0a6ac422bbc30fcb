"""ENGINE OUT.json: what the installed Keras does by itself on an engine, for tests/test_semantics.py.

Nothing of the adapter computes here but its way to float64. Facts that do not depend on the engine are asked of
TensorFlow's alone.
"""

import inspect
import json
import sys
from pathlib import Path

import numpy as np

from isotune.adapters.keras import KerasAdapter

ENGINE, OUT = sys.argv[1:]
KerasAdapter(ENGINE).environment()
import keras  # noqa: E402
import library_optimizer_facts as optimizers  # noqa: E402
from keras import ops  # noqa: E402
from library_optimizer_facts import array, given  # noqa: E402


def moments():
    """Variance of 4096 numbers around 1000 with standard deviation 0.1, as Keras computes and in float64."""
    numbers = (1000 + 0.1 * np.random.default_rng(0).normal(size=(4096, 1))).astype(np.float32)
    return float(array(ops.moments(given(numbers), axes=[0])[1])[0]), float(numbers.astype(np.float64).var())


def pools():
    """SAME average 3x3 of [[0..3], [4..7], ...] with stride 2, and of ones with stride 1."""
    ramp, ones = given(np.arange(16.0).reshape(1, 4, 4, 1)), given(np.ones((1, 4, 4, 1)))
    return {
        "ramp": array(ops.average_pool(ramp, 3, 2, "same"))[0, :, :, 0].tolist(),
        "ones": array(ops.average_pool(ones, 3, 1, "same"))[0, :, :, 0].tolist(),
    }


def cross_entropies():
    """Losses of a sure mistake, logits [50, 0] with label 1, and of targets that are smoothed or do not sum to one."""
    logits, label = given([[50.0, 0.0]]), given([[0.0, 1.0]])
    categorical, binary = keras.losses.CategoricalCrossentropy, keras.losses.BinaryCrossentropy

    def of_softmax(values):
        return categorical()(label, keras.activations.softmax(values))

    found = {"softmax": of_softmax(logits), "logits": categorical(from_logits=True)(label, logits)}
    found["probabilities"] = categorical()(label, given(array(ops.softmax(logits))))
    smoothed = categorical(from_logits=True, label_smoothing=0.1)
    found["smoothed"] = smoothed(given([[0.0, 1.0, 0.0]]), given([[1.0, 2.0, 3.0]]))
    found["binary"] = binary(label_smoothing=0.1)(given([[1.0]]), given([[0.75]]))
    found["unnormalised"] = categorical()(label, given([[0.2, 0.2]]))
    if ENGINE == "tensorflow":
        import tensorflow as tf

        found["softmax in a graph"] = tf.function(of_softmax)(logits)
    return {name: float(array(loss)) for name, loss in found.items()}


def activations():
    points = given([-4.0, -1.0, 0.5, 2.7])
    kinds = {
        "activations.gelu": keras.activations.gelu,
        "ops.gelu": ops.gelu,
        "hard_sigmoid": keras.activations.hard_sigmoid,
        "hard_silu": keras.activations.hard_silu,
    }
    return {name: array(function(points)).tolist() for name, function in kinds.items()}


def frozen_batchnorm():
    """Whether moving statistics move: trainable in training, frozen in training, trainable with training=False."""
    found = []
    for trainable, training in ((True, True), (False, True), (True, False)):
        layer = keras.layers.BatchNormalization()
        layer.build((None, 2))
        layer.trainable = trainable
        before = array(layer.moving_mean)
        layer(given(np.ones((4, 2))), training=training)
        found.append(bool((array(layer.moving_mean) != before).any()))
    return found


def bfloat16_batchnorm():
    """A scale of 1 + 2^-10, which bfloat16 lacks, less a shift of 1; the output's dtype and the scale's."""
    layer = keras.layers.BatchNormalization(epsilon=1e-30, dtype="mixed_bfloat16")
    layer.build((None, 1))
    layer.gamma.assign(np.array([1 + 2.0**-10]))
    layer.beta.assign(np.array([-1.0]))
    out = layer(given(np.ones((2, 1)), "bfloat16"), training=False)
    return float(array(ops.cast(out, "float32"))[0, 0]), keras.backend.standardize_dtype(out.dtype), layer.gamma.dtype


def dropout():
    """Distinct values that a dropout of 0.2 makes of ones, in training and not."""
    layer = keras.layers.Dropout(0.2, seed=1)
    ones = given(np.ones((100, 100)))
    return [np.unique(array(layer(ones, training=training))).tolist() for training in (True, False)]


def defaults():
    asked = {
        keras.optimizers.SGD: ("momentum", "weight_decay", "ema_momentum"),
        keras.optimizers.Adam: ("epsilon", "weight_decay"),
        keras.optimizers.AdamW: ("epsilon", "weight_decay"),
        keras.optimizers.RMSprop: ("epsilon", "rho"),
        keras.optimizers.LossScaleOptimizer: ("initial_scale", "dynamic_growth_steps"),
        keras.layers.BatchNormalization: ("momentum", "epsilon"),
        keras.layers.LayerNormalization: ("epsilon",),
        keras.layers.Dense: ("kernel_initializer", "bias_initializer"),
        keras.layers.Resizing: ("interpolation", "crop_to_aspect_ratio", "antialias"),
        keras.utils.load_img: ("interpolation", "keep_aspect_ratio"),
        keras.utils.image_dataset_from_directory: ("interpolation", "crop_to_aspect_ratio"),
        keras.losses.CategoricalCrossentropy: ("from_logits",),
        keras.losses.SparseCategoricalCrossentropy: ("label_smoothing",),
        keras.applications.MobileNetV2: ("classifier_activation",),
    }
    found = {}
    for thing, names in asked.items():
        parameters = inspect.signature(thing).parameters
        found |= {f"{thing.__name__}.{n}": parameters[n].default if n in parameters else "missing" for n in names}
    return found


def fused_batchnorm():
    """What TensorFlow's fused kernel hands to the running variance, over the biased variance; n = 8."""
    import tensorflow as tf

    maps = np.random.default_rng(0).normal(size=(2, 2, 2, 1)).astype(np.float32)
    none = tf.zeros(0)
    found = tf.raw_ops.FusedBatchNormV3(
        x=maps, scale=tf.ones(1), offset=tf.zeros(1), mean=none, variance=none, is_training=True
    )
    return float(found.batch_variance[0]) / float(maps.var())


def tf32():
    import tensorflow as tf

    return tf.config.experimental.tensor_float_32_execution_enabled()


def preprocessing_in_place():
    """Whether preprocess_input changed the array that it was given: float32, uint8."""
    found = []
    for dtype in (np.float32, np.uint8):
        image = np.full((1, 2, 2, 3), 100, dtype)
        keras.applications.mobilenet_v2.preprocess_input(image)
        found.append(bool((image != 100).any()))
    return found


def norms_of_applications():
    """[epsilon, momentum] of BatchNorms as built; of others, how often the source says so, and how many there are."""
    found = {}
    for name in ("MobileNet", "MobileNetV2", "MobileNetV3Small"):
        model = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), include_top=False)
        norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        found[name] = sorted({(norm.epsilon, norm.momentum) for norm in norms})
    said = {
        "ResNet50": ("epsilon=1.001e-5", "BatchNormalization("),
        "DenseNet121": ("epsilon=1.001e-5", "BatchNormalization("),
        "NASNetMobile": ("momentum=0.9997", "epsilon=1e-3", "BatchNormalization("),
        "EfficientNetV2B0": (" momentum=bn_momentum", "BatchNormalization("),
        "ConvNeXtTiny": ("epsilon=1e-6", "LayerNormalization("),
    }
    for name, words in said.items():
        module = sys.modules[getattr(keras.applications, name).__module__]
        found[name] = [inspect.getsource(module).count(word) for word in words]
    found["bn_momentum"] = (
        inspect.signature(sys.modules[keras.applications.EfficientNetV2B0.__module__].EfficientNetV2)
        .parameters["bn_momentum"]
        .default
    )
    return found


ON_EVERY_ENGINE = [
    moments, pools, cross_entropies, activations, frozen_batchnorm, dropout,
    optimizers.adam_against_its_formula, optimizers.momentum_in_float64,
]  # fmt: skip
ONCE = [
    defaults, bfloat16_batchnorm, fused_batchnorm, tf32, preprocessing_in_place, norms_of_applications,
    optimizers.loss_scale, optimizers.accumulation, optimizers.piecewise_rates, optimizers.ema, optimizers.adams,
    optimizers.clipped, optimizers.excluded_from_decay, optimizers.warmed_up, optimizers.averaged_variables,
    optimizers.mixtures, optimizers.erased,
]  # fmt: skip
asked = ON_EVERY_ENGINE + (ONCE if ENGINE == "tensorflow" else [])
Path(OUT).write_text(json.dumps({function.__name__: function() for function in asked}))
