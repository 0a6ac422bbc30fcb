"""Experiments on the axes of the network, of BatchNorm in training, of the head and of the loss; keys AXIS/VALUE/...

`Tiny` and `Residual` show inference layer by layer, eagerly; `Micro` is what is trained. All get the same canonical
weights on every engine, drawn from their names.
"""

from typing import get_args

import numpy as np

from isotune.adapters.base import Recipe
from isotune.conventions import Conventions
from isotune.data.resizing import resized
from isotune.protocols import SGD
from isotune.weights import Weights, head_weights, random_weights

NETWORK = {  # the explicit value of every network axis; one at a time is changed
    "input_scaling": "minus-one-to-one",
    "stride2_padding": "symmetric",
    "count_include_pad": "true",
    "batchnorm_epsilon": 1e-5,
    "layernorm_epsilon": 1e-6,
    "gelu": "exact",
}
VALUES = {
    "input_scaling": (
        "mean-std", "minus-one-to-one", "caffe", "unit", "none", "mean-std(0.5,0.4,0.3;0.2,0.3,0.4)"
    ),
    "batchnorm_epsilon": (1e-5, 1e-3),
    "layernorm_epsilon": (1e-6, 1e-5, 1e-3),
    **{
        axis: [value for value in get_args(Conventions.model_fields[axis].annotation) if value != "own"]
        for axis in ("stride2_padding", "count_include_pad", "gelu")
    },
}  # fmt: skip
VARIANCES = (1e-4, 1e-3, 1e-2, 1.0)
PLAIN = SGD(name="sgd")
_STREAM = np.random.default_rng(0)
IMAGES = _STREAM.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
ODD = _STREAM.integers(0, 256, (3, 17, 17, 3), dtype=np.uint8)
LARGE = _STREAM.integers(0, 256, (3, 61, 47, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2])


def network_experiments(lab):
    found = {"images/even": IMAGES, "images/odd": ODD}
    for axis, values in VALUES.items():
        for value in values:
            model = _drawn(lab.model("Tiny", Conventions(**NETWORK | {axis: value})))
            found |= _activations(f"{axis}/{value}", model, IMAGES)
            model.load(transparent(model.weights()))
            found |= _activations(f"{axis}/{value}/transparent", model, IMAGES)
            if axis == "stride2_padding":
                model = lab.model("Tiny", Conventions(**NETWORK | {axis: value}), size=(17, 17))
                model.load(transparent(model.weights()))
                found |= _activations(f"{axis}/{value}/odd", model, ODD)
    model = _drawn(lab.model("Tiny", Conventions(**NETWORK)))
    for value in get_args(Conventions.model_fields["resize"].annotation):
        views = np.stack([resized(image, 16, 16, value, "bilinear") for image in LARGE])
        found |= _activations(f"resize/{value}", model, views)
    for experiment in (
        _piecewise, _max_pooling, _stride_location, _optional_tensors, _batchnorm_momentum, _running_variance,
        _frozen_batchnorm, _head, _loss, _numeric_mode,
    ):  # fmt: skip
        found |= experiment(lab)
    return found


def transparent(weights):
    """Weights of `Tiny` under which single operations show: convolutions that hand on the pixel in their middle, a
    first BatchNorm of variances VARIANCES, ones on the map that is pooled, and a LayerNorm of the vector +-0.01."""
    tensors = {name: np.zeros_like(array) for name, array in weights.items()}
    for channel in range(4):
        tensors["000.conv.kernel"][1, 1, channel % 3, channel] = 1
    tensors["001.norm.scale"][:] = 1
    tensors["001.norm.variance"][:] = VARIANCES
    tensors["002.conv.kernel"][2, 2] = 1
    tensors["003.norm.shift"][:] = 1
    tensors["003.norm.variance"][:] = 1
    tensors["004.conv.kernel"][1, 1] = 1
    tensors["005.conv.bias"][:] = 0.01, -0.01, 0.01, -0.01, 0.01, -0.01
    tensors["006.norm.scale"][:] = 1
    return tensors


