"""ENGINE CASES.json OUT.npz: weights and slots after each step of each case's optimizer, float64, on two variables.

A case is {"optimizer": {...}, "conventions": {...}, "own": bool}; own: Keras's class must have been taken.
"""

import json
import sys
from pathlib import Path

import numpy as np

from isotune.adapters.keras import KerasAdapter

engine, cases, out = sys.argv[1:]
KerasAdapter(engine).environment()

import keras  # noqa: E402
from pydantic import TypeAdapter  # noqa: E402

from isotune.adapters._keras.axes.optimizers import is_native, make_optimizer, slots  # noqa: E402
from isotune.adapters._keras.numeric import numeric  # noqa: E402
from isotune.conventions import Conventions  # noqa: E402
from isotune.protocols import Optimizer  # noqa: E402

given = json.loads(Path(cases).read_text())
found = {}
with numeric("float64"):
    for number, case in enumerate(given["cases"]):
        recipe = TypeAdapter(Optimizer).validate_python(case["optimizer"])
        conventions = Conventions(**case["conventions"])
        variables = [
            keras.Variable(np.array(start), dtype="float64", name=name) for name, start in given["start"].items()
        ]
        optimizer = make_optimizer(recipe, conventions, variables[:1], variables)
        assert is_native(recipe, conventions) == case["own"], case
        assert type(optimizer).__module__.startswith("keras.") == case["own"], case
        for step, (rate, gradients) in enumerate(zip(given["rates"], given["gradients"], strict=True)):
            optimizer.learning_rate.assign(rate)
            tensors = [keras.ops.convert_to_tensor(np.array(g), dtype="float64") for g in gradients]
            if engine == "torch":
                import torch

                with torch.no_grad():
                    optimizer.apply(tensors, variables)
            else:
                optimizer.apply(tensors, variables)
            for place, variable in enumerate(variables):
                found[f"{number}/{step}/{place}"] = keras.ops.convert_to_numpy(variable).copy()
                for slot, arrays in slots(recipe, optimizer).items():
                    found[f"{number}/{step}/{place}/{slot}"] = list(arrays)[place].copy()
np.savez(out, **found)
