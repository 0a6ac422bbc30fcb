"""`isotune transfer`: a checkpoint carried through every library and back, bit for bit, or refused in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune import cli
from isotune.adapters._keras.files import fit_layers, read_layers
from isotune.errors import UsageError, WeightsMismatch
from isotune.weights import Weights, random_weights

torch = pytest.importorskip("torch", reason="needs the extra torch")
torchvision = pytest.importorskip("torchvision", reason="needs the extra torch")
timm = pytest.importorskip("timm", reason="needs the extra torch")

from isotune.adapters._torch.files import fit_state_dict, read_state_dict  # noqa: E402
from isotune.adapters.torchvision import TorchvisionAdapter  # noqa: E402
from isotune.conventions import Conventions, affine  # noqa: E402

CLASSES = 5
OURS, TIMM, KERAS = "torchvision:mobilenet_v2", "timm:mobilenetv2_100", "keras:MobileNetV2"
MODELS = f"{KERAS}, {TIMM}, {OURS}"


@pytest.fixture
def transfer(warm, shared_cache, monkeypatch, capsys):
    """Runs `isotune transfer` in this process, with the workers that are there already: (status, stdout, stderr)."""
    monkeypatch.setenv("ISOTUNE_CACHE", str(shared_cache))

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["isotune", "transfer", *map(str, arguments), "--size", "64"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def refused(transfer, tmp_path):
    """Runs a transfer that must fail: its one line. Nothing may be written, and what was there must stay."""

    def run(*arguments: object) -> str:
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        status, out, err = transfer(*arguments)
        assert (status, out) == (2, "")
        assert err.startswith("isotune: ")
        assert len(err.strip().splitlines()) == 1
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        return err.strip()

    return run


def drawn(net) -> dict:
    """The state of a network with every tensor drawn, BatchNorm's too, so that swapped tensors show."""
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.ndim > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=stream)
            elif name.endswith(("running_var", "weight")):
                tensor.uniform_(0.5, 1.5, generator=stream)
            elif tensor.is_floating_point():
                tensor.normal_(0, 0.1, generator=stream)
    return net.state_dict()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> SimpleNamespace:
    """Checkpoint files of torchvision's and timm's MobileNetV2 with five classes."""
    folder = tmp_path_factory.mktemp("files")
    for name, net in (
        ("ours", torchvision.models.mobilenet_v2(num_classes=CLASSES)),
        ("timm", timm.create_model("mobilenetv2_100", num_classes=CLASSES)),
    ):
        torch.save(drawn(net), folder / f"{name}.pth")
    return SimpleNamespace(ours=folder / "ours.pth", timm=folder / "timm.pth")


def state(path: Path) -> dict:
    return torch.load(path, weights_only=True)


# -- round trips


def test_there_and_back_every_tensor_and_every_convention_is_the_same(transfer, files, tmp_path):
    first, keras, back, ours = (tmp_path / name for name in ("a.safetensors", "b.weights.h5", "c.safetensors", "d.pth"))
    status, out, err = transfer(OURS, "-o", first, "--checkpoint", f"file:{files.ours}")
    assert (status, err) == (0, "")
    assert out == f"{first}: mobilenet_v2, 262 tensors of {OURS} file:{files.ours}\n"
    status, out, _ = transfer(OURS, KERAS, "-o", keras, "--checkpoint", f"file:{first}")
    assert status == 0
    for axis, trained, built in (
        ("input_scaling", "mean-std", "minus-one-to-one"), ("stride2_padding", "symmetric", "same"),
        ("batchnorm_epsilon", "1e-05", "0.001"), ("batchnorm_momentum", "0.1", "0.001"),
    ):  # fmt: skip
        assert f"  trained with {axis} = {trained}; {KERAS} is built with {built}\n" in out
    assert f"--models {KERAS} --checkpoint file:{keras}" in out
    assert transfer(KERAS, "-o", back, "--checkpoint", f"file:{keras}")[0] == 0
    assert transfer(KERAS, OURS, "-o", ours, "--checkpoint", f"file:{keras}")[0] == 0

    canonical, returned = Weights.read(first), Weights.read(back)
    assert canonical["head.kernel"].shape == (1280, CLASSES)
    assert returned.digest() == canonical.digest()
    assert returned.architecture == canonical.architecture == "mobilenet_v2"
    assert canonical.conventions["input_scaling"] == "mean-std"
    assert canonical.conventions["stride2_padding"] == "symmetric"
    assert canonical.conventions["batchnorm_epsilon"] == 1e-5
    assert canonical.conventions.items() <= returned.conventions.items()
    before, after = state(files.ours), state(ours)
    assert list(after) == list(before)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items() if tensor.is_floating_point())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]  # no drafts