def _piecewise(lab):
    """Convolutions that hand on what they get: pixels, behind a LeakyReLU, and behind two hard sigmoids."""
    found = {}
    axes = {"leaky_relu_slope": (0.01, 0.2, 0.3), "hard_sigmoid": ("sixth", "fifth", "half")}
    for axis, values in axes.items():
        for value in values:
            model = lab.model("Gated", Conventions(**{"input_scaling": "caffe", axis: value}))
            kernel = np.eye(3)[None, None]
            model.load({name: kernel if array.ndim == 4 else array for name, array in model.weights().items()})
            found |= _activations(f"{axis}/{value}", model, IMAGES)
    return found


RESIDUAL = NETWORK | {"max_pool_padding": "minus-infinity", "stride_location": "3x3"}
# of `Residual`: as torch has it, and the tensors that Keras's has beside them or lacks
BIASES = {f"{layer:03d}.conv.bias": (8 if layer > 4 else 4,) for layer in range(0, 10, 2)}
LAYOUT = {
    "000.conv.kernel": (1, 1, 3, 4), "002.conv.kernel": (1, 1, 4, 4), "004.conv.kernel": (3, 3, 4, 4),
    "006.conv.kernel": (1, 1, 4, 8), "008.conv.kernel": (1, 1, 4, 8),
    **{
        f"{layer}.norm.{slot}": (width,)
        for layer, width in {"001": 4, "003": 4, "005": 4, "007": 8, "009": 8}.items()
        for slot in ("scale", "shift", "mean", "variance")
    },
}  # fmt: skip


def _max_pooling(lab):
    """Of a map of -1."""
    found = {}
    for value in ("minus-infinity", "zeros"):
        weights = {name: np.zeros(shape) for name, shape in LAYOUT.items()} | {"001.norm.shift": -np.ones(4)}
        weights |= {"001.norm.variance": np.ones(4), "002.conv.kernel": np.eye(4)[None, None]}
        model = lab.model(
            "Residual", Conventions(**RESIDUAL | {"max_pool_padding": value}), checkpoint=Weights(weights)
        )
        found |= _activations(f"max_pool_padding/{value}", model, IMAGES)
    return found


def _stride_location(lab):
    found = {}
    for value in ("3x3", "first-1x1"):
        conventions = Conventions(**RESIDUAL | {"stride_location": value})
        model = lab.model("Residual", conventions, checkpoint=random_weights(LAYOUT, 0))
        found |= _activations(f"stride_location/{value}", model, IMAGES)
    return found


def _optional_tensors(lab):
    """A checkpoint as torch's network has it, and one as Keras's has it, in both."""
    theirs = {name: shape for name, shape in (LAYOUT | BIASES).items() if name != "003.norm.scale"}
    found = {}
    for whose, layout in (("torch", LAYOUT), ("keras", theirs)):
        weights = random_weights(layout, 0)
        for value in ("checkpoint", "own"):
            model = lab.model("Residual", Conventions(**RESIDUAL | {"optional_tensors": value}), checkpoint=weights)
            key = f"optional_tensors/{value}/{whose}'s"
            found[f"{key}/features"] = model.features(IMAGES)
            if value == "checkpoint":
                found |= {f"{key}/{name}": array for name, array in model.weights().items()}
    return found


def _drawn(model):
    model.load(random_weights({name: array.shape for name, array in model.weights().items()}, 0))
    return model


def _activations(key, model, images):
    return {f"{key}/{layer}": array for layer, array in model.activations(images)}


def micro(lab, size=(16, 16), **axes):
    return _drawn(lab.model("Micro", Conventions(**NETWORK | {"batchnorm_momentum": 0.25} | axes), size=size))


