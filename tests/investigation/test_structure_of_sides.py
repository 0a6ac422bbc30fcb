"""What the layers of a side are: dependent on each other's images, alone on their side, of no image, of constants."""

from __future__ import annotations

import pytest

from isotune import data, protocols
from isotune.errors import UsageError
from isotune.investigation import Side, walk
from isotune.investigation.report import verdict

pytestmark = pytest.mark.usefixtures("warm")
pytest.importorskip("torch", reason="needs the extra torch")

OWN = """
import torch
from torch import nn


class Between(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.change = change

    def forward(self, x):
        return self.change(x)


class Filter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("by", torch.ones(1, 8, 1, 1))

    def forward(self, x):
        return x * self.by


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 8)
        self.register_buffer("places", torch.tensor([[0.0, 1], [1, 0], [1, 1]]), persistent=False)

    def forward(self, x):
        return x + self.layer(self.places.to(x.dtype)).mean(0)[:, None, None]


def network(*between, momentum=0.1, eps=1e-5):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8, eps, momentum), nn.ReLU(), *between, nn.Conv2d(8, 16, 3),
        nn.BatchNorm2d(16, eps, momentum), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(16, 10),
    )


def sound(eps=1e-5):
    return network(eps=eps)


def of_the_first():
    return network(Between(lambda x: x - x[:1].mean()))


def of_the_batch():
    return network(Between(lambda x: x - x.mean(0, keepdim=True)))


def filtered():
    return network(Filter())


def with_one_more():
    return network(nn.Conv2d(8, 8, 1))


def with_table(eps=1e-5):
    return network(Table(), eps=eps)


class Twice(nn.Module):
    def __init__(self, shared):
        super().__init__()
        self.one = nn.Conv2d(8, 8, 1)
        self.two = self.one if shared else nn.Conv2d(8, 8, 1)
        self.register_buffer("by", torch.ones(()))

    def forward(self, x):
        return self.two(torch.relu(self.one(x))) * self.by


def tied(shared=True):
    return network(Twice(shared))


def still():
    return network(momentum=0.0)


def cumulative():
    return network(momentum=None)


def pooled(ceil=False):
    return network(nn.MaxPool2d(2, ceil_mode=ceil))


def nested():
    one, two, three, *rest = network().children()
    return nn.Sequential(nn.Sequential(nn.Sequential(one, two, three, *rest[:6])), *rest[6:])


def called(how="gelu", **asked):
    return network(Between(lambda x: getattr(nn.functional, how)(x - 1, **asked)))


class Dropping(nn.Module):
    def __init__(self, how, rate):
        super().__init__()
        *body, classifier = network().children()
        self.body, self.classifier = nn.Sequential(*body), classifier
        self.how, self.rate = how, rate
        self.drop = nn.Dropout(rate if how == "module" else 0.0)

    def forward(self, x):
        x = self.drop(self.body(x))
        if self.how == "function":
            x = nn.functional.dropout(x, self.rate, self.training)
        if self.how == "always":
            x = nn.functional.dropout(x, self.rate)
        return self.classifier(x)


def kept(how="module", share=0.5):
    return Dropping(how, share)


def clamped(at):
    return nn.Sequential(network(), Between(lambda x: x.clamp(-at, at)))


def another():
    return nn.Sequential(*[nn.Conv2d(3, 3, 5, padding=2) for _ in range(8)], nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(3, 10))
"""


@pytest.fixture
def walked(house):
    (house / "own.py").write_text(OWN)

    def of(left, right, conventions="native", on_the_right="", trained="all", **asked):
        sides = (
            Side(model=f"torch:own.py:{name}", checkpoint="random:0", conventions=f"{conventions}{more}")
            for name, more in ((left, ""), (right, on_the_right))
        )
        recipe = protocols.load("quick-fine-tune")
        stage = recipe.stage[0].model_copy(update={"trained": trained})
        recipe = recipe.model_copy(update={"stage": (stage,)})
        return walk(*sides, data.prepare("digits"), recipe, images=4, steps=2, **asked)

    return of


