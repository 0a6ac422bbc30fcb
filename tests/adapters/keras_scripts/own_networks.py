"""A user's own Keras networks on one engine: one architecture however it is written, its scaling, what is refused."""

import sys
from pathlib import Path

import numpy as np
import pytest

from isotune.adapters.base import Recipe
from isotune.adapters.keras import KerasAdapter
from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.protocols import SGD
from isotune.weights import HEAD, random_weights

NETWORKS = Path(__file__).parent.parent / "own_networks"
PLAIN = NETWORKS / "plain_keras.py"
SIZE = (32, 37)
engine, folder = sys.argv[1], Path(sys.argv[2])
adapter = KerasAdapter(engine)
images = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3)).astype(np.uint8)


def built(name, classes=3, size=SIZE, scaling="mean-std", checkpoint=None, **asked):
    axes = Conventions(input_scaling=scaling)
    given = {"classes": classes, "image_size": size, "conventions": axes, "checkpoint": checkpoint}
    return adapter.build(name, numeric_mode="float64", **given, **asked)


# one architecture, however it is written
first = built(f"{PLAIN}:make")
drawn = random_weights({name: array.shape for name, array in first.weights().without_head().items()}, 0)
first.load(drawn)
wanted, layers = first.features(images), [layer.name for layer in first.layers()]
assert layers == [f"{place:03d}.{kind}" for place, kind in enumerate(["conv", "norm"] * 4)] + ["head"]
assert [layer.block for layer in first.layers()] == [0] * 8 + [-1], "the block ends where it is added"
assert first.layers()[0].library_name == "eyes"
labels = np.array([0, 1, 2])
gradients = first.gradients(images, labels)
for form in ("with_logits", "pooled", "a_map", "sequential", "subclassed"):
    model = built(f"{PLAIN}:{form}")
    assert [layer.name for layer in model.layers()] == layers, form
    assert [layer.inputs for layer in model.layers()] == [layer.inputs for layer in first.layers()], form
    model.load(drawn)
    np.testing.assert_allclose(model.features(images), wanted, rtol=1e-10, err_msg=form)
    assert [name for name, _ in model.activations(images)] == layers
    if form not in ("sequential", "subclassed"):
        continue
    found = model.gradients(images, labels)
    assert found.keys() == gradients.keys(), f"{form}: what the function froze trains here all the same"
    for name, array in found.items():
        np.testing.assert_allclose(array, gradients[name], atol=1e-10, err_msg=f"{form} {name}")
names = [layer.library_name for layer in built(f"{PLAIN}:subclassed").layers()]
assert len(set(names)) == len(names), names
assert names[7].startswith("residual"), names
assert [layer.library_name for layer in built(f"{PLAIN}:subclassed").layers()] == names, "the same in each build"

# a classifier of its own, or none
for form in ("make", "with_logits", "sequential", "subclassed"):
    assert built(f"{PLAIN}:{form}", classes=None, checkpoint="pretrained").logits(images).shape == (3, 10), form

# what layers add to a loss is part of it, and of its gradient
plain, penalised, measured = (
    built(f"{PLAIN}:penalised", options=options) for options in ({}, {"strength": "0.25"}, {"measured": "true"})
)
start = {name: np.random.default_rng(1).normal(size=array.shape) for name, array in plain.weights().items()}
for model in (plain, penalised, measured):
    model.load(start)
losses = [model.gradients(images, labels) for model in (plain, penalised, measured)]
(seen,) = (array for name, array in plain.activations(images) if name == "000.conv")
squares = sum(np.sum(start[name] ** 2) for name in ("000.conv.kernel", "head.bias"))
added = 0.25 * (squares + np.sum(seen**2) / len(images))
np.testing.assert_allclose(losses[1]["loss"] - losses[0]["loss"], added, rtol=1e-9)
np.testing.assert_allclose(losses[1]["head.bias"] - losses[0]["head.bias"], 0.5 * start["head.bias"], rtol=1e-9)
np.testing.assert_allclose(losses[2]["loss"] - losses[0]["loss"], 0.5 * np.mean(seen**2), rtol=1e-9)
recipe = Recipe(SGD(name="sgd", momentum=0.0, weight_decay=0.0), frozenset(["000.conv", "head"]))
stepped = penalised.trainer(recipe)
assert abs(float(stepped.step(images, labels, 0.5)) - losses[1]["loss"]) < 1e-9
moved = start["head.bias"] - 0.5 * losses[1]["head.bias"]
np.testing.assert_allclose(penalised.weights()["head.bias"], moved, rtol=1e-6)

