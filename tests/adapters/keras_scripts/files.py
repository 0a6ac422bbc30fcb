"""FOLDER: checkpoint files written by Keras and laid in its cache (KERAS_HOME, set by the caller), images that the
process decodes itself, and wrong use.

No network is needed, and none is assumed to be missing: the names asked for outside the cache do not resolve.
"""

import os
import shutil
import sys
from pathlib import Path
from unittest import mock
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from isotune import data
from isotune.adapters.keras import KerasAdapter
from isotune.conventions import IMAGENET_MEAN, IMAGENET_STD, affine
from isotune.data.resizing import fixed_view
from isotune.errors import NotCached, UsageError
from isotune.protocols import Images, Input
from isotune.weights import Weights, random_weights

folder = Path(sys.argv[1])
adapter = KerasAdapter()
adapter.environment()
import keras  # noqa: E402
from networks import tiny  # noqa: E402, F401

from isotune.adapters._keras.applications import APPLICATIONS  # noqa: E402

native = adapter.native_conventions("MobileNetV2")
stream = np.random.default_rng(0)


def application(name="MobileNetV2", top=False, size=32, **options):
    arguments = {"classes": 5, "classifier_activation": None} if top else {"pooling": "avg"}
    model = getattr(keras.applications, name)(
        include_top=top, weights=None, input_shape=(size, size, 3), **arguments, **options
    )
    for variable in model.weights:  # BatchNorm's too, so that swapped tensors show
        variable.assign(stream.uniform(0.5, 1.5, tuple(variable.shape)) * 0.1)
    return model


def put_inside(application):
    """A user's own model with the application in it, and the variables of its optimizer."""
    model = keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.Rescaling(1.0), application, keras.layers.Dense(4)]
    )
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)  # so that the optimizer's variables are in the file
    return model


def built(checkpoint, **arguments):
    given = {"classes": 5, "conventions": native, "image_size": (32, 32), "options": {"alpha": "0.35"}} | arguments
    return adapter.build("MobileNetV2", checkpoint=checkpoint, **given)


def loaded(path, name="MobileNetV2", **options):
    return adapter.load_file(name, Path(path), options=options or {"alpha": "0.35"}, image_size=(32, 32))


images = stream.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
scaled = images / 127.5 - 1

# every kind of file, of a bare application, one with its top, and one inside a user's model
small = {
    "bare": application("Tiny"), "topped": application("Tiny", top=True), "nested": put_inside(application("Tiny"))
}  # fmt: skip
for name, model in small.items():
    model.save_weights(folder / f"{name}.weights.h5")
    model.save(folder / f"{name}.keras")
    for path in (f"{name}.weights.h5", f"{name}.keras"):
        weights = adapter.load_file("Tiny", folder / path, image_size=(32, 32))
        assert ("head.kernel" in weights) == (name != "bare"), path
        classes = weights["head.bias"].size if name != "bare" else 5
        given = adapter.build(
            "Tiny", checkpoint=weights, classes=classes, conventions=adapter.native_conventions("Tiny"),
            image_size=(32, 32),
        )  # fmt: skip
        expected = np.asarray(model(scaled))
        got = given.features(images) if name == "bare" else given.logits(images)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5, err_msg=path)
assert weights.conventions["stride2_padding"] == "same"
assert weights.conventions["batchnorm_epsilon"] == 1e-3
assert weights.conventions["input_scaling"] == "minus-one-to-one"

# a release: its legacy layout is taken as Keras 3's is
bare, nested = application(alpha=0.35), put_inside(application(alpha=0.35))
bare.save_weights(folder / "bare.weights.h5")
bare.save(folder / "bare.keras")
for path in ("bare.weights.h5", "bare.keras"):
    np.testing.assert_array_equal(loaded(folder / path)["000.conv.kernel"], np.asarray(bare.get_layer("Conv1").kernel))

# the legacy layout, as the releases have it: written by Keras's own legacy writer
import h5py  # noqa: E402
from keras.src.legacy.saving import legacy_h5_format  # noqa: E402


def write_legacy(model, path):
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


write_legacy(bare, folder / "legacy.h5")
write_legacy(nested, folder / "legacy_nested.h5")
for path, model in (("legacy.h5", bare), ("legacy_nested.h5", nested)):
    weights = loaded(folder / path)
    np.testing.assert_array_equal(weights["000.conv.kernel"], next(
        layer for layer in [*model.layers, *getattr(model.layers[-2], "layers", [])] if layer.name == "Conv1"
    ).kernel)  # fmt: skip

