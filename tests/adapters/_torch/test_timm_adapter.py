"""timm behind the interface, on files laid in the Hugging Face cache and torch hub's."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from isotune.adapters._torch.axes.head import drawn
from isotune.adapters._torch.fetching import _download
from isotune.adapters.timm import TimmAdapter
from isotune.adapters.torchvision import TorchvisionAdapter
from isotune.conventions import Conventions, head_law
from isotune.errors import NotCached, UsageError
from isotune.models.axes import resolved, set_by_options
from isotune.names import ModelName
from isotune.weights import random_weights

ADAPTER = TimmAdapter()
PLAIN = Conventions()


def images(size=(65, 48), count=3):
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def build(name="mobilenetv2_050", *, classes=10, checkpoint=None, **changed):
    return ADAPTER.build(name, classes=classes, checkpoint=checkpoint, conventions=PLAIN, **changed)


def lay_in_cache(cache, repository, files):
    """Files in the Hugging Face hub's cache, as its client would have left them."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    place = cache / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    snapshot = place / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for name, save in files.items():
        save(snapshot / name)


def a_state_dict(name="mobilenetv2_050", seed=0):
    torch.manual_seed(seed)
    state = timm.create_model(name).state_dict()
    return {key: torch.rand_like(tensor) + 0.5 if ".running_" in key else tensor for key, tensor in state.items()}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty Hugging Face cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_arguments, **_named):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_some_1800_checkpoints_are_listed_by_architecture():
    models = {info.name: info for info in ADAPTER.models()}
    assert sum(len(info.checkpoints) for info in models.values()) == len(timm.list_pretrained()) > 1500
    assert models["resnet50"].checkpoints[0] == "a1_in1k"  # timm's default
    assert "tv_in1k" in models["resnet50"].checkpoints
    assert (models["mobilenetv2_100"].architecture, models["mobilenetv2_050"].architecture) == (
        "mobilenet_v2",
        "mobilenetv2_050",
    )
    assert models["mobilenetv2_100"].size == 224


def test_a_neutral_name_is_given_to_networks_with_as_many_parameters():
    published = {info.name: info.parameters for info in TorchvisionAdapter().models()}
    shared = [info for info in ADAPTER.models() if info.architecture in published and info.name != info.architecture]
    assert len(shared) > 25
    for info in shared:
        if published[info.architecture] < 8e6:  # the larger ones of a family take long to build
            with torch.device("meta"):
                net = timm.create_model(info.name, num_classes=1000)
            count = sum(parameter.numel() for parameter in net.parameters())
            assert count == published[info.architecture], info.name


@pytest.mark.parametrize(
    ("name", "options", "changed"),
    [
        ("mobilenetv2_035", {"bn_eps": "0.003"}, {"batchnorm_epsilon": 0.003}),
        ("mobilenetv2_035", {"pad_type": "same"}, {"stride2_padding": "same"}),
        ("mobilenetv2_035", {"drop_rate": "0.1"}, {}),
        ("resnet10t", {}, {}),
        ("regnetx_002", {"stem_width": "16"}, {}),  # which cannot be built without being allocated
    ],
)
def test_what_an_option_sets_stands_whatever_the_set_up(name, options, changed):
    model = ModelName("timm", None, name, options)
    plain = ADAPTER.native_conventions(name)
    assert set_by_options(ADAPTER, model, ADAPTER.native_conventions(name, options)) == changed
    asked = {"protocol": {}, "checkpoint": {"batchnorm_epsilon": 1e-3, "stride2_padding": "symmetric"}}
    own, without = (
        [resolved(spec, ADAPTER, each, **asked) for spec in ("identical", "native")]
        for each in (model, ModelName("timm", None, name, {}))
    )
    for ours, theirs in zip(own, without, strict=True):
        assert ours == theirs.model_copy(update=changed)
    if changed:
        (axis,) = changed
        override = resolved(f"identical,{axis}={getattr(plain, axis)}", ADAPTER, model, **asked)
        assert getattr(override, axis) == getattr(plain, axis), "a word of the set-up is the stronger one"


