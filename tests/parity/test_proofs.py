"""What comes of proofs: assertions for other projects' tests, tables, JSON; and results that are kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from isotune.errors import UsageError
from isotune.parity import Family, Proofs, Question, Result, ResultStore, Rung, questions

KEPT = Path(__file__).parent / "data" / "result-version-1.json"  # as isotune wrote it before results had a version


def result(right: str, *rungs: tuple[str, float], error: str | None = None) -> Result:
    question = Question(
        left="keras:MobileNetV2", right=right, checkpoint="random:0", size=(33, 45), batch=5, seed=0, versions={}
    )
    made = tuple(Rung(name=name, error=far, where="head.kernel", tensors=3, bound=1e-9) for name, far in rungs)
    return Result(
        question=question, architecture="mobilenet_v2", parameters=2_000_000, stages=("inference",), rungs=made,
        error=error, finished="2026-01-05T12:00:00Z",
    )  # fmt: skip


SOUND = result("timm:mobilenetv2_100", ("features", 2e-13), ("loss", 0.0))
WRONG = result("torchvision:mobilenet_v2", ("features", 2e-13), ("loss", 3e-4))
BROKEN = result("timm:other", error="RuntimeError: out of luck")


def test_a_proof_is_of_the_layouts_that_users_get():
    """One that was carried out in another is another proof."""
    (asked,) = questions(Family("mobilenet_v2", "keras:MobileNetV2", ("timm:mobilenetv2_100",)))
    assert asked.layouts == ("channels_last", "contiguous")
    assert asked.model_copy(update={"layouts": ("channels_last", "channels_last")}).key != asked.key


def test_an_assertion_says_what_is_not_identical_and_nothing_of_what_is():
    Proofs((SOUND,)).assert_identical()
    assert Proofs((SOUND,)).holds
    with pytest.raises(AssertionError) as caught:
        Proofs((SOUND, WRONG, BROKEN)).assert_identical()
    assert str(caught.value).splitlines() == [
        "keras:MobileNetV2 = torchvision:mobilenet_v2: differs: loss",
        "keras:MobileNetV2 = timm:other: not carried out: RuntimeError: out of luck",
    ]
    assert not Proofs((SOUND, BROKEN)).holds


def test_a_frame_has_a_row_for_each_rung():
    frame = Proofs((SOUND, WRONG)).frame()
    assert list(frame["rung"]) == ["features", "loss"] * 2
    assert list(frame["holds"]) == [True, True, True, False]
    assert frame[~frame["holds"]]["right"].tolist() == ["torchvision:mobilenet_v2"]


def test_a_notebook_shows_pairs_and_verdicts_and_files_hold_the_same(tmp_path):
    proofs = Proofs((SOUND, WRONG), command="isotune parity a b")
    shown = proofs._repr_html_()
    assert "keras:MobileNetV2 = torchvision:mobilenet_v2" in shown
    assert "differs: loss" in shown
    path = proofs.write(tmp_path / "reports")
    assert "`isotune parity a b`" in path.read_text()
    written = json.loads((tmp_path / "reports/parity.json").read_text())
    assert written == json.loads(json.dumps(proofs.as_json()))
    assert (written["version"], [each["holds"] for each in written["results"]]) == (2, [True, False])
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="choose another folder"):
        proofs.write(tmp_path / "file")


def test_a_result_of_the_version_before_is_read_and_one_of_a_version_to_come_is_proved_again(tmp_path):
    before = json.loads(KEPT.read_text())
    question = Question.model_validate(before["question"])
    shutil.copy(KEPT, tmp_path / f"{question.key}.json")
    read = ResultStore(tmp_path).read(question)
    assert read is not None
    assert [rung.model_dump() for rung in read.rungs] == before["rungs"]
    (tmp_path / f"{question.key}.json").write_text(json.dumps(before | {"version": 3}))
    assert ResultStore(tmp_path).read(question) is None
