"""The lines for torchvision and timm, axes of the head, the loss and the optimizer: axis -> value -> (code, note).

In them, `VALUE` stands for a number, `OVERRIDE` for what isotune is told instead. `*`: any value.
"""

from __future__ import annotations

_HEAD = """
from torch import nn

head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
"""


_HEADS = {
    "uniform-fan-in": "nn.init.uniform_(head.weight, -(head.in_features**-0.5), head.in_features**-0.5)\n"
    "nn.init.uniform_(head.bias, -(head.in_features**-0.5), head.in_features**-0.5)",
    "glorot-uniform": "nn.init.xavier_uniform_(head.weight)\nnn.init.zeros_(head.bias)",
    "zeros": "nn.init.zeros_(head.weight)\nnn.init.zeros_(head.bias)",
}


_RATE_INSIDE = '''
def set_learning_rate(optimizer, rate):
    """Instead of a scheduler: the velocity keeps the rates that its gradients came with."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            velocity = optimizer.state[parameter].get("momentum_buffer")
            if velocity is not None:
                velocity.mul_(group["lr"] / rate)
        group["lr"] = rate
'''


_DECOUPLED = """
import torch

strengths = [group["weight_decay"] for group in optimizer.param_groups]
for group in optimizer.param_groups:
    group["weight_decay"] = 0.0


@torch.no_grad()
def decay(optimizer, _args, _kwargs):
    for group, strength in zip(optimizer.param_groups, strengths):
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.mul_(1 - group["lr"] * strength)


optimizer.register_step_pre_hook(decay)
"""


_ONLY_KERNELS = """
from torch import nn

kernels = {id(module.weight) for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))}
for group in list(optimizer.param_groups):
    others = [parameter for parameter in group["params"] if id(parameter) not in kernels]
    group["params"] = [parameter for parameter in group["params"] if id(parameter) in kernels]
    settings = {name: value for name, value in group.items() if name != "params"}
    optimizer.add_param_group({**settings, "params": others, "weight_decay": 0.0})
"""


_EPSILON_BEFORE_CORRECTION = '''
epsilons = [group["eps"] for group in optimizer.param_groups]
steps = [0]


def shrink_epsilon(optimizer, _args, _kwargs):
    """torch adds epsilon to the corrected root; so much there is epsilon beside the root as it is."""
    steps[0] += 1
    for group, epsilon in zip(optimizer.param_groups, epsilons):
        group["eps"] = epsilon / (1 - group["betas"][1] ** steps[0]) ** 0.5


optimizer.register_step_pre_hook(shrink_epsilon)
'''


_EPSILON_INSIDE_ROOT = '''
import torch


class EpsilonInsideRoot(torch.optim.Optimizer):
    """RMSprop with the step g / sqrt(v + eps)."""

    def __init__(self, params, lr=1e-3, alpha=0.9, eps=1e-7, momentum=0.0, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, alpha=alpha, eps=eps, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                state = self.state[parameter]
                for slot in ("square_avg", "momentum_buffer"):
                    state.setdefault(slot, torch.zeros_like(parameter))
                gradient = parameter.grad + group["weight_decay"] * parameter
                square = state["square_avg"].mul_(group["alpha"])
                square.addcmul_(gradient, gradient, value=1 - group["alpha"])
                velocity = state["momentum_buffer"].mul_(group["momentum"])
                velocity.add_(gradient / (square + group["eps"]).sqrt())
                parameter.add_(velocity, alpha=-group["lr"])


given = optimizer.param_groups
names = ("params", "lr", "alpha", "eps", "momentum", "weight_decay")
optimizer = EpsilonInsideRoot([{name: group[name] for name in names} for group in given])
'''


_CLIP_TOGETHER = '''
import torch


def clip(model, limit):
    """Between `loss.backward()` and `optimizer.step()`."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    factor = (limit / torch.nn.utils.get_total_norm(gradients)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)
'''


_CLIP_EACH = '''
def clip(model, limit):
    """Between `loss.backward()` and `optimizer.step()`."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.mul_((limit / parameter.grad.norm()).clamp(max=1.0))
'''


_LOGITS = """
from torch import nn

loss = nn.CrossEntropyLoss(label_smoothing=0.0)  # of logits and integer labels
"""


_CLIPPED = """
import torch
from torch.nn import functional


def loss(logits, labels, label_smoothing=0.0):
    probabilities = torch.softmax(logits, dim=1).clamp(1e-7, 1 - 1e-7)
    classes = logits.shape[1]
    targets = functional.one_hot(labels, classes).to(logits.dtype)
    targets = targets * (1 - label_smoothing) + label_smoothing / classes
    return -(targets * probabilities.log()).sum(dim=1).mean()
"""


_ROUNDED = """
import numpy as np

for group in optimizer.param_groups:
    for name in ("momentum", "alpha", "weight_decay"):
        if name in group:
            group[name] = float(np.float32(group[name]))
    if "betas" in group:
        group["betas"] = tuple(float(np.float32(beta)) for beta in group["betas"])
"""


_TORCH_ITSELF = "torch does so by itself: nothing is to be written."

REMEDIES: dict[str, dict[str, tuple[str, str]]] = {
    "head_initialisation": {
        value: (f"{_HEAD}{lines}", "The same law, from another generator: isotune draws a head once for all libraries.")
        for value, lines in _HEADS.items()
    },
    "momentum_form": {
        "rate-outside": ("", _TORCH_ITSELF),
        "rate-inside": (_RATE_INSIDE, "For SGD and RMSprop with momentum; no rate may be 0."),
    },
    "weight_decay_form": {
        "coupled": ("", "SGD, Adam and RMSprop do so by themselves; for AdamW take Adam."),
        "decoupled": (_DECOUPLED, "For Adam, `torch.optim.AdamW` is the same."),
    },
    "weight_decay_on": {
        "all": ("", "With one group of parameters torch does so by itself."),
        "kernels": (_ONLY_KERNELS, ""),
    },
    "adam_epsilon": {
        "after-correction": ("", _TORCH_ITSELF),
        "before-correction": (_EPSILON_BEFORE_CORRECTION, "For a new optimizer, of Adam or AdamW."),
    },
    "rmsprop_epsilon": {
        "outside-root": ("", _TORCH_ITSELF),
        "inside-root": (_EPSILON_INSIDE_ROOT, "For a new optimizer, of RMSprop."),
    },
    "clipping": {
        "global-norm": (_CLIP_TOGETHER, "`torch.nn.utils.clip_grad_norm_` is the same but for 1e-6 added to the norm."),
        "per-variable": (_CLIP_EACH, ""),
    },
    "loss": {
        "logits": (_LOGITS, ""),
        "clipped-probabilities": (_CLIPPED, "Where the clip holds, there is no gradient."),
    },
    "hyperparameters": {"float64": ("", _TORCH_ITSELF), "float32": (_ROUNDED, "")},
}