def test_native_conventions_are_read_off_the_model_and_its_configuration():
    found = ADAPTER.native_conventions("tf_mobilenetv3_small_100")
    assert (found.stride2_padding, found.batchnorm_epsilon, found.frozen_batchnorm) == ("same", 1e-3, "updates")
    assert ADAPTER.native_conventions("mobilenetv2_100").stride2_padding == "symmetric"
    assert ADAPTER.native_conventions("vit_tiny_patch16_224").input_scaling == "minus-one-to-one"
    clip = ADAPTER.native_conventions("vit_base_patch32_clip_224.openai").input_scaling
    assert clip.startswith("mean-std(0.48145466,")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_checkpoint_comes_from_the_hubs_cache_without_network(hub, no_network, name):
    state = a_state_dict()
    save = (
        (lambda path: save_file(state, path))
        if name.endswith("safetensors")
        else (lambda path: torch.save(state, path))
    )
    lay_in_cache(hub, "timm/mobilenetv2_050.lamb_in1k", {name: save})
    batch = images()
    net = timm.create_model("mobilenetv2_050").double()
    net.load_state_dict(state)
    scaled = (batch / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    wanted = net.eval()(torch.tensor(scaled).permute(0, 3, 1, 2)).detach().numpy()
    for checkpoint in ("pretrained", "lamb_in1k"):
        model = build(checkpoint=checkpoint, classes=None, numeric_mode="float64")
        np.testing.assert_allclose(model.logits(batch), wanted, rtol=1e-9, atol=1e-12)
    assert not huggingface_hub.constants.HF_HUB_OFFLINE  # as it was
    renewed = build(checkpoint="lamb_in1k").weights()
    assert renewed["head.kernel"].shape == (1280, 10)
    assert not renewed["head.kernel"].any()


@pytest.mark.parametrize(
    "asked",
    [
        {"name": "mobilenetv2_050", "checkpoint": "pretrained"},
        {"name": "mobilenetv2_050.lamb_in1k", "checkpoint": "pretrained"},
        {"name": "hf-hub:timm/mobilenetv2_050.lamb_in1k", "checkpoint": "pretrained"},
    ],
)
def test_a_checkpoint_that_is_not_cached_is_named_at_once_without_network(hub, no_network, asked):
    began = time.perf_counter()
    with pytest.raises(NotCached) as caught:
        build(**asked)
    assert time.perf_counter() - began < 10
    for part in (
        f"isotune prepare --models timm:{asked['name']} --checkpoint ",
        str(hub / "models--timm--mobilenetv2_050.lamb_in1k"),
    ):
        assert part in str(caught.value)


def test_a_checkpoint_of_torch_hubs_cache_is_found_and_missed(tmp_path, monkeypatch, no_network):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(_download, "_TOLD", re.compile("(?!)"))  # a stand-in has not the digest of its name
    with pytest.raises(NotCached, match=r"'pretrained' of timm:legacy_seresnet18.*hub/checkpoints/seresnet18"):
        build("legacy_seresnet18", checkpoint="pretrained")
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    url = timm.get_pretrained_cfg("legacy_seresnet18").url
    state = a_state_dict("legacy_seresnet18")
    torch.save(state, folder / url.rpartition("/")[2])
    found = build("legacy_seresnet18", checkpoint="pretrained").weights()
    np.testing.assert_array_equal(found["001.norm.mean"], state["layer0.bn1.running_mean"].numpy())


PROGRAM = """
from isotune.adapters.timm import TimmAdapter
from isotune.conventions import Conventions, head_law
from isotune.errors import NotCached
for tag in ("lamb_in1k", "ra_in1k"):
    name = {"lamb_in1k": "mobilenetv2_050", "ra_in1k": "mobilenetv2_100"}[tag]
    try:
        model = TimmAdapter().build(name, classes=3, checkpoint=tag, conventions=Conventions())
        print(float(model.weights()["001.norm.mean"][0]))
    except NotCached as error:
        print(error)
"""


def test_hf_home_is_respected_and_nothing_waits_for_a_dead_proxy(tmp_path):
    state = a_state_dict()
    lay_in_cache(
        tmp_path / "hub", "timm/mobilenetv2_050.lamb_in1k", {"model.safetensors": lambda path: save_file(state, path)}
    )
    dead = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY"), "http://127.0.0.1:9")
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True,
        env=os.environ | dead | {"HF_HOME": str(tmp_path), "no_proxy": "", "NO_PROXY": ""},
    )  # fmt: skip
    cached, missing = done.stdout.strip().splitlines()
    assert float(cached) == state["bn1.running_mean"][0].item()
    assert str(tmp_path / "hub" / "models--timm--mobilenetv2_100.ra_in1k") in missing
    assert time.perf_counter() - began < 90  # the hub's client alone would go on trying for minutes


