"""Files of weights: damage and NaN are named, nothing in them runs, hangs or floods."""

from __future__ import annotations

import importlib
import math
import os
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from isotune import names
from isotune.adapters._keras import hdf5
from isotune.adapters._keras.files import read_layers
from isotune.adapters._torch.fetching import Download
from isotune.adapters._torch.files import read_state_dict, write_state_dict
from isotune.errors import UsageError
from isotune.models import checkpoints
from isotune.weights import Weights

pytestmark = pytest.mark.xdist_group("apart")

NAME = names.parse("torchvision:mobilenet_v2")


def tensors() -> dict[str, torch.Tensor]:
    return {f"{place}.weight": torch.arange(12.0).reshape(3, 4) + place for place in range(3)}


def of_keras(path: Path, *, legacy: bool = True, value: float = 1.0, **options: object) -> Path:
    """Twelve dense layers, as Keras 2 or 3 keeps them."""
    with h5py.File(path, "w") as file:
        names = [f"dense_{place}" for place in range(12)]
        if legacy:
            file.attrs["layer_names"] = names
        for place, name in enumerate(names):
            kernel = np.full((3, 4), value if place == 7 else 1, np.float32)
            if legacy:
                file.create_group(name).attrs["weight_names"] = [f"{name}/kernel:0"]
                file.create_dataset(f"{name}/{name}/kernel:0", data=kernel, **options)
            else:
                file.create_dataset(f"layers/{name}/vars/0", data=kernel, **options)
    return path


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_named(tmp_path: Path, value: float) -> None:
    state = tensors()
    state["1.weight"][2, 3] = value
    kind = "NaN" if math.isnan(value) else "infinite"
    torch.save(state, tmp_path / "a.pth")
    save_file(state, tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        with pytest.raises(UsageError, match=rf"{name}: tensor '1.weight' \(3, 4\) holds values that are {kind}"):
            read_state_dict(tmp_path / name)
    Weights({name: tensor.numpy() for name, tensor in state.items()}, {}, "x").write(tmp_path / "c.safetensors")
    with pytest.raises(UsageError, match=rf"c.safetensors: tensor '1.weight' \(3, 4\) holds values that are {kind}"):
        checkpoints.resolve(f"file:{tmp_path / 'c.safetensors'}", names.load_adapter(NAME), NAME, (32, 32))
    with pytest.raises(UsageError, match=rf"tensor 'dense_7/0' \(3, 4\) holds values that are {kind}"):
        read_layers(of_keras(tmp_path / "a.h5", value=value))


def test_every_kind_of_number_is_looked_at(tmp_path: Path) -> None:
    for dtype in (torch.float64, torch.bfloat16, torch.float8_e4m3fn, torch.int64):
        torch.save({"a": torch.ones(3).to(dtype)}, tmp_path / "a.pth")
        assert read_state_dict(tmp_path / "a.pth")["a"].dtype == dtype
    torch.save({"a": torch.tensor([1e300], dtype=torch.float64)}, tmp_path / "a.pth")
    assert read_state_dict(tmp_path / "a.pth")["a"].item() == 1e300
    torch.save({"a": torch.tensor([float("nan")]).to(torch.float8_e4m3fn)}, tmp_path / "a.pth")
    with pytest.raises(UsageError, match="tensor 'a'"):
        read_state_dict(tmp_path / "a.pth")


def test_a_flipped_bit_of_an_archive_of_torch_shows(tmp_path: Path) -> None:
    """torch itself compares no checksums."""
    torch.save(tensors(), tmp_path / "a.pth")
    whole = bytearray((tmp_path / "a.pth").read_bytes())
    at = whole.index(torch.arange(12.0).numpy().tobytes()) + 20
    whole[at] ^= 1
    (tmp_path / "b.pth").write_bytes(whole)
    assert torch.load(tmp_path / "b.pth", weights_only=True).keys() == tensors().keys()
    with pytest.raises(UsageError, match=r"b.pth: cannot be read, perhaps cut off \(.* is not what its checksum says"):
        read_state_dict(tmp_path / "b.pth")


@pytest.mark.parametrize("conventions", [{}, {"batchnorm_epsilon": 1e-3}])
def test_a_flipped_bit_of_a_file_that_isotune_wrote_shows(tmp_path: Path, conventions: dict[str, float]) -> None:
    path = tmp_path / "a.safetensors"
    write_state_dict(path, tensors(), conventions)
    whole = path.read_bytes()
    assert read_state_dict(path).keys() == tensors().keys()
    for at in (whole.index(b"conventions") + 15, len(whole) - 30):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(UsageError, match=r"a\.safetensors"):
            read_state_dict(path)


def test_tensors_are_no_larger_than_their_file(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "a.pth")
    with pytest.raises(UsageError, match=r"'a' \(1000000, 1000000\) is larger than the file"):
        read_state_dict(tmp_path / "a.pth")
    for odd in (torch.eye(3).to_sparse(), torch.zeros(3, device="meta"), torch.zeros(3, dtype=torch.complex64)):
        torch.save({"a": odd}, tmp_path / "a.pth")
        with pytest.raises(UsageError, match="'a' is no plain tensor"):
            read_state_dict(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "a.weights.h5", "a.keras", "c.safetensors"])
