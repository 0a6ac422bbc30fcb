"""The 40 models of `keras.applications`: what is known of each without building it, and how each is built.

Sizes are the default input shapes; scaling is the mode of the application's `preprocess_input`
(keras/src/applications/*.py), `none` where the model scales its input itself. Architectures carry the name that
torchvision or timm give the same network: Keras's ResNets stride elsewhere and bias their convolutions, which are
conventions.
"""

from __future__ import annotations

import functools
import inspect
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isotune.adapters._keras.fetching import recorded
from isotune.adapters.file_function import one_line
from isotune.errors import UnknownModel, UsageError, nearest

CHECKPOINT = "imagenet"  # the only one that keras.applications has

_TF, _CAFFE, _TORCH, _INSIDE = "minus-one-to-one", "caffe", "mean-std", "none"


@dataclass(frozen=True)
class Application:
    """One row of the table."""

    architecture: str
    size: int  # pixels
    scaling: str  # a value of the axis input_scaling
    block: str = ""  # regular expression for the block's key in a layer's name; "": blocks end at merges
    rescaled: bool = False  # ImageNet weights come with another Rescaling in the graph (efficientnet.py)
    hidden: bool = False  # the classifier has hidden layers, which torch's libraries keep below a new head
    parameters: int | None = None  # trainable, with the ImageNet classifier


_MOBILE = r"(expanded_conv(?:_\d+)?|block_\d+)_"
_RESIDUAL = r"(conv\d+_block\d+)_"
_MBCONV = r"(block\d+[a-z])_"
_NUMBERED = r"(block\d+)_"
_DENSE = r"((?:conv\d+_block\d+|pool\d+))_"
_CONVNEXT = r"(stage_\d+_block_\d+|(?:(?<=downsampling_layernorm_)|(?<=downsampling_conv_))\d+)"
_SEPARABLE = r"conv_(?:dw|pw)_(\d+)"

