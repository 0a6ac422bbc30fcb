"""What torch does by itself at a rung of the recipe, as lines of a script. No framework is imported here.

The lines read arrays that the script has (`isotune.investigation.reproducing`), and return one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isotune.adapters._torch.remedies import REMEDIES
from isotune.adapters.input_lines import scaled
from isotune.adapters.remedies import Beside, of_optimizer
from isotune.excerpts import STEPS, NotWritten, OwnLines, arguments, checked
from isotune.protocols import SGD, Adam, Optimizer, RMSprop, Stage

_OWN = {
    "decode": "pillow", "resize": "antialias", "batchnorm_running_variance": "unbiased", "frozen_batchnorm": "updates",
    "head_initialisation": "uniform-fan-in", "momentum_form": "rate-outside", "weight_decay_form": "coupled",
    "weight_decay_on": "all", "adam_epsilon": "after-correction", "rmsprop_epsilon": "outside-root",
    "clipping": "global-norm", "hyperparameters": "float64", "loss": "logits",
}  # fmt: skip
_WITH_MODEL = ("clipping=per-variable",)  # whose lines are other ones here
_TORCH = ("import torch", "torch.set_default_dtype(torch.float64)")


def own_lines(rung: str, axes: Mapping[str, Any], stage: Stage) -> OwnLines:
    """axes: what the side has of those that differ. NotWritten: torch does not do so by itself, or not in few lines."""
    beside = of_optimizer(REMEDIES, axes if rung in STEPS else {}, _OWN, _WITH_MODEL)
    needed = {axis: value for axis, value in axes.items() if axis not in beside.axes}
    if stage.optimizer.clip_norm and axes.get("weight_decay_form") == "in-loss":
        raise NotWritten("clipping sees the gradient of a penalty, which no few lines show")
    checked("torch", needed, _OWN | ({"clipping": axes.get("clipping")} if rung in STEPS else {}))
    lines = _before_training(rung, axes) or _training(rung, axes, stage, beside)
    if lines is None:
        raise NotWritten(f"no lines are known of the rung {rung!r}")
    return lines


def _before_training(rung: str, axes: Mapping[str, Any]) -> OwnLines | None:
    match rung:
        case "decoded bytes":
            return OwnLines(("from PIL import Image",), ("return np.asarray(Image.open(io.BytesIO(encoded)))",))
        case "resized pixels":
            resized = "Image.fromarray(image).resize((5, 5), Image.Resampling.BILINEAR)"
            return OwnLines(("from PIL import Image",), (f"return np.asarray({resized}, np.float64)",))
        case "scaled input":
            return OwnLines((), (scaled(str(axes["input_scaling"])), "return inputs"))
        case "weights":
            return OwnLines(
                ("import torch", "torch.manual_seed(0)"),
                ("layer = torch.nn.Linear(features, classes)",
                 "return np.array([layer.weight.std().item(), layer.bias.abs().max().item()])"),
            )  # fmt: skip
    return None


def _training(rung: str, axes: Mapping[str, Any], stage: Stage, beside: Beside) -> OwnLines | None:
    match rung:
        case "loss":
            return OwnLines(
                _TORCH,
                ("loss = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(labels))",
                 "return np.array(loss)"),
            )  # fmt: skip
        case "BatchNorm buffers":
            momentum = axes.get("batchnorm_momentum", 0.1)
            frozen = ["layer.requires_grad_(False)"] if "frozen_batchnorm" in axes else []
            return OwnLines(
                _TORCH,
                (f"layer = torch.nn.BatchNorm2d(1, momentum={momentum!r})", *frozen,
                 "layer(torch.tensor(x).permute(0, 3, 1, 2))",
                 "return np.concatenate([layer.running_mean, layer.running_var])"),
            )  # fmt: skip
        case "one step" | "drift":
            return OwnLines(_TORCH, tuple(_steps(stage.optimizer, beside, axes.get("clipping") == "per-variable")))
    return None


def _steps(optimizer: Optimizer, beside: Beside, each: bool) -> list[str]:
    """each: tensors are clipped one by one."""
    clip = optimizer.clip_norm
    clipped = f"    for each in w: torch.nn.utils.clip_grad_norm_([each], {clip!r})"
    clipped = clipped if each else f"    torch.nn.utils.clip_grad_norm_(w, {clip!r})"
    rate = "set_learning_rate(optimizer, rate)" if beside.sets_rate else 'optimizer.param_groups[0]["lr"] = rate'
    return [
        "w = [torch.nn.Parameter(torch.tensor(each)) for each in weights]",
        f"optimizer = torch.optim.{_optimizer(optimizer)}",
        *beside.lines,
        "for rate, step in zip(rates, gradients):",
        f"    {rate}",
        "    for each, gradient in zip(w, step): each.grad = torch.tensor(gradient)",
        *([clipped] if clip else []),
        "    optimizer.step()",
        "return np.concatenate([each.detach() for each in w])",
    ]


def _optimizer(optimizer: Optimizer) -> str:
    decay = {"weight_decay": optimizer.weight_decay or None}
    match optimizer:
        case SGD():
            given = arguments(momentum=optimizer.momentum or None, nesterov=optimizer.nesterov or None, **decay)
            return f"SGD(w, lr=rates[0]{given})"
        case Adam():
            name = "AdamW" if optimizer.name == "adamw" else "Adam"
            given = arguments(betas=(optimizer.beta1, optimizer.beta2), eps=optimizer.epsilon, **decay)
            return f"{name}(w, lr=rates[0]{given})"
        case RMSprop():
            given = arguments(alpha=optimizer.rho, eps=optimizer.epsilon, momentum=optimizer.momentum or None, **decay)
            return f"RMSprop(w, lr=rates[0]{given})"
