"""Deliberate faults, one at a time on one side: each is found, and at the rung where it belongs."""

from __future__ import annotations

import pytest

from isotune import parity

pytestmark = pytest.mark.usefixtures("warm")
FAULTS = {
    "padding-at-the-end": "features",
    "epsilon-changed": "features",
    "scaled-otherwise": "features",
    "mean-and-deviation-exchanged": "features",
    "scale-and-variance-exchanged": "features",
    "kernels-transposed": "features",
    "stride-moved": "features",
    "smoothing-left-out": "smoothed loss",
    "momentum-changed": "sgd buffers",
    "biased-variance-kept": "sgd buffers",
    "decay-beside-the-gradient": "sgd 10 steps",
    "hyperparameters-in-float32": "sgd 10 steps",
    "nesterov-left-out": "nesterov 1 step",
    "each-gradient-clipped": "nesterov 1 step",
    "rate-inside-the-velocity": "sgd slots",
    "adam-epsilon-before-correction": "adam 1 step",
    "decay-on-other-tensors": "sgd 1 step",
    "rmsprop-epsilon-inside": "rmsprop 1 step",
    "frozen-norms-updated": "rmsprop 1 step",
}
ONE_A_RUNG = list({rung: fault for fault, rung in FAULTS.items()}.values())
ELSEWHERE = {  # what MobileNetV2 does not have
    ("inception_v3", "average-leaves-padding-out"): "features",
    ("convnext_tiny", "approximate-gelu"): "features",
    ("resnet50", "stride-on-the-first-1x1"): "features",
}


def proved(house, left: str, faults: list[str], **asked) -> dict[str, parity.Result]:
    name = left.partition(":")[2]
    model, _, options = name.partition(":")
    rights = [":".join(filter(None, ["planted", model, f"fault={fault}", options])) for fault in faults]
    asked = {"size": (33, 45), **asked}
    questions = parity.questions(parity.Family(model, left, tuple(rights)), **asked)
    results = parity.answer([questions], parity.ResultStore(house / "store"), until_failure=True)
    return dict(zip(faults, results, strict=True))


@pytest.mark.parametrize(
    ("sound", "faults"),
    [
        pytest.param("rewritten", ONE_A_RUNG, id="one-a-rung"),
        pytest.param(
            "none", [fault for fault in FAULTS if fault not in ONE_A_RUNG], marks=pytest.mark.slow, id="others"
        ),
    ],
)
def test_a_fault_is_found_where_it_belongs(house, sound, faults):
    pytest.importorskip("torchvision", reason="needs the extra torch")
    results = proved(house, "torchvision:mobilenet_v2:width_mult=0.35", [sound, *faults])
    assert results[sound].holds, results[sound]
    assert {rung.name for rung in results.pop(sound).rungs} >= {"features", "layers", "gradients", "rmsprop logits"}
    failures = {fault: result.first_failure.name if result.first_failure else "" for fault, result in results.items()}
    assert failures == {fault: FAULTS[fault] for fault in faults}


@pytest.mark.parametrize(
    ("model", "fault"),
    [pytest.param(*case, marks=[] if case[0] == "resnet50" else pytest.mark.slow) for case in ELSEWHERE],
)
def test_a_fault_of_another_architecture_is_found_too(house, model, fault):
    pytest.importorskip("torchvision", reason="needs the extra torch")
    size = (77, 99) if model == "inception_v3" else (33, 45)
    result = proved(house, f"torchvision:{model}", [fault], size=size)[fault]
    assert result.error is None
    assert result.first_failure.name == ELSEWHERE[model, fault]


def test_the_command_says_where_and_ends_with_1(here):
    pytest.importorskip("torchvision", reason="needs the extra torch")
    given = ["torchvision:mobilenet_v2:width_mult=0.35", "planted:mobilenet_v2:fault=epsilon-changed:width_mult=0.35"]
    status, out, err = here("parity", *given, "--size", "33x45", "--until-failure", "--out", "here")
    assert status == 1, err
    assert "features" in out
    assert "DIFFERS" in out
    assert out.strip().endswith("differs: features")
