"""Faults of the network: geometry, activations, connections, and what is loaded into it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from isotune_planted.faults import ANY, USUAL, fault, pick

WINDOWED = (*USUAL, "test_convnext")
EXACT_GELU = ("convnext_tiny", "test_vit")  # test_convnext has the formula by itself
TRANSFORMERS = ("convnext_tiny", "test_convnext", "test_vit")  # with LayerNorm and GELU


@fault("layers", "stride2_padding", models=(*USUAL[:-1], "resnet50"))
def padding_at_the_end(model: Any, draw: np.random.Generator) -> None:
    """Strided windows padded as TensorFlow's SAME does: what is odd goes to the end (tf.nn, "Notes on padding")."""
    for module in model.net.modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d) and _one(module.stride) == 2 and _one(module.padding):
            outside = -math.inf if isinstance(module, nn.MaxPool2d) else 0.0
            size = _one(module.kernel_size)
            module.register_forward_pre_hook(_padding(size, outside))
            module.padding = 0 if isinstance(module.padding, int) else (0, 0)


def _padding(size: int, outside: float) -> Callable[..., Any]:
    def pad(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        needed = [max(0, (-(-length // 2) - 1) * 2 + size - length) for length in reversed(inputs[0].shape[2:])]
        margins = [margin for total in needed for margin in (total // 2, total - total // 2)]
        return (functional.pad(inputs[0], margins, value=outside),)

    return pad


def _one(value: Any) -> int:
    return int(value[0] if isinstance(value, tuple) else value)


@fault("layers", "stride_location", models=("resnet50",), recipes=("sgd",))
def stride_on_the_first_1x1(model: Any, draw: np.random.Generator) -> None:
    for block in model.net.modules():
        if hasattr(block, "conv3") and _one(block.conv2.stride) == 2:
            block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)


@fault("layers", "count_include_pad", models=("inception_v3",), recipes=("sgd",))
def average_leaves_padding_out(model: Any, draw: np.random.Generator) -> None:
    """The mean over the pixels that there are, where torch divides by nine."""

    def corrected(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        ones = torch.ones_like(inputs[0][:1, :1])
        return (inputs[0] / functional.avg_pool2d(ones, 3, 1, 1),)

    for block in model.net.modules():
        if hasattr(block, "branch_pool"):
            block.branch_pool.conv.register_forward_pre_hook(corrected)


@fault("layers", "gelu", models=EXACT_GELU)
def approximate_gelu(model: Any, draw: np.random.Generator) -> None:
    """Hendrycks and Gimpel's tanh formula (arXiv 1606.08415)."""
    for module in model.net.modules():
        if isinstance(module, nn.GELU):
            module.forward = lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@fault("layers", "layernorm_epsilon", models=TRANSFORMERS)
def layer_norm_epsilon(model: Any, draw: np.random.Generator) -> None:
    epsilon = pick(draw, [1e-3, 1e-5])  # Keras's default, and torch's
    for module in _layer_norms(model):
        module.eps = epsilon


@fault("layers", models=TRANSFORMERS)
def layer_norm_epsilon_of_one(model: Any, draw: np.random.Generator) -> None:
    pick(draw, _layer_norms(model)).eps = 1e-3


def _layer_norms(model: Any) -> list[nn.LayerNorm]:
    return [module for module in model.net.modules() if isinstance(module, nn.LayerNorm)]


@fault("layers", models=("mobilenet_v2", "densenet121"))
def activation_leaks(model: Any, draw: np.random.Generator) -> None:
    """One ReLU lets a hundredth of what is negative through."""
    chosen = pick(draw, _early(model, nn.ReLU | nn.ReLU6))
    chosen.forward = lambda x: functional.leaky_relu(x, 0.01)


@fault("layers", models=("efficientnet_b0",))
def swish_is_hard(model: Any, draw: np.random.Generator) -> None:
    pick(draw, _early(model, nn.SiLU)).forward = functional.hardswish


@fault("layers", models=("efficientnet_b0",))
def excitation_is_hard(model: Any, draw: np.random.Generator) -> None:
    for module in model.net.modules():
        if hasattr(module, "scale_activation"):
            module.scale_activation = nn.Hardsigmoid()


@fault("layers", models=("mobilenet_v2", "efficientnet_b0"))
def shortcut_missing(model: Any, draw: np.random.Generator) -> None:
    blocks = [module for module in model.net.modules() if getattr(module, "use_res_connect", False)]
    pick(draw, blocks).use_res_connect = False


@fault("layers", models=("mobilenet_v2",))
def stride_moved(model: Any, draw: np.random.Generator) -> None:
    """The last stride is taken by a later block."""
    convolutions = [module for module in model.net.modules() if isinstance(module, nn.Conv2d)]
    strided = [module for module in convolutions if module.stride == (2, 2)]
    later = [module for module in convolutions if module.groups > 1 and module.stride == (1, 1)]
    strided[-1].stride, later[-1].stride = (1, 1), (2, 2)


@fault("layers", models=WINDOWED)
def convolution_dilated(model: Any, draw: np.random.Generator) -> None:
    chosen = pick(draw, _windows(model))
    chosen.dilation, chosen.padding = (2, 2), (2 * _one(chosen.padding),) * 2


@fault("layers", models=WINDOWED)
def kernel_mirrored(model: Any, draw: np.random.Generator) -> None:
    """One convolution is a true one, from left to right: torch's is a correlation."""
    chosen = pick(draw, _windows(model))
    chosen.forward = lambda x: chosen._conv_forward(x, chosen.weight.flip(-1), chosen.bias)


@fault("layers", models=("resnet18", "efficientnet_b0"))
def pooled_by_maximum(model: Any, draw: np.random.Generator) -> None:
    model.net.avgpool = nn.AdaptiveMaxPool2d(1)


@fault("layers", models=("densenet121",))
def branches_exchanged(model: Any, draw: np.random.Generator) -> None:
    """A dense layer concatenates what came before in the wrong order."""
    layers = [module for name, module in model.net.named_modules() if name.endswith("denselayer2")]
    chosen = pick(draw, layers)
    forward = chosen.forward
    chosen.forward = lambda features: forward(features[::-1])


@fault("layers", models=ANY)
def bias_of_the_head_left_out(model: Any, draw: np.random.Generator) -> None:
    head = [module for module in model.net.modules() if isinstance(module, nn.Linear)][-1]
    head.forward = lambda x: functional.linear(x, head.weight)


@fault("layers", models=WINDOWED)
def one_image_of_the_batch(model: Any, draw: np.random.Generator) -> None:
    """An index on the batch's axis."""
    chosen = pick(draw, _windows(model))
    chosen.register_forward_hook(
        lambda _module, _inputs, output: torch.cat([output[:1] * 1.5, output[1:]]) if len(output) > 1 else output
    )


@fault("layers", models=("test_vit",))
def one_token(model: Any, draw: np.random.Generator) -> None:
    """The class token alone is scaled behind an attention."""
    chosen = pick(draw, [block.attn.proj for block in model.net.blocks])
    chosen.register_forward_hook(lambda _module, _inputs, output: torch.cat([output[:, :1] / 2, output[:, 1:]], 1))


@fault("layers", "hard_sigmoid", models=("mobilenet_v3_small",))
def gates_of_another_hard_sigmoid(model: Any, draw: np.random.Generator) -> None:
    """Keras 2's, or OpenMMLab's."""
    steepness = pick(draw, [0.2, 0.5])
    for module in model.net.modules():
        if hasattr(module, "scale_activation"):
            module.scale_activation.forward = lambda x: (x * steepness + 0.5).clamp(0, 1)


@fault("layers", "leaky_relu_slope", models=("test_resnet",))
def leaks_otherwise(model: Any, draw: np.random.Generator) -> None:
    slope = pick(draw, [0.1, 0.2, 0.3])  # DarkNet's, and both of Keras's
    for module in model.net.modules():
        if isinstance(module, nn.LeakyReLU):
            module.forward = lambda x: torch.where(x > 0, x, slope * x)


@fault("gradients", models=WINDOWED)
def branch_detached(model: Any, draw: np.random.Generator) -> None:
    """Gradients stop below one layer."""
    chosen = pick(draw, _windows(model))
    chosen.register_forward_hook(lambda _module, _inputs, output: output.detach())


@fault("weights", target="weights", models=ANY)
def kernels_transposed(weights: dict[str, np.ndarray], draw: np.random.Generator) -> dict[str, np.ndarray]:
    """Height and width exchanged, which square windows allow."""
    for name, array in weights.items():
        if name.endswith(".kernel") and array.ndim == 4 and array.shape[0] == array.shape[1] > 1:
            weights[name] = np.ascontiguousarray(array.transpose(1, 0, 2, 3))
    return weights


@fault("weights", target="weights", models=ANY)
def windows_turned(weights: dict[str, np.ndarray], draw: np.random.Generator) -> dict[str, np.ndarray]:
    """Kernels of convolutions for kernels of correlations."""
    for name, array in weights.items():
        if name.endswith(".kernel") and array.ndim == 4 and max(array.shape[:2]) > 1:
            weights[name] = np.ascontiguousarray(array[::-1, ::-1])
    return weights


@fault("weights", target="weights", models=ANY)
def first_kernel_in_bgr(weights: dict[str, np.ndarray], draw: np.random.Generator) -> dict[str, np.ndarray]:
    name = min(name for name, array in weights.items() if name.endswith(".kernel") and array.ndim == 4)
    weights[name] = np.ascontiguousarray(weights[name][:, :, ::-1])
    return weights


@fault("weights", target="weights")
def kernel_never_loaded(weights: dict[str, np.ndarray], draw: np.random.Generator) -> dict[str, np.ndarray]:
    """One kernel keeps initial values (He et al. 2015)."""
    names = sorted(name for name, array in weights.items() if name.endswith(".kernel") and array.ndim == 4)
    if names:
        shape = weights[name := pick(draw, names)].shape
        weights[name] = draw.normal(0, math.sqrt(2 / math.prod(shape[:3])), shape)
    return weights


@fault("weights", "head_initialisation", target="declared")
def head_starts_otherwise(draw: np.random.Generator) -> str:
    return f"head_initialisation={pick(draw, ['glorot-uniform', 'zeros'])}"


def _early(model: Any, kind: Any) -> list[Any]:
    """Modules of a kind in the first half of the network, where maps are large."""
    found = [module for module in model.net.modules() if isinstance(module, kind)]
    return found[: max(1, len(found) // 2)]


def _windows(model: Any) -> list[Any]:
    """Its convolutions with an odd window, stride 1, and as much padding as keeps the size."""
    convolutions = _early(model, nn.Conv2d)
    return [m for m in convolutions if m.stride == (1, 1) and _one(m.padding) == _one(m.kernel_size) // 2 > 0]