APPLICATIONS: dict[str, Application] = {
    "ConvNeXtBase": Application("convnext_base", 224, _INSIDE, _CONVNEXT, parameters=88_591_464),
    "ConvNeXtLarge": Application("convnext_large", 224, _INSIDE, _CONVNEXT, parameters=197_767_336),
    "ConvNeXtSmall": Application("convnext_small", 224, _INSIDE, _CONVNEXT, parameters=50_223_688),
    "ConvNeXtTiny": Application("convnext_tiny", 224, _INSIDE, _CONVNEXT, parameters=28_589_128),
    "ConvNeXtXLarge": Application("convnext_xlarge", 224, _INSIDE, _CONVNEXT, parameters=350_196_968),
    "DenseNet121": Application("densenet121", 224, _TORCH, _DENSE, parameters=7_978_856),
    "DenseNet169": Application("densenet169", 224, _TORCH, _DENSE, parameters=14_149_480),
    "DenseNet201": Application("densenet201", 224, _TORCH, _DENSE, parameters=20_013_928),
    "EfficientNetB0": Application("efficientnet_b0", 224, _INSIDE, _MBCONV, rescaled=True, parameters=5_288_548),
    "EfficientNetB1": Application("efficientnet_b1", 240, _INSIDE, _MBCONV, rescaled=True, parameters=7_794_184),
    "EfficientNetB2": Application("efficientnet_b2", 260, _INSIDE, _MBCONV, rescaled=True, parameters=9_109_994),
    "EfficientNetB3": Application("efficientnet_b3", 300, _INSIDE, _MBCONV, rescaled=True, parameters=12_233_232),
    "EfficientNetB4": Application("efficientnet_b4", 380, _INSIDE, _MBCONV, rescaled=True, parameters=19_341_616),
    "EfficientNetB5": Application("efficientnet_b5", 456, _INSIDE, _MBCONV, rescaled=True, parameters=30_389_784),
    "EfficientNetB6": Application("efficientnet_b6", 528, _INSIDE, _MBCONV, rescaled=True, parameters=43_040_704),
    "EfficientNetB7": Application("efficientnet_b7", 600, _INSIDE, _MBCONV, rescaled=True, parameters=66_347_960),
    "EfficientNetV2B0": Application("tf_efficientnetv2_b0", 224, _INSIDE, _MBCONV, parameters=7_139_704),
    "EfficientNetV2B1": Application("tf_efficientnetv2_b1", 240, _INSIDE, _MBCONV, parameters=8_141_052),
    "EfficientNetV2B2": Application("tf_efficientnetv2_b2", 260, _INSIDE, _MBCONV, parameters=10_096_086),
    "EfficientNetV2B3": Application("tf_efficientnetv2_b3", 300, _INSIDE, _MBCONV, parameters=14_358_406),
    "EfficientNetV2L": Application("efficientnet_v2_l", 480, _INSIDE, _MBCONV, parameters=118_515_272),
    "EfficientNetV2M": Application("efficientnet_v2_m", 480, _INSIDE, _MBCONV, parameters=54_139_356),
    "EfficientNetV2S": Application("efficientnet_v2_s", 384, _INSIDE, _MBCONV, parameters=21_458_488),
    "InceptionResNetV2": Application("inception_resnet_v2", 299, _TF, parameters=55_813_192),
    "InceptionV3": Application("inception_v3", 299, _TF, parameters=23_817_352),
    "MobileNet": Application("mobilenetv1_100", 224, _TF, _SEPARABLE, parameters=4_231_976),
    "MobileNetV2": Application("mobilenet_v2", 224, _TF, _MOBILE, parameters=3_504_872),
    "MobileNetV3Large": Application("mobilenet_v3_large", 224, _INSIDE, _MOBILE, hidden=True, parameters=5_483_032),
    "MobileNetV3Small": Application("mobilenet_v3_small", 224, _INSIDE, _MOBILE, hidden=True, parameters=2_542_856),
    "NASNetLarge": Application("nasnetalarge", 331, _TF, parameters=88_753_150),
    "NASNetMobile": Application("nasnet_mobile", 224, _TF, parameters=5_289_978),
    "ResNet101": Application("resnet101", 224, _CAFFE, _RESIDUAL, parameters=44_601_832),
    "ResNet101V2": Application("resnetv2_101", 224, _TF, _RESIDUAL, parameters=44_577_896),
    "ResNet152": Application("resnet152", 224, _CAFFE, _RESIDUAL, parameters=60_268_520),
    "ResNet152V2": Application("resnetv2_152", 224, _TF, _RESIDUAL, parameters=60_236_904),
    "ResNet50": Application("resnet50", 224, _CAFFE, _RESIDUAL, parameters=25_583_592),
    "ResNet50V2": Application("resnetv2_50", 224, _TF, _RESIDUAL, parameters=25_568_360),
    "VGG16": Application("vgg16", 224, _CAFFE, _NUMBERED, hidden=True, parameters=138_357_544),
    "VGG19": Application("vgg19", 224, _CAFFE, _NUMBERED, hidden=True, parameters=143_667_240),
    "Xception": Application("xception", 299, _TF, _NUMBERED, parameters=22_855_952),
}

# Published by Keras itself, in the docstring of keras/src/applications/mobilenet_v3.py; others: reference_results.
DOCUMENTED_TOP1 = {"MobileNetV3Large": 75.6, "MobileNetV3Small": 68.1}  # percent

_FIXED = frozenset(  # what the adapter decides itself; dropout is drawn outside, as feature masks
    (
        "include_top",
        "include_preprocessing",
        "weights",
        "input_tensor",
        "input_shape",
        "pooling",
        "classes",
        "classifier_activation",
        "name",
        "dropout",
        "dropout_rate",
    )
)


def application(name: str) -> Application:
    """The row of `name`. UsageError: there is none."""
    if name not in APPLICATIONS:
        raise UnknownModel("keras", name, APPLICATIONS)
    return APPLICATIONS[name]


