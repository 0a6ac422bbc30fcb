"""ENGINE OUT.json: residual branches of Keras's networks that leave some out by layers of their own, and of others; by
network the rates of these layers in order, those that isotune gives the same branches, what differs in the features
when its masks act instead of the layers, and by how much the masks change them. Or the refusal."""

import json
import sys
from pathlib import Path

import numpy as np

from isotune.adapters.keras import KerasAdapter

engine, out = sys.argv[1:]
KerasAdapter(engine).environment()
import keras  # noqa: E402
from keras.src.applications import convnext  # noqa: E402

from isotune.adapters._keras.applications import APPLICATIONS  # noqa: E402
from isotune.adapters._keras.conventions import remove_randomness  # noqa: E402
from isotune.adapters._keras.graph.branches import Branches  # noqa: E402
from isotune.adapters._keras.layers import layer_names, parts  # noqa: E402
from isotune.errors import UsageError  # noqa: E402
from isotune.protocols import StochasticDepth  # noqa: E402
from isotune.protocols.depth import drop_rates  # noqa: E402

RATE, SIZE = 0.2, (32, 32, 3)  # EfficientNetB0's own, which its function does not take
PLAIN = {"weights": None, "include_top": False, "pooling": "avg", "input_shape": SIZE}
NETWORKS = {
    "EfficientNet": (
        lambda: keras.applications.EfficientNetB0(**PLAIN), "EfficientNetB0", "linear-over-all"
    ),
    "ConvNeXt": (
        lambda: convnext.ConvNeXt(
            (1, 1, 2, 1), (8, 8, 12, 12), drop_path_rate=RATE, layer_scale_init_value=0.5, weights_name="", **PLAIN
        ),
        "ConvNeXtTiny",
        "linear",
    ),
}  # fmt: skip


def own_layers(model):
    """Those that drop whole images, with their rates."""
    found = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout) and layer.noise_shape:
            found[layer] = layer.rate
        elif hasattr(layer, "drop_path_rate"):
            found[layer] = layer.drop_path_rate
    return found


def masking(mask):
    return lambda given, *_args, **_kwargs: given * keras.ops.reshape(mask, (-1, 1, 1, 1))


said = {}
for name, (build, application, law) in NETWORKS.items():
    keras.utils.set_random_seed(0)
    model = build()
    rates = own_layers(model)
    branches = Branches(model)
    body = parts(model, APPLICATIONS[application].block, scales_itself=False)
    ends = [layer_names(body)[layer] for layer in branches.layers]
    block = {part.layer.name: part.layer.block for part in body}
    given = drop_rates(StochasticDepth(rate=RATE, law=law), [part.layer for part in body], ends)
    stream = np.random.default_rng(0)
    masks = (stream.integers(0, 2, (4, len(given))) * 2).astype(np.float32)
    masks[:, given == 0] = 1
    images = keras.ops.convert_to_tensor(stream.integers(0, 256, (4, *SIZE)).astype(np.float32))
    remove_randomness(model)
    whole = keras.ops.convert_to_numpy(model(images))
    with branches.masked(keras.ops.convert_to_tensor(masks)):
        ours = keras.ops.convert_to_numpy(model(images))
    for layer, mask in zip(rates, masks[:, given > 0].T, strict=True):
        layer.call = masking(keras.ops.convert_to_tensor(mask.copy()))
    theirs = keras.ops.convert_to_numpy(model(images))
    said[name] = {
        "blocks": [block[end] for end in ends],
        "own": list(rates.values()), "given": given.tolist(), "differs": float(abs(ours - theirs).max()),
        "changed": float(abs(ours - whole).max()),
    }  # fmt: skip

for name in ("VGG16", "DenseNet121"):
    try:
        Branches(getattr(keras.applications, name)(**PLAIN))
    except UsageError as error:
        said[name] = str(error)
Path(out).write_text(json.dumps(said))
