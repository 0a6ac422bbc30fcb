"""IMAGE.jpg OUT.txt: the lines that isotune gives for Keras, each run and compared with the adapter's own form of the
same value, in float64 on TensorFlow; those that held are written, one AXIS=VALUE a line."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import numpy as np

from isotune.adapters.keras import KerasAdapter

KerasAdapter("tensorflow").environment()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402
from networks import micro  # noqa: E402
from networks.residual import residual  # noqa: E402
from networks.tiny import tiny  # noqa: E402

from isotune.adapters._keras.axes.loss import cross_entropy  # noqa: E402
from isotune.adapters._keras.axes.optimizers import make_optimizer  # noqa: E402
from isotune.adapters._keras.conventions import realise  # noqa: E402
from isotune.adapters._keras.numeric import numeric  # noqa: E402
from isotune.conventions import HEAD_LAWS, Conventions, affine, head_law  # noqa: E402
from isotune.data.decoding import decode  # noqa: E402
from isotune.data.resizing import resized  # noqa: E402
from isotune.protocols import SGD, Adam, RMSprop  # noqa: E402

STREAM = np.random.default_rng(0)
CHECKED = []
OWN = {"batchnorm_running_variance": "biased", "input_scaling": "none"}  # under these, `realise` changes nothing


SCALINGS = ("mean-std", "minus-one-to-one", "caffe", "unit", "none", "mean-std(0.5,0.4,0.3;0.2,0.3,0.4)")


def values(axis):
    return SCALINGS if axis == "input_scaling" else get_args(Conventions.model_fields[axis].annotation)


def run(axis, value, **given):
    names = dict(given)
    exec(compile(KerasAdapter.remedy(axis, value).code, f"{axis}={value}", "exec"), names)
    CHECKED.append(f"{axis}={value}")
    return names


def close(found, wanted, message, rtol=1e-9):
    found, wanted = np.asarray(found), np.asarray(wanted)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=rtol * np.abs(wanted).max(), err_msg=str(message))


# -- the input


def check_input(path):
    image = np.asarray(decode(path.read_bytes()))
    assert np.array_equal(run("decode", "pillow")["decode"](path), image)
    theirs = run("decode", "tensorflow")["decode"](str(path))
    assert np.array_equal(theirs, tf.io.decode_image(path.read_bytes(), channels=3, expand_animations=False).numpy())
    assert 0 < np.abs(theirs.astype(int) - image).max() < 25
    for value in values("resize"):
        if "opencv" in value and find_spec("cv2") is None:
            continue
        resize = run("resize", value)["resize"]
        for height, width in ((10, 13), (17, 24), (60, 80)):
            wanted = resized(image, height, width, value, "bilinear").astype(int)
            gap = np.abs(resize(image, height, width) - wanted)
            # of float32 a tie may go either way
            assert gap.max() <= (value == "plain"), value
            assert (gap > 0).mean() < 1e-2, value
            if value == "antialias":
                theirs = layers.Resizing(height, width, antialias=True)(image.astype("float32"))
                assert np.abs(theirs - wanted).max() < 1.5, "the same filter, which Pillow rounds"
    for value in values("input_scaling"):
        reverse, scale, offset = affine(value)
        found = run("input_scaling", value, images=image[None])["inputs"]
        close(found[0], (image[..., ::-1] if reverse else image) * scale + offset, value)


# -- the network


def sequence(*stack):
    return lambda: keras.Sequential([layers.Input((12, 12, 3)), *(make() for make in stack)])


def functional(*stack):
    def build():
        x = inputs = layers.Input((12, 12, 3))
        for make in stack:
            x = make()(x)
        return keras.Model(inputs, x)

    return build


def padded_convolutions():
    """As Keras's ResNets pad, and a window that nothing pads for."""
    return functional(
        lambda: layers.ZeroPadding2D(1), lambda: layers.Conv2D(4, 3, strides=2), lambda: layers.ZeroPadding2D(1),
        lambda: layers.MaxPooling2D(3, strides=2), lambda: layers.Conv2D(4, 2, strides=2),
    )()  # fmt: skip