def test_the_scaling_of_a_model_on_the_hub_is_that_of_its_configuration(hub, no_network):
    """It was ImageNet's, whatever the fine-tuned model's own configuration said."""
    config = {
        "architecture": "mobilenetv2_050",
        "num_classes": 2,
        "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3},
    }
    lay_in_cache(hub, "somebody/tuned", {"config.json": lambda path: path.write_text(json.dumps(config))})
    assert ADAPTER.native_conventions("hf-hub:somebody/tuned").input_scaling == "minus-one-to-one"
    config["pretrained_cfg"] = {"first_conv": "conv_stem"}
    lay_in_cache(hub, "somebody/other", {"config.json": lambda path: path.write_text(json.dumps(config))})
    assert ADAPTER.native_conventions("hf-hub:somebody/other").input_scaling == "mean-std"


def test_a_cut_off_file_of_the_hub_is_named(hub, no_network):
    def cut_off(path):
        save_file(a_state_dict(), path)
        path.write_bytes(path.read_bytes()[:10_000])

    lay_in_cache(hub, "timm/mobilenetv2_050.lamb_in1k", {"model.safetensors": cut_off})
    with pytest.raises(UsageError, match=r"damaged.*remove .*models--timm--mobilenetv2_050"):
        build(checkpoint="lamb_in1k")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"name": "mobilenetv2_10"}, "no model 'mobilenetv2_10'; did you mean"),
        ({"name": "mobilenetv2_100.ra_in1"}, "did you mean 'ra_in1k'"),
        ({"checkpoint": "lamb"}, "no checkpoint 'lamb'; "),
        ({"options": {"drop_rat": "0.1"}}, "no option 'drop_rat'; did you mean 'drop_rate'"),
        ({"name": "mobilenetv2_050", "image_size": (64, 64), "options": {"img_size": "64"}}, "no option 'img_size'"),
        ({"name": "deit_tiny_distilled_patch16_224"}, "averages 2 classifiers"),
        ({"name": "repvit_m0_9"}, "averages 2 classifiers"),
        ({"name": "efficientvim_m1"}, "averages 4 classifiers"),
    ],
)
def test_wrong_names_and_options_are_refused_with_what_would_be_right(asked, message):
    with pytest.raises(UsageError, match=message):
        build(**asked)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet10t", (65, 65)),
        ("vit_tiny_patch16_224", (96, 64)),  # its position embeddings depend on the size
        ("convnext_atto", (65, 65)),
        ("dla46_c", (64, 96)),  # a convolution classifies
        ("repghostnet_050", (65, 65)),
        ("test_vit", (160, 160)),
        ("vit_small_patch16_224.dino", (32, 32)),  # a checkpoint without classes
    ],
)
def test_every_kind_of_classifier_is_replaced(name, size):
    model = build(name, image_size=size)
    stream = np.random.default_rng(0)
    kernel = stream.normal(size=model.weights()["head.kernel"].shape).astype(np.float32)
    bias = stream.normal(size=10).astype(np.float32)
    model.load({"head.kernel": kernel, "head.bias": bias})
    batch = images(size, 2)
    np.testing.assert_allclose(model.features(batch) @ kernel + bias, model.logits(batch), rtol=1e-3, atol=1e-3)
    assert model.layers()[-1].name == "head"


