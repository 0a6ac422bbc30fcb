"""The lines of code that make a library behave otherwise: each is run, and compared with what isotune's adapter makes
of the same value. Keras's run in a process of their own, tests/adapters/keras_scripts/remedies.py."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from keras_processes import process_of
from PIL import Image
from timm.layers import Conv2dSame
from torch import nn

from isotune.adapters._torch.axes.loss import cross_entropy
from isotune.adapters._torch.conventions import realise
from isotune.adapters._torch.updater import Updater
from isotune.adapters.base import Adapter, Remedy
from isotune.conventions import HEAD_LAWS, Conventions, affine, head_law
from isotune.data.decoding import decode
from isotune.data.resizing import resized
from isotune.errors import UsageError
from isotune.names import adapter_class
from isotune.protocols import SGD, Adam, RMSprop

SCRIPTS = Path(__file__).parent / "keras_scripts"
sys.path.insert(0, str(SCRIPTS))
from torch_twins import Gated, Residual, Tiny  # noqa: E402

EXAMPLES = {  # of axes whose values are numbers
    "input_scaling": ("mean-std", "minus-one-to-one", "caffe", "unit", "none", "mean-std(0.5,0.4,0.3;0.2,0.3,0.4)"),
    "batchnorm_epsilon": (1e-3, None),
    "batchnorm_momentum": (0.25, None),
    "layernorm_epsilon": (1e-3, None),
    "leaky_relu_slope": (0.2, None),
    "head_initialisation": tuple(law.replace("STD", "0.02") for law in HEAD_LAWS),
}


def remedy(library: str, axis: str, value: object) -> Remedy:
    return adapter_class(library).remedy(axis, value)


def values(axis):
    return EXAMPLES.get(axis) or get_args(Conventions.model_fields[axis].annotation)


EVERY = [(axis, value) for axis in Conventions.model_fields for value in values(axis)]
WITH_CODE = [(axis, value) for axis, value in EVERY if remedy("timm", axis, value).code]
OPENCV = find_spec("cv2") is not None
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 52, 3), dtype=np.uint8)


def run(axis, value, **given):
    """The names that the lines leave behind, run on the names given."""
    code = remedy("timm", axis, value).code
    names = dict(given)
    exec(compile(code, f"{axis}={value}", "exec"), names)
    return names


@pytest.mark.parametrize("library", ["torchvision", "timm", "keras", "keras@jax"])
def test_every_value_of_every_axis_has_lines_or_a_note(library):
    for axis, value in EVERY:
        found = remedy(library, axis, value)
        assert found.code or found.note, (axis, value)
        assert "VALUE" not in found.code
        assert "OVERRIDE" not in found.note
        assert not found.note or found.note.endswith("."), found.note
        compile(found.code, f"{library} {axis}={value}", "exec")
        if not found.code and not re.search("itself|themselves", found.note):
            assert f"`--conventions native,{axis}={value}`" in found.note, found


def test_what_is_unknown_is_said():
    assert remedy("keras", "batchnorm_epsilon", None).note == remedy("timm", "gelu", "own").note
    third = type("Third", (Adapter,), {"name": "a-third-library"})
    assert "--conventions native,gelu=tanh" in third.remedy("gelu", "tanh").note
    for axis, value in (("gleu", "tanh"), ("gelu", "sigmoid"), ("input_scaling", "half")):
        with pytest.raises(UsageError):
            remedy("timm", axis, value)


# -- the input


def test_decoding_and_resizing_are_isotunes(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(IMAGE).save(tmp_path / "turned.jpg", exif=exif)
    found = run("decode", "pillow")["decode"](tmp_path / "turned.jpg")
    assert np.array_equal(found, decode((tmp_path / "turned.jpg").read_bytes()))
    assert found.shape == (52, 40, 3)
    for value in values("resize"):
        if "opencv" in value and not OPENCV:
            continue
        resize = run("resize", value)["resize"]
        for height, width in ((10, 13), (17, 24), (60, 80)):
            wanted = resized(IMAGE, height, width, value, "bilinear")
            gap = np.abs(resize(IMAGE, height, width).astype(int) - wanted)
            assert gap.max() <= (value == "plain"), "a tie may go either way"
            assert (gap > 0).mean() < 1e-2


@pytest.mark.parametrize("value", values("input_scaling"))
def test_the_input_is_scaled_as_the_network_receives_it(value):
    reverse, scale, offset = affine(value)
    wanted = (IMAGE[..., ::-1] if reverse else IMAGE) * scale + offset
    found = run("input_scaling", value, images=IMAGE[None], model=nn.Linear(1, 1).double())["inputs"]
    assert found.shape == (1, 3, 40, 52)
    np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy(), wanted, rtol=1e-9, atol=1e-9)


# -- the network


class InceptionA(nn.Module):
    """Named as the block of Inception v3, whose average pool is a function."""

    def __init__(self):
        super().__init__()
        self.branch_pool = nn.Conv2d(4, 4, 1)

    def forward(self, maps):
        return self.branch_pool(nn.functional.avg_pool2d(maps, kernel_size=3, stride=1, padding=1))


def convolutions():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 4, 5, 2, 2, groups=2), nn.AvgPool2d(3, 1, 1)
    )


def timms():
    return nn.Sequential(Conv2dSame(3, 4, 3, 2), nn.Sequential(Conv2dSame(4, 4, 5, 2, groups=2, bias=False)))


def pools():
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.AvgPool2d(3, 1, 1), nn.AvgPool2d(3, 2, 1), InceptionA())


def uncounted():
    return nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.Conv2d(3, 4, 1))


def negative():
    """Below zero everywhere before the pool."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Conv2d(4, 4, 1, bias=False), nn.MaxPool2d(3, 2, 1))
    nn.init.constant_(net[2].weight, -1.0)
    return net