def test_the_classifier_can_be_left_behind(transfer, files, tmp_path):
    given = ("--checkpoint", f"file:{files.ours}", "--no-classifier")
    keras, back, ours = (tmp_path / name for name in ("a.weights.h5", "b.safetensors", "c.pth"))
    assert transfer(OURS, KERAS, "-o", keras, *given)[0] == 0
    assert transfer(KERAS, "-o", back, "--checkpoint", f"file:{keras}")[0] == 0
    assert transfer(OURS, TIMM, "-o", ours, *given)[0] == 0
    assert not any(name.startswith("head.") for name in Weights.read(back))
    assert len(Weights.read(back)) == 260
    left = timm.create_model("mobilenetv2_100").load_state_dict(state(ours), strict=False)
    assert (left.missing_keys, left.unexpected_keys) == (["classifier.weight", "classifier.bias"], [])


def test_hidden_layers_of_a_classifier_go_along_without_it(transfer, tmp_path):
    first, keras, back = (tmp_path / name for name in ("a.safetensors", "b.weights.h5", "c.safetensors"))
    model, twin = "torchvision:mobilenet_v3_small", "keras:MobileNetV3Small"
    assert transfer(model, "-o", first, "--checkpoint", "random:0")[0] == 0
    assert transfer(model, twin, "-o", keras, "--checkpoint", f"file:{first}")[0] == 0
    assert transfer(twin, "-o", back, "--checkpoint", f"file:{keras}")[0] == 0
    assert Weights.read(first)[max(Weights.read(first))].shape == (1, 1, 576, 1024)  # a dense layer on vectors
    assert Weights.read(back).digest() == Weights.read(first).digest()


def test_random_weights_are_the_same_whichever_library_makes_them(transfer, tmp_path):
    made = []
    for model in (OURS, TIMM, KERAS):
        path = tmp_path / f"{model.partition(':')[0]}.safetensors"
        assert transfer(model, "-o", path, "--checkpoint", "random:0")[0] == 0
        made.append(Weights.read(path))
    assert len({weights.digest() for weights in made}) == 1
    assert len({json.dumps(dict(weights.conventions), sort_keys=True) for weights in made}) == 1
    assert {weights.architecture for weights in made} == {"mobilenet_v2"}


def test_a_tag_in_timms_name_does_not_change_the_architecture(transfer, tmp_path):
    path = tmp_path / "a.safetensors"
    assert transfer(f"{TIMM}.ra_in1k", "-o", path, "--checkpoint", "random:0")[0] == 0
    assert Weights.read(path).architecture == "mobilenet_v2"


# -- files that the libraries themselves take


def images(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)


