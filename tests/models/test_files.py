"""Files of weights: whose they are, under which names, and what is said of it. Real files, real libraries."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
torchvision = pytest.importorskip("torchvision", reason="needs the extra torch")
timm = pytest.importorskip("timm", reason="needs the extra torch")
h5py = pytest.importorskip("h5py", reason="needs the extra keras")

import isotune  # noqa: E402
from isotune import names  # noqa: E402
from isotune.adapters._torch.files import read, read_state_dict, write_state_dict  # noqa: E402
from isotune.adapters.timm import TimmAdapter  # noqa: E402
from isotune.adapters.torchvision import TorchvisionAdapter  # noqa: E402
from isotune.conventions import Conventions  # noqa: E402
from isotune.errors import UsageError  # noqa: E402
from isotune.models import checkpoints  # noqa: E402
from isotune.models.axes import resolved  # noqa: E402
from isotune.models.building import Builder  # noqa: E402
from isotune.protocols import Mode  # noqa: E402

SIZE = (64, 64)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3), dtype=np.uint8)
OURS, TIMM = names.parse("torchvision:mobilenet_v2"), names.parse("timm:mobilenetv2_100")
KERAS = """
import sys
import keras, numpy as np
folder, images = sys.argv[1:]
stream = np.random.default_rng(0)
net = keras.applications.MobileNetV2(weights=None, classes=5, input_shape=(64, 64, 3), classifier_activation=None)
for variable in net.weights:
    shape = tuple(variable.shape)
    drawn = stream.normal(0, (2 / max(1, np.prod(shape[:3]))) ** .5, shape) if len(shape) > 1 else (
        stream.uniform(0.5, 1.5, shape) if "variance" in variable.name or "gamma" in variable.name else
        stream.normal(0, .1, shape))
    variable.assign(drawn)
net.save(f"{folder}/whole.keras")
logits = net(np.load(images).astype("float32") / 127.5 - 1, training=False)
np.save(f"{folder}/keras.npy", keras.ops.convert_to_numpy(logits))
"""


@pytest.fixture(autouse=True)
def place(shared_cache, monkeypatch, warm):
    monkeypatch.setenv("ISOTUNE_CACHE", str(shared_cache))


def drawn(net: torch.nn.Module) -> torch.nn.Module:
    """Every tensor drawn, BatchNorm's too, so that swapped tensors show."""
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.ndim > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=stream)
            elif name.endswith(("running_var", "weight")):
                tensor.uniform_(0.5, 1.5, generator=stream)
            elif tensor.is_floating_point():
                tensor.normal_(0, 0.1, generator=stream)
    return net.eval()


def scaled(images: np.ndarray) -> torch.Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((torch.from_numpy(images) / 255 - mean) / std).permute(0, 3, 1, 2)


def logits_of(adapter, model, checkpoint: checkpoints.Checkpoint) -> np.ndarray:
    """Under the checkpoint's conventions, in this process."""
    axes = resolved("identical", adapter, model, protocol={}, checkpoint=checkpoint.conventions)
    built = adapter.build(
        model.name,
        classes=None,
        checkpoint=checkpoint.weights,
        conventions=axes,
        image_size=SIZE,
        options=model.options,
    )
    return built.logits(IMAGES)


def resolved_for(adapter, model, path: Path | str) -> checkpoints.Checkpoint:
    return checkpoints.resolve(f"file:{path}", adapter, model, SIZE)