NETWORKS = {
    ("stride2_padding", "same"): convolutions,
    ("stride2_padding", "symmetric"): timms,
    ("count_include_pad", "true"): uncounted,
    ("count_include_pad", "false"): pools,
    ("count_include_pad", "when-strided"): pools,
    ("max_pool_padding", "zeros"): negative,
    ("stride_location", "first-1x1"): lambda: Residual(3),
    ("batchnorm_epsilon", 1e-3): lambda: Tiny(3),
    ("layernorm_epsilon", 1e-3): lambda: Tiny(3),
    ("leaky_relu_slope", 0.2): lambda: Gated(3),
    ("hard_sigmoid", "fifth"): lambda: Gated(3),
    ("hard_sigmoid", "half"): lambda: Gated(3),
    ("gelu", "tanh"): lambda: Tiny(3),
    ("gelu", "exact"): lambda: nn.Sequential(nn.GELU(approximate="tanh"), nn.Sequential(nn.GELU())),
}


def drawn(build):
    torch.manual_seed(0)
    net = build().double().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.01, 2)
    return net


@pytest.mark.parametrize(("axis", "value"), NETWORKS)
def test_networks_compute_as_under_isotune(axis, value):
    ours, theirs, plain = (drawn(NETWORKS[axis, value]) for _ in range(3))
    realise(theirs, Conventions(**{axis: value}))
    state = list(ours.state_dict())
    run(axis, value, model=ours)
    assert list(ours.state_dict()) == state, "checkpoints still fit"
    differ = []
    for size in ((32, 32), (33, 46)):
        images = torch.rand(2, 3, *size, dtype=torch.float64) + 0.1
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-9, atol=1e-12)
        differ.append(not torch.allclose(ours(images), plain(images), rtol=1e-6, atol=1e-9))
    assert any(differ), "without the lines it is another function"