def _batchnorm_momentum(lab):
    """Running means while nothing else moves: a frozen BatchNorm that still updates, learning rate 0."""
    found = {}
    for value, steps in ((0.1, 29), (0.01, 299)):
        model = micro(lab, batchnorm_momentum=value, frozen_batchnorm="updates")
        key = f"batchnorm_momentum/{value}"
        found[f"{key}/start"] = model.weights()["001.norm.mean"]
        found[f"{key}/batch"] = dict(model.activations(IMAGES))["000.conv"].mean((0, 1, 2))
        trainer = model.trainer(Recipe(PLAIN, frozenset({"head"})))
        for step in range(1, steps + 1):
            trainer.step(IMAGES, LABELS, 0.0)
            if step >= steps - 1:
                found[f"{key}/{step}"] = trainer.state()["001.norm.mean"]
    return found


def _running_variance(lab):
    """With momentum 1 the running variance is the last batch's; two batches, of 32 and of 8 values a channel."""
    found = {}
    for value in ("unbiased", "biased"):
        for side in (8, 4):
            model = micro(lab, (side, side), batchnorm_momentum=1.0, batchnorm_running_variance=value)
            images = IMAGES[:2, :side, :side]
            key = f"batchnorm_running_variance/{value}/{side // 2 * side // 2 * 2}"
            found[f"{key}/batch"] = dict(model.activations(images))["000.conv"].var((0, 1, 2))
            trainer = model.trainer(Recipe(PLAIN, frozenset(layer.name for layer in model.layers())))
            found[f"{key}/loss"] = np.array(float(trainer.step(images, LABELS[:2], 0.0)))
            found[f"{key}/running"] = trainer.state()["001.norm.variance"]
    return found


def _frozen_batchnorm(lab):
    found = {}
    for value in ("updates", "inference"):
        key = f"frozen_batchnorm/{value}"
        model = micro(lab, frozen_batchnorm=value)
        found[f"{key}/training loss"] = model.gradients(IMAGES, LABELS)["loss"]
        found[f"{key}/logits"] = model.logits(IMAGES)
        found |= {f"{key}/before/{name}": array for name, array in model.weights().items()}
        trainer = model.trainer(Recipe(SGD(name="sgd", momentum=0.9), frozenset({"head"})))
        found[f"{key}/loss"] = np.array([float(trainer.step(IMAGES, LABELS, 0.5)) for _ in range(3)])
        found |= {f"{key}/after/{name}": array for name, array in model.weights().items()}
    return found


def _head(lab):
    found = {}
    model = micro(lab)
    for value in ("uniform-fan-in", "glorot-uniform", "zeros"):
        model.load(head_weights(4, 3, value, 0))
        key = f"head_initialisation/{value}"
        found |= {f"{key}/{slot}": model.weights()[f"head.{slot}"] for slot in ("kernel", "bias")}
        found[f"{key}/logits"] = model.logits(IMAGES)
    return found


def _loss(lab):
    """At logits drawn, and at logits of which the wrong one leads by 50."""
    found = {}
    for value in ("logits", "clipped-probabilities"):
        model = micro(lab, loss=value)
        for smoothing in (0.0, 0.1):
            for name, array in model.gradients(IMAGES, LABELS, smoothing).items():
                found[f"loss/{value}/smoothing {smoothing}/{name}"] = array
        found[f"loss/{value}/logits"] = model.logits(IMAGES)
        model.load({"head.kernel": np.zeros((4, 3)), "head.bias": np.array([50.0, 0.0, 0.0])})
        sure = model.gradients(IMAGES, np.array([1, 1, 1]))
        found |= {f"loss/{value}/sure/{name}": sure[name] for name in ("loss", "head.bias")}
    return found


def _numeric_mode(lab):
    conventions = Conventions(**NETWORK)
    return {
        f"numeric mode/{mode}/logits": _drawn(lab.model("Tiny", conventions, mode)).logits(IMAGES)
        for mode in ("float64", "float32", "bfloat16")
    }
