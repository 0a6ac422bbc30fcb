"""Networks of the user's own, functions in Python files: taken as they are written, compared with a library's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from keras_processes import process_of

from isotune import data, protocols
from isotune.adapters.file_function import FileFunction
from isotune.errors import UsageError
from isotune.investigation import Side, walk

pytestmark = pytest.mark.usefixtures("warm")
HERE = Path(__file__).parent
NETWORKS = HERE / "own_networks"
PLAIN = f"torch:{NETWORKS / 'plain_torch.py'}:make"


def investigated(left: str, right: str, spec: str = "identical", **asked):
    pytest.importorskip("torch", reason="needs the extra torch")
    pytest.importorskip("h5py", reason="needs the extra keras")
    sides = (
        Side(model=left, checkpoint="random:0", conventions="identical"),
        Side(model=right, checkpoint="random:0", conventions=spec),
    )
    return walk(*sides, data.prepare("digits"), protocols.load("quick-fine-tune"), images=4, steps=2, **asked)


def assert_same(found):
    """No rung fails; pixels, and the scaling that one side has of its own, were set alike."""
    assert {rung.verdict for rung in found.rungs} <= {"holds", "not applicable", "not judged"}
    alike = {"resize": "resized pixels", "input_scaling": "scaled input"}
    unjudged = [rung.name for rung in found.rungs if rung.verdict == "not judged"]
    assert unjudged == [alike[each.axis] for each in found.set_alike if each.axis in alike]


@pytest.mark.xdist_group("keras")
@pytest.mark.parametrize("engine", ["tensorflow", "jax", "torch"])
def test_a_keras_network_is_taken_however_it_is_written(engine, tmp_path):
    pytest.importorskip("h5py", reason="needs the extra keras")
    process_of(engine).run("own_networks.py", engine, tmp_path)


def test_a_keras_port_under_names_of_its_own_is_a_librarys_network_on_every_rung(house):
    pytest.importorskip("torchvision", reason="needs the extra torch")
    found = investigated("torchvision:mobilenet_v2:width_mult=0.35", f"keras:{NETWORKS / 'mobilenet.py'}:ported")
    assert found.stopped is None
    assert_same(found)
    (layers,) = [rung for rung in found.rungs if rung.name == "layers"]
    assert layers.compared == 105
    assert found.names["000.conv"] == ("features.0.0", "conv2d")


@pytest.mark.parametrize(
    ("engine", "option", "axis", "was", "value"),
    [
        ("keras", "epsilon=0.001", "batchnorm_epsilon", 1e-3, 1e-5),
        ("keras@torch", "padding=same", "stride2_padding", "same", "symmetric"),
        ("keras@torch", "", "", None, None),
    ],
    ids=["epsilon", "padding", "sound"],
)
def test_what_is_wrong_in_a_keras_port_of_a_torch_network_is_named(house, engine, option, axis, was, value):
    right = f"{engine}:{NETWORKS / 'plain_keras.py'}:make" + (f":{option}" if option else "")
    found = investigated(PLAIN, right, "identical,batchnorm_epsilon=own,stride2_padding=own")
    assert found.stopped is None
    first = found.first_failure
    if not option:
        assert_same(found)
        return
    assert first is not None
    assert first.name == "layers"
    assert [(flip.axis, flip.was, flip.value) for flip in first.cause.flips] == [(axis, was, value)]
    assert "eyes" in first.where or "first_norm" in first.where, first.where


@pytest.mark.parametrize("order", ["chw", "hwc"])
def test_a_transposed_convolution_and_the_order_of_a_flattened_map_are_the_same_in_both_libraries(house, order):
    right = f"keras@torch:{NETWORKS / 'plain_keras.py'}:upsampled:order={order}"
    found = investigated(PLAIN.replace("make", "upsampled"), right, quick=True)
    assert found.stopped is None
    assert {rung.verdict for rung in found.rungs} <= {"holds", "not applicable", "not judged"}
    assert list(found.names)[1:3] == ["001.transposed", "002.conv"]


def test_what_is_not_in_the_comparison_is_said(house):
    found = investigated(PLAIN, f"keras@torch:{NETWORKS / 'plain_keras.py'}:sequential", "native,stride2_padding=own")
    assert found.stopped is None
    said = ", ".join(found.left_out["right"])
    for words in ("scaling inside the network (rescaling)", "for mean-std", "Softmax behind the classifier", "freezes"):
        assert words in said
    assert "the classifier dense (Dense, 10 classes), for a new head" in said
    assert found.left_out["left"] == ("the classifier classifier (Linear, 10 classes), for a new head",)
    own = {each.axis: (each.value, each.own) for each in found.set_alike}
    assert own["input_scaling"] == ("mean-std", (None, "minus-one-to-one"))
    assert {rung.name: rung.verdict for rung in found.rungs}["scaled input"] == "not judged"


def test_what_identical_sets_alike_is_said(house):
    port = f"keras@torch:{NETWORKS / 'plain_keras.py'}:make:epsilon=0.001:padding=same"
    found = investigated(PLAIN, port)
    assert_same(found)
    own = {each.axis: (each.value, each.own) for each in found.set_alike}
    assert own["batchnorm_epsilon"] == (1e-5, (1e-5, 1e-3))
    assert own["stride2_padding"] == ("symmetric", ("symmetric", "same"))
    assert "dropout 0.5 (dropout)" in found.left_out["right"]


@pytest.mark.parametrize("spec", ["identical", "native"])
def test_the_input_scaling_that_a_file_states_is_its_own(house, spec):
    text = (NETWORKS / "plain_torch.py").read_text()
    (house / "port.py").write_text(f'INPUT_SCALING = "unit"\n{text}')
    found = investigated(PLAIN, "torch:port.py:make", spec)
    first = found.first_failure
    assert first is not None
    assert first.name == "scaled input"
    assert [(flip.axis, flip.was, flip.value) for flip in first.cause.flips] == [("input_scaling", "unit", "mean-std")]
    assert found.effects["input_scaling"] > 0.01


SCALED = """