def parse_options(name: str, options: Mapping[str, str]) -> dict[str, Any]:
    """The application's own arguments, `{"alpha": "0.35"}` -> `{"alpha": 0.35}`; the type is its default's."""
    allowed = {
        parameter.name: parameter.default
        for parameter in inspect.signature(_builder(name)).parameters.values()
        if parameter.name not in _FIXED
    }
    if application(name).hidden:
        allowed["include_top"] = True
    values: dict[str, Any] = {}
    for option, text in options.items():
        if option not in allowed:
            raise UsageError(f"keras:{name} has no option {option!r}; {nearest(option, allowed)}")
        kind = type(allowed[option])
        try:
            values[option] = {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError):
            raise UsageError(f"keras:{name}:{option}={text!r}: {option} is a {kind.__name__}") from None
    return values


def build_application(
    name: str, options: Mapping[str, Any], *, size: tuple[int, int], top: bool, pretrained: bool
) -> Any:
    """The application's `keras.Model` for [height, width, 3] input.

    top: with its own classifier, giving logits; else average-pooled features. VGG's is that of torchvision for
    every size: an adaptive average to 7x7 comes before it, which at the default size changes nothing. pretrained:
    with Keras's ImageNet weights, from its cache or downloaded into it. With both, the weights are loaded at the
    default size (Keras allows no other) and carried over by layer.
    """
    build = functools.partial(_pooled_vgg, name) if top and name.startswith("VGG") else _builder(name)
    arguments: dict[str, Any] = {"weights": None, "input_shape": (*size, 3), **options}
    arguments |= (
        {"include_top": True, "classifier_activation": None} if top else {"include_top": False, "pooling": "avg"}
    )
    try:
        with warnings.catch_warnings(), seeded():
            # MobileNets say that they take the weights of size 224 for other sizes: that is what is asked
            warnings.filterwarnings(
                "ignore", message=".*`input_shape` is undefined or non-square", category=UserWarning
            )
            if not pretrained:
                return build(**arguments)
            with recorded(name, CHECKPOINT) as asked:
                if not top:
                    return _loaded(asked, _builder(name), arguments | {"weights": CHECKPOINT})
                source = _loaded(asked, _builder(name), arguments | {"weights": CHECKPOINT, "input_shape": None})
            model = build(**arguments)
            for layer in source.layers:
                if layer.weights:
                    model.get_layer(layer.name).set_weights(layer.get_weights())
            return model
    except ValueError as error:
        raise UsageError(f"keras:{name} at {size[0]}x{size[1]}: {one_line(error)}") from None


def _builder(name: str) -> Callable[..., Any]:
    import keras

    application(name)
    if (module := getattr(keras.applications, name, None)) is None:
        raise UsageError(f"keras {keras.__version__} has no model {name!r}; a newer keras has")
    return module  # type: ignore[no-any-return]


def _pooled_vgg(name: str, **arguments: Any) -> Any:
    """keras/src/applications/vgg16.py with its classifier on an adaptive average of 7x7 (torchvision/models/vgg.py)."""
    import keras

    body = _builder(name)(**arguments | {"include_top": False})
    if min(body.output.shape[1:3]) < 7:  # Keras's adaptive average does not repeat pixels, as torch's does
        raise UsageError(
            f"keras:{name} with the hidden layers of its classifier takes images of at least 224x224;"
            f" keras:{name}:include_top=false leaves these out"
        )
    layers = keras.layers
    features = layers.Flatten(name="flatten")(layers.AdaptiveAveragePooling2D((7, 7), name="avgpool")(body.output))
    for hidden in ("fc1", "fc2"):
        features = layers.Dense(4096, activation="relu", name=hidden)(features)
    classes = arguments.get("classes", 1000)
    logits = layers.Dense(classes, activation=arguments["classifier_activation"], name="predictions")(features)
    return keras.Model(body.input, logits, name=body.name)


def _loaded(asked: list[Path], build: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    try:
        return build(**arguments)
    except (OSError, KeyError) as error:  # h5py: cut off, or not HDF5
        raise UsageError(
            f"{asked[-1] if asked else 'cached file'}: not a whole Keras file; remove it ({one_line(error)})"
        ) from None


@contextmanager
def seeded() -> Iterator[None]:
    """A network's initial weights are the same each time: Keras's initialisers draw their seeds from `random`
    (keras/src/random/seed_generator.py, make_default_seed)."""
    state = random.getstate()
    random.seed(0)
    try:
        yield
    finally:
        random.setstate(state)
