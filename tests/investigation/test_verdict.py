"""What a verdict says: all causes, the greatest first; in what else the sides differ; what was not compared."""

from __future__ import annotations

import json
from html import unescape

from isotune.investigation import Cause, Findings, Flip, Investigation, Rung, Side

LEFT = Side(model="torchvision:mobilenet_v2", checkpoint="random:0")
RIGHT = Side(model="keras:MobileNetV2", checkpoint="random:0", conventions="native,frozen_batchnorm=updates")
AXES = {
    "resize": ("antialias", "plain"), "head_initialisation": ("uniform-fan-in", "glorot-uniform"),
    "stride2_padding": ("symmetric", "same"), "batchnorm_epsilon": (1e-5, 1e-3), "frozen_batchnorm": ("a", "b"),
}  # fmt: skip


def rung(name, *axes, **more) -> Rung:
    flips = tuple(Flip(side="right", axis=axis, was=AXES[axis][1], value=AXES[axis][0]) for axis in axes)
    cause = Cause(flips=flips, before=1e-2, after=0, layers=3, cures=more.pop("cures", ())) if flips else None
    return Rung(name=name, cause=cause, **{"verdict": "fails", "compared": 5} | more)


def investigation(*rungs, **more) -> Investigation:
    given = {"left": LEFT, "right": RIGHT, "axes": AXES, "dataset": "digits", "protocol": "quick", "images": 8}
    return Investigation(Findings(steps=5, rungs=rungs, **given | more))


def test_causes_stand_in_the_order_of_what_they_change():
    effects = {"resize": 1e-2, "head_initialisation": 0.0, "stride2_padding": 0.4, "batchnorm_epsilon": 2e-2}
    said = investigation(
        rung("resized pixels", "resize"), rung("weights", "head_initialisation"),
        rung("layers", "batchnorm_epsilon", "stride2_padding"), effects=effects,
    ).verdict  # fmt: skip
    first, second = said.split(". They ")
    order = ["stride2_padding: symmetric against same", "batchnorm_epsilon: 1e-05", "resize: ", "head_initialisation"]
    places = [first.index(each) for each in order]
    assert places == sorted(places), said
    assert "part first at the rung 'resized pixels'" in first
    assert "(4e-01 of the logits)" in first
    assert "(in training)" in first
    assert "3 rungs fail by themselves" in first
    assert second.startswith("also differ in frozen_batchnorm: a against b")


def test_what_the_command_was_given_is_not_recited():
    assert "frozen_batchnorm=updates" not in investigation(rung("resized pixels", "resize")).verdict
    same = investigation(rung("layers", "resize"), left=RIGHT)
    assert "keras:MobileNetV2 (native), left, and keras:MobileNetV2 (native), right part" in same.verdict


def test_the_axes_that_differ_are_said_where_nothing_explains_too():
    said = investigation(rung("layers", unexplained=("004.conv", "005.norm"), where="004.conv (a = b)")).verdict
    assert "no known convention explains the rung 'layers', 004.conv (a = b)" in said
    for axis, (ours, theirs) in AXES.items():
        assert f"{axis}: {ours if axis != 'batchnorm_epsilon' else '1e-05'} against {theirs}" in said


def test_forms_of_techniques_that_differ_are_not_the_same_though_no_rung_shows_them():
    axes = {"average_start": ("initial", "first"), "gelu": ("exact", "tanh")}
    found = investigation(rung("layers", verdict="holds"), axes=axes)
    assert (
        "are the same on every rung. They are not the same in what no rung shows: average_start: initial"
        in found.verdict
    )
    assert found.verdict.endswith("They differ in gelu: exact against tanh, which no rung shows.")
    assert not found.same
    assert investigation(rung("layers", verdict="holds"), axes={"gelu": ("exact", "tanh")}).same
    failing = investigation(rung("layers"), axes=axes).verdict
    assert failing.count("average_start") == 1


def test_what_a_cause_leaves_is_said_once():
    parts = {"unexplained": ("004.conv",), "cures": ("001.norm", "002.norm")}
    named = {"004.conv": ("b2", "body.2")}
    rungs = rung("layers", "batchnorm_epsilon", **parts), rung("training-mode layers", "batchnorm_epsilon", **parts)
    found = investigation(*rungs, names=named)
    assert found.verdict.count("004.conv (b2 = body.2)") == 1
    assert "explains 004.conv (b2 = body.2) at the rung 'layers'" in found.verdict
    assert "of the 3 of 5 that failed 2 hold with it set alike" in found._repr_html_()


def test_what_was_set_alike_or_left_out_is_never_the_same(tmp_path, capsys):
    more = {
        "set_alike": [{"axis": "input_scaling", "value": "mean-std", "own": ("mean-std", "unit")}],
        "left_out": {"right": ["dropout 0.5 (drop)", "the classifier top (Dense, 10 classes, softmax)"]},
    }
    result = investigation(rung("scaled input", verdict="not judged"), rung("layers", verdict="holds"), **more)
    wanted = (
        "are the same on every rung that is judged; not judged: 'scaled input'.",
        "Not compared: of keras:MobileNetV2 dropout 0.5 (drop), the classifier top (Dense, 10 classes, softmax).",
        "Set alike: input_scaling: mean-std (by themselves: mean-std against unit).",
    )
    result.show()
    path = result.write(tmp_path)
    shown = [
        result.verdict, unescape(result._repr_html_()), capsys.readouterr().out, json.dumps(result.as_json()),
        path.read_text().replace("\\", ""), path.with_suffix(".json").read_text(),
    ]  # fmt: skip
    assert not [(line, text) for line in wanted for text in shown if line not in text]
    assert Findings.model_validate({name: result.as_json()[name] for name in Findings.model_fields}) == result.findings


def test_a_walk_of_which_nothing_was_left_out_is_the_same_in_one_sentence():
    assert investigation(rung("layers", verdict="holds"), axes={}).verdict == (
        "torchvision:mobilenet_v2 (native) and keras:MobileNetV2 (native) are the same on every rung."
    )