def test_activations_of_a_fused_batchnorm_are_those_before_its_activation():
    """timm's BatchNormAct2d and torchvision's BatchNorm2d name the same tensor."""
    layout = {name: array.shape for name, array in build("mobilenetv2_100").weights().items()}
    weights = random_weights(layout, 1)
    batch = images()
    ours = dict(build("mobilenetv2_100", checkpoint=weights, numeric_mode="float64").activations(batch))
    torchvisions = TorchvisionAdapter().build(
        "mobilenet_v2", classes=10, checkpoint=weights, conventions=PLAIN, numeric_mode="float64"
    )
    theirs = dict(torchvisions.activations(batch))
    assert list(ours) == list(theirs)
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], rtol=1e-9, atol=1e-9 * np.abs(array).max(), err_msg=name)


def test_dropout_that_an_option_asks_for_is_the_same_every_time():
    from isotune.adapters.base import Recipe
    from isotune.protocols import SGD

    weights = random_weights({name: array.shape for name, array in build().weights().items()}, 1)
    losses = {}
    for rate in ("0.5", "0.5", "0.0", None):
        model = build(checkpoint=weights, options={"drop_rate": rate} if rate else {}, numeric_mode="float64")
        trainer = model.trainer(Recipe(SGD(name="sgd"), frozenset(layer.name for layer in model.layers())))
        losses.setdefault(rate, []).append(float(trainer.step(images(), np.arange(3), 0.01)))
    assert losses["0.5"][0] == losses["0.5"][1] != losses["0.0"][0] == losses[None][0]


def test_files_of_the_library_become_canonical(tmp_path):
    state = a_state_dict()
    save_file(state, tmp_path / "w.safetensors")
    weights = ADAPTER.load_file("mobilenetv2_050", tmp_path / "w.safetensors")
    np.testing.assert_array_equal(weights["head.kernel"], state["classifier.weight"].numpy().T)
    np.testing.assert_array_equal(
        build(checkpoint=weights).weights()["001.norm.mean"], state["bn1.running_mean"].numpy()
    )


LAWS = {
    "mobilenetv2_035": "uniform-fan-out", "densenet121": "uniform-fan-in-weight", "resnet10t": "uniform-fan-in",
    "test_vit": "normal(0.02)", "convnext_atto": "normal(0.02)", "regnetx_002": "normal(0.01)",
    "mixer_s32_224": "zeros",
    "edgenext_xx_small": "truncated-normal(0.02)",
}  # fmt: skip


@pytest.mark.parametrize("name", LAWS)
def test_a_native_head_has_the_law_by_which_timm_draws_one(name):
    assert TimmAdapter().native_conventions(name).head_initialisation == LAWS[name]
    torch.manual_seed(0)
    with torch.no_grad():
        head = timm.create_model(name, num_classes=100).get_classifier()
        law = head_law(LAWS[name], head.in_features, 100)
        kernel = {"uniform": law.size / 3**0.5, "normal": law.size, "truncated": law.size * 0.8796}[law.weight]
        assert head.weight.std().item() == pytest.approx(kernel, rel=0.03)
        assert head.bias.abs().max().item() == pytest.approx(law.bias, rel=0.05)


def test_no_law_is_named_of_a_head_that_was_drawn_otherwise():
    for draw in (
        lambda head: nn.init.normal_(head.weight, mean=0.5, std=0.02),
        lambda head: nn.init.uniform_(head.weight, -0.1, 0.3),
        lambda head: nn.init.uniform_(head.weight, -0.17, 0.17),
        lambda head: nn.init.ones_(head.weight),
        lambda head: nn.init.orthogonal_(head.weight),
        lambda head: nn.init.constant_(head.bias, -6.9),
    ):
        with drawn() as recorded:
            head = nn.Linear(30, 7)
            draw(head)
        assert recorded.law(head) is None
    assert recorded.law(nn.Linear(30, 7)) is None  # drawn when nobody looked
