"""Where a protocol evaluates the checkpoint's own classifier, that one is walked: nothing is drawn, and nothing advised
that would overwrite it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from isotune import attribution, data, protocols
from isotune.errors import UsageError
from isotune.investigation import Investigation, Side, walk
from isotune.investigation._images import Batch
from isotune.investigation._investigation import accuracy

pytestmark = pytest.mark.usefixtures("warm")
CLASSES = tuple(data.synsets()[place] for place in (3, 388, 999))
MODEL = "example:random-features"
OWN = {
    "name": "own",
    "title": "Own",
    "source": "test",
    "own_classifier": {"input": "protocol"},
    "input": {"size": 32, "resize": 36},
}


@pytest.fixture
def pictures(house):
    stream = np.random.default_rng(0)
    for name in CLASSES:
        (house / "set" / name).mkdir(parents=True)
        for number in range(2):
            pixels = stream.integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(house / "set" / name / f"{number}.png")
    return data.prepare("imagenet-subset:set")


def sides(*specs, checkpoint="random:0"):
    return [Side(model=MODEL, checkpoint=checkpoint, conventions=spec) for spec in specs]


def test_the_checkpoints_own_classifier_is_walked(pictures):
    recipe = protocols.load(OWN)
    found = walk(*sides("identical", "identical,head_initialisation=zeros"), pictures, recipe, images=4, steps=2)
    assert found.stopped is None
    assert found.first_failure is None
    assert "head_initialisation" not in found.axes
    batch = Batch(pictures, recipe, 6, own_classifier=True)
    assert sorted(set(batch.labels().tolist())) == [3, 388, 999]


def test_a_random_head_is_walked_under_other_protocols(pictures):
    found = walk(
        *sides("identical", "identical,head_initialisation=zeros"), pictures, protocols.load("quick-fine-tune"),
        images=4, steps=2,
    )  # fmt: skip
    assert found.first_failure is not None
    assert found.axes["head_initialisation"] == ("uniform-fan-in", "zeros")


def test_what_differs_in_an_evaluation_is_named_without_advice_on_the_head(pictures, tmp_path):
    found = walk(*sides("identical", "native"), pictures, protocols.load(OWN), images=4, steps=2)
    assert {flip.axis for cause in found.causes.values() for flip in cause.flips} == set()
    (alike,) = [each for each in found.set_alike if each.axis == "input_scaling"] or [None]
    assert alike is None, "both are one library's"
    text = Investigation(found).write(tmp_path).read_text()
    assert "head_initialisation" not in text


def test_a_checkpoint_without_a_classifier_is_one_line(pictures):
    pair = [Side(model="torchvision:mobilenet_v2", checkpoint="offline", conventions="identical") for _ in range(2)]
    with pytest.raises(UsageError, match="has no classifier of its own") as caught:
        walk(*pair, pictures, protocols.load(OWN), images=4, steps=2)
    assert "\n" not in str(caught.value)


def test_accuracy_needs_no_second_seed_where_nothing_is_drawn(pictures, house):
    given = {"dataset": pictures, "protocol": OWN, "checkpoint": "random:0", "progress": False, "store": "records"}
    same = attribution.attribute(MODEL, MODEL, conventions="identical", **given)
    assert (same.reason, accuracy(same).verdict) == ("", "holds")
    said = " ".join(attribution.sentences(same))
    assert "seed" not in said
    other = attribution.attribute(
        MODEL, MODEL, conventions="identical", right_conventions="identical,input_scaling=caffe", **given
    )
    assert accuracy(other).verdict in ("holds", "inherits")
    assert accuracy(other).end_to_end == abs(other.end.estimate.mean - other.begin.estimate.mean) / 100