def same_windows():
    return functional(
        lambda: layers.Conv2D(4, 3, strides=2, padding="same"), lambda: layers.DepthwiseConv2D(3, padding="same"),
        lambda: layers.MaxPooling2D(3, strides=2, padding="same"),
    )()  # fmt: skip


def negative(pool):
    kernel = keras.initializers.Constant(-1.0)
    return functional(
        lambda: layers.Conv2D(4, 3, activation="softplus"),
        lambda: layers.Conv2D(4, 1, kernel_initializer=kernel),
        *pool,
    )


BEHIND_ZEROS = (lambda: layers.ZeroPadding2D(1), lambda: layers.MaxPooling2D(3, strides=2))
AVERAGES = (
    lambda: layers.AveragePooling2D(3, strides=1, padding="same"),
    lambda: layers.AveragePooling2D(3, strides=2, padding="same"),
)
NETWORKS = {
    ("stride2_padding", "symmetric"): [same_windows, lambda: tiny(input_shape=(12, 12, 3), include_top=False)],
    ("stride2_padding", "same"): [padded_convolutions],
    ("count_include_pad", "true"): [functional(*AVERAGES)],
    ("count_include_pad", "when-strided"): [functional(*AVERAGES)],
    ("count_include_pad", "false"): [
        functional(lambda: layers.ZeroPadding2D(((0, 1), (0, 1))), lambda: layers.AveragePooling2D(3, strides=2))
    ],
    ("max_pool_padding", "minus-infinity"): [negative(BEHIND_ZEROS)],
    ("max_pool_padding", "zeros"): [negative((lambda: layers.MaxPooling2D(3, strides=2, padding="same"),))],
    ("stride_location", "3x3"): [lambda: residual(input_shape=(12, 12, 3), include_top=False)],
    ("batchnorm_epsilon", 1e-3): [lambda: residual(input_shape=(12, 12, 3), include_top=False)],
    ("layernorm_epsilon", 1e-3): [lambda: tiny(input_shape=(12, 12, 3), include_top=False)],
    ("leaky_relu_slope", 0.2): [functional(lambda: layers.Conv2D(4, 1), layers.LeakyReLU)],
    **{
        ("hard_sigmoid", form): [functional(lambda: layers.Conv2D(4, 1, activation="hard_sigmoid"))]
        for form in ("fifth", "half")
    },
    ("gelu", "tanh"): [lambda: tiny(input_shape=(12, 12, 3), include_top=False)],
}


def drawn(build):
    """The same weights at each call; BatchNorm's among them."""
    model = build()
    stream = np.random.default_rng(1)
    for variable in model.weights:
        low, high = (0.1, 2.0) if "variance" in variable.name else (-0.7, 0.7)
        if "initializer" not in str(getattr(variable, "initializer", "")) and not _constant(variable):
            variable.assign(stream.uniform(low, high, variable.shape))
    return model


def _constant(variable):
    return (keras.ops.convert_to_numpy(variable) == -1).all()


def check_networks():
    images = STREAM.uniform(0.1, 1.0, (2, 12, 12, 3))
    for (axis, value), builds in NETWORKS.items():
        for build in builds:
            conventions = Conventions(**OWN | {axis: value})
            theirs, plain = realise(drawn(build), conventions), drawn(build)(images, training=False)
            found = run(axis, value, model=drawn(build))["model"](images, training=False)
            # TensorFlow's own GELU holds sqrt(2 / pi) in float32
            close(found, theirs(images, training=False), (axis, value), 1e-7 if axis == "gelu" else 1e-9)
            assert np.abs(np.asarray(found) - plain).max() > 1e-6 * np.abs(plain).max(), (axis, value)


def check_traced():
    """A value that is set after the model has run acts once it is compiled again."""
    model, images = (
        drawn(lambda: residual(input_shape=(12, 12, 3), include_top=False)),
        STREAM.uniform(size=(2, 12, 12, 3)),
    )
    before = model.predict(images, verbose=0)
    model = run("batchnorm_epsilon", 1e-3, model=keras.Sequential([layers.Input((12, 12, 3)), model]))["model"]
    model.compile()
    assert np.abs(model.predict(images, verbose=0) - before).max() > 1e-6 * np.abs(before).max()


