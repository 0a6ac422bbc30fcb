"""isotune.investigate, dump, prove and transfer from Python, as the commands do it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import isotune
from isotune.errors import UsageError
from isotune.investigation import Side
from isotune.weights import Weights

pytestmark = pytest.mark.usefixtures("house", "warm")

MODEL = "example:random-features"
SET_UP = {"checkpoint": "random:0", "images": 4, "steps": 2, "progress": False}
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)
LABELS = np.arange(40) % 4
RECIPE = isotune.Protocol.model_validate({
    "name": "small", "title": "Small", "source": "a test", "input": {"size": 16}, "stage": [{
        "epochs": 1, "batch_size": 8, "optimizer": {"name": "sgd", "momentum": 0.5}, "schedule": {"learning_rate": 0.25}
    }],
})  # fmt: skip
OTHER = {"native": {"input_scaling": "caffe"}}


def test_an_investigation_of_arrays_under_a_protocol_built_here_names_the_cause_and_its_price():
    told = []
    found = isotune.investigate(
        MODEL, MODEL, dataset={"train": (IMAGES, LABELS), "test": (IMAGES[:8], LABELS[:8])}, protocol=RECIPE,
        right_conventions=OTHER, price=True, seeds=1, store="records",
        **SET_UP | {"progress": lambda *what: told.append(what)},
    )  # fmt: skip
    assert found.stopped is None
    assert "scaled input" in found.verdict
    assert [flip.axis for flip in found.causes["scaled input"].flips] == ["input_scaling"]
    assert {rung.name for rung in found.rungs} >= {"scaled input", "logits", "loss", "drift", "accuracy"}
    assert found.price.runs >= 2
    assert told
    assert "<table" in found._repr_html_()
    report = found.write("reports")
    assert report.parent == Path("reports")
    assert json.loads(report.with_suffix(".json").read_text(encoding="utf-8"))["verdict"] == found.verdict
    assert found.as_json()["verdict"] == found.verdict


def test_sides_may_be_objects_and_dumps_folders():
    one = Side(model=MODEL, checkpoint="random:0", conventions="native")
    same = isotune.investigate(one, one, dataset=(IMAGES, LABELS), protocol=RECIPE, **SET_UP)
    assert same.same, same.verdict
    folder = isotune.dump(one, "kept", dataset=(IMAGES, LABELS), protocol=RECIPE, images=4, steps=2, progress=False)
    again = isotune.investigate(folder, MODEL, checkpoint="random:0", progress=False)
    assert again.same, again.verdict
    assert again.left.model == MODEL


def test_a_proof_says_what_differs_and_asserts_it():
    pytest.importorskip("torch", reason="needs the extra torch")
    pair = ["torchvision:mobilenet_v2", "timm:mobilenetv2_100"]
    proofs = isotune.prove(*pair, only="inference", size=(33, 35), batch=2, store="proofs", progress=False)
    proofs.assert_identical()
    assert proofs.holds
    assert set(proofs.frame().rung) >= {"features", "layers"}
    assert proofs.frame().holds.all()
    assert "identical" in proofs.verdict
    assert "<table" in proofs._repr_html_()
    assert proofs.write("reports").name == "parity.md"


def test_a_transfer_writes_a_file_that_a_run_takes():
    done = isotune.transfer(MODEL, None, Path("w.safetensors"), checkpoint="random:3", size=32, classifier=False)
    assert (done.path, done.architecture, done.tensors) == (Path("w.safetensors"), "random_features", 2)
    assert done.as_json()["conventions"] == dict(Weights.read(done.path).conventions)
    call = {"seeds": 1, "conventions": "identical", "store": "records", "progress": False}
    (taken,) = isotune.run(MODEL, (IMAGES, LABELS), RECIPE, checkpoint=done.path, **call)
    (drawn,) = isotune.run(MODEL, (IMAGES, LABELS), RECIPE, checkpoint="random:3", **call)
    assert taken.checkpoint_digest == drawn.checkpoint_digest
    assert taken.predictions_digest == drawn.predictions_digest


def test_a_study_of_variance_gives_sources_and_a_report():
    call = {"dataset": (IMAGES, LABELS), "protocol": RECIPE, "checkpoint": "random:0", "store": "study", "levels": 2}
    planned = isotune.study_variance(MODEL, **call, repeats=1, planned=True, progress=False)
    assert planned.findings == []
    assert any("5 runs, 0 of them done" in line for line in planned.plan)
    study = isotune.study_variance(MODEL, **call, repeats=1, progress=False)
    assert not study.failed
    assert study.outlook.done == 5
    assert set(study.frame().columns) == {"model", "source", "sd", "low", "high", "share"}
    assert {"head", "order"} <= set(study.frame().source)
    assert study.as_json()["design"]["levels"] == 2
    assert study.sentences[0] in study.write("reports").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="was planned and not run"):
        planned.write("reports")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: isotune.investigate(3, MODEL), "left: takes a name such as"),
        (lambda: isotune.investigate(MODEL, None), "right: takes a name such as"),
        (lambda: isotune.investigate(MODEL, MODEL, dataset=3), "dataset: takes a name"),
        (lambda: isotune.investigate(MODEL, MODEL, protocol=3), "protocol: takes a name"),
        (lambda: isotune.investigate(MODEL, MODEL, conventions="natve"), "did you mean 'native'"),
        (lambda: isotune.investigate(MODEL, MODEL, right_checkpoint=3), "right_checkpoint: takes a name"),
        (lambda: isotune.investigate(MODEL, MODEL, right_conventions=3), "right_conventions: takes 'identical'"),
        (lambda: isotune.investigate(MODEL, MODEL, right_numeric_mode=3), "right_numeric_mode: takes float32"),
        (lambda: isotune.investigate(MODEL, MODEL, left_python=3), "left_python: takes a path, not int"),
        (lambda: isotune.investigate(MODEL, MODEL, price="no"), "price: takes True or False, not str"),
        (lambda: isotune.investigate(MODEL, MODEL, quick="no"), "quick: takes True or False"),
        (lambda: isotune.investigate(MODEL, MODEL, right_compiled="no"), "right_compiled: takes True or False"),
        (lambda: isotune.prove(MODEL, MODEL, until_failure="no"), "until_failure: takes True or False"),
        (lambda: isotune.prove_all(kept="no"), "kept: takes True or False"),
        (lambda: isotune.investigate(MODEL, MODEL, images=1), "images: takes a whole number from 2"),
        (
            lambda: isotune.investigate(MODEL, MODEL, right_python="nowhere", **SET_UP),
            "no interpreter nowhere",
        ),
        (lambda: isotune.investigate(Path(), MODEL), "is no whole dump"),
        (lambda: isotune.dump(3, "kept"), "model: takes a name such as"),
        (lambda: isotune.dump(MODEL, 3), "folder: takes a path"),
        (lambda: isotune.prove(MODEL, 3), "right: takes a name such as"),
        (lambda: isotune.prove(MODEL, MODEL), "is no pair"),
        (lambda: isotune.prove(MODEL, MODEL, size="big"), "size 'big': give pixels"),
        (lambda: isotune.prove(MODEL, MODEL, only=[3]), "only: takes names, not int"),
        (lambda: isotune.prove_all(architectures=3), "architectures: takes names, not int"),
    ],
)
def test_wrong_use_names_the_argument_in_one_line(call, said):
    with pytest.raises(UsageError, match=said) as refused:
        call()
    assert len(str(refused.value).splitlines()) == 1
