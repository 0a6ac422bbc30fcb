"""Network conventions in Keras, on each engine, against the same network written in torch's functions."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from keras_processes import process_of

from isotune.conventions import affine
from isotune.weights import random_weights

pytestmark = pytest.mark.xdist_group("keras")
LAYOUT = {
    "000.conv.kernel": (3, 3, 3, 4),
    **{f"001.norm.{slot}": (4,) for slot in ("scale", "shift", "mean", "variance")},
    "002.conv.kernel": (5, 5, 1, 8),
    **{f"003.norm.{slot}": (8,) for slot in ("scale", "shift", "mean", "variance")},
    "004.conv.kernel": (3, 3, 1, 8),
    "005.conv.kernel": (1, 1, 8, 6),
    "005.conv.bias": (6,),
    "006.norm.scale": (6,),
    "006.norm.shift": (6,),
}
WEIGHTS = random_weights(LAYOUT, 0)
SIZES = [(32, 32), (33, 46)]
KERAS = {"stride2_padding": "same", "count_include_pad": "false", "epsilon": 1e-3, "gelu": "exact"}


def _cases() -> list[dict]:
    scaled = {"input_scaling": "minus-one-to-one", "batchnorm_running_variance": "biased"}
    native = [{"conventions": dict(scaled), "meant": dict(KERAS)}]
    every = [
        {
            "conventions": {
                **scaled,
                "stride2_padding": padding,
                "count_include_pad": border,
                "gelu": gelu,
                "batchnorm_epsilon": 0.1,
            },
            "meant": {"stride2_padding": padding, "count_include_pad": border, "gelu": gelu, "epsilon": 0.1},
        }
        for padding, border, gelu in itertools.product(
            ("symmetric", "same"), ("true", "false"), ("exact", "tanh")
        )
    ]  # fmt: skip
    scalings = [
        {"conventions": {"input_scaling": scaling}, "meant": dict(KERAS)}
        for scaling in ("mean-std", "caffe", "unit", "mean-std(0.5,0.4,0.3;0.2,0.3,0.4)")
    ]
    return [{**case, "size": size, "mode": "float64"} for case in native + every + scalings for size in SIZES]


CASES = _cases()


def reference(images: np.ndarray, scaling: str, meant: dict) -> np.ndarray:
    """Features of the network in tests/adapters/keras_scripts/networks/tiny.py, float64."""
    tensors = {name: torch.from_numpy(np.asarray(array, np.float64)) for name, array in WEIGHTS.items()}
    bgr, scale, offset = affine(scaling)
    pixels = images[..., ::-1] if bgr else images
    x = torch.from_numpy(np.ascontiguousarray(pixels * scale + offset)).permute(0, 3, 1, 2)
    x = _norm(_strided(x, tensors["000.conv.kernel"], meant), tensors, "001.norm", meant)
    x = F.gelu(x, approximate="tanh" if meant["gelu"] == "tanh" else "none")
    x = _norm(_strided(x.repeat_interleave(2, 1), tensors["002.conv.kernel"], meant), tensors, "003.norm", meant)
    x = F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=meant["count_include_pad"] == "true")
    x = F.conv2d(x, tensors["004.conv.kernel"].permute(3, 2, 0, 1), padding=1, groups=8)
    x = F.conv2d(x, tensors["005.conv.kernel"].permute(3, 2, 0, 1), tensors["005.conv.bias"])
    x = F.layer_norm(x.permute(0, 2, 3, 1), (6,), tensors["006.norm.scale"], tensors["006.norm.shift"], 1e-6)
    return x.mean((1, 2)).numpy()


def _strided(x, kernel, meant):
    window, groups = kernel.shape[0], x.shape[1] // kernel.shape[2]
    pads = []
    for size in reversed(x.shape[2:]):
        total = max(0, (-(-size // 2) - 1) * 2 + window - size)
        pads += [window // 2] * 2 if meant["stride2_padding"] == "symmetric" else [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, pads), kernel.permute(3, 2, 0, 1), stride=2, groups=groups)


def _norm(x, tensors, name, meant):
    mean, variance, scale, shift = (tensors[f"{name}.{slot}"] for slot in ("mean", "variance", "scale", "shift"))
    return F.batch_norm(x, mean, variance, scale, shift, eps=meant["epsilon"])


@pytest.mark.parametrize("engine", ["tensorflow", "jax", "torch"])
def test_every_network_convention_is_its_function(engine, tmp_path):
    WEIGHTS.write(tmp_path / "weights.safetensors")
    for size in SIZES:
        stream = np.random.default_rng(size)
        np.save(tmp_path / f"{size[0]}.npy", stream.integers(0, 256, (2, *size, 3), dtype=np.uint8))
    given = [
        {
            **case,
            "name": "Tiny",
            "weights": f"{tmp_path}/weights.safetensors",
            "images": f"{tmp_path}/{case['size'][0]}.npy",
        }
        for case in CASES
    ]
    # JAX compiles each network anew: there, every third case, which has each value of each axis at both sizes
    chosen = range(0, len(CASES), 3 if engine == "jax" else 1)
    found = features(engine, [given[number] for number in chosen], tmp_path)
    for place, number in enumerate(chosen):
        case = CASES[number]
        images = np.load(tmp_path / f"{case['size'][0]}.npy")
        expected = reference(images, case["conventions"]["input_scaling"], case["meant"])
        # TensorFlow's own GELU holds sqrt(2) in float32
        narrow = engine == "tensorflow" and "gelu" not in case["conventions"]
        atol = 1e-7 if narrow else 1e-12
        np.testing.assert_allclose(found[str(place)], expected, rtol=1e-10, atol=atol, err_msg=str(case))


def features(engine: str, cases: list[dict], folder: Path) -> np.lib.npyio.NpzFile:
    """What tests/adapters/keras_scripts/features.py gives."""
    (folder / "cases.json").write_text(json.dumps(cases))
    said = process_of(engine).run("features.py", engine, folder / "cases.json", folder / f"{engine}.npz")
    assert said == "", "an import or a build talks on stderr"
    return np.load(folder / f"{engine}.npz")


def test_the_reference_tells_the_conventions_apart():
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    seen = [reference(images, "minus-one-to-one", case["meant"]) for case in CASES[2:18:2]]
    for one, other in itertools.combinations(seen, 2):
        assert np.abs(one - other).max() > 1e-7
