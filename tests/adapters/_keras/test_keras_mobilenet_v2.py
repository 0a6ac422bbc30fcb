"""MobileNetV2 with torch's weights is the same function in Keras as in torchvision, at every width and size."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from test_keras_conventions import features
from torchvision.models import mobilenet_v2

from isotune.adapters._torch.embedded import MOBILENET_V2
from isotune.conventions import REFERENCE_CONVENTIONS, affine
from isotune.errors import UsageError
from isotune.weights import Weights, random_weights

# width, (height, width) of the input, numeric mode, engine
pytestmark = pytest.mark.xdist_group("keras")
RANDOM = [(0.35, (65, 65), "float64", "tensorflow"), (0.35, (33, 64), "float64", "torch")]
OTHER_WIDTHS = [
    (0.5, (32, 32), "float64", "tensorflow"),
    (0.75, (45, 38), "float64", "tensorflow"),
    (1.3, (33, 48), "float64", "tensorflow"),
    (1.4, (40, 40), "float64", "tensorflow"),
]
REAL = [(1.0, (32, 32), "float32", "tensorflow"), (1.0, (45, 66), "float64", "tensorflow")]
OTHER_SIZES = [
    (1.0, (65, 65), "float64", "tensorflow"),
    (1.0, (96, 96), "float32", "tensorflow"),
    (1.0, (97, 130), "float64", "tensorflow"),
    (1.0, (224, 224), "float32", "tensorflow"),
]


def torchvision_features(weights: Weights, width: float, images: np.ndarray, mode: str) -> np.ndarray:
    """Pooled features of torchvision's network with canonical weights."""
    owned = [name for name in meta_state(width) if not name.endswith("num_batches_tracked")]
    assert sorted(layout_of(width)) == sorted(weights)
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(_native(weights[canonical])))
        for name, canonical in zip(owned, layout_of(width), strict=True)
    }
    net = mobilenet_v2(width_mult=width).features
    net.load_state_dict(tensors, strict=False)
    dtype = torch.float64 if mode == "float64" else torch.float32
    _, scale, offset = affine("mean-std")
    pixels = torch.from_numpy((images * scale + offset).transpose(0, 3, 1, 2).copy())
    with torch.no_grad(), one_thread():
        return net.eval().to(dtype)(pixels.to(dtype)).mean((2, 3)).numpy()


@contextmanager
def one_thread() -> Iterator[None]:
    """float64 depthwise convolutions on several threads mostly wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _native(array: np.ndarray) -> np.ndarray:
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array


def meta_state(width: float) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return mobilenet_v2(width_mult=width).features.state_dict()


def layout_of(width: float) -> dict[str, tuple[int, ...]]:
    """Canonical layout of torchvision's `features.*`: convolutions and BatchNorms in turns."""
    slots = {"running_mean": "mean", "running_var": "variance", "weight": "scale", "bias": "shift"}
    layout, place = {}, -1
    for name, tensor in meta_state(width).items():
        slot = name.rpartition(".")[2]
        if slot == "num_batches_tracked":
            continue
        place += slot == "weight"
        if tensor.ndim == 4:
            layout[f"{place:03d}.conv.kernel"] = tuple(tensor.permute(2, 3, 1, 0).shape)
        else:
            layout[f"{place:03d}.norm.{slots[slot]}"] = tuple(tensor.shape)
    return layout


def compare(cases, weights_of, folder: Path) -> None:
    for engine in dict.fromkeys(case[3] for case in cases):
        mine = [case for case in cases if case[3] == engine]
        given, expected = [], []
        for width, size, mode, _ in mine:
            weights = weights_of(width)
            weights.write(folder / f"{width}.safetensors")
            images = np.random.default_rng(size).integers(0, 256, (2, *size, 3), dtype=np.uint8)
            np.save(folder / f"{size}.npy", images)
            given.append(
                {
                    "name": "MobileNetV2",
                    "options": {"alpha": str(width)},
                    "size": size,
                    "mode": mode,
                    "conventions": REFERENCE_CONVENTIONS,
                    "weights": f"{folder}/{width}.safetensors",
                    "images": f"{folder}/{size}.npy",
                }
            )
            exact = torchvision_features(weights, width, images, "float64")
            own = exact if mode == "float64" else torchvision_features(weights, width, images, "float32")
            expected.append((exact, np.abs(own - exact).max()))
        found = features(engine, given, folder)
        for number, (case, (exact, own_error)) in enumerate(zip(mine, expected, strict=True)):
            error = np.abs(found[str(number)] - exact).max()
            # the referee is float64: Keras's float32 may be off by as much as torchvision's own, thrice
            allowed = 1e-11 * np.abs(exact).max() if case[2] == "float64" else 3 * own_error
            assert error < allowed, (case, error, own_error)


@pytest.mark.parametrize("cases", [RANDOM, pytest.param(OTHER_WIDTHS, marks=pytest.mark.slow)], ids=["one", "others"])
def test_random_weights_give_torchvisions_features_at_every_width(tmp_path, cases):
    compare(cases, lambda width: random_weights(layout_of(width), 1), tmp_path)


@pytest.mark.parametrize("cases", [REAL, pytest.param(OTHER_SIZES, marks=pytest.mark.slow)], ids=["two", "others"])
def test_real_weights_give_torchvisions_features_at_every_size(tmp_path, cases):
    try:
        weights = MOBILENET_V2.weights()
    except UsageError as missing:
        pytest.skip(str(missing))
    compare(cases, lambda width: weights, tmp_path)
