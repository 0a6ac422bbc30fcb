"""torchvision's adapter with one deliberate fault, `mutant:mobilenet_v2:fault=NAME`, to see that a proof finds it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from isotune.adapters._torch_trainer import TorchTrainer
from isotune.adapters.torchvision import TorchvisionAdapter

# The network or its training under another value of one axis than it was asked for.
CONVENTIONS = {
    "padding-at-the-end": {"stride2_padding": "end"},
    "epsilon": {"batchnorm_epsilon": 1e-3},
    "average-leaves-padding-out": {"pooling_border": "not-counted"},
    "approximate-gelu": {"gelu": "tanh"},
    "stride-on-the-first-1x1": {"stride_location": "first-1x1"},
    "bgr": {"input_scaling": "caffe"},
    "batchnorm-momentum": {"batchnorm_momentum": 0.01},
    "biased-variance": {"batchnorm_running_variance": "biased"},
    "frozen-batchnorm-updates": {"frozen_batchnorm": "updates"},
}
# The optimizer under another value.
FORMS = {
    "decay-beside-the-gradient": {"weight_decay_form": "decoupled"},
    "decay-on-biases": {"weight_decay_on": "all"},
    "each-gradient-clipped": {"clipping": "per-variable"},
    "rate-inside-the-velocity": {"momentum_form": "rate-inside"},
    "adam-epsilon": {"adam_epsilon": "before-correction"},
    "rmsprop-epsilon": {"rmsprop_epsilon": "inside-root"},
    "float32-hyperparameters": {"hyperparameters": "float32"},
}


class MutantAdapter(TorchvisionAdapter):
    name = "mutant"

    def build(self, name, *, conventions, options=None, **asked):
        options = dict(options or {})
        fault = options.pop("fault")
        if fault in CONVENTIONS:
            conventions = conventions.model_copy(update=CONVENTIONS[fault])
        model = super().build(name, conventions=conventions, options=options, **asked)
        if change := NETWORKS.get(fault):
            with torch.no_grad():
                change(model)
        if change := LOADED.get(fault):
            _after_loading(model, change)
        if fault == "no-smoothing":
            model.gradients = lambda images, labels, _smoothing=0.0: type(model).gradients(model, images, labels)
        model.trainer = lambda recipe: TorchTrainer(model, mutated(recipe, model, fault))
        return model


def mutated(recipe, model, fault):
    if fault in FORMS:
        axes = recipe.conventions or model.conventions
        return replace(recipe, conventions=axes.model_copy(update=FORMS[fault]))
    if fault == "no-nesterov" and getattr(recipe.optimizer, "nesterov", False):
        return replace(recipe, optimizer=recipe.optimizer.model_copy(update={"nesterov": False}))
    return recipe


def _after_loading(model, change):
    """Have `change` made to the weights whenever they are loaded."""
    load = model.load
    model.load = lambda weights: load(change(dict(weights)))


def _transposed(weights):
    """Depthwise kernels with height and width exchanged, which their shape allows."""
    for name, array in weights.items():
        if name.endswith(".kernel") and array.ndim == 4 and array.shape[0] == array.shape[1] > 1:
            weights[name] = np.ascontiguousarray(array.transpose(1, 0, 2, 3))
    return weights


def _swapped(weights):
    """Scale and variance of one BatchNorm exchanged."""
    scale, variance = "007.norm.scale", "007.norm.variance"
    if {scale, variance} <= weights.keys():
        weights[scale], weights[variance] = weights[variance], weights[scale]
    return weights


def _exchange_scaling(model):
    """Mean and standard deviation exchanged in the input scaling."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    model._scale.copy_(torch.from_numpy(1 / (255 * mean)).view_as(model._scale))
    model._offset.copy_(torch.from_numpy(-std / mean).view_as(model._offset))


def _exchange_strides(model):
    """One convolution's stride given to the next depthwise one."""
    strided = [m for m in model.net.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    later = [m for m in model.net.modules() if isinstance(m, nn.Conv2d) and m.groups > 1 and m.stride == (1, 1)]
    strided[-1].stride, later[-1].stride = (1, 1), (2, 2)


NETWORKS = {"mean-and-std-exchanged": _exchange_scaling, "stride-moved": _exchange_strides}
LOADED = {"kernels-transposed": _transposed, "scale-and-variance-exchanged": _swapped}