def near(found: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.abs(found - wanted).max() < 2e-4 * np.abs(wanted).max())


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with Keras's file of a MobileNetV2 of five classes, torchvision's and timm's, and each one's logits."""
    folder = tmp_path_factory.mktemp("files")
    np.save(folder / "images.npy", IMAGES)
    command = [sys.executable, "-c", KERAS, folder, folder / "images.npy"]
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for name, net in (
        ("ours", torchvision.models.mobilenet_v2(num_classes=5)),
        ("timm", timm.create_model("mobilenetv2_100", num_classes=5)),
    ):
        torch.save(drawn(net).state_dict(), folder / f"{name}.pth")
        with torch.no_grad():
            np.save(folder / f"{name}.npy", net(scaled(IMAGES)).numpy())
    return folder


# -- a file of another library


def test_a_keras_file_is_taken_by_torchvision_as_it_was_trained(files, caplog):
    adapter = TorchvisionAdapter()
    with caplog.at_level(logging.WARNING, "isotune"):
        found = resolved_for(adapter, OURS, files / "whole.keras")
    assert found.conventions["stride2_padding"] == "same"
    assert found.conventions["batchnorm_epsilon"] == 1e-3
    assert found.conventions["input_scaling"] == "minus-one-to-one"
    (note,) = found.notes
    assert "whole.keras, a file of keras:MobileNetV2, is run under its conventions: " in note
    assert "stride2_padding=same" in note
    assert note in caplog.text
    wanted = np.load(files / "keras.npy")
    assert near(logits_of(adapter, OURS, found), wanted)
    native = checkpoints.Checkpoint(found.weights, {})
    assert not near(logits_of(adapter, OURS, native), wanted), "else the conventions would make no difference"


@pytest.mark.slow
def test_a_file_of_torchs_libraries_is_taken_by_keras(files):
    with isotune.open_model("keras:MobileNetV2", checkpoint=files / "ours.pth", size=64) as model:
        assert model.conventions.stride2_padding == "symmetric"
        assert model.conventions.input_scaling == "mean-std"
        assert near(model.logits(IMAGES), np.load(files / "ours.npy"))


def test_timms_file_is_timms_in_torchvision(files):
    found = resolved_for(TorchvisionAdapter(), OURS, files / "timm.pth")
    assert near(logits_of(TorchvisionAdapter(), OURS, found), np.load(files / "timm.npy"))
    assert "a file of timm:mobilenetv2_100" in found.notes[0]
    assert resolved_for(TimmAdapter(), TIMM, files / "timm.pth").notes == (), "its own needs no word"


def test_of_a_network_of_ones_own_nobody_knows_whose_file_it_is(files, tmp_path):
    (tmp_path / "net.py").write_text("from torchvision.models import mobilenet_v2\n")
    model = names.parse(f"torch:{tmp_path}/net.py:mobilenet_v2")
    with pytest.raises(UsageError, match=r"say of which model it is: file:.*whole.keras::ADAPTER:MODEL"):
        resolved_for(names.load_adapter(model), model, files / "whole.keras")
    found = resolved_for(names.load_adapter(model), model, f"{files}/whole.keras::keras:MobileNetV2")
    assert near(logits_of(names.load_adapter(model), model, found), np.load(files / "keras.npy"))


def test_models_of_one_architecture_and_other_conventions_are_not_guessed(tmp_path):
    """timm's efficientnet_b0 and tf_efficientnet_b0 have the same tensors under the same names."""
    torch.save(timm.create_model("efficientnet_b0", num_classes=2).state_dict(), tmp_path / "b0.pth")
    model = names.parse("torchvision:efficientnet_b0")
    with pytest.raises(UsageError, match=r"fits timm:\w+ as well as timm:\w+, which has .*; say of which it is"):
        resolved_for(TorchvisionAdapter(), model, tmp_path / "b0.pth")