def scaled(batch: np.ndarray):
    _, scale, offset = affine("mean-std")
    return torch.from_numpy((batch * scale + offset).transpose(0, 3, 1, 2).copy())


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_timms_checkpoint_becomes_a_state_dict_of_torchvision(transfer, files, tmp_path, suffix):
    path, canonical = tmp_path / f"a.{suffix}", tmp_path / "canonical.safetensors"
    given = ("--checkpoint", f"file:{files.timm}")
    assert transfer(TIMM, OURS, "-o", path, *given)[0] == 0
    assert transfer(TIMM, "-o", canonical, *given)[0] == 0
    plain = torchvision.models.mobilenet_v2(num_classes=CLASSES)
    plain.load_state_dict(read_state_dict(path) if suffix == "safetensors" else state(path), strict=True)
    original = timm.create_model("mobilenetv2_100", num_classes=CLASSES)
    original.load_state_dict(state(files.timm))
    batch = images(64)
    with torch.no_grad():
        logits, wanted = (net.double().eval()(scaled(batch)).numpy() for net in (plain, original))
    built = TorchvisionAdapter().build(
        "mobilenet_v2", classes=CLASSES, checkpoint=Weights.read(canonical), conventions=Conventions(),
        numeric_mode="float64", image_size=(64, 64),
    )  # fmt: skip
    for found in (logits, built.logits(batch)):
        assert np.abs(found - wanted).max() < 1e-10 * np.abs(wanted).max()


PLAIN_KERAS = """
import sys
import keras, numpy as np, torch, torchvision
whole, body, state = sys.argv[1:]
arguments = {"weights": None, "input_shape": (33, 33, 3)}
net = keras.applications.MobileNetV2(classes=5, classifier_activation=None, **arguments)
net.load_weights(whole)
bare = keras.applications.MobileNetV2(include_top=False, pooling="avg", **arguments)
bare.load_weights(body)
for one, other in zip(bare.weights, net.weights):
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)))
# At 33 pixels every map on the way down is odd, so that Keras's padding is torch's; epsilon is what is left.
for layer in net.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.epsilon = 1e-5
twin = torchvision.models.mobilenet_v2(num_classes=5)
twin.load_state_dict(torch.load(state, weights_only=True))
batch = torch.randn(3, 3, 33, 33, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    wanted = twin.eval()(batch).numpy()
    found = keras.ops.convert_to_numpy(net(batch.permute(0, 2, 3, 1), training=False))
assert np.abs(found - wanted).max() < 2e-5 * np.abs(wanted).max(), (found, wanted)
"""


def test_a_file_for_keras_loads_into_the_plain_application_and_is_the_same_function(transfer, files, tmp_path):
    whole, body = tmp_path / "whole.weights.h5", tmp_path / "body.weights.h5"
    given = ("--checkpoint", f"file:{files.ours}")
    assert transfer(OURS, KERAS, "-o", whole, *given)[0] == 0
    assert transfer(OURS, KERAS, "-o", body, *given, "--no-classifier")[0] == 0
    command = [sys.executable, "-c", PLAIN_KERAS, whole, body, files.ours]
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_command_answers_a_program_in_json(transfer, files, tmp_path):
    status, out, err = transfer(OURS, TIMM, "-o", tmp_path / "a.pth", "--checkpoint", f"file:{files.ours}", "--json")
    assert status == 0, err
    found = json.loads(out)
    assert (found["architecture"], found["tensors"], found["differing"]) == ("mobilenet_v2", 262, {})
    assert found["conventions"]["batchnorm_epsilon"] == 1e-5
    assert set(state(tmp_path / "a.pth")) == set(state(files.timm))


def test_the_folder_of_the_file_is_made_as_every_commands_is(transfer, tmp_path):
    status, _, err = transfer(OURS, "-o", tmp_path / "new" / "folder" / "a.safetensors", "--checkpoint", "random:0")
    assert status == 0, err
    assert Weights.read(tmp_path / "new" / "folder" / "a.safetensors").architecture == "mobilenet_v2"


# -- wrong use