def check_statistics():
    images = STREAM.uniform(size=(2, 8, 8, 3))
    build = lambda: micro.micro(input_shape=(8, 8, 3), include_top=False)  # noqa: E731
    for axis, value in (("batchnorm_momentum", 0.25), ("batchnorm_running_variance", "unbiased")):
        theirs = realise(drawn(build), Conventions(**OWN | {axis: value}))
        ours, plain = run(axis, value, model=drawn(build))["model"], drawn(build)
        for model in (ours, theirs, plain):
            model(images, training=True)
        found, wanted, other = (
            np.concatenate([keras.ops.convert_to_numpy(v).ravel() for v in model.non_trainable_variables])
            for model in (ours, theirs, plain)
        )
        close(found, wanted, (axis, value))
        assert np.abs(found - other).max() > 1e-6, (axis, value)
    model = drawn(build)
    model.trainable = False
    before = model.get_weights()
    run("frozen_batchnorm", "updates", model=model)
    assert not model.trainable_variables
    assert not model.get_layer("stem_bn").trainable_variables
    model(images, training=True)
    moved = [not np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True)]
    assert moved == [False, False, False, True, True]


# -- the recipe


def check_heads():
    for value in (law.replace("STD", "0.02") for law in HEAD_LAWS):
        model = keras.Sequential([layers.Input((512,)), layers.Dense(20, kernel_initializer="ones")])
        run("head_initialisation", value, model=model)
        law, (kernel, bias) = head_law(value, 512, 20), model.get_weights()
        if law.weight == "normal":
            assert abs(kernel.std() / law.size - 1) < 0.04, value
        else:
            largest = law.size * (2 if law.weight == "truncated" else 1)
            assert largest * 0.8 <= np.abs(kernel).max() <= largest * (1 + 1e-6), value
        assert law.bias * 0.8 <= np.abs(bias).max() <= law.bias * (1 + 1e-6), value


def check_losses():
    labels = np.array([0, 1, 2, 3, 4, 0])
    for spread in (1.0, 50.0):
        inputs = STREAM.normal(0, spread, (6, 5))
        for value in values("loss"):
            model = keras.Sequential([layers.Input((5,)), layers.Dense(5, "softmax", kernel_initializer="identity")])
            names = run("loss", value, model=model)
            logits = model(inputs) if value == "logits" else inputs
            found = names["loss"](np.eye(5)[labels], keras.ops.convert_to_tensor(logits))
            close(found, cross_entropy(value)(keras.ops.convert_to_tensor(inputs), labels, 0.0), value)


