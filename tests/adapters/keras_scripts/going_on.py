"""ENGINE FOLDER OUT.json [MODE]: what differs at the end of trainings that were killed and gone on from, by case; see
tests/adapters/going_on.py. MODE: every optimizer in that numeric mode, or compiled, instead of a few in float32."""

import importlib.util
import json
import sys
from pathlib import Path

from isotune.adapters.keras import KerasAdapter
from isotune.conventions import Conventions
from isotune.protocols import SGD, Adam, RMSprop, StochasticDepth

engine, folder, out, *mode = sys.argv[1:]
adapter = KerasAdapter(engine)
adapter.environment()
from networks import branched, tiny  # noqa: E402, F401

SHARED = Path(__file__).parent.parent / "going_on.py"
spec = importlib.util.spec_from_file_location("shared_going_on", SHARED)
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)

KERAS_OWN = Conventions(
    momentum_form="rate-inside", weight_decay_form="decoupled", clipping="per-variable",
    adam_epsilon="before-correction", rmsprop_epsilon="inside-root", batchnorm_running_variance="biased",
    frozen_batchnorm="inference", hyperparameters="float32",
)  # fmt: skip
decayed = {"weight_decay": 0.01, "clip_norm": 0.5}
dropping = {"stochastic_depth": StochasticDepth(rate=0.5, law="constant")}
cases = {
    "Keras's own": ("Tiny", KERAS_OWN, [SGD(momentum=0.9, nesterov=True), Adam(**decayed)], {}),
    "formulas": ("Tiny", Conventions(), [RMSprop(momentum=0.5, **decayed)], {}),
    "branches": ("Branched", Conventions(), [SGD(momentum=0.9)], dropping),
}
how = {}
if mode:
    how = {"compiled": True} if mode[0] == "compiled" else {"numeric_mode": mode[0]}
    every = [
        SGD(), SGD(momentum=0.9, **decayed), Adam(**decayed), Adam(name="adamw", **decayed), RMSprop(**decayed),
        RMSprop(momentum=0.5),
    ]  # fmt: skip
    cases = {
        "Keras's own": ("Tiny", KERAS_OWN, every, {}),
        "formulas": ("Tiny", Conventions(), every, {}),
        "branches": ("Branched", Conventions(), [SGD(momentum=0.9), Adam(**decayed)], dropping),
    }

differing = {}
for name, (network, axes, optimizers, changes) in cases.items():
    built = adapter.build(network, classes=5, checkpoint=None, conventions=axes, image_size=(16, 16), **how)

    def make(number, built=built):
        return shared.drawn(built, number)  # in the place of a new one, since it keeps the graphs that it traced

    recipe = shared.stages(*optimizers, trained=("all", "last:1"), **changes)
    place = Path(folder) / name.replace(" ", "-")
    kills = [1, *(step for step in range(4, 8 * len(optimizers), 5) if step % 8)]  # a stage's last step has none
    differing[name] = shared.differences(make, recipe, place, size=(16, 16), kills=kills)
Path(out).write_text(json.dumps(differing))