@pytest.mark.parametrize(("axis", "value"), [("batchnorm_momentum", 0.25), ("batchnorm_running_variance", "biased")])
def test_running_statistics_move_as_under_isotune(axis, value):
    ours, theirs, plain = (drawn(lambda: Tiny(3)) for _ in range(3))
    realise(theirs, Conventions(**{axis: value}))
    run(axis, value, model=ours)
    for step in range(2):
        images = torch.rand(2, 3, 8, 8, dtype=torch.float64)
        for net in (ours, theirs, plain):
            net.train(step == 0)(images).sum().backward()
    found, wanted, other = (torch.cat([b.double().ravel() for b in net.buffers()]) for net in (ours, theirs, plain))
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=0)
    assert not torch.allclose(found, other, rtol=1e-6)


def test_frozen_norms_stand_still():
    net = drawn(lambda: Tiny(3))
    net.stem.requires_grad_(False)
    run("frozen_batchnorm", "inference", model=net)
    assert [module.training for module in (net, net.stem[1], net.block1[1])] == [True, False, True]


# -- the recipe


@pytest.mark.parametrize("value", values("head_initialisation"))
def test_a_head_is_drawn_from_its_law(value):
    net = nn.Sequential(nn.Linear(5, 2048), nn.Linear(2048, 10))
    nn.init.ones_(net[0].weight)
    run("head_initialisation", value, model=net)
    law = head_law(value, 2048, 10)
    if law.weight == "normal":
        assert net[1].weight.std().item() == pytest.approx(law.size, rel=0.02)
    else:
        largest = law.size * (2 if law.weight == "truncated" else 1)
        assert largest * 0.8 <= net[1].weight.abs().max() <= largest * (1 + 1e-6)
    assert law.bias * 0.8 <= net[1].bias.abs().max() <= law.bias * (1 + 1e-6)
    assert (net[0].weight == 1).all()


@pytest.mark.parametrize("value", values("loss"))
@pytest.mark.parametrize("spread", [1.0, 50.0])
def test_losses_are_isotunes(value, spread):
    logits, labels = torch.randn(6, 5, dtype=torch.float64) * spread, torch.tensor([0, 1, 2, 3, 4, 0])
    found = run("loss", value)["loss"](logits, labels)
    torch.testing.assert_close(found, cross_entropy(value)(logits, labels, 0.0), rtol=1e-9, atol=1e-12)


PLAIN = {"weight_decay": 0.125, "lr": 0.25}
RECIPES = {
    ("momentum_form", "rate-inside"): [
        (SGD(name="sgd", momentum=0.9), lambda p: torch.optim.SGD(p, lr=0.25, momentum=0.9)),
        (SGD(name="sgd", momentum=0.9, nesterov=True), lambda p: torch.optim.SGD(p, 0.25, 0.9, nesterov=True)),
        (RMSprop(name="rmsprop", momentum=0.9), lambda p: torch.optim.RMSprop(p, 0.25, momentum=0.9)),
    ],
    ("weight_decay_form", "decoupled"): [
        (SGD(name="sgd", weight_decay=0.125, momentum=0.9), lambda p: torch.optim.SGD(p, momentum=0.9, **PLAIN)),
        (Adam(name="adam", weight_decay=0.125), lambda p: torch.optim.Adam(p, **PLAIN)),
    ],
    ("weight_decay_form", "in-loss"): [
        (SGD(name="sgd", weight_decay=0.125, momentum=0.9), lambda p: torch.optim.SGD(p, momentum=0.9, **PLAIN)),
        (Adam(name="adam", weight_decay=0.125), lambda p: torch.optim.Adam(p, **PLAIN)),
    ],
    ("weight_decay_form", "decoupled-unscaled"): [
        (SGD(name="sgd", weight_decay=0.125, momentum=0.9), lambda p: torch.optim.SGD(p, momentum=0.9, **PLAIN)),
        (Adam(name="adamw", weight_decay=0.125), lambda p: torch.optim.AdamW(p, **PLAIN)),
    ],
    ("weight_decay_on", "kernels"): [(SGD(name="sgd", weight_decay=0.125), lambda p: torch.optim.SGD(p, **PLAIN))],
    ("adam_epsilon", "before-correction"): [
        (Adam(name="adam", epsilon=1e-3), lambda p: torch.optim.Adam(p, lr=0.25, eps=1e-3)),
        (Adam(name="adamw", weight_decay=0.125), lambda p: torch.optim.AdamW(p, **PLAIN)),
    ],
    ("rmsprop_epsilon", "inside-root"): [
        (
            RMSprop(name="rmsprop", epsilon=1e-3, momentum=momentum, weight_decay=0.125),
            lambda p, momentum=momentum: torch.optim.RMSprop(p, eps=1e-3, momentum=momentum, **PLAIN),
        )
        for momentum in (0.0, 0.9)
    ],
    ("hyperparameters", "float32"): [
        (SGD(name="sgd", momentum=0.9, weight_decay=0.1), lambda p: torch.optim.SGD(p, 0.25, 0.9, weight_decay=0.1)),
        (Adam(name="adam"), lambda p: torch.optim.Adam(p, 0.25)),
    ],
    ("clipping", "global-norm"): [(SGD(name="sgd", clip_norm=0.5), lambda p: torch.optim.SGD(p, 0.25))],
    ("clipping", "per-variable"): [(SGD(name="sgd", clip_norm=0.5), lambda p: torch.optim.SGD(p, 0.25))],
}  # fmt: skip
STEPS = [(rate, *np.random.default_rng(step).normal(size=(2, 6))) for step, rate in enumerate((0.25, 0.25, 0.0625))]