def remarks(found):
    return [remark for rung in found.rungs for remark in rung.remarks]


@pytest.mark.parametrize("sides", [("of_the_first", "sound"), ("sound", "of_the_batch")])
def test_a_side_that_depends_on_the_other_images_is_found_and_excused_by_no_noise(walked, sides):
    found = walked(*sides)
    which = "left" if sides[1] == "sound" else "right"
    layers = next(rung for rung in found.rungs if rung.name == "layers")
    assert layers.verdict == "fails"
    assert layers.where.startswith("002.conv")
    assert any(f"the {which} side's 002.conv (4) depends on the other images" in remark for remark in layers.remarks)
    assert not any(remark.startswith("the " + {"left": "right", "right": "left"}[which]) for remark in layers.remarks)


def test_two_sides_that_both_depend_on_the_other_images_are_the_same_and_it_is_said(walked):
    found = walked("of_the_first", "of_the_first")
    assert found.first_failure is None
    assert sum("depends on the other images" in remark for remark in remarks(found)) == 2


def test_a_layer_that_one_side_alone_has_is_named_and_the_rest_is_compared(walked):
    found = walked("sound", "with_one_more")
    rungs = {rung.name: rung for rung in found.rungs}
    assert found.stopped is None
    assert rungs["weights"].verdict == "fails"
    assert any("+002.conv (3) is on the right side alone" in remark for remark in rungs["weights"].remarks)
    assert rungs["weights"].failing == 2, "its kernel and bias; what is drawn for the others is the same"
    failing = [error.name for error in rungs["layers"].layers_isolated if error.relative > 1e-9]
    assert failing == ["002.conv"], "what reads the layer's output, by the left side's names"
    assert found.names["002.conv"] == ("3", "4")


def test_a_module_with_nothing_but_buffers_is_no_layer(walked):
    found = walked("sound", "filtered")
    assert {rung.verdict for rung in found.rungs} == {"holds", "not applicable"}


def test_outputs_of_no_image_are_compared_as_they_are(walked):
    found = walked("with_table", "with_table:eps=0.001")
    assert found.stopped is None
    causes = {flip.axis for rung in found.rungs if rung.cause for flip in rung.cause.flips}
    assert causes == {"batchnorm_epsilon"}


def test_a_bound_that_no_image_reaches_is_a_difference(walked):
    findings = walked("called:how=relu", "called:how=hardtanh:min_val=0.0:max_val=40.0")
    layers = next(rung for rung in findings.rungs if rung.name == "layers")
    assert (layers.verdict, layers.end_to_end) == ("fails", 0.0)
    assert layers.unexplained == ("002.conv",)
    assert layers.named.startswith("both agree on these images, and part given 32 times as much, at 002.conv (4 = 4)")
    assert findings.first_failure == layers


@pytest.mark.parametrize("other", ["kept:how=module", "sound"])
def test_dropout_that_a_forward_calls_is_left_out_of_training_and_named_where_one_side_alone_has_it(walked, other):
    found = walked("kept:how=function", other)
    assert found.stopped is None
    assert {rung.verdict for rung in found.rungs} == {"holds", "not applicable"}
    assert "dropout 0.5" in found.left_out["left"]
    named = ("in training, dropout: 0.5 against none, which is left out of both",)
    assert found.one_sided == (named if other == "sound" else ())
    said = "They are not the same in what no rung shows: in training, dropout"
    assert (said in verdict(found)) == bool(found.one_sided)


def test_dropout_that_forgets_training_is_a_difference_in_inference(walked):
    found = walked("kept:how=module", "kept:how=always", quick=True)
    assert found.first_failure is not None
    assert found.first_failure.name == "layers"


