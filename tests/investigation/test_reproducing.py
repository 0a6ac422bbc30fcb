"""A reproducer: cut down to the operation that differs, run before it is written, refused where it does not fail."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

from isotune import names
from isotune.comparison import observations
from isotune.comparison.observations import Observations
from isotune.comparison.sides import Inputs, Side
from isotune.excerpts import Excerpt, Given, NotWritten, Operation
from isotune.investigation.findings import Cause, Findings, Flip, Rung
from isotune.investigation.reproducing import _running
from isotune.investigation.reproducing._asking import faithful, run, run_lines
from isotune.investigation.reproducing._cutting import failing
from isotune.investigation.reproducing._pieces import whole
from isotune.investigation.reproducing._recipe import of_recipe
from isotune.investigation.reproducing._running import NotReproduced
from isotune.investigation.reproducing._script import MOST, Half, composed, draws
from isotune.protocols import SGD, Adam, RMSprop, Schedule, Stage

pytestmark = pytest.mark.usefixtures("warm")


def excerpt(*lines: str, channels: int | None = None, tensors=None) -> Excerpt:
    """Of a library that is NumPy: a chain of operations on an input of 2 x 12 x 12 x 5, or of fewer channels."""
    shape = (2, 12, 12, channels or 5)
    operations = tuple(
        Operation(lines=(line,), inputs=(place,), shape=shape, taken="OUT", line="OUT = IN0")
        for place, line in enumerate(lines)
    )
    given = Given(name="004.norm", shape=shape, line="OUT = IN0")
    return Excerpt(imports=("import math",), given=(given,), operations=operations, tensors=tensors or {})


def values(which, piece, arrays, names, shown):
    return run_lines(piece.imports, piece.body(names, shown=shown), arrays)


def cut(left: list[str], right: list[str], **given):
    sides = {"left": left, "right": right}
    return failing(lambda which, channels: excerpt(*sides[which], channels=channels, **given), values)


RELU, SIX = "OUT = np.maximum(IN0, 0)", "OUT = np.clip(IN0, 0, 6)"
DOUBLE, SHIFT, HALF = "OUT = IN0 * 2", "OUT = IN0 + 1.5", "OUT = IN0 / 2"


def test_operations_channels_and_pixels_that_are_not_needed_are_cut_off():
    found = cut([SHIFT, RELU, DOUBLE, HALF], [SHIFT, SIX, DOUBLE, HALF])
    bodies = [found.pieces[which].body(found.read(which)) for which in ("left", "right")]
    assert bodies == [
        ["y = x", "y = np.maximum(y, 0)", "return y"],
        ["y = x", "y = np.clip(y, 0, 6)", "return y"],
    ]
    (shape,) = found.given.values()
    assert shape[0] == 1
    assert int(np.prod(shape)) <= 16


def test_what_needs_several_pixels_keeps_them():
    found = cut(["OUT = IN0[:, :-2]"], ["OUT = IN0[:, 2:]"])
    (shape,) = found.given.values()
    assert shape == (1, 3, 3, 1)


def test_two_operations_that_both_differ_stay_together():
    found = cut([RELU, DOUBLE], [SIX, "OUT = IN0 * 2.5"])
    assert [len(found.pieces[which].operations) for which in ("left", "right")] == [2, 2]


def test_a_rounding_beside_the_fault_is_not_what_is_shown():
    found = cut([RELU, DOUBLE, SHIFT], ["OUT = np.maximum(IN0, 0) * (1 + 1e-8)", "OUT = IN0 * 2.5", SHIFT])
    assert "2.5" in "\n".join(found.pieces["right"].body(found.read("right")))
    assert found.tolerance >= 1e-6


def test_sides_that_give_the_same_are_refused():
    with pytest.raises(NotWritten, match="the same"):
        cut([RELU, DOUBLE], [RELU, DOUBLE])


def in_torch(*lines: str, channels: int | None = None) -> Excerpt:
    from isotune.adapters._torch.excerpts.layers import _GRADIENT

    made = excerpt(*lines, channels=channels)
    taken = "OUT.detach().numpy()"
    read = made.given[0].model_copy(update={"line": "OUT = torch.tensor(IN0)"})
    operations = tuple(each.model_copy(update={"taken": taken, "line": read.line}) for each in made.operations)
    return made.model_copy(
        update={"imports": ("import torch",), "given": (read,), "operations": operations, "differentiated": _GRADIENT}
    )


CLIPPED = "OUT = IN0.clamp(0, 6)"
NOT_LED_BACK = "OUT = IN0 + (IN0.clamp(0, 6) - IN0).detach()"  # the same value, another gradient


def test_of_a_gradient_only_what_changes_it_is_kept():
    pytest.importorskip("torch", reason="needs the extra torch")
    left, right = ["OUT = IN0 * 2", CLIPPED, "OUT = IN0 + 1.5"], ["OUT = IN0 * 2", NOT_LED_BACK, "OUT = IN0 + 1.5"]
    sides = {"left": left, "right": right}
    with pytest.raises(NotWritten, match="the same"):
        failing(lambda which, channels: in_torch(*sides[which], channels=channels), values)
    found = failing(lambda which, channels: in_torch(*sides[which], channels=channels), values, "gradient")
    text = text_of(found)
    assert "clamp(0, 6)" in text
    assert "* 2" not in text
    assert "1.5" not in text
    assert len(text.splitlines()) <= MOST
    assert "they differ by" in _running.run(text)


def test_a_gradient_that_nothing_leads_to_is_zero_and_no_failure_of_the_script():
    pytest.importorskip("torch", reason="needs the extra torch")
    sides = {"left": "OUT = IN0 * 2", "right": "OUT = IN0.detach() * 2"}
    found = failing(lambda which, channels: in_torch(sides[which], channels=channels), values, "gradient")
    assert "they differ by" in _running.run(text_of(found))


def test_gradients_by_several_inputs_stand_in_one_order_on_both_sides():
    pytest.importorskip("torch", reason="needs the extra torch")

    def write(which, channels):
        made = in_torch("OUT = IN0 * IN1 ** 2", channels=channels)
        first, second = (made.given[0].model_copy(update={"name": name}) for name in ("004.norm", "007.norm"))
        given = (first, second) if which == "left" else (second, first)
        line = "OUT = IN0 * IN1 ** 2" if which == "left" else "OUT = IN1 * IN0 ** 2"
        operation = made.operations[0].model_copy(update={"inputs": (0, 1), "lines": (line,)})
        return made.model_copy(update={"given": given, "operations": (operation,)})

    with pytest.raises(NotWritten, match="one gradient"):
        failing(write, values, "gradient")


def test_what_has_no_running_statistics_shows_none():
    with pytest.raises(NotWritten, match="no running statistics"):
        whole(excerpt(RELU), "buffers").body(["x"])


def text_of(found, **changed) -> str:
    halves = {
        which: Half(f"library:{which}", piece.imports, tuple(piece.body(found.read(which))))
        for which, piece in found.pieces.items()
    }
    return composed(["What it shows."], halves, draws(found), changed.get("tolerance", found.tolerance))


def test_the_script_draws_what_was_tried_and_prints_both_values():
    scale = "OUT = IN0 * scale / np.sqrt(variance + EPS)"
    left, right = (excerpt(scale.replace("EPS", epsilon)) for epsilon in ("1e-5", "1e-3"))
    sides = {"left": left, "right": right}

    def write(which, channels):
        made = excerpt(*(line for each in sides[which].operations for line in each.lines), channels=channels)
        wide = (channels or 5,)
        return made.model_copy(update={"tensors": {"scale": wide, "shift": wide, "variance": wide}})

    found = failing(write, values)
    text = text_of(found)
    assert "shift" not in text, "a tensor that nothing reads is not drawn"
    assert len(text.splitlines()) <= MOST
    printed = _running.run(text)
    arrays = found.drawn()
    ours, theirs = (values(which, piece, arrays, found.read(which), [0])[0] for which, piece in found.pieces.items())
    assert f"{ours.flat[np.abs(ours - theirs).argmax()]}" in printed
    assert "they differ by" in printed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("assert True", "both sides give the same"),
        ("import nothing_of_that_name", "fails otherwise than it says"),
        ("import time; time.sleep(60)", "does not end"),
        ("raise SystemExit(3)", "fails otherwise"),
    ],
)
def test_a_script_that_does_not_fail_as_it_says_is_refused(text, why):
    with pytest.raises(NotReproduced, match=why):
        _running.run(text, seconds=5)


def test_a_script_that_would_be_too_long_is_refused():
    half = Half("a", (), tuple(f"y = {number}" for number in range(MOST)))
    with pytest.raises(NotReproduced, match="more than 40"):
        composed(["."], {"left": half, "right": half}, [], 1e-9)


def test_a_name_that_means_two_things_means_each_in_its_own_function():
    halves = {
        which: Half("a", ("import math", f"from {module} import log"), ("return np.array(log(8, 2).real)",))
        for which, module in (("left", "math"), ("right", "cmath"))
    }
    text = composed(["."], halves, [], 1e-9)
    assert text.count("import math") == 1
    assert "def left():  # a\n    from math import log\n" in text
    assert "def right():  # a\n    from cmath import log\n" in text
    with pytest.raises(NotReproduced, match="the same"):
        _running.run(text)


def test_two_engines_of_one_library_are_refused():
    halves = {which: Half("a", (f'os.environ["ENGINE"] = "{which}"',), ("return 1",)) for which in ("left", "right")}
    with pytest.raises(NotReproduced, match="two engines"):
        composed(["."], halves, [], 1e-9)


# -- with libraries

UNCALLED = {  # tensors that no module of their own adds or multiplies
    "timm:test_vit": {"001.token", "002.position"},
    "timm:test_convnext": {"scale"},
}


def test_what_lines_set_of_a_library_is_put_back(tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra torch")
    observations.write(tmp_path / "arrays", iter([("x", np.ones(2))]))
    worker = SimpleNamespace(adapter=names.load_adapter(names.parse("torch:ours.py:make")))
    lines = ["import torch", "torch.set_default_dtype(torch.float64)"], ["return [torch.ones(2).numpy() * x]"]
    run(worker, *lines, str(tmp_path / "arrays"), str(tmp_path / "given"))
    assert Observations(tmp_path / "given")["0"].dtype == np.float64
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("name", ["timm:test_vit", "timm:test_convnext", "timm:test_nfnet", "torch:ours.py:make"])
def test_the_lines_of_each_layer_give_what_the_layer_gives(house, name):
    """Residual streams, LayerScale, standardised weights, and a network of one's own, none of them listed anywhere."""
    pytest.importorskip("timm", reason="needs the extra torch")
    (house / "ours.py").write_text(OURS.replace("BIAS", "0.1"))
    model = names.parse(name)
    adapter = names.load_adapter(model)
    built = adapter.build(
        model.name, classes=10, checkpoint=None, conventions=adapter.native_conventions(model.name), image_size=(32, 32)
    )
    stream = np.random.default_rng(0)
    drawn = {tensor: stream.uniform(0.5, 1.5, array.shape) for tensor, array in built.weights().items()}
    built.load({tensor: array.astype(np.float32) for tensor, array in drawn.items()})
    images = stream.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    layers = [layer.name for layer in built.layers()]
    refused = set()
    for layer in layers:
        try:
            with adapter.settings_kept():
                faithful(built, built.excerpt(layer, images), layer, images, False)
        except NotWritten as error:
            refused.add((layer, str(error)))
    known = UNCALLED.get(name, set())
    assert not {each for each in refused if not {each[0], each[0].rpartition(".")[2]} & known}
    assert len(refused) < len(layers) / 3


