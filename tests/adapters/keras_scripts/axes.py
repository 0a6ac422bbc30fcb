"""ENGINE OUT.npz: every value of every convention axis, realised by one engine; float64 unless a key says otherwise.

ENGINE is `torch`, which is the torch adapters' code on networks of `nn` layers, or `keras@tensorflow`, `keras@jax`,
`keras@torch`. All run the same experiments (`axes_network.py`, `axes_recipe.py`) with the same canonical weights, so
that one key is one number for all of them. A process has one framework; hence a process for each.
"""

import sys
from contextlib import nullcontext

import numpy as np
from axes_network import network_experiments
from axes_recipe import depth_experiments, recipe_experiments, technique_experiments


class Lab:
    """An engine's adapter."""

    def model(self, name, conventions, mode="float64", size=(16, 16), checkpoint=None):
        return self.adapter.build(
            name, classes=3, checkpoint=checkpoint, conventions=conventions, numeric_mode=mode, image_size=size
        )


class Keras(Lab):
    """The networks as applications, and optimizers on variables, as the Keras adapter makes them."""

    def __init__(self, engine):
        from isotune.adapters.keras import KerasAdapter

        self.engine = engine
        self.adapter = KerasAdapter(engine)
        self.adapter.environment()
        from networks import (
            branched,  # noqa: F401
            gated,  # noqa: F401
            micro,  # noqa: F401
            residual,  # noqa: F401
            tiny,  # noqa: F401
        )

    def trajectory(self, recipe, conventions, start, gradients, rates):
        """[steps, values]: the kernel and the bias side by side after each step."""
        import keras

        from isotune.adapters._keras.axes.optimizers import make_optimizer
        from isotune.adapters._keras.numeric import numeric

        found = []
        with numeric("float64"), self._no_autograd():
            variables = [
                keras.Variable(np.array(array), dtype="float64", name=name)
                for name, array in zip(("kernel", "bias"), start, strict=True)
            ]
            optimizer = make_optimizer(recipe, conventions, variables[:1], variables)
            for rate, pair in zip(rates, gradients, strict=True):
                optimizer.learning_rate.assign(rate)
                optimizer.apply([keras.ops.convert_to_tensor(g, dtype="float64") for g in pair], variables)
                found.append(np.concatenate([keras.ops.convert_to_numpy(v).ravel() for v in variables]))
        return np.stack(found)

    def _no_autograd(self):
        if self.engine != "torch":
            return nullcontext()
        import torch

        return torch.no_grad()


class Torch(Lab):
    """The same networks of `nn` layers, as the torch adapters make them, and `Updater` for the optimizers."""

    def __init__(self):
        from torch_twins import TwinAdapter

        self.adapter = TwinAdapter()

    def trajectory(self, recipe, conventions, start, gradients, rates):
        """As `Keras.trajectory`."""
        import torch

        from isotune.adapters._torch.updater import Updater

        kernel, bias = tensors = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in start]
        all_decay = conventions.weight_decay_on == "all"
        updater = Updater(recipe, conventions, tensors if all_decay else [kernel], [] if all_decay else [bias])
        found = []
        for rate, pair in zip(rates, gradients, strict=True):
            for tensor, gradient in zip(tensors, pair, strict=True):
                tensor.grad = torch.tensor(gradient, dtype=torch.float64)
            updater.step(rate)
            found.append(np.concatenate([tensor.detach().numpy().ravel().copy() for tensor in tensors]))
        return np.stack(found)


def main(name, out):
    library, _, engine = name.partition("@")
    lab = Keras(engine) if library == "keras" else Torch()
    found = {
        **network_experiments(lab),
        **recipe_experiments(lab),
        **technique_experiments(lab),
        **depth_experiments(lab),
    }
    if engine == "tensorflow":
        import keras

        schedule = keras.optimizers.schedules.CosineDecay(0.0, 16, warmup_target=0.25, warmup_steps=4)
        found["keras schedule/cosine"] = np.array([float(schedule(step)) for step in range(20)])
    assert engine == "tensorflow" or "tensorflow" not in sys.modules, "a process has one framework"
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
