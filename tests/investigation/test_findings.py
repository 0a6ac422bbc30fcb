"""What comes of an investigation: one object for a program, a notebook and files, and the command that gives it."""

from __future__ import annotations

import json
import shlex

import pytest

from isotune.comparison.errors import Error
from isotune.errors import UsageError
from isotune.investigation import Cause, Findings, Flip, Investigation, Rung, Side, investigate
from isotune.investigation._command import investigation_command, options_of_sides

LEFT = Side(model="torchvision:mobilenet_v2", checkpoint="offline")
RIGHT = Side(model="timm:mobilenetv2_100", checkpoint="offline", conventions="native,gelu=tanh")
FLIP = Flip(side="right", axis="batchnorm_epsilon", was=1e-3, value=1e-5)


def found(stopped: str | None = None, failing: bool = True) -> Investigation:
    layers = (Error(name="stem", relative=2e-3), Error(name="head", relative=float("inf"), why="not finite"))
    cause = Cause(flips=(FLIP,), before=2e-3, after=0.0, layers=2) if failing else None
    rungs = (
        Rung(name="weights", verdict="holds", end_to_end=0.0, isolated=0.0, bound=1e-9, compared=3),
        Rung(
            name="layers", verdict="fails" if failing else "holds", end_to_end=0.5, isolated=2e-3, bound=1e-9,
            compared=2, failing=2, cause=cause, layers_isolated=layers, layers_end_to_end=layers,
        ),
    )  # fmt: skip
    findings = Findings(
        left=LEFT, right=RIGHT, dataset="digits", protocol="quick", images=8, steps=5, rungs=rungs, stopped=stopped,
        axes={"batchnorm_epsilon": (1e-5, 1e-3)},
    )  # fmt: skip
    return Investigation(findings, command="isotune investigate a b")


def test_an_investigation_answers_what_is_asked_of_it(tmp_path):
    result = found()
    assert (result.same, result.interrupted, result.first_failure.name) == (False, False, "layers")
    assert result.causes == {"layers": result.rungs[1].cause}
    assert "part first at the rung 'layers': batchnorm_epsilon: 1e-05 against 0.001" in result.verdict
    assert (result.attribution, result.price) == (None, None)
    shown = result._repr_html_()
    assert "batchnorm_epsilon: 1e-05 against 0.001" in shown
    assert "error, end to end" in shown
    path = result.write(tmp_path)
    assert path.name == "torchvision-mobilenet-v2-vs-timm-mobilenetv2-100.md"
    assert "- Command: `isotune investigate a b`" in path.read_text()
    assert (tmp_path / f"figures/{path.stem}-layers.svg").exists()
    assert result.write(tmp_path, "other").name == "other.md"
    with pytest.raises(UsageError, match="choose another folder"):
        result.write(path)


def test_what_is_same_has_come_to_its_end():
    assert found(failing=False).same
    assert not found(failing=False, stopped="out of memory").same
    assert found(stopped="interrupted").interrupted


def test_json_of_the_version_before_is_read():
    told = json.loads(json.dumps(found().as_json()))
    kept = {name: told[name] for name in Findings.model_fields} | {"version": 2}
    for name in ("effects", "set_alike", "left_out"):
        del kept[name]
    for rung in kept["rungs"]:
        del rung["unexplained"]
        if rung["cause"]:
            del rung["cause"]["cures"]
    read = Findings.model_validate(kept)
    assert read.rungs == found().findings.rungs
    assert Investigation(read).verdict == found().verdict


def test_json_is_read_back_and_one_of_the_first_version_is_refused():
    told = json.loads(json.dumps(found().as_json()))
    assert told["version"] == 4
    kept = {name: told[name] for name in Findings.model_fields}
    assert Findings.model_validate(kept) == found().findings
    kept["rungs"][0]["alone"] = kept["rungs"][0].pop("isolated")
    with pytest.raises(ValueError, match="alone"):
        Findings.model_validate(kept)


def test_the_command_says_what_is_no_default():
    assert investigation_command(LEFT, LEFT, options_of_sides(LEFT, LEFT)) == (
        "isotune investigate torchvision:mobilenet_v2 torchvision:mobilenet_v2"
    )
    changed = RIGHT.model_copy(update={"numeric_mode": "float32", "compiled": True, "python": "old env/python"})
    options = {"--dataset": ("cats", "digits"), "--images": (8, 8)} | options_of_sides(LEFT, changed)
    assert shlex.split(investigation_command(LEFT, changed, options))[4:] == [
        "--dataset", "cats", "--right-conventions", "native,gelu=tanh", "--right-numeric-mode", "float32",
        "--right-compiled", "--right-python", "old env/python",
    ]  # fmt: skip
    laid_out = [side.model_copy(update={"layout": layout}) for side, layout in ((LEFT, "channels_last"), (RIGHT, None))]
    assert "--layout channels_last" in investigation_command(*laid_out, options_of_sides(*laid_out))
    laid_out.reverse()
    assert "--right-layout channels_last" in investigation_command(*laid_out, options_of_sides(*laid_out))
    onwards = shlex.split(investigation_command("dump:kept", changed, options_of_sides(None, changed)))
    assert onwards[2:6] == ["dump:kept", changed.model, "--conventions", "native,gelu=tanh"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"numeric_mode": "float8"}, "float8"),
        ({"layout": "channels_first"}, "channels_first"),
        ({"right_checkpoint": "random:1", "price": True}, "--price is of two set-ups with one checkpoint"),
        ({"right_python": "nowhere/python"}, "there is no interpreter nowhere/python"),
        ({"protocol": "quikc"}, "did you mean 'quick'"),
        ({"dataset": "digit"}, "did you mean 'digits'"),
    ],
)
def test_wrong_use_is_an_error_of_one_line(house, given, said):
    with pytest.raises(UsageError, match=said) as caught:
        investigate("example:random-features", "example:random-features", **given)
    assert "\n" not in str(caught.value)