def test_a_file_that_is_no_ones_is_refused_with_what_was_tried(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = ["dense"]
        file.create_group("dense").attrs["weight_names"] = ["dense/kernel:0"]
        file["dense/dense/kernel:0"] = np.ones((3, 4), np.float32)
    with pytest.raises(UsageError) as caught:
        resolved_for(TorchvisionAdapter(), OURS, tmp_path / "a.h5")
    assert "a.h5 is no file of keras:MobileNetV2, the mobilenet_v2 of other libraries; say of which" in str(
        caught.value
    )
    assert f": file:{tmp_path}/a.h5::ADAPTER:MODEL" in str(caught.value)


# -- tensors under other names


def renamed(state: dict, rename) -> OrderedDict:
    return OrderedDict((rename(name), tensor) for name, tensor in state.items())


def test_a_file_in_order_under_numbers_of_its_own_is_taken_and_said(files, tmp_path):
    """As another author's network has it: a flat list of layers."""
    state = torch.load(files / "ours.pth", weights_only=True)
    owners = {owner: place for place, owner in enumerate(dict.fromkeys(name.rpartition(".")[0] for name in state))}
    other = renamed(state, lambda name: "layer{}.{}".format(owners[name.rpartition(".")[0]], name.rpartition(".")[2]))
    torch.save(other, tmp_path / "other.pth")
    found = resolved_for(TorchvisionAdapter(), OURS, tmp_path / "other.pth")
    assert near(logits_of(TorchvisionAdapter(), OURS, found), np.load(files / "ours.npy"))
    (note,) = found.notes
    assert "262 of 262 tensors by order and shape, 'layer0' for 'features.0.0'" in note
    swapped = OrderedDict(other)
    one, two = "layer24.weight", "layer30.weight"  # expansions of two blocks, of one shape
    assert swapped[one].shape == swapped[two].shape
    items = list(swapped)
    a, b = items.index(one), items.index(two)
    items[a], items[b] = items[b], items[a]
    torch.save(OrderedDict((name, swapped[name]) for name in items), tmp_path / "swapped.pth")
    with pytest.raises(UsageError, match=r"and their names say the contrary; .*swapped.pth.names.json"):
        resolved_for(TorchvisionAdapter(), OURS, tmp_path / "swapped.pth")


def test_a_prefix_is_taken_off_and_said(files, tmp_path):
    state = torch.load(files / "ours.pth", weights_only=True)
    torch.save({"state_dict": renamed(state, "model.{}".format)}, tmp_path / "lightning.pth")
    found = resolved_for(TorchvisionAdapter(), OURS, tmp_path / "lightning.pth")
    assert near(logits_of(TorchvisionAdapter(), OURS, found), np.load(files / "ours.npy"))
    assert "its names are the model's behind 'model.'" in found.notes[0]


def test_a_map_says_what_no_name_says(tmp_path):
    """Two layers of one shape under words: refused, and taken by a map, which is part of the checkpoint's content."""
    body = "import torch\n\n\ndef make():\n    return torch.nn.Sequential(*layers(), torch.nn.Linear(4, 2))\n"
    layers = (
        "\n\ndef layers():\n    return torch.nn.Flatten(), *(torch.nn.Linear(*n) for n in ((192, 4), (4, 4), (4, 4)))\n"
    )
    (tmp_path / "net.py").write_text(body + layers)
    model = names.parse(f"torch:{tmp_path}/net.py:make")
    adapter, path = names.load_adapter(model), tmp_path / "w.pth"
    kernels = {name: torch.randn(shape) for name, shape in (("in", (4, 192)), ("one", (4, 4)), ("two", (4, 4)))}
    state = OrderedDict()
    for name, kernel in (*kernels.items(), ("out", torch.randn(2, 4))):
        state[f"{name}.weight"], state[f"{name}.bias"] = kernel, torch.randn(len(kernel))
    torch.save(state, path)

    def resolve() -> checkpoints.Checkpoint:
        return checkpoints.resolve(f"file:{path}", adapter, model, (8, 8))

    with pytest.raises(UsageError, match=r"'one' and 'two' have the same shapes, .* w.pth.names.json beside it"):
        resolve()
    beside = tmp_path / "w.pth.names.json"
    beside.write_text(json.dumps({"in": "1", "one": "3", "two": "2", "out": "4"}))
    found = resolve()
    np.testing.assert_array_equal(found.weights["002.conv.kernel"][0, 0], kernels["one"].numpy().T)
    assert "4 names are mapped" in found.notes[0]
    beside.write_text('"in order"')
    np.testing.assert_array_equal(resolve().weights["001.conv.kernel"][0, 0], kernels["one"].numpy().T)
    beside.write_text(json.dumps({"in": "1", "one": "3", "two": "2", "uot": "4"}))
    with pytest.raises(UsageError, match=r"'uot' is nothing in the file; did you mean 'out'"):
        resolve()


# -- conventions in a file of torch's


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin"])
def test_a_state_dict_keeps_the_conventions_and_stays_a_state_dict(files, tmp_path, suffix):
    path, net = tmp_path / f"a{suffix}", torchvision.models.mobilenet_v2(num_classes=5)
    write_state_dict(path, net.state_dict(), {"stride2_padding": "same", "batchnorm_epsilon": 1e-3})
    _, written = read(path)
    assert written == {"stride2_padding": "same", "batchnorm_epsilon": 1e-3}
    if suffix != ".safetensors":
        plain = torch.load(path, weights_only=True)
        assert list(plain) == list(net.state_dict())
        net.load_state_dict(plain, strict=True)
        assert {"", "features.0.0"} <= set(plain._metadata), "torch's own versions of modules stay"
        torch.save(plain, path)  # as somebody copies it
        assert read(path)[1] == written
    found = resolved_for(TorchvisionAdapter(), OURS, path)
    assert found.conventions["stride2_padding"] == "same"


def test_tensors_that_were_changed_under_written_conventions_are_refused(tmp_path):
    write_state_dict(tmp_path / "a.pth", {"a": torch.ones(3)}, {"stride2_padding": "same"})
    state = torch.load(tmp_path / "a.pth", weights_only=True)
    state["a"] = torch.zeros(3)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(UsageError, match=r"its digest is that of other content; .* save net.state_dict\(\)"):
        read_state_dict(tmp_path / "a.pth")
    torch.save(dict(state), tmp_path / "a.pth")
    assert read(tmp_path / "a.pth")[1] == {}, "a plain dictionary says nothing of conventions"


@pytest.mark.slow
def test_a_checkpoint_of_keras_in_a_pth_runs_as_trained(files, tmp_path):
    """It ran with torch's padding and epsilon, and was called identical."""
    path = tmp_path / "carried.pth"
    done = isotune.transfer("keras:MobileNetV2", str(OURS), path, checkpoint=files / "whole.keras", size=64)
    assert set(done.differing) == {"input_scaling", "stride2_padding", "batchnorm_epsilon", "batchnorm_momentum"}
    assert done.differing["stride2_padding"] == ("same", "symmetric")
    assert done.as_trained
    found = resolved_for(TorchvisionAdapter(), OURS, path)
    assert near(logits_of(TorchvisionAdapter(), OURS, found), np.load(files / "keras.npy"))


def test_what_a_file_does_not_say_is_said(files):
    """Of weights that carry no value of an axis that the network has."""
    held = resolved_for(TorchvisionAdapter(), OURS, files / "ours.pth").weights
    bare = replace(held, conventions={"input_scaling": "mean-std"})
    path = files / "bare.safetensors"
    bare.write(path)
    builder = Builder(SimpleNamespace(adapter=TorchvisionAdapter()))
    asked = {"conventions": "identical", "recipe": {}, "classes": None, "mode": Mode(), "size": 64}
    built = builder.build(str(OURS), checkpoint=f"file:{path}", **asked)
    assert built.conventions == Conventions(input_scaling="mean-std")
    axes = ("stride2_padding", "batchnorm_epsilon", "batchnorm_momentum")
    for axis, value, note in zip(axes, ("symmetric", "1e-05", "0.1"), built.notes, strict=True):
        assert note == f"bare.safetensors does not say under which {axis} it was trained; the model has {value}"
    assert builder.build(str(OURS), checkpoint=f"file:{files / 'ours.pth'}", **asked).notes == ()


# -- an input that stands beside the file


def test_mean_and_deviation_beside_the_file_are_the_checkpoints(files, tmp_path):
    path = tmp_path / "model.pth"
    path.write_bytes((files / "ours.pth").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}))
    found = resolved_for(TorchvisionAdapter(), OURS, path)
    assert found.conventions["input_scaling"] == "minus-one-to-one"
    assert found.notes == ("input_scaling of model.pth is minus-one-to-one, as config.json beside it says",)
    assert not near(logits_of(TorchvisionAdapter(), OURS, found), np.load(files / "ours.npy"))
