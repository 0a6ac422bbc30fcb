"""FOLDER: files of Keras 1 and 2, which Keras 3 does not open, read as weights of a user's own network."""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from isotune.adapters.base import IN_ORDER
from isotune.adapters.keras import KerasAdapter
from isotune.errors import UsageError, WeightsMismatch
from isotune.weights.matching import Undecided

folder = Path(sys.argv[1])
adapter = KerasAdapter()
adapter.environment()
import keras  # noqa: E402
from keras.src.legacy.saving import legacy_h5_format  # noqa: E402
from keras.src.utils.naming import reset_uids  # noqa: E402

SIZE = (32, 32)
(folder / "net.py").write_text('''
import keras
from keras import layers

INPUT_SCALING = "unit"


def make():
    """Depthwise convolutions, and three that have one shape."""
    image = keras.Input((32, 32, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, padding="same")(image)))
    for _ in range(3):
        x = layers.ReLU()(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(x)))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 1)(x)))
    return keras.Model(image, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
''')
sys.path.insert(0, str(folder))
import net  # noqa: E402

NAME = f"{folder}/net.py:make"
stream = np.random.default_rng(0)
images = stream.integers(0, 256, (4, *SIZE, 3), dtype=np.uint8)


def trained():
    model = net.make()
    for variable in model.weights:
        low = 0.5 if "gamma" in variable.name or "variance" in variable.name else -0.5
        variable.assign(stream.uniform(low, low + 1, tuple(variable.shape)))
    return model


def as_keras_2(model, path, *, whole=True, rename=str):
    """As tf.keras 2 wrote it: a DepthwiseConv2D's configuration has `groups`."""
    with h5py.File(path, "w") as file:
        held = file.create_group("model_weights") if whole else file
        legacy_h5_format.save_weights_to_hdf5_group(held, model)
        if whole:
            config = json.loads(model.to_json())
            for layer in config["config"]["layers"]:
                if layer["class_name"] == "DepthwiseConv2D":
                    layer["config"]["groups"] = 1
            file.attrs["model_config"] = json.dumps(config)
            file.attrs["keras_version"], file.attrs["backend"] = "2.9.0", "tensorflow"
        names = [name.decode() if isinstance(name, bytes) else name for name in held.attrs["layer_names"]]
        for name in names:
            held.move(name, f"moved/{name}")
        for name in names:
            held.move(f"moved/{name}", rename(name))
        held.attrs["layer_names"] = [rename(name).encode() for name in names]
    return path


def logits(weights):
    axes = adapter.native_conventions(NAME)
    built = adapter.build(NAME, classes=None, checkpoint=weights, conventions=axes, image_size=SIZE)
    return built.logits(images)


def assert_is(weights, model):
    """The network's softmax of these logits is what the model that was saved gives."""
    wanted = np.asarray(model(images / np.float32(255)))
    given = np.exp(logits(weights))
    np.testing.assert_allclose(given / given.sum(axis=1, keepdims=True), wanted, rtol=1e-3, atol=1e-6)


# a whole model that Keras 3 refuses to open, and its weights alone
reset_uids()
model = trained()
path = as_keras_2(model, folder / "old.h5")
with pytest.raises((TypeError, ValueError), match="groups"):
    keras.models.load_model(path)
weights = adapter.load_file(NAME, path, image_size=SIZE)
assert weights.notes == ()
assert weights.conventions["input_scaling"] == "unit"
assert_is(weights, model)
assert_is(adapter.load_file(NAME, as_keras_2(model, folder / "alone.h5", whole=False), image_size=SIZE), model)

# Layers are numbered on within a process. Those whose numbers both have are not the same layers: three have one shape.
later = trained()
assert {layer.name for layer in later.layers} & {layer.name for layer in model.layers} == set()
shifted = trained()
reset_uids()
keras.layers.Conv2D(1, 1), keras.layers.DepthwiseConv2D(1), keras.layers.BatchNormalization()  # built before
near = trained()
assert {layer.name for layer in near.layers} & {layer.name for layer in model.layers} >= {"conv2d_1", "conv2d_2"}
for saved in (later, near):
    for suffix, save in ((".h5", as_keras_2), (".keras", lambda model, path: (model.save(path), path)[1])):
        weights = adapter.load_file(NAME, save(saved, folder / f"{saved.name}{suffix}"), image_size=SIZE)
        assert_is(weights, saved)
        (note,) = weights.notes
        assert "layers are numbered otherwise and were paired in the order of their numbers" in note, note

# names that are somebody's own: by the order that these files keep, where numbers agree with it
words = {"conv2d": "pw", "depthwise_conv2d": "dw", "batch_normalization": "norm", "dense": "out"}


def named(name):
    kind, _, number = name.rpartition("_")
    kind, number = (kind, int(number)) if number.isdigit() else (name, 0)
    return f"{words.get(kind, kind)}{number}"


path = as_keras_2(model, folder / "named.h5", rename=named)
with pytest.raises(WeightsMismatch, match=r"'conv2d' of the model .* is missing from the file"):
    adapter.load_file(NAME, path, image_size=SIZE)
weights = adapter.load_renamed(NAME, path, image_size=SIZE)
assert_is(weights, model)
assert "'pw0' for 'conv2d'" in weights.notes[0], weights.notes
turned = as_keras_2(
    model, folder / "turned.h5", rename=lambda name: named(name).translate(str.maketrans("0123456", "6543210"))
)
with pytest.raises(Undecided, match="their names say the contrary"):
    adapter.load_renamed(NAME, turned, image_size=SIZE)
assert_is(adapter.load_renamed(NAME, turned, names=IN_ORDER, image_size=SIZE), model)
by_map = {named(layer.name): layer.name for layer in model.layers if layer.weights and layer.name != "dense"}
assert_is(adapter.load_renamed(NAME, path, names=by_map, image_size=SIZE), model)
with pytest.raises(UsageError, match="'nobody' is nothing in the file"):
    adapter.load_renamed(NAME, path, names=by_map | {"nobody": "conv2d"}, image_size=SIZE)