# what keras.applications finds in its cache
cache = Path(keras.src.backend.config.keras_home()) / "models"
assert not cache.exists(), "KERAS_HOME is no folder of the tests' own"
cache.mkdir(parents=True)
release = cache / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"


def no_network(*_args, **_kwargs):
    raise URLError("Name or service not known")


with mock.patch("keras.src.utils.file_utils.urlretrieve", no_network):
    with pytest.raises(NotCached) as refused:
        built("pretrained")
    assert str(release) in str(refused.value)
    assert "storage.googleapis.com" in str(refused.value)
    assert "offline" in str(refused.value)
    release.write_bytes((folder / "legacy.h5").read_bytes())
    for size in ((32, 32), (33, 46)):
        model = built("imagenet", image_size=size)
        np.testing.assert_array_equal(model.weights()["000.conv.kernel"], np.asarray(bare.get_layer("Conv1").kernel))
        if size == (32, 32):
            np.testing.assert_allclose(model.features(images), np.asarray(bare(scaled)), rtol=1e-4, atol=1e-6)
    layers = model.layers()
    topped1000 = keras.applications.MobileNetV2(weights=None, alpha=0.35)
    write_legacy(topped1000, cache / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224.h5")
    own = built("pretrained", classes=None, image_size=(48, 40))
    assert own.weights()["head.kernel"].shape == (1280, 1000)
    np.testing.assert_array_equal(own.weights()["head.kernel"], np.asarray(topped1000.get_layer("predictions").kernel))
    # a cached file that is not the release's, where the release's hash is known
    wrong = cache / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    wrong.write_bytes(b"not it")
    with pytest.raises(NotCached, match="hash differs"):
        adapter.build(
            "VGG16", classes=2, checkpoint="imagenet", conventions=native, image_size=(32, 32),
            options={"include_top": "false"},
        )  # fmt: skip
    release.write_bytes((folder / "legacy.h5").read_bytes()[:100000])
    with pytest.raises(UsageError, match="remove it"):
        built("pretrained")
shutil.rmtree(cache)

# EfficientNet's weights mean the preprocessing inside it, which with ImageNet's constants is mean-std
inside = {"conventions": adapter.native_conventions("EfficientNetB0"), "image_size": (33, 40), "classes": 2}
other = adapter.build(
    "EfficientNetB0",
    checkpoint=None,
    **inside | {"conventions": native.model_copy(update={"input_scaling": "mean-std"})},
)
drawn = dict(random_weights({name: array.shape for name, array in other.weights().items()}, 0))
other.load(drawn)
drawn |= {
    "scaling.mean": np.array(IMAGENET_MEAN),
    "scaling.variance": np.array(IMAGENET_STD),
    "scaling.count": np.array(0),
}
one = adapter.build("EfficientNetB0", checkpoint=Weights(drawn), **inside)
odd = stream.integers(0, 256, (2, 33, 40, 3), dtype=np.uint8)
assert [layer.name for layer in one.layers()][:3] == ["scaling", "000.conv", "001.norm"]
np.testing.assert_allclose(one.features(odd), other.features(odd), rtol=1e-3, atol=1e-5)

# blocks: a stem, seventeen inverted residuals, the last convolution; VGG has no stem, and may have hidden layers
assert [layer.name for layer in layers][:3] == ["000.conv", "001.norm", "002.conv"]
assert sorted({layer.block for layer in layers if layer.block >= 0}) == list(range(19))
assert [layer.library_name for layer in layers if layer.block == 18] == ["Conv_1", "Conv_1_bn"]
assert layers[-1].name == "head"
assert layers[-1].block == -1
bare = {"classes": 2, "checkpoint": None, "conventions": native, "options": {"include_top": "false"}}
vgg = adapter.build("VGG16", image_size=(32, 32), **bare).layers()
assert [layer.block for layer in vgg] == [0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, -1]
vgg = adapter.build("VGG16", image_size=(224, 224), **bare | {"options": {}}).layers()
assert [layer.library_name for layer in vgg][-4:-1] == ["block5_conv3", "fc1", "fc2"]

# wrong use: one line each, naming what is wrong and what would be right
(folder / "cut.weights.h5").write_bytes((folder / "bare.weights.h5").read_bytes()[:50000])
(folder / "cut.keras").write_bytes((folder / "bare.keras").read_bytes()[:50000])
(folder / "text.h5").write_text("no weights")
for pattern, wrong in {
    r"Conv1.*\(3, 3, 3, 16\).*\(3, 3, 3, 32\)": lambda: loaded(folder / "bare.keras", alpha="1.0"),
    r"conv1.*missing": lambda: loaded(folder / "bare.keras", "MobileNet", alpha="0.25"),
    r"cut off": lambda: loaded(folder / "cut.weights.h5"),
    r"cut\.keras.*cut off": lambda: loaded(folder / "cut.keras"),
    r"text\.h5: not a whole": lambda: loaded(folder / "text.h5"),
    r"no such file": lambda: loaded(folder / "none.h5"),
    r"end in \.weights\.h5": lambda: loaded(folder / "weights.pt"),
    r"did you mean 'MobileNetV2'": lambda: loaded(folder / "bare.keras", "MobilenetV2"),
    r"did you mean 'alpha'": lambda: built(None, options={"alhpa": "1"}),
    r"alpha is a float": lambda: built(None, options={"alpha": "wide"}),
    r"at least 224x224.*include_top=false": lambda: adapter.build(
        "VGG16", classes=2, checkpoint=None, conventions=native, image_size=(96, 223)
    ),
    r"at least 32x32": lambda: built(None, image_size=(31, 64)),
    r"did you mean 'imagenet'": lambda: built("IMAGENET1K"),
    r"010\.conv\.kernel.*\(1, 1, 48, 8\).*\(1, 1, 48, 16\)": lambda: built(
        loaded(folder / "bare.keras"), options={"alpha": "0.5"}
    ),
    r"runs Keras on 'tensorflow'": lambda: KerasAdapter("jax"),
    r"did you mean 'tensorflow'": lambda: KerasAdapter("tensorflw"),
}.items():
    with pytest.raises(UsageError, match=pattern) as refused:
        wrong()
    assert "\n" not in str(refused.value)

# the table is what the installed Keras has
listed = {
    name: build for name in dir(keras.applications) if callable(build := getattr(keras.applications, name))
    and name != "Tiny"
}  # fmt: skip
assert sorted(listed) == sorted(set(APPLICATIONS) - {"Tiny"})
for name, build in listed.items():
    ramp = np.linspace(0, 255, 24).reshape(1, 2, 4, 3)
    preprocessed = sys.modules[build.__module__].preprocess_input(ramp.copy())
    bgr, scale, offset = affine(APPLICATIONS[name].scaling)
    np.testing.assert_allclose(
        preprocessed, (ramp[..., ::-1] if bgr else ramp) * scale + offset, atol=1e-5, err_msg=name
    )
small = keras.applications.MobileNet(weights=None, alpha=0.25)
for name, made in (("MobileNetV2", topped1000), ("MobileNet", small)):
    assert APPLICATIONS[name].size == 224 == made.input_shape[1]

# Where TensorFlow is held, its images are decoded here, with the bits of its own operation.
import tensorflow as tf  # noqa: E402

photographs, pictures = folder / "photographs", []
for part, name in ((part, name) for part in ("train", "test") for name in "ab"):
    (photographs / part / name).mkdir(parents=True)
    picture = photographs / part / name / "0.jpg"
    Image.fromarray(stream.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize((70, 50)).save(picture, quality=90)
    pictures += [picture] if part == "train" else []
asked = Input(size=48, resize="squash", interpolation="nearest")
with (
    mock.patch.dict(os.environ, ISOTUNE_CACHE=str(folder / "cache")),  # where nothing is decoded yet
    mock.patch("isotune.workers.process.WorkerProcess", side_effect=AssertionError("another process was asked")),
):
    prepared = data.prepare(f"imagefolder:{photographs}")
    images, _ = data.inputs(prepared, "train", Images(), asked, decode="tensorflow")
for image, picture in zip(images, pictures, strict=True):
    pixels = tf.io.decode_image(picture.read_bytes(), channels=3).numpy()
    assert np.array_equal(image, fixed_view(pixels, asked, "antialias"))