def test_a_clamp_on_the_logits_that_no_image_reaches_is_not_called_the_same(walked):
    found = walked("sound", "clamped:at=1000.0", quick=True)
    rungs = {rung.name: rung for rung in found.rungs}
    assert (rungs["layers"].verdict, rungs["logits"].verdict) == ("holds", "not judged")
    assert found.one_sided == ("Clamp (-1000 to 1000) behind 0.10, on the right side alone",)
    said = verdict(found)
    assert "not judged: 'logits'" in said
    assert "not the same in what no rung shows: Clamp (-1000 to 1000) behind 0.10, on the right side alone." in said
    assert walked("clamped:at=1000.0", "clamped:at=1000.0", quick=True).one_sided == ()


def test_a_module_of_two_names_is_one_layer_that_runs_twice(walked):
    assert {rung.verdict for rung in walked("tied", "tied").rungs} == {"holds", "not applicable"}
    assert walked("tied", "tied:shared=false").first_failure is not None


@pytest.mark.parametrize("side", ["still", "cumulative"])
def test_a_batchnorm_of_momentum_0_or_none_is_compared(walked, side):
    assert {rung.verdict for rung in walked(side, side).rungs} == {"holds", "not applicable"}


def test_momentum_0_is_named(walked):
    found = walked("still", "sound")
    (cause,) = [rung.cause for rung in found.rungs if rung.cause]
    assert [(flip.axis, {flip.was, flip.value}) for flip in cause.flips] == [("batchnorm_momentum", {0.0, 0.1})]


def test_a_classifier_that_starts_otherwise_is_not_taken_for_something_behind_it(walked):
    found = walked("sound", "sound", on_the_right=",head_initialisation=zeros")
    verdicts = {rung.name: rung.verdict for rung in found.rungs}
    assert {name for name, verdict in verdicts.items() if verdict == "fails"} == {"weights"}
    assert verdicts["logits"] == "inherits"
    assert [(flip.axis, flip.was) for flip in found.causes["weights"].flips] == [("head_initialisation", "zeros")]


def test_two_architectures_are_refused_at_once(walked):
    with pytest.raises(UsageError, match=r"torch:own.py:sound and torch:own.py:another: they are two architectures"):
        walked("sound", "another")


def test_where_shapes_part_is_the_finding_and_what_follows_is_not_accused(walked):
    found = walked("pooled", "pooled:ceil=true")
    rungs = {rung.name: rung for rung in found.rungs}
    failing = [error.name for error in rungs["layers"].layers_isolated if not error.relative <= 1e-9]
    assert failing == ["002.conv"]
    assert len(rungs["layers"].layers_isolated) == 6
    assert rungs["logits"].verdict == "inherits"
    assert {rung.name for rung in found.rungs if rung.verdict == "fails"} == {"layers", "training-mode layers"}


@pytest.mark.parametrize(("left", "right", "last"), [("sound", "nested", 2), ("nested", "sound", 1)])
def test_what_is_frozen_is_the_left_sides_choice_on_both(walked, left, right, last):
    found = walked(left, right, trained=f"last:{last}")
    assert {rung.verdict for rung in found.rungs} == {"holds", "not applicable"}


def test_blocks_that_are_not_there_are_refused_at_once(walked):
    with pytest.raises(UsageError, match=r"torch:own.py:nested: trained = 'last:4': the model has only 1 block; give "):
        walked("nested", "sound", trained="last:4")


@pytest.mark.parametrize(
    ("left", "right", "axis", "values"),
    [
        ("called", "called:approximate=tanh", "gelu", {"exact", "tanh"}),
        ("called:how=leaky_relu", "called:how=leaky_relu:negative_slope=0.2", "leaky_relu_slope", {0.01, 0.2}),
    ],
)
def test_an_activation_that_a_forward_calls_is_named(walked, left, right, axis, values):
    found = walked(left, right)
    causes = [rung.cause for rung in found.rungs if rung.cause]
    assert causes
    assert all([(flip.axis, {flip.was, flip.value}) for flip in cause.flips] == [(axis, values)] for cause in causes)
    assert {rung.verdict for rung in walked(left, left).rungs} == {"holds", "not applicable"}
