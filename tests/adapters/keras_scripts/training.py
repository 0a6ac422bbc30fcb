"""ENGINE OUT.npz [digests]: what a training step does to the network of tiny.py, float64; one section a question.

digests: only what a second process is to give again, bit by bit.
"""

import hashlib
import sys

import numpy as np
import pytest

from isotune.adapters.base import Recipe
from isotune.adapters.keras import KerasAdapter
from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.protocols import SGD, Adam
from isotune.weights import random_weights

engine, out, *only = sys.argv[1:]
adapter = KerasAdapter(engine)
adapter.environment()
from networks import tiny  # noqa: E402, F401

stream = np.random.default_rng(0)
images = stream.integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
labels = np.array([0, 1, 2, 3, 4, 0])
found: dict[str, np.ndarray] = {"images": images}


def built(mode="float64", **axes):
    conventions = Conventions(**{"batchnorm_momentum": 0.25, **axes})
    model = adapter.build(
        "Tiny", classes=5, checkpoint=None, conventions=conventions, numeric_mode=mode, image_size=(16, 16)
    )
    model.load(random_weights({name: array.shape for name, array in model.weights().items()}, 0))
    return model


def everything(model):
    return frozenset(layer.name for layer in model.layers())


def same(one, other):
    return sorted(name for name in one if np.array_equal(one[name], other[name]))


before = dict(built().weights())

# two trainers on one model, and a trainer's fresh start
model = built()
recipe = Recipe(Adam(name="adam"), everything(model))
for _ in range(2):
    model.load(before)
    trainer = model.trainer(recipe)
    for _ in range(3):
        trainer.step(images, labels, 0.01)
    digest = model.weights().digest()
    found.setdefault("digest", np.array(digest))
assert str(found["digest"]) == digest, "a second trainer of the same recipe did not start afresh"
model = built("float32")
trainer = model.trainer(Recipe(Adam(name="adam"), everything(model)))
for _ in range(3):
    trainer.step(images, labels, 0.01)
found["digest32"] = np.array(hashlib.sha256(b"".join(a.tobytes() for a in model.weights().values())).hexdigest())
if only == ["digests"]:
    np.savez(out, **found)
    sys.exit()

# gradients: compared with differences of the loss, by the test
model = built()
for smoothing in (0.0, 0.1):
    gradients = model.gradients(images, labels, smoothing)
    assert same(before, model.weights()) == sorted(before), "gradients() changed the model"
    if not smoothing:
        found |= {f"gradient/{name}": array for name, array in gradients.items()}
    found[f"loss/{smoothing}"] = gradients["loss"]
for name, place in (("000.conv.kernel", (1, 2, 0, 3)), ("003.norm.scale", (5,)), ("004.conv.kernel", (0, 1, 0, 2))):
    ends = []
    for sign in (1, -1):
        moved = before[name].copy()
        moved[place] += sign * 1e-5
        model.load({name: moved})
        ends.append(float(model.gradients(images, labels)["loss"]))
    model.load({name: before[name]})
    found[f"difference/{name}"] = np.array([(ends[0] - ends[1]) / 2e-5])
    found[f"place/{name}"] = np.array(place)

# loss: what gradients() reports is of training mode; logits of the same in NumPy need BatchNorm's batch statistics
model = built(loss="clipped-probabilities")
found["loss/clipped"] = model.gradients(images, labels, 0.1)["loss"]

# one plain step is w - r*g, and the running statistics move by the momentum
for form in ("unbiased", "biased"):
    model = built(batchnorm_running_variance=form)
    trainer = model.trainer(Recipe(SGD(name="sgd"), everything(model)))
    loss = trainer.step(images, labels, 0.1)
    found[f"step/{form}/loss"] = np.array(float(loss))
    found |= {f"step/{form}/{name}": array for name, array in model.weights().items()}
found |= {f"before/{name}": array for name, array in before.items()}

# freezing
for value in ("inference", "updates"):
    model = built(frozen_batchnorm=value)
    trainer = model.trainer(Recipe(SGD(name="sgd", momentum=0.9), frozenset({"head", "006.norm"})))
    trainer.step(images, labels, 0.1)
    found[f"frozen/{value}"] = np.array(same(before, model.weights()))
    found[f"state/{value}"] = np.array(sorted(trainer.state()))

# the feature mask, and a short batch
model = built()
trainer = model.trainer(Recipe(SGD(name="sgd"), everything(model)))
trainer.step(images[:2], labels[:2], 0.1, np.zeros((2, 6)))
found["masked"] = np.array(same(before, model.weights()))

# float32 and bfloat16 stand near float64
for mode in ("float32", "bfloat16"):
    found[f"logits/{mode}"] = built(mode).logits(images)
    assert found[f"logits/{mode}"].dtype == np.float32
found["logits/float64"] = built().logits(images)

# wrong use
for wrong in (
    lambda: model.load({"000.conv.kernal": before["000.conv.kernel"]}),
    lambda: model.load({"000.conv.kernel": before["001.norm.scale"]}),
    lambda: model.trainer(Recipe(SGD(name="sgd"), frozenset({"hed"}))),
    lambda: model.features(images.astype(np.float32)),
):
    with pytest.raises(UsageError) as refused:
        wrong()
    assert "\n" not in str(refused.value)
assert engine == "tensorflow" or "tensorflow" not in sys.modules
np.savez(out, **found)