# scaling: the file's; a Rescaling in front is scaling, one within the network is not
assert adapter.native_conventions(f"{PLAIN}:make").input_scaling == "none"
assert adapter.native_conventions(f"{NETWORKS / 'scaled.py'}:make").input_scaling == "unit"
inside = built(f"{PLAIN}:sequential", scaling="none")
outside = built(f"{PLAIN}:sequential", scaling="minus-one-to-one")
np.testing.assert_allclose(inside.network_input(images), images / 127.5 - 1, atol=1e-6)
np.testing.assert_allclose(inside.features(images), outside.features(images), atol=1e-5)
halves = [built(f"{NETWORKS / 'scaled.py'}:make", scaling=scaling) for scaling in ("none", "unit")]
for model in halves:
    model.load({name: np.ones_like(array) * 0.01 for name, array in model.weights().items() if name.startswith("00")})
bare, scaled = ({**model.weights(), **dict(model.activations(images))} for model in halves)
kept = [given["001.conv"] * 0.2 + given["000.conv"] for given in (bare, scaled)]
for model, sums in zip(halves, kept, strict=True):
    np.testing.assert_allclose(model.features(images), sums.mean((1, 2)), rtol=1e-6)

# without merges each convolution or dense layer begins a block; other norms are norms; halves and heads have inputs
UNUSUAL = NETWORKS / "unusual_keras.py"
normed = built(f"{UNUSUAL}:normed")
kinds = ["conv", "norm", "other", "conv", "norm"]
assert [layer.name for layer in normed.layers()] == [f"{place:03d}.{kind}" for place, kind in enumerate(kinds)] + [HEAD]
assert [layer.block for layer in normed.layers()] == [0, 0, 0, 1, 1, -1]
assert normed.layers()[-1].inputs == ("004.norm",)
shapes = {name: array.shape for name, array in normed.weights().items()}
assert shapes["001.norm.scale"] == shapes["001.norm.shift"] == shapes["002.other.weight"] == shapes["004.norm.scale"]
assert shapes["002.other.weight"] == (4,)

# activations that are called as operations have the form that is asked for
for form, other in (("exact", "tanh"), ("tanh", "exact")):
    asked = {"options": {"form": form}}
    own, changed, there = (
        adapter.build(
            f"{UNUSUAL}:activated", classes=3, checkpoint=None, image_size=SIZE, numeric_mode="float64",
            conventions=Conventions(**axes), options={"form": as_built},
        )
        for axes, as_built in (({}, form), ({"gelu": other}, form), ({}, other))
    )  # fmt: skip
    assert own.weights().conventions["gelu"] == form
    assert (changed.weights().conventions["gelu"], changed.own_axes["gelu"]) == (other, form)
    drawn = random_weights({name: array.shape for name, array in own.weights().items()}, 0)
    for model in (own, changed, there):
        model.load(drawn)
    np.testing.assert_allclose(changed.features(images), there.features(images), rtol=1e-12)
    assert np.abs(changed.features(images) - own.features(images)).max() > 1e-7
assert own.weights().conventions["leaky_relu_slope"] == 0.3
assert own.weights().conventions["hard_sigmoid"] == "sixth"
axes = Conventions(leaky_relu_slope=0.1, hard_sigmoid="half")
other = adapter.build(
    f"{UNUSUAL}:activated", classes=3, checkpoint=drawn, image_size=SIZE, numeric_mode="float64", conventions=axes
)
assert other.weights().conventions["leaky_relu_slope"] == 0.1
assert other.weights().conventions["hard_sigmoid"] == "half"
seen = dict(other.activations(images))
gate = np.clip(0.5 * seen["003.conv"] + 0.5, 0, 1)
np.testing.assert_allclose(other.features(images), gate.mean((1, 2)), rtol=1e-9)

# a user's function is not taken for Keras's own of its name
misnamed = built(f"{UNUSUAL}:misnamed")
misnamed.load(random_weights({name: array.shape for name, array in misnamed.weights().items()}, 0))
given = dict(misnamed.activations(images))["000.conv"]
np.testing.assert_allclose(misnamed.features(images), 2 * np.maximum(given, 0).mean((1, 2)), rtol=1e-10)

# one channel of three, before a convolution of one channel and before a dense layer
grey, dense = built(f"{UNUSUAL}:grey", scaling="unit"), built(f"{UNUSUAL}:dense", scaling="unit", size=(8, 9))
for model in (grey, dense):
    model.load(random_weights({name: array.shape for name, array in model.weights().items()}, 0))
one = images[..., :1] / 255
windows = np.lib.stride_tricks.sliding_window_view(one[..., 0], (3, 3), axis=(1, 2))
kernel, bias = (grey.weights()[f"000.conv.{slot}"] for slot in ("kernel", "bias"))
mapped = np.einsum("nhwij,ijo->nhwo", windows, kernel[:, :, 0]) + bias
np.testing.assert_allclose(grey.features(images), mapped.mean((1, 2)), rtol=1e-9)
kernel, bias = (dense.weights()[f"000.conv.{slot}"] for slot in ("kernel", "bias"))  # as wide as the image
given = np.tensordot(one[:, :8, :9], kernel, axes=3) + bias
np.testing.assert_allclose(dense.features(images[:, :8, :9]), given, rtol=1e-9)

