"""Networks that end in a softmax or in sigmoids of their own: their loss and calibration are of their probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import isotune
from isotune import names
from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.protocols import Input, OwnClassifier, Protocol
from isotune.runs import own_classifier, scores
from isotune.runs.own_classifier.classes import columns

NETS = """
import torch
from torch import nn
from torch.nn import functional

CLASSES = ["ant", "bee", "cat"]


class Net(nn.Module):
    def __init__(self, outputs, end):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head, self.end = nn.Conv2d(3, 6, 3, 2), nn.Linear(6, outputs), end
        self.head.weight.data.mul_(20)

    def forward(self, x):
        return self.end(self.head(functional.relu(self.stem(x)).mean((2, 3))))


def logits(): return Net(3, nn.Identity())
def softmax(): return Net(3, nn.Softmax(dim=1))
def called(): return Net(3, lambda z: z.softmax(-1))
def log_softmax(): return Net(3, nn.LogSoftmax(dim=-1))
def sigmoids(): return Net(3, nn.Sigmoid())
def one(): return Net(1, nn.Sigmoid())
def one_logit(): return Net(1, nn.Identity())
def by_hand(): return Net(3, lambda z: z.exp() / z.exp().sum(1, keepdim=True))
def over_images(): return Net(3, nn.Softmax(dim=0))
def halved(): return Net(3, lambda z: 0.5 * torch.sigmoid(z))
def one_halved(): return Net(1, lambda z: 0.5 * torch.sigmoid(z))
"""
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
LABELS = np.arange(40) % 3


@pytest.fixture
def outputs(tmp_path):
    """Of a network by its name: what it gives, and that as logits."""
    pytest.importorskip("torch", reason="needs the extra torch")
    (tmp_path / "nets.py").write_text(NETS)
    model = names.parse(f"torch:{tmp_path}/nets.py:any")
    adapter = names.load_adapter(model)

    def of(name: str):
        built = adapter.build(
            model.name.replace("any", name), classes=None, checkpoint="pretrained", conventions=Conventions(),
            image_size=(16, 16),
        )  # fmt: skip
        given = built.logits(IMAGES)
        return built, given, *own_classifier.as_logits(given, built.ending, built.ended, "the net")

    return of


@pytest.mark.parametrize(
    ("name", "kind"),
    [("softmax", "softmax"), ("called", "softmax"), ("log_softmax", "log-softmax"), ("by_hand", "softmax")],
)
def test_probabilities_have_the_loss_and_calibration_of_the_logits_that_they_are_of(outputs, name, kind):
    plain, _, wanted, none = outputs("logits")
    assert (plain.ending, none) == ("", None)
    _, given, found, seen = outputs(name)
    assert seen == kind
    one, other = scores.scores(wanted, LABELS), scores.scores(found, LABELS)
    assert other == pytest.approx(one, rel=1e-4)
    if kind == "softmax":
        wrong = scores.scores(given, LABELS)
        assert abs(wrong["loss"] - one["loss"]) > 0.1, "taken for logits they are another distribution"


@pytest.mark.parametrize(
    ("name", "kind"), [("sigmoids", "sigmoids"), ("halved", "unknown"), ("over_images", "unknown")]
)
def test_what_is_no_distribution_over_classes_has_neither(outputs, name, kind):
    _, given, found, seen = outputs(name)
    assert seen == kind
    assert found.argmax(axis=1).tolist() == given.argmax(axis=1).tolist()


def test_one_sigmoid_is_of_two_classes_and_not_always_of_the_second(outputs):
    _, given, found, seen = outputs("one")
    _, logit, as_is, none = outputs("one_logit")
    assert (seen, none) == ("sigmoid", None)
    np.testing.assert_allclose(found, logit, rtol=1e-3, atol=1e-4)
    rule = {"dataset": "pets", "who": "the net"}
    both = [columns(("ant", "bee"), 1, ("ant", "bee"), OwnClassifier(), **rule).of(each) for each in (found, as_is)]
    assert both[0].argmax(axis=1).tolist() == both[1].argmax(axis=1).tolist()
    assert set(both[0].argmax(axis=1)) == {0, 1}
    assert (given > 0).all(), "as a logit each would say the second class"


def test_one_output_of_which_nothing_is_known_is_refused(outputs):
    with pytest.raises(UsageError, match="has one output, between 0 and 1 on every image, and what it is cannot be"):
        outputs("one_halved")


@given(st.lists(st.lists(st.floats(-80, 80), min_size=3, max_size=3), min_size=1, max_size=5))
def test_the_softmax_of_what_is_read_of_a_softmax_is_that(rows):
    logits = np.array(rows)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    for ending, ended in (("softmax", True), (None, False)):
        back = np.exp(own_classifier.as_logits(shares, ending, ended, "x")[0])
        np.testing.assert_allclose(back / back.sum(axis=1, keepdims=True), shares, rtol=1e-9)


def test_what_is_so_sure_that_it_is_1_has_a_loss_all_the_same():
    found, _ = own_classifier.as_logits(np.array([[1.0], [0.0]], np.float32), "sigmoid", True, "x")
    both = np.concatenate([np.zeros_like(found), found], axis=1)
    said = scores.scores(both, np.array([1, 0]))
    assert (said["accuracy"], said["calibration_error"]) == (1, pytest.approx(0, abs=1e-6))
    assert said["loss"] == pytest.approx(0, abs=1e-6)


@pytest.mark.usefixtures("warm")
def test_an_evaluation_gives_both_accuracies_and_what_the_network_ends_in(house):
    pytest.importorskip("torch", reason="needs the extra torch")
    (house / "nets.py").write_text(NETS)
    for label, name in enumerate(("bee", "ant")):
        (house / "set" / name).mkdir(parents=True)
        for number in range(6):
            Image.fromarray(IMAGES[6 * label + number]).save(house / "set" / name / f"{number}.png")
    recipe = Protocol(
        name="own", title="Own", source="test", input=Input(size=16), own_classifier=OwnClassifier(input="protocol")
    )
    models = [f"torch:nets.py:{name}" for name in ("logits", "softmax", "sigmoids")]
    runs = isotune.run(
        models, f"testfolder:{house / 'set'}", recipe, checkpoint="pretrained", conventions="identical", progress=False,
        store=house / "store",
    )  # fmt: skip
    plain, softmax, sigmoids = (run.metrics for run in runs)
    assert (plain.outputs, softmax.outputs, sigmoids.outputs) == (None, "softmax", "sigmoids")
    assert softmax.loss == pytest.approx(plain.loss, rel=1e-4)
    assert softmax.calibration_error == pytest.approx(plain.calibration_error, rel=1e-3)
    assert (sigmoids.loss, sigmoids.calibration_error) == (None, None)
    assert plain.accuracy == softmax.accuracy == sigmoids.accuracy
    assert plain.accuracy_among_all <= plain.accuracy
    assert plain.accuracy_among_all == softmax.accuracy_among_all
    assert "among all outputs" in plain.beside_accuracy
    assert "loss not known: one sigmoid a class" in sigmoids.beside_accuracy