def test_models_of_two_architectures_are_refused_with_the_pairs_that_exist(refused, tmp_path):
    line = refused(TIMM, "torchvision:resnet18", "-o", tmp_path / "a.pth", "--checkpoint", "random:0")
    assert f"{TIMM} is mobilenet_v2 and torchvision:resnet18 is resnet18, no pair" in line
    assert f"{KERAS} = {TIMM} = {OURS}; timm:resnet18 = torchvision:resnet18" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((OURS, "-o", "a.pth"), "the canonical form is written as .safetensors"),
        ((OURS, TIMM, "-o", "a.h5"), "torch's files end in .safetensors, .pt or .pth"),
        ((OURS, KERAS, "-o", "a.keras"), "Keras's files of weights end in .weights.h5"),
        ((OURS, KERAS, "-o", "a.h5"), "Keras's files of weights end in .weights.h5"),
        ((OURS, "-o", "a.pth/a.safetensors"), "a.pth cannot be written (Not a directory)"),
        ((OURS, "-o", "a.safetensors", "--checkpoint", "file:none.pth"), "there is no file none.pth"),
        ((OURS, "-o", "a.safetensors", "--checkpoint", "file:none.zip"), "there is no file none.zip"),
        ((OURS, "-o", "a.safetensors", "--checkpoint", "random:many"), "random needs a seed"),
        ((OURS, "-o", "a.safetensors", "--checkpoint", "IMAGENET1K_V3"), "did you mean 'IMAGENET1K_V2'"),
        (("torchvision:mobilenet_v9", "-o", "a.safetensors"), "did you mean 'mobilenet_v2'"),
        ((OURS, "timm:mobilenetv2_10", "-o", "a.pth"), "did you mean 'mobilenetv2_1"),
        ((f"{OURS}:width=1", "-o", "a.safetensors"), "no option 'width'"),
    ],
)
def test_wrong_use_is_one_line_and_nothing_is_written(refused, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pth").write_bytes(b"here before")
    if "--checkpoint" not in arguments:
        arguments = (*arguments, "--checkpoint", "random:0")
    assert said in refused(*arguments)


# -- what does not fit


def test_a_checkpoint_of_another_width_does_not_fit_and_the_old_file_stays(refused, files, tmp_path):
    out = tmp_path / "a.weights.h5"
    out.write_bytes(b"here before")
    line = refused(OURS, f"{KERAS}:alpha=0.35", "-o", out, "--checkpoint", f"file:{files.ours}")
    assert "keras:MobileNetV2: tensor '000.conv.kernel' is (3, 3, 3, 32) in the checkpoint and (3, 3, 3, 16)" in line
    assert line.endswith("; the weights are those of mobilenet_v2 as well, perhaps with another width or image size")


@pytest.mark.parametrize("target", [(), ("timm:resnet18",)])
def test_canonical_weights_are_not_passed_off_as_another_architecture(refused, tmp_path, target):
    path = tmp_path / "given.safetensors"
    Weights(random_weights({"000.conv.kernel": (3, 3, 3, 32)}, 0).tensors, {}, "mobilenet_v2").write(path)
    out = tmp_path / ("a.pth" if target else "a.safetensors")
    line = refused("torchvision:resnet18", *target, "-o", out, "--checkpoint", f"file:{path}")
    assert "torchvision:resnet18: tensor '000.conv.kernel' is (3, 3, 3, 32) in the checkpoint and (7, 7, 3, 64)" in line
    assert line.endswith(f"; the weights are those of mobilenet_v2: {MODELS}")


def test_a_file_of_another_model_is_known_by_its_size(refused, files, tmp_path):
    line = refused("torchvision:resnet18", "-o", tmp_path / "a.safetensors", "--checkpoint", f"file:{files.timm}")
    assert "timm.pth: tensor 'conv1.weight' of the model (64, 3, 7, 7) is missing from the file" in line
    assert line.endswith(f"; by its size, 2.2 M parameters, it is mobilenet_v2: {MODELS}")


def test_a_file_of_another_keras_model_is_known_by_its_size(transfer, refused, files, tmp_path):
    path = tmp_path / "v2.weights.h5"
    assert transfer(OURS, KERAS, "-o", path, "--checkpoint", f"file:{files.ours}")[0] == 0
    line = refused("keras:MobileNet", "-o", tmp_path / "a.safetensors", "--checkpoint", f"file:{path}")
    assert "v2.weights.h5: " in line
    assert line.endswith(f"; by its size, 2.2 M parameters, it is mobilenet_v2: {MODELS}")


def test_a_state_that_does_not_fit_leaves_the_network_as_it_was():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.BatchNorm2d(2), torch.nn.Linear(2, 3))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    for changed, said in [
        ({"2.weight": torch.zeros(3, 4)}, "tensor '2.weight' is (3, 4) in the file, (3, 2) in the model"),
        ({"0.bias": None}, "tensor '0.bias' of the model (2,) is missing from the file"),
        ({"3.more": torch.zeros(4, 5)}, "the file has 1 tensors that the model lacks, first '3.more' (4, 5)"),
    ]:
        given = {n: torch.ones_like(t) for n, t in before.items()} | changed
        given = {name: tensor for name, tensor in given.items() if tensor is not None}
        with pytest.raises(WeightsMismatch) as caught:
            fit_state_dict(net, given, "a.pth")
        assert str(caught.value) == f"a.pth: {said}"
        assert [(2,), (2,)] in [
            list(layer) for layer in caught.value.layers
        ]  # of the BatchNorm: its statistics are not counted
        assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_auxiliary_classifiers_of_a_release_are_left_out():
    """torchvision's files of Inception v3 and GoogLeNet have them; what isotune builds has not."""
    with torch.device("meta"):
        whole = torchvision.models.googlenet(aux_logits=True, init_weights=False)
        net = torchvision.models.googlenet(aux_logits=False, init_weights=False)
    given = {name: torch.zeros_like(tensor, device="meta") for name, tensor in whole.state_dict().items()}
    assert set(given) > set(net.state_dict())
    fit_state_dict(net, given, "googlenet.pth")