# a map of another size is handed on, by the first half of a separable convolution too; a Reshape does not take it
for function, option, parting, left_out in (
    ("separable", {"stride": "2"}, "001.conv", None), ("reshaped", {"crop": "1"}, "001.conv", "002.conv"),
):  # fmt: skip
    left, right = built(f"{UNUSUAL}:{function}"), built(f"{UNUSUAL}:{function}", options=option)
    drawn = random_weights({name: array.shape for name, array in left.weights().items()}, 0)
    for model in (left, right):
        model.load(drawn)
    ours = dict(left.activations(images))
    theirs = dict(right.activations(images, replaced={"input": left.network_input(images), **ours}))
    same = {name: ours[name].shape == theirs[name].shape and np.allclose(ours[name], theirs[name], 1e-9)
            for name in theirs}  # fmt: skip
    assert not same.pop(parting), function
    assert all(same.values()), (function, same)
    assert ours.keys() - theirs.keys() == ({left_out} if left_out else set()), function

# a scaling inside that nobody else has, to the last digit
bare = built(f"{UNUSUAL}:scaled", scaling="none")
exact = bare.own_axes["input_scaling"]
assert exact.startswith("mean-std(0.4,0.5,0.3;0.447213595")
outside = built(f"{UNUSUAL}:scaled", scaling=exact)
assert outside.left_out == bare.left_out
np.testing.assert_allclose(bare.network_input(images), outside.network_input(images), rtol=1e-13, atol=1e-13)

# files of weights
weights = built(f"{PLAIN}:subclassed", classes=None, checkpoint="pretrained").weights()
weights = type(weights)({name: array + 1 for name, array in weights.items()}, weights.conventions)
adapter.save_file(f"{PLAIN}:subclassed", weights, folder / "own.weights.h5", image_size=SIZE)
again = adapter.load_file(f"{PLAIN}:subclassed", folder / "own.weights.h5", image_size=SIZE)
assert again.keys() == weights.keys()
assert all(np.array_equal(again[name], weights[name].astype(np.float32)) for name in weights)

# what cannot be used, in one line
WRONG = {
    "mak": "did you mean 'make'?",
    "a_number": "a_number() gives a builtins.int, not a keras.Model",
    "raising": "raising() fails, line ",
    "of_one_size": "takes images of 64x64, not of 32x37",
    "channels_first": "takes [3, 32, 32]",
    "too_deep": "cannot be read as a graph of keras.layers and keras.ops on images of 32x37",
    "two_inputs": "2 inputs",
    "two_outputs": "wanted is one output",
    "tokens": "gives [N, 64, 4]",
    "random": "random_flip (RandomFlip) draws at random",
    "scaled_by_hand": "(TrueDivide) works on the image before the first layer",
    "own_tensor": "gain is no tensor of a layer",
    "of_numpy": "cannot be read as a graph of keras.layers and keras.ops",
    "uncopyable": "has a layer that cannot be copied",
}
for function, said in WRONG.items():
    with pytest.raises(UsageError) as caught:
        built(f"{PLAIN}:{function}", size=SIZE if function in ("of_one_size", "too_deep") else (32, 32))
    assert said in str(caught.value), function
    assert "\n" not in str(caught.value), function
for asked, said in (
    ({"name": f"{UNUSUAL}:one_channel"}, "Input((None, None, 3)); return keras.Model(image, network(image[..., :1]))"),
    ({"name": f"{PLAIN}:pooled", "options": {"input_shap": "1"}}, "did you mean 'input_shape'?"),
    ({"name": f"{PLAIN}:pooled", "classes": None, "checkpoint": "pretrained"}, "no classifier of its own"),
    ({"name": f"{PLAIN}:make", "checkpoint": "imagenet"}, "pretrained takes the function's own weights"),
    ({"name": str(PLAIN)}, "is not keras:PATH.py:FUNCTION"),
    ({"name": f"{folder / 'no.py'}:make"}, "there is no "),
):
    with pytest.raises(UsageError) as caught:
        built(**asked)
    assert said in str(caught.value), asked

# what changes only some values: of layers, of their activations, and of operations that a call makes
limits = {(limit.what, limit.low, limit.high): limit.after for limit in built(f"{PLAIN}:make").limits}
assert limits[("ReLU", 0.0, 6.0)] == ("003.norm",), limits
assert ("ReLU", 0.0, None) in limits, limits
assert ("relu", 0.0, None) in limits, limits
(clip,) = [limit for limit in built(f"{PLAIN}:clipped").limits if limit.what == "Clip"]
assert (clip.low, clip.high, clip.after) == (-9.0, 8.0, ("000.conv",)), clip
assert built(f"{PLAIN}:make").random == {"dropout": (0.5,)}
