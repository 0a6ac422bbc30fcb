"""ENGINE CASES.json OUT.npz: features of each case's model, float64 or float32 as the case says.

A case: {"name", "options", "size", "mode", "conventions", "weights": canonical safetensors, "images": npy,
"activations": bool}.
"""

import json
import sys
from pathlib import Path

import numpy as np

from isotune.adapters.keras import KerasAdapter
from isotune.conventions import Conventions
from isotune.weights import Weights

engine, cases, out = sys.argv[1:]
adapter = KerasAdapter(engine)
adapter.environment()
from networks import tiny  # noqa: E402, F401

found = {}
for number, case in enumerate(json.loads(Path(cases).read_text())):
    model = adapter.build(
        case["name"],
        classes=3,
        checkpoint=Weights.read(Path(case["weights"])),
        conventions=Conventions(**case["conventions"]),
        numeric_mode=case["mode"],
        image_size=tuple(case["size"]),
        options=case.get("options"),
    )
    described = model.weights().conventions
    for axis in ("stride2_padding", "count_include_pad", "gelu", "batchnorm_epsilon", "input_scaling"):
        if case["name"] == "Tiny" and axis in case["conventions"]:
            assert described[axis] == case["conventions"][axis], (case, described)
    images = np.load(case["images"])
    found[str(number)] = model.features(images)
    if case.get("activations"):
        for layer, array in model.activations(images):
            found[f"{number}/{layer}"] = array
        assert [layer.name for layer in model.layers()] == [name for name, _ in model.activations(images)]
        np.testing.assert_allclose(found[f"{number}/head"], model.logits(images), rtol=1e-5, atol=1e-5)
        own = {"input": model.network_input(images)} | dict(model.activations(images))
        fed = dict(model.activations(images, replaced=own))
        assert all(np.array_equal(fed[name], own[name]) for name in fed), "each layer on its own"
        first = next(iter(fed))
        changed = dict(model.activations(images, replaced=own | {first: own[first] + 1}))
        assert [name for name in fed if not np.allclose(changed[name], own[name])][:1] != [first]
        before = model.weights().digest()
        dict(model.activations(images, training=True))
        assert model.weights().digest() == before, "training mode leaves the model as it was"
assert engine == "tensorflow" or "tensorflow" not in sys.modules
np.savez(out, **found)