class Variable(SimpleNamespace):
    """What `fit_layers` sees of a Keras variable."""


def a_layer(name: str, *shapes: tuple[int, ...]) -> SimpleNamespace:
    """What `fit_layers` sees of a Keras layer, and whether its weights were set."""
    layer = SimpleNamespace(
        name=name, given=None, weights=[Variable(name=f"v{i}", shape=s) for i, s in enumerate(shapes)]
    )
    layer.set_weights = lambda arrays: setattr(layer, "given", [array.shape for array in arrays])
    return layer


def zeros(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    return [np.zeros(shape, np.float32) for shape in shapes]


def test_layers_that_do_not_fit_are_named_and_none_is_set():
    norm = [(4,)] * 4
    file = {"stem": zeros((3, 3, 3, 4)), "bn": zeros(*norm), "conv2d_7": zeros((1, 1, 4, 8), (8,))}
    counted = [[(3, 3, 3, 4)], [(4,), (4,)], [(1, 1, 4, 8), (8,)]]  # statistics are not

    def model(**changed) -> list[SimpleNamespace]:
        shapes = {"stem": [(3, 3, 3, 4)], "bn": norm, "conv2d": [(1, 1, 4, 8), (8,)]} | changed
        return [a_layer(name, *given) for name, given in shapes.items() if given]

    fitting = model()
    head, said = fit_layers(file, fitting, 8, "a.h5")
    assert (head, said.partition(", ")[2]) == (None, "'conv2d_7' for 'conv2d'")
    assert [layer.given for layer in fitting] == [[(3, 3, 3, 4)], norm, [(1, 1, 4, 8), (8,)]]
    for layers, said in [
        (model(stem=[(3, 3, 3, 5)]), "v0 of layer 'stem' is (3, 3, 3, 4) in the file, (3, 3, 3, 5) in the model"),
        (model(bn=norm[:3]), "layer 'bn' has 4 tensors in the file ((4,), (4,), (4,), (4,)), 3 in the model"),
        (model(dense=[(8, 3)]), "layer 'dense' of the model (v0 (8, 3)) is missing from the file"),
        (model(bn=None), "the file has 1 layers that the model lacks, first 'bn' ((4,), (4,), (4,), (4,))"),
        # the first that differs, though a later one is missing altogether
        (model(stem=[(3, 3, 3, 5)], dense=[(8, 3)]), "v0 of layer 'stem' is (3, 3, 3, 4) in the file"),
    ]:
        with pytest.raises(WeightsMismatch) as caught:
            fit_layers(file, layers, 8, "a.h5")
        assert str(caught.value).startswith(f"a.h5: {said}")
        assert caught.value.layers == counted
        assert [layer.given for layer in layers] == [None] * len(layers)


# -- files that are cut off


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """A small whole file of every format, by name."""
    folder = tmp_path_factory.mktemp("whole")
    tensors = {f"{place}.weight": torch.randn(3, 4) for place in range(5)}
    torch.save(tensors, folder / "new.pth")
    torch.save(tensors, folder / "old.pth", _use_new_zipfile_serialization=False)
    Weights({name: tensor.numpy() for name, tensor in tensors.items()}, {}, "mobilenet_v2").write(
        folder / "a.safetensors"
    )
    with h5py.File(folder / "a.weights.h5", "w") as file:  # the layout of Keras 3
        for place in range(5):
            file.create_dataset(f"layers/dense_{place}/vars/0", data=np.ones((3, 4), np.float32))
    with zipfile.ZipFile(folder / "a.keras", "w") as archive:
        archive.write(folder / "a.weights.h5", "model.weights.h5")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["new.pth", "old.pth", "a.safetensors", "a.weights.h5", "a.keras"])