def test_a_pipe_is_no_checkpoint(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    read = read_layers if name.endswith(("h5", "keras")) else Weights.read if name[0] == "c" else read_state_dict
    with pytest.raises(UsageError, match="a named pipe, not a file"):
        read(tmp_path / name)


def test_a_file_that_keeps_hdf5_busy_is_refused_within_seconds(tmp_path: Path) -> None:
    """Zeroed in the heap of names, through which HDF5 looks for ever, or almost, in some versions."""
    path = of_keras(tmp_path / "a.h5")
    assert len(read_layers(path)) == 12
    whole = path.read_bytes()
    for at in range(2200, 3000, 100):
        path.write_bytes(whole[:at] + bytes(1000) + whole[at + 1000 :])
        began = time.monotonic()
        with pytest.raises(UsageError, match=r"not a whole Keras file, perhaps cut off") as caught:
            read_layers(path)
        assert time.monotonic() - began < 60  # three seconds of the processor, on a machine that may be busy
        if "it keeps HDF5 busy without end" in str(caught.value):
            break
    path.write_bytes(whole)
    assert len(read_layers(path)) == 12, "another process reads on"


def test_a_reader_that_does_not_answer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sleeping.py").write_text("import time\n\ndef read(worker, **_): time.sleep(600)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(hdf5, "read", importlib.import_module("sleeping").read)
    monkeypatch.setattr(hdf5, "_PATIENCE", 0.5)
    monkeypatch.setattr(hdf5, "_process", process := hdf5._Process())
    with pytest.raises(UsageError, match="it keeps HDF5 busy without end"):
        read_layers(of_keras(tmp_path / "a.h5"))
    process._stop()


def test_arrays_of_keras_are_no_larger_than_their_file(tmp_path: Path) -> None:
    path = of_keras(tmp_path / "a.weights.h5", legacy=False)
    with h5py.File(path, "a") as file:
        file.create_dataset("layers/dense_0/vars/1", shape=(10**6, 10**4), dtype="f4", chunks=(1000, 1000))
    with pytest.raises(UsageError, match="nothing was written"):
        read_layers(path)
    with h5py.File(path, "w") as file:
        zeros = np.zeros((6000, 6000), np.float32)
        file.create_dataset("layers/dense_0/vars/0", data=zeros, compression="gzip", chunks=(1000, 1000))
    with pytest.raises(UsageError, match="much larger than"):
        read_layers(path)
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(100 << 20))
    with pytest.raises(UsageError, match="would expand to 100 MiB"):
        read_layers(tmp_path / "a.keras")


class Runs:
    """What a pickle must not be able to do."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (os.environ["MARK"],)


def test_a_cached_pickle_does_not_run_however_the_library_loads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARK", str(tmp_path / "ran"))
    path = tmp_path / "net.pth"
    torch.save({"a": Runs()}, path)
    download = Download("torchvision:x", "y", "https://localhost/net.pth", path)
    with pytest.raises(UsageError, match="the cached file is damaged; remove"), download.loading():
        torch.hub.load_state_dict_from_url("https://localhost/net.pth", model_dir=str(tmp_path))
    assert not (tmp_path / "ran").exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ
    torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists(), "it would have"


def test_a_cached_file_is_what_its_name_says(tmp_path: Path) -> None:
    torch.save(tensors(), tmp_path / "net-0123abcd.pth")
    with (
        pytest.raises(UsageError, match=r"the cached file is not what its name says; remove .*net-0123abcd.pth"),
        Download("torchvision:x", "y", "https://localhost", tmp_path / "net-0123abcd.pth").loading(),
    ):
        raise AssertionError
    blob = tmp_path / "hub" / "blobs" / ("0" * 64)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"x")
    (tmp_path / "hub" / "snapshots" / "1").mkdir(parents=True)
    (tmp_path / "hub" / "snapshots" / "1" / "model.safetensors").symlink_to(blob)
    with (
        pytest.raises(UsageError, match="the cached file is not what its name says"),
        Download("timm:x", "y", "https://localhost", tmp_path / "hub").loading(),
    ):
        raise AssertionError