@pytest.mark.parametrize(("axis", "value"), RECIPES)
def test_trainers_step_as_under_isotune(axis, value):
    for recipe, build in RECIPES[axis, value]:
        ours, theirs, plain = (drawn(lambda: nn.Linear(3, 2)) for _ in range(3))
        updater = updater_of(recipe, Conventions(**{axis: value}), theirs)
        untouched = updater_of(recipe, Conventions(), plain)
        names = run(axis, value, model=ours, optimizer=build(ours.parameters()))
        optimizer = names.get("optimizer")
        for rate, *gradients in STEPS:
            for net in (ours, theirs, plain):
                net.weight.grad = torch.tensor(gradients[0].reshape(2, 3))
                net.bias.grad = torch.tensor(gradients[1][:2])
            if "set_learning_rate" in names:
                names["set_learning_rate"](optimizer, rate)
            for group in optimizer.param_groups:
                group["lr"] = rate
            if "clip" in names:
                names["clip"](ours, 0.5)
            optimizer.step()
            updater.step(rate)
            untouched.step(rate)
        found, wanted, other = (nn.utils.parameters_to_vector(net.parameters()) for net in (ours, theirs, plain))
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
        native = (axis, value) == ("clipping", "global-norm")
        assert native or not torch.allclose(found, other, rtol=1e-9, atol=0), recipe


def updater_of(recipe, conventions, net):
    only = conventions.weight_decay_on == "kernels"
    return Updater(recipe, conventions, [net.weight] if only else list(net.parameters()), [net.bias] if only else [])


def test_all_lines_for_torch_are_run():
    elsewhere = {"decode", "resize", "input_scaling", "batchnorm_momentum", "batchnorm_running_variance"}
    elsewhere |= {"frozen_batchnorm", "head_initialisation", "loss"}
    assert {case for case in WITH_CODE if case[0] not in elsewhere} == {*NETWORKS, *RECIPES}


# -- Keras


@pytest.mark.xdist_group("keras")
def test_all_lines_for_keras_do_as_under_isotune(tmp_path):
    """The script checks each against the adapter, and writes which they were."""
    Image.fromarray(IMAGE).save(tmp_path / "image.jpg", quality=60)
    out = tmp_path / "checked.txt"
    process_of("tensorflow").run("remedies.py", tmp_path / "image.jpg", out)
    here = [(axis, value) for axis, value in EVERY if OPENCV or "opencv" not in str(value)]
    wanted = {f"{axis}={value}" for axis, value in here if remedy("keras", axis, value).code}
    assert set(out.read_text(encoding="utf-8").split()) == wanted