@given(share=st.floats(0, 1, exclude_max=True))
def test_however_much_is_missing_a_reader_refuses(tmp_path_factory, whole, name, share):
    read = read_layers if name.endswith(("h5", "keras")) else read_state_dict
    path = tmp_path_factory.mktemp("cut") / name
    path.write_bytes(whole[name])
    assert len(read(path)) == 5
    path.write_bytes(whole[name][: int(share * len(whole[name]))])
    with pytest.raises(UsageError, match=r"cut off") as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0, 0.03, 0.5, 0.97, 1])
@pytest.mark.parametrize(
    ("name", "source", "target"),
    [
        ("a.safetensors", OURS, None),
        ("a.safetensors", KERAS, TIMM),
        ("new.pth", OURS, KERAS),
        ("old.pth", TIMM, OURS),
        ("a.weights.h5", KERAS, OURS),
        ("a.keras", KERAS, None),
    ],
)
def test_a_checkpoint_that_is_cut_off_is_refused_and_the_old_file_stays(
    refused, whole, tmp_path, name, source, target, share
):
    cut = tmp_path / name
    cut.write_bytes(whole[name][: int(share * (len(whole[name]) - 1))])
    out = tmp_path / ("out.safetensors" if target is None else "out.weights.h5" if target == KERAS else "out.pth")
    out.write_bytes(b"here before")
    line = refused(*filter(None, (source, target)), "-o", out, "--checkpoint", f"file:{cut}")
    assert name in line
    assert "cut off" in line or "incomplete or damaged" in line


def test_a_file_of_another_library_is_converted_in_a_process_of_its_own_and_refused_as_well(refused, whole, tmp_path):
    """`file:PATH::MODEL`: the line comes from another process, and nothing of it is kept in the cache."""
    cut = tmp_path / "a.weights.h5"
    cut.write_bytes(whole["a.weights.h5"][:-1])
    line = refused(OURS, "-o", tmp_path / "a.safetensors", "--checkpoint", f"file:{cut}::{KERAS}")
    assert "a.weights.h5: not a whole Keras file, perhaps cut off" in line


def test_a_damaged_archive_is_refused(whole, tmp_path):
    """A .keras whose end is there and whose middle is not."""
    path = tmp_path / "a.keras"
    content = bytearray(whole["a.keras"])
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(UsageError, match="not a whole Keras file, perhaps cut off"):
        read_layers(path)
    with zipfile.ZipFile(BytesIO(whole["a.keras"])) as archive:
        inner = archive.read("model.weights.h5")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", inner[:-1])
    with pytest.raises(UsageError, match="not a whole Keras file, perhaps cut off"):
        read_layers(path)