KERAS = {
    "momentum_form": "rate-inside", "weight_decay_form": "decoupled", "adam_epsilon": "before-correction",
    "rmsprop_epsilon": "inside-root", "clipping": "per-variable",
}  # fmt: skip
# numbers that float32 holds, but where their rounding is the point
MOMENTUM = {"momentum": 0.875}
BETAS = {"beta_1": 0.875, "beta_2": 0.9375}
DECAY = {"weight_decay": 0.125}
SQUARES = {"rho": 0.875, "epsilon": 2.0**-10}
SGDS, ADAMS, RMSPROPS = keras.optimizers.SGD, keras.optimizers.Adam, keras.optimizers.RMSprop
RECIPES = {
    ("momentum_form", "rate-outside"): [
        (SGD(name="sgd", nesterov=nesterov, **MOMENTUM), lambda n=nesterov: SGDS(0.25, nesterov=n, **MOMENTUM))
        for nesterov in (False, True)
    ],
    ("weight_decay_form", "coupled"): [
        (SGD(name="sgd", **MOMENTUM, **DECAY), lambda: SGDS(0.25, **MOMENTUM, **DECAY)),
        (
            Adam(name="adam", beta1=0.875, beta2=0.9375, epsilon=2.0**-10, **DECAY),
            lambda: ADAMS(0.25, epsilon=2.0**-10, **BETAS, **DECAY),
        ),
    ],
    ("weight_decay_form", "in-loss"): [
        (SGD(name="sgd", **MOMENTUM, **DECAY), lambda: SGDS(0.25, **MOMENTUM, **DECAY)),
    ],
    ("weight_decay_form", "decoupled-unscaled"): [
        (SGD(name="sgd", **MOMENTUM, **DECAY), lambda: SGDS(0.25, **MOMENTUM, **DECAY)),
        (
            Adam(name="adamw", beta1=0.875, beta2=0.9375, epsilon=2.0**-10, **DECAY),
            lambda: keras.optimizers.AdamW(0.25, epsilon=2.0**-10, **BETAS, **DECAY),
        ),
    ],
    ("weight_decay_on", "kernels"): [(SGD(name="sgd", **DECAY), lambda: SGDS(0.25, **DECAY))],
    ("adam_epsilon", "after-correction"): [
        (
            Adam(name="adam", beta1=0.875, beta2=0.9375, epsilon=2.0**-10),
            lambda: ADAMS(0.25, epsilon=2.0**-10, **BETAS),
        )
    ],
    ("rmsprop_epsilon", "outside-root"): [
        (RMSprop(name="rmsprop", **SQUARES), lambda: RMSPROPS(0.25, **SQUARES)),
        (
            RMSprop(name="rmsprop", **SQUARES, **MOMENTUM, **DECAY),
            lambda: RMSPROPS(0.25, **SQUARES, **MOMENTUM, **DECAY),
        ),
    ],
    ("clipping", "global-norm"): [(SGD(name="sgd", clip_norm=0.5), lambda: SGDS(0.25, clipnorm=0.5))],
    ("clipping", "per-variable"): [(SGD(name="sgd", clip_norm=0.5), lambda: SGDS(0.25, global_clipnorm=0.5))],
    ("hyperparameters", "float32"): [
        (SGD(name="sgd", momentum=0.9, weight_decay=0.1), lambda: SGDS(0.25, momentum=0.9, weight_decay=0.1)),
        (Adam(name="adam", epsilon=1e-7), lambda: ADAMS(0.25)),
    ],
}
BATCHES = [(rate, STREAM.normal(size=(4, 3)), np.eye(2)[STREAM.integers(0, 2, 4)]) for rate in (0.25, 0.25, 0.0625)]


def check_recipes():
    for (axis, value), cases in RECIPES.items():
        for recipe, build in cases:
            plain = trained(recipe, Conventions(**KERAS))
            wanted = trained(recipe, Conventions(**KERAS | {axis: value, "hyperparameters": "float32"}))
            model, optimizer = network(), build()
            names = run(axis, value, model=model, optimizer=optimizer)
            optimizer = names.get("optimizer", optimizer)
            model.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True))
            for rate, inputs, targets in BATCHES:
                if "set_learning_rate" in names:
                    names["set_learning_rate"](optimizer, rate)
                optimizer.learning_rate = rate
                model.train_on_batch(inputs, targets)
            found = np.concatenate([array.ravel() for array in model.get_weights()])
            close(found, wanted, (axis, value, recipe))
            native = (axis, value) == ("clipping", "per-variable")
            assert native or np.abs(found - plain).max() > 1e-9, (axis, value, recipe)


def network():
    model = keras.Sequential([layers.Input((3,)), layers.Dense(2, name="head")])
    for variable in model.weights:
        variable.assign(np.random.default_rng(2).normal(size=variable.shape))
    return model


def trained(recipe, conventions):
    """Weights after the batches, by the adapter's optimizer."""
    model = network()
    kernel, bias = model.trainable_variables
    optimizer = make_optimizer(recipe, conventions, [kernel], [kernel, bias])
    for rate, inputs, targets in BATCHES:
        exponentials = np.exp(inputs @ keras.ops.convert_to_numpy(kernel) + keras.ops.convert_to_numpy(bias))
        errors = (exponentials / exponentials.sum(axis=1, keepdims=True) - targets) / len(
            inputs
        )  # of the cross-entropy
        optimizer.learning_rate.assign(rate)
        gradients = [keras.ops.convert_to_tensor(gradient) for gradient in (inputs.T @ errors, errors.sum(axis=0))]
        optimizer.apply(gradients, [kernel, bias])
    return np.concatenate([array.ravel() for array in model.get_weights()])


if __name__ == "__main__":
    picture, out = map(Path, sys.argv[1:])
    with numeric("float64"):
        check_input(picture)
        check_networks()
        check_traced()
        check_statistics()
        check_heads()
        check_losses()
        check_recipes()
    out.write_text("\n".join(dict.fromkeys(CHECKED)), encoding="utf-8")
