"""Checkpoints by the names that users give them; real files, in processes of their own."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from isotune import cache, names
from isotune.adapters._torch.embedded import MOBILENET_V2, OFFLINE
from isotune.errors import UsageError
from isotune.models import checkpoints
from isotune.weights import Weights, random_weights

needs_offline = pytest.mark.skipif(
    not importlib.util.find_spec("torch")
    or not any(d.metadata["Name"] == MOBILENET_V2.package for d in importlib.metadata.distributions()),
    reason="needs the extras torch and offline",
)


@pytest.fixture
def example(house):
    name = names.parse("example:random-features:width=16")
    return names.load_adapter(name), name


@needs_offline
def test_offline_is_the_files_312_tensors_in_canonical_form(house):
    weights = MOBILENET_V2.weights()
    assert len(weights) == 52 * 5  # a kernel and four BatchNorm tensors each; the sixth counts batches
    assert (weights.architecture, weights.conventions["stride2_padding"]) == ("mobilenet_v2", "symmetric")
    assert weights["000.conv.kernel"].shape == (3, 3, 3, 32)
    assert weights["002.conv.kernel"].shape == (3, 3, 1, 32)  # depthwise
    assert weights["103.norm.mean"].shape == (1280,)
    assert min(array.min() for name, array in weights.items() if name.endswith("variance")) >= 0
    assert MOBILENET_V2.sha256 in weights.origin
    assert MOBILENET_V2.weights().digest() == weights.digest()
    # of the conversion that went by the places of the file's tensors, six to a convolution and its BatchNorm
    assert weights.digest() == "ca4cf546150cb7280c678229a4ae8d19a0bd2a7132e63aed3a3cc7ce92cf5a22"


@needs_offline
def test_an_altered_offline_file_is_refused():
    with pytest.raises(UsageError, match="is not the file expected"):
        dataclasses.replace(MOBILENET_V2, sha256="0" * 64).source()


def test_offline_fits_its_architectures(example):
    held = ", ".join(each.architecture for each in OFFLINE)
    with pytest.raises(UsageError) as caught:
        checkpoints.resolve("offline", *example, (64, 64))
    assert str(caught.value) == (
        f"checkpoint 'offline' holds weights of {held}, and example:random-features:width=16 is 'random_features';"
        " use --checkpoint pretrained, or random:0 to try things out"
    )


def test_random_weights_come_with_torchs_conventions_and_no_head(example):
    found = checkpoints.resolve("random:7", *example, (64, 64))
    assert set(found.weights) == {"000.dense.kernel", "000.dense.bias"}
    assert found.conventions["batchnorm_epsilon"] == 1e-5
    layout = {name: array.shape for name, array in found.weights.items()}
    assert found.weights.digest() == random_weights(layout, 7).digest()
    assert found.weights.digest() != random_weights(layout, 8).digest()


def test_canonical_files_come_with_their_conventions(example, tmp_path):
    adapter, name = example
    weights = Weights(
        dict(random_weights({"000.dense.kernel": (192, 16), "000.dense.bias": (16,)}, 1)), {"gelu": "tanh"}
    )
    weights.write(tmp_path / "w.safetensors")
    found = checkpoints.resolve(f"file:{tmp_path}/w.safetensors", adapter, name, (64, 64))
    assert found.conventions == {"gelu": "tanh"}
    assert found.weights.digest() == weights.digest()


def test_what_a_canonical_file_has_no_use_for_is_passed_over_in_words(example, tmp_path):
    weights = Weights(dict(random_weights({"000.dense.kernel": (192, 16), "000.dense.bias": (16,)}, 1)))
    weights.write(tmp_path / "w.safetensors")
    assert checkpoints.resolve(f"file:{tmp_path}/w.safetensors", *example, (64, 64)).notes == ()
    (tmp_path / "w.safetensors.names.json").write_text('"in order"')
    found = checkpoints.resolve(f"file:{tmp_path}/w.safetensors::example:small", *example, (64, 64))
    names, model = found.notes
    assert names.startswith("w.safetensors.names.json is passed over: w.safetensors is in isotune's canonical form")
    assert model.startswith("::example:small is passed over: ")
    assert found.weights.digest() == weights.digest()


def test_a_file_cut_off_in_the_middle_is_refused(example, tmp_path):
    file = tmp_path / "w.safetensors"
    Weights(dict(random_weights({"000.dense.kernel": (192, 16)}, 1))).write(file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UsageError, match="incomplete or damaged safetensors file"):
        checkpoints.resolve(f"file:{file}", *example, (64, 64))


def test_a_librarys_own_checkpoint_carries_its_own_input_scaling(example):
    found = checkpoints.resolve("drawn", *example, (64, 64))
    assert (found.weights, found.conventions) == ("drawn", {"input_scaling": "unit"})


@needs_offline
def test_a_torch_file_becomes_canonical_in_a_process_of_its_own_and_is_kept(example, tmp_path):
    file = tmp_path / "w.pt"
    save = f"torch.save(torchvision.models.mobilenet_v2(num_classes=3).state_dict(), {str(file)!r})"
    code = f"import torch, torchvision; {save}"
    subprocess.run([sys.executable, "-c", code], check=True)
    spec = f"file:{file}::torchvision:mobilenet_v2"
    before = set(cache.folder("checkpoints").glob("file-*.safetensors"))  # other tests' too
    found = checkpoints.resolve(spec, *example, (32, 32))
    assert found.weights.without_head()["000.conv.kernel"].shape == (3, 3, 3, 32)
    np.testing.assert_equal(checkpoints.resolve(spec, *example, (32, 32)).weights.digest(), found.weights.digest())
    assert len(set(cache.folder("checkpoints").glob("file-*.safetensors")) - before) == 1


@needs_offline
def test_a_pickle_that_is_not_plain_tensors_is_refused_and_not_run(example, tmp_path):
    file, trap = tmp_path / "w.pt", tmp_path / "trap"
    code = f"""
import os, torch
class Trap:
    def __reduce__(self):
        return os.mkdir, ({str(trap)!r},)
torch.save({{"features.0.0.weight": Trap()}}, {str(file)!r})
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(UsageError) as said:
        checkpoints.resolve(f"file:{file}::torchvision:mobilenet_v2", *example, (32, 32))
    assert "\n" not in str(said.value)
    assert str(file) in str(said.value)
    assert not trap.exists()
