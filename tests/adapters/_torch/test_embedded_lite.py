"""The three EfficientNet-Lite of the checkpoint `offline`, in timm."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from isotune.adapters._torch.embedded import OFFLINE, convert
from isotune.adapters.timm import TimmAdapter
from isotune.conventions import NETWORK_AXES, Conventions
from isotune.errors import MissingExtra
from isotune.weights import Weights

ADAPTER = TimmAdapter()
LITES = {each.architecture: each for each in OFFLINE[1:]}
TENSORS = {"efficientnet_lite0": 296, "efficientnet_lite1": 386, "efficientnet_lite2": 386}


@pytest.fixture(scope="module", params=sorted(LITES))
def lite(request, tmp_path_factory):
    """A checkpoint, its file's tensors by name, and what is made of them."""
    held = LITES[request.param]
    try:
        source = held.source()
    except MissingExtra as missing:
        pytest.skip(str(missing))
    file = tmp_path_factory.mktemp("lite") / "canonical.safetensors"
    convert(None, str(source), str(file), "test", held.architecture, dict(held.conventions), classifier=True)
    return held, torch.load(source, map_location="cpu", weights_only=True), Weights.read(file)


def test_every_tensor_is_timms_by_order_and_shape(lite):
    held, state, weights = lite
    net = timm.create_model(f"tf_{held.architecture}")
    own = net.state_dict()
    assert len(state) == len(own) == TENSORS[held.architecture]
    pairs = list(zip(state.items(), own.items(), strict=True))
    assert [one for (one, tensor), (_, other) in pairs if tensor.shape != other.shape] == []
    assert [one for (one, _), (other, _) in pairs if one.rpartition(".")[2] != other.rpartition(".")[2]] == []
    net.load_state_dict({name: tensor for (_, tensor), (name, _) in pairs})
    axes = Conventions(input_scaling="minus-one-to-one")
    made = ADAPTER.build(f"tf_{held.architecture}", classes=None, checkpoint=weights, conventions=axes)
    batch = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    with torch.no_grad():
        wanted = net.eval()(torch.tensor(batch).permute(0, 3, 1, 2) / 127.5 - 1).numpy()
    assert np.abs(wanted).max() > 1
    np.testing.assert_allclose(made.logits(batch), wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_it_carries_the_conventions_of_timms_network_and_tensorflows_momentum(lite):
    held, _, weights = lite
    native = ADAPTER.native_conventions(f"tf_{held.architecture}").model_dump()
    unlike = {
        axis: (value, native[axis])
        for axis, value in weights.conventions.items()
        if axis in {*NETWORK_AXES, "input_scaling"} and native[axis] not in (value, None, "own")
    }
    assert unlike == {"batchnorm_momentum": (0.01, 0.1)}
    plain = ADAPTER.native_conventions(held.architecture)  # the same network as torch would have it
    assert (plain.stride2_padding, plain.batchnorm_epsilon) == ("symmetric", 1e-5)


def test_its_tensors_are_whole(lite):
    _, state, weights = lite
    counts = sum(name.endswith("num_batches_tracked") for name in state)
    assert len(weights) == len(state) - counts
    assert weights["head.kernel"].shape == (1280, 1000)
    assert min(array.min() for name, array in weights.items() if name.endswith("variance")) >= 0