class Scaled(nn.Module):
    def __init__(self, deviation):
        super().__init__()
        self.net = make()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor([deviation, 0.224, 0.225]).view(3, 1, 1))

    def forward(self, pixels):
        return self.net((pixels / 255 - self.mean) / self.deviation)


def scaled(deviation=0.229):
    return Scaled(deviation)
"""


@pytest.mark.parametrize("deviation", [0.229, 0.23])
def test_a_scaling_inside_a_torch_network_is_read_to_the_last_digit(house, deviation):
    text = "import torch\n" + (NETWORKS / "plain_torch.py").read_text()
    (house / "outside.py").write_text(f'INPUT_SCALING = "mean-std"\n{text}')
    (house / "inside.py").write_text(f'INPUT_SCALING = "none"\n{text}{SCALED}')
    found = investigated("torch:outside.py:make", f"torch:inside.py:scaled:deviation={deviation}", "native")
    rungs = {rung.name: rung.verdict for rung in found.rungs}
    if deviation == 0.229:
        assert set(rungs.values()) == {"holds", "not applicable"}
        assert "input_scaling" not in found.axes
        return
    assert [name for name, verdict in rungs.items() if verdict == "fails"] == ["scaled input"]
    (flip,) = found.first_failure.cause.flips
    assert (flip.axis, flip.was) == ("input_scaling", "mean-std(0.485,0.456,0.406;0.23,0.224,0.225)")


def test_operations_that_differ_between_two_layers_are_named(house):
    text = (NETWORKS / "plain_torch.py").read_text()
    (house / "port.py").write_text(text.replace("self.widen(nn", "self.widen(0.5 * nn"))
    found = investigated(PLAIN, "torch:port.py:make")
    first = found.first_failure
    assert first is not None
    assert first.cause is None
    assert first.where.startswith("004.conv (widen.0 = widen.0), Hardtanh (left) and Hardtanh, Mul (right) between ")
    assert first.where.endswith("depthwise.1 and it")


@pytest.mark.parametrize("right", ["keras@torch", "torch"])
@pytest.mark.parametrize("epsilon", ["", "0.001", pytest.param("2e-05", marks=pytest.mark.slow)])
def test_a_layernorm_of_another_epsilon_is_named_on_either_side(house, right, epsilon):
    network = NETWORKS / ("plain_torch.py" if right == "torch" else "plain_keras.py")
    option = f":epsilon={epsilon}" if epsilon else ""
    found = investigated(PLAIN.replace(":make", ":layered"), f"{right}:{network}:layered{option}")
    assert found.stopped is None
    first = found.first_failure
    if not epsilon:
        assert_same(found)
        return
    assert first is not None
    assert first.name == "layers"
    assert [(flip.axis, flip.was, flip.value) for flip in first.cause.flips] == [
        ("layernorm_epsilon", float(epsilon), 1e-6)
    ]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("no.py:make", {}, "there is no no.py; write torch:PATH.py:FUNCTION"),
        ("good.py", {}, "torch:good.py is not torch:PATH.py:FUNCTION"),
        ("broken.py:make", {}, "broken.py cannot be run, line 2: ZeroDivisionError: division by zero"),
        ("exits.py:make", {}, "exits.py cannot be run, line 1: SystemExit: 3"),
        ("good.py:mak", {}, "the file has no function 'mak'; did you mean 'make'?"),
        ("good.py:make", {"widht": 3}, "has no option 'widht'; did you mean 'width'?"),
        (
            "good.py:make",
            {},
            "missing a required argument: 'width'; options give arguments, torch:good.py:make:NAME=VALUE",
        ),
        ("good.py:make", {"width": 3}, "make() fails, line 2: ValueError: too wide"),
    ],
)
def test_a_function_that_gives_nothing_is_one_line(tmp_path, monkeypatch, name, options, said):
    monkeypatch.chdir(tmp_path)
    Path("broken.py").write_text("import math\n1 / 0\n")
    Path("exits.py").write_text("raise SystemExit(3)\n")
    Path("good.py").write_text("def make(width):\n    raise ValueError('too\\nwide')\n")
    with pytest.raises(UsageError) as caught:
        FileFunction("torch", name)(options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_keras_file_that_does_not_run_ends_an_investigation_in_one_line(here, house):
    pytest.importorskip("h5py", reason="needs the extra keras")
    (house / "broken.py").write_text("import keras\nkeras.layers.Conv3000\n")
    asked = ["--checkpoint", "random:0", "--images", "4", "--steps", "2"]
    status, said, told = here("investigate", PLAIN, f"keras@torch:{house}/broken.py:make", *asked)
    assert (status, said) == (2, "")
    assert "broken.py cannot be run, line 2: AttributeError" in told
    assert len(told.strip().splitlines()) == 1


@pytest.mark.parametrize("command", [["parity"], ["transfer", "-o", "out.weights.h5"]], ids=lambda command: command[0])
def test_what_goes_by_architectures_refuses_a_file_in_one_line(here, house, command):
    status, said, told = here(command[0], "keras:port.py:make", "torchvision:mobilenet_v2", *command[1:])
    assert (status, said) == (2, "")
    assert "isotune investigate compares it" in told
    assert len(told.strip().splitlines()) == 1


def test_an_edited_file_gives_other_features_than_those_kept_in_the_cache(here, house):
    pytest.importorskip("torch", reason="needs the extra torch")
    text = (NETWORKS / "plain_torch.py").read_text()
    asked = ["--models", "torch:edited.py:make", "--checkpoint", "random:0", "--protocols", "quick", "--seeds", "1"]
    kept = []
    for edited in (text, text.replace("relu6", "gelu"), text):
        (house / "edited.py").write_text(edited)
        status, _, told = here("run", *asked, "--conventions", "identical", "--store", f"store-{len(kept)}")
        assert status == 0, told
        (record,) = (house / f"store-{len(kept)}").rglob("record.json")
        kept.append(json.loads(record.read_text()))
    first, second, third = (record["metrics"]["loss"] for record in kept)
    assert first == third != second
    assert [record["timings"]["features_cached"] for record in kept] == [False, False, True]