OURS = """
from torch import nn


class Gate(nn.Module):
    def forward(self, x):
        return x * (x.mean((2, 3), keepdim=True) + BIAS).sigmoid()


def make():
    body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), Gate(), nn.Conv2d(8, 8, 3, 2, 1))
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
"""


def investigated(here, *arguments: str) -> tuple[int, str]:
    status, said, told = here(
        "investigate", *arguments, "--checkpoint", "random:0", "--protocol", "quick-fine-tune", "--images", "2",
        "--steps", "2", "--out", "found", "--name", "found", "--reproducer", "fails.py",
    )  # fmt: skip
    return status, said + told


def checked_script(house) -> str:
    """The script's text, once it failed by itself without isotune."""
    text = (house / "fails.py").read_text()
    ast.parse(text)
    assert len(text.splitlines()) <= MOST, text
    assert "isotune" not in "".join(line for line in text.splitlines() if "import" in line)
    done = subprocess.run([sys.executable, "fails.py"], cwd=house, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "AssertionError: they differ by" in done.stderr
    assert text in (house / "found/found.md").read_text()
    return text


TRAINED = """
from torch import nn


class Gate(nn.Module):
    def forward(self, x):
        return GATE


def make():
    body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8, momentum=MOMENTUM), nn.ReLU(), Gate())
    more = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.BatchNorm2d(8))
    return nn.Sequential(body, more, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
"""
SIGMOID = "x * x.mean((2, 3), keepdim=True).sigmoid()"
IN_TRAINING = {  # rung -> what the port's gate does, its first BatchNorm's momentum, and what the script holds
    "gradients": (f"{SIGMOID}.detach()", "0.1", ["detach", "torch.autograd.grad"]),
    "training-mode layers": (f"{SIGMOID} + (0.1 if self.training else 0.0)", "0.1", ["0.1"]),
    "BatchNorm buffers": (SIGMOID, "0.01", ["momentum=0.01", "running_mean"]),
}  # fmt: skip


@pytest.mark.parametrize("rung", ["gradients", *(pytest.param(r, marks=pytest.mark.slow) for r in [*IN_TRAINING][1:])])
def test_what_only_training_shows_has_a_script(here, house, rung):
    pytest.importorskip("torch", reason="needs the extra torch")
    gate, momentum, held = IN_TRAINING[rung]
    (house / "ours.py").write_text(TRAINED.replace("GATE", SIGMOID).replace("MOMENTUM", "0.1"))
    (house / "port.py").write_text(TRAINED.replace("GATE", gate).replace("MOMENTUM", momentum))
    status, said = investigated(here, "torch:ours.py:make", "torch:port.py:make")
    assert status == 1
    assert f"reproducer of {rung}: fails.py" in said, said
    text = checked_script(house)
    assert [each for each in held if each not in text] == []


def test_an_operation_of_a_users_own_network_is_found(here, house):
    pytest.importorskip("torch", reason="needs the extra torch")
    (house / "ours.py").write_text(OURS.replace("BIAS", "0.0"))
    (house / "port.py").write_text(OURS.replace("BIAS", "0.1"))
    status, said = investigated(here, "torch:ours.py:make", "torch:port.py:make")
    assert status == 1
    assert "reproducer of layers: fails.py" in said
    text = checked_script(house)
    assert "+ 0.1" in text
    assert "Conv2d" not in text, "the convolution behind it is no part of what fails"


LAYER = """
import keras


class Gate(keras.layers.Layer):
    def __init__(self, bias=0.0, **options):
        super().__init__(**options)
        self.bias = bias

    def call(self, x):
        return x * keras.ops.sigmoid(x + self.bias)

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return super().get_config() | {"bias": self.bias}


def make():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(image)
    x = keras.layers.GlobalAveragePooling2D()(Gate(BIAS)(x))
    return keras.Model(image, keras.layers.Dense(10)(keras.layers.Dense(6)(x)))
"""


@pytest.mark.slow  # what torch's own networks show above
def test_a_layer_of_a_users_own_is_made_from_its_configuration(here, house):
    if find_spec("tensorflow") is None:
        pytest.skip("needs the extra keras")
    (house / "ours.py").write_text(LAYER.replace("BIAS", "0.0"))
    (house / "port.py").write_text(LAYER.replace("BIAS", "0.5"))
    status, said = investigated(here, "keras:ours.py:make", "keras:port.py:make")
    assert status == 1
    assert "reproducer of layers: fails.py" in said, said
    text = checked_script(house)
    assert "Gate(bias=0.5)" in text
    assert "float32" not in text
    assert f"runpy.run_path('{house}/port.py')" in text


@pytest.mark.slow  # what torch's own networks show above
@pytest.mark.parametrize(("engine", "taken"), [("tensorflow", "tf.GradientTape"), ("jax", "jax.grad"),
                                               ("torch", "torch.autograd.grad")])  # fmt: skip
def test_a_gradient_in_keras_is_taken_as_its_engine_does(here, house, engine, taken):
    pytest.importorskip(engine, reason="needs the extra keras")
    inside = "keras.ops.sigmoid(x + self.bias)"
    (house / "ours.py").write_text(LAYER.replace("BIAS", "0.0"))
    stopped = LAYER.replace("BIAS", "0.0").replace(inside, f"keras.ops.stop_gradient({inside})")
    (house / "port.py").write_text(stopped)
    library = "keras" if engine == "tensorflow" else f"keras@{engine}"
    status, said = investigated(here, f"{library}:ours.py:make", f"{library}:port.py:make")
    assert status == 1
    assert "reproducer of gradients: fails.py" in said, said
    text = checked_script(house)
    assert taken in text
    assert "port.py" in text


def test_a_convention_of_a_library_is_shown(here, house):
    pytest.importorskip("timm", reason="needs the extra torch")
    status, said = investigated(here, "timm:mobilenetv2_035", "timm:mobilenetv2_035:bn_eps=0.003")
    assert status == 1
    assert "reproducer of layers: fails.py" in said, said
    assert "0.003" in checked_script(house)


def test_an_optimizer_that_a_library_has_not_is_the_librarys_with_the_lines_of_the_report(here, house):
    pytest.importorskip("timm", reason="needs the extra torch")
    model = "timm:mobilenetv2_035"
    status, said = investigated(
        here, model, model, "--conventions", "identical", "--right-conventions", "identical,momentum_form=rate-inside"
    )
    assert status == 1
    assert "reproducer of one step: fails.py" in said, said
    assert "set_learning_rate(optimizer, rate)" in checked_script(house)


def test_what_cannot_be_reduced_is_one_line(here, house):
    pytest.importorskip("timm", reason="needs the extra torch")
    model = "timm:mobilenetv2_035"
    status, said = investigated(
        here, model, model, "--conventions", "identical", "--right-conventions", "identical,weight_decay_on=kernels"
    )
    assert status == 1
    assert not (house / "fails.py").exists()
    (line,) = (line for line in said.splitlines() if line.startswith("no reproducer: "))
    assert "weight_decay_on" in line
    assert "No script reproduces it: " in (house / "found/found.md").read_text()


RECIPES = {  # rung -> what torchvision and Keras have of an axis, the optimizer
    "decoded bytes": ("decode", "pillow", "tensorflow", SGD()),
    "resized pixels": ("resize", "antialias", "plain", SGD()),
    "scaled input": ("input_scaling", "mean-std", "minus-one-to-one", SGD()),
    "weights": ("head_initialisation", "uniform-fan-in", "glorot-uniform", SGD()),
    "BatchNorm buffers": ("batchnorm_running_variance", "unbiased", "biased", SGD()),
    "one step": ("weight_decay_form", "coupled", "decoupled", SGD(momentum=0.9, weight_decay=0.01)),
    "one step, Adam": ("adam_epsilon", "after-correction", "before-correction", Adam()),
    "one step, RMSprop": ("rmsprop_epsilon", "outside-root", "inside-root", RMSprop()),
    "one step, clipped": ("clipping", "global-norm", "per-variable", SGD(clip_norm=1.0)),
    "drift": ("momentum_form", "rate-outside", "rate-inside", SGD(momentum=0.875)),
    "drift, precision": ("hyperparameters", "float64", "float32", SGD(momentum=0.9)),
    # a side does as its library does with the lines that a report prints
    "one step, unscaled": ("weight_decay_form", "coupled", "decoupled-unscaled", SGD(weight_decay=0.01)),
    "one step, clipping turned round": ("clipping", "per-variable", "global-norm", SGD(clip_norm=1.0)),
}


IN_TORCH = {  # of two sides of one library, of which one has the lines of the report
    "drift": ("momentum_form", "rate-outside", "rate-inside", SGD(momentum=0.875)),
    "one step, Adam": ("adam_epsilon", "after-correction", "before-correction", Adam()),
    "one step, precision": ("hyperparameters", "float64", "float32", SGD(momentum=0.9, weight_decay=0.1)),
    "one step, decoupled": ("weight_decay_form", "coupled", "decoupled", SGD(momentum=0.9, weight_decay=0.01)),
    "one step, in the loss": ("weight_decay_form", "coupled", "in-loss", SGD(weight_decay=0.01)),
    "one step, unscaled": ("weight_decay_form", "coupled", "decoupled-unscaled", SGD(weight_decay=0.01)),
    "one step, clipping": ("clipping", "global-norm", "per-variable", SGD(clip_norm=1.0)),
}  # fmt: skip
BOTH = ("torchvision:mobilenet_v2", "keras:MobileNetV2")


def found(axis, ours, theirs, rung, models=BOTH) -> tuple[Findings, Rung]:
    """Findings with one rung, which fails by one axis."""
    sides = [Side(model=model, checkpoint="random:0") for model in models]
    cause = Cause(flips=(Flip(side="right", axis=axis, was=theirs, value=ours),), before=1.0, after=0.0, layers=1)
    failing = Rung(name=rung, verdict="fails", cause=cause)
    both = Findings(
        left=sides[0], right=sides[1], dataset="digits", protocol="quick", images=2, steps=2,
        axes={axis: (ours, theirs)}, rungs=(failing,),
    )  # fmt: skip
    return both, failing


def test_what_the_recipe_says_fails_as_each_library_does_it(house):
    """All scripts in one process, which takes both libraries once."""
    if not all(map(find_spec, ("torchvision", "tensorflow"))):  # to import them would take TensorFlow into this process
        pytest.skip("needs the extras torch and keras")
    texts = [recipe_script(name.partition(",")[0], *case) for name, case in RECIPES.items()]
    all_fail(house, RECIPES, texts)


def test_one_library_fails_with_the_lines_of_the_report_and_without_them(house):
    pytest.importorskip("torchvision", reason="needs the extra torch")
    models = ("torchvision:mobilenet_v2", "timm:mobilenetv2_100")
    texts = [recipe_script(name.partition(",")[0], *case, models=models) for name, case in IN_TORCH.items()]
    all_fail(house, IN_TORCH, texts)


def all_fail(house, names, texts: list[str]) -> None:
    """Each by its own assertion, all in one process."""
    for number, text in enumerate(texts):
        assert len(text.splitlines()) <= MOST
        (house / f"{number:02d}.py").write_text(text)
    each = (
        "import pathlib, runpy\n"
        "for file in sorted(pathlib.Path().glob('*.py')):\n"
        "    try:\n        runpy.run_path(str(file))\n        print('the same')\n"
        "    except AssertionError as error:\n        print('failed', error)\n"
        "    except Exception as error:\n        print(file, type(error), error)\n"
    )
    done = subprocess.run([sys.executable, "-c", each], cwd=house, capture_output=True, text=True, check=False)
    ends = [line for line in done.stdout.splitlines() if not line.startswith(("torchvision:", "keras:"))]
    assert len(ends) == len(texts), done.stderr[-2000:]
    assert [(name, end) for name, end in zip(names, ends, strict=True) if not end.startswith("failed they")] == []


def recipe_script(rung, axis, ours, theirs, optimizer, models=BOTH) -> str:
    findings, failing = found(axis, ours, theirs, rung, models)
    given = Inputs(
        recipe={}, classes=10, size=32, seed=0, rates=(0.1, 0.1),
        stage=Stage(optimizer=optimizer, schedule=Schedule(learning_rate=0.1), epochs=1, batch_size=2),
    )  # fmt: skip
    return of_recipe(findings, failing, given, ["What it shows."])


@pytest.mark.parametrize(
    ("axis", "ours", "theirs", "rung"),
    [
        ("weight_decay_form", "decoupled", "coupled", "one step"),  # Keras's lines for it need a model
        ("weight_decay_on", "all", "kernels", "one step"),
        ("batchnorm_momentum", None, 0.1, "BatchNorm buffers"),
        ("gelu", "exact", "tanh", "gradients"),
    ],
)
def test_what_a_librarys_own_lines_do_not_show_is_refused(axis, ours, theirs, rung):
    with pytest.raises((NotReproduced, NotWritten)):
        recipe_script(rung, axis, ours, theirs, SGD(momentum=0.9))


@pytest.mark.parametrize("file", ["fails.txt", "found"])
def test_a_file_that_is_no_script_is_refused_at_once(here, house, file):
    (house / "found").mkdir()
    status, _, told = here("investigate", "timm:mobilenetv2_035", "timm:mobilenetv2_050", "--reproducer", file)
    assert status == 2
    assert "reproducer: takes" in told
