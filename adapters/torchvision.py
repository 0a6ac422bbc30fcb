"""torchvision's 80 classification models.

Two models come with constants inside that elsewhere are input scaling: GoogLeNet and Inception v3 are built with
`transform_input=False`, and their native scaling is -1..1, which is the same function. Their auxiliary classifiers,
which only train, are left out. SwinV2's biases are held as timm holds them (`_torch.architectures.swin_v2`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from isotune.adapters._torch.adapter import TorchAdapter, engines, load
from isotune.adapters.base import Engine, ModelInfo
from isotune.errors import UnknownModel, UsageError, nearest

if TYPE_CHECKING:
    from torch import nn

_WITH_AUXILIARIES = ("googlenet", "inception_v3")
_DEFAULT_SIZE = (224, 224)


class TorchvisionAdapter(TorchAdapter):
    """torchvision.models; checkpoints under the library's names, `IMAGENET1K_V1`."""

    name: ClassVar[str] = "torchvision"
    colour: ClassVar[str] = "#D55E00"
    engines: ClassVar[Mapping[str, Engine]] = engines("torchvision")
    hosts: ClassVar[Mapping[str, str]] = {"torchvision's weights": "download.pytorch.org"}
    counterparts: ClassVar[tuple[str, ...]] = ("timm",)
    unlike: ClassVar[Mapping[str, str]] = {
        "maxvit_t": "timm's maxvit_tiny_tf_224 divides keys by the root of a head's width, maxvit_t by that of all"
        " heads; its shortcuts average 2x2 pixels, maxvit_t's 3x3; its classifier has a bias, maxvit_t's none",
        "mnasnet1_3": "timm lists the widths 0.5, 0.75, 1.0 and 1.4 of MnasNet",
    }

    def models(self) -> Iterable[ModelInfo]:
        return _models()

    def class_names(self, name: str, checkpoint: str | None) -> Sequence[str]:
        return () if checkpoint is None else tuple(_checkpoint(name, checkpoint).meta.get("categories", ()))

    def _network(
        self, name: str, checkpoint: str | None, size: tuple[int, int], options: Mapping[str, Any]
    ) -> nn.Module:
        net = self._as_built(name, checkpoint, size, options)
        if name.startswith("swin_v2"):
            from isotune.adapters._torch.architectures.swin_v2 import separate_biases

            separate_biases(net)
        return net

    def _as_built(
        self, name: str, checkpoint: str | None, size: tuple[int, int], options: Mapping[str, Any]
    ) -> nn.Module:
        load("torchvision")
        from torchvision.models import get_model

        from isotune.adapters._torch.fetching import Download, hub_file

        weights = _checkpoint(name, checkpoint) if checkpoint else None
        arguments: dict[str, Any] = dict(options)
        if name in _WITH_AUXILIARIES:
            arguments |= {"aux_logits": False, "transform_input": False} | dict(options)
            if weights is None:
                arguments["init_weights"] = False if _is_meta() else arguments.get("init_weights", True)
        if weights is None:
            return get_model(_known(name), weights=None, **_input_size(name, size), **arguments)  # type: ignore[no-any-return]
        if name == "maxvit_t" and size != _DEFAULT_SIZE:
            raise UsageError("torchvision:maxvit_t has checkpoints for 224 x 224 only")
        download = Download(f"{self.name}:{name}", weights.name, weights.url, hub_file(weights.url))
        if not download.cached_at.exists():
            download.refuse_offline()
        with download.loading():
            if not name.startswith("vit_") or size == (weights.transforms().crop_size[0],) * 2:
                return get_model(name, weights=weights, progress=True, **arguments)  # type: ignore[no-any-return]
            return _resized_transformer(name, weights, size, arguments)

    def _classifier(self, net: nn.Module) -> str | None:
        from isotune.adapters._torch.layers import classifier_name

        return classifier_name(net)

    def _input_scaling(self, name: str) -> str:
        if name in _WITH_AUXILIARIES:
            return "minus-one-to-one"
        load("torchvision")
        from torchvision.models import get_model_weights

        preset = get_model_weights(_known(name)).DEFAULT.transforms()
        mean, std = (",".join(f"{value:g}" for value in values) for values in (preset.mean, preset.std))
        return "mean-std" if (mean, std) == ("0.485,0.456,0.406", "0.229,0.224,0.225") else f"mean-std({mean};{std})"


@cache
def _models() -> tuple[ModelInfo, ...]:
    models = load("torchvision").models

    return tuple(_info(name) for name in models.list_models(module=models))


def _info(name: str) -> ModelInfo:
    from torchvision.models import get_model_weights

    default = get_model_weights(name).DEFAULT
    checkpoints = {weights.name: weights for weights in (default, *get_model_weights(name))}
    top1 = {key: weights.meta["_metrics"]["ImageNet-1K"]["acc@1"] for key, weights in checkpoints.items()}
    return ModelInfo(
        name=name,
        architecture=name,
        checkpoints=tuple(checkpoints),
        top1={key: value for key, value in top1.items() if value is not None and not math.isnan(value)},
        parameters=default.meta["num_params"],
        size=default.transforms().crop_size[0],
    )


def _known(name: str) -> str:
    names = [info.name for info in _models()]
    if name not in names:
        raise UnknownModel("torchvision", name, names)
    return name


def _checkpoint(name: str, checkpoint: str) -> Any:
    """The library's weights of that name; `pretrained` is its default."""
    from torchvision.models import get_model_weights

    known = get_model_weights(_known(name))
    if checkpoint in ("pretrained", "DEFAULT"):
        return known.DEFAULT
    if checkpoint not in known.__members__:
        raise UsageError(
            f"torchvision:{name} has no checkpoint {checkpoint!r}; {nearest(checkpoint, known.__members__)}"
        )
    return known[checkpoint]


def _input_size(name: str, size: tuple[int, int]) -> dict[str, Any]:
    """Arguments of those models whose tensors depend on the size of the input."""
    if size == _DEFAULT_SIZE:
        return {}
    if name.startswith("vit_"):
        if size[0] != size[1]:
            raise UsageError(f"torchvision:{name} takes square images only, not {size[0]} x {size[1]}")
        return {"image_size": size[0]}
    return {"input_size": size} if name == "maxvit_t" else {}


def _resized_transformer(name: str, weights: Any, size: tuple[int, int], arguments: dict[str, Any]) -> nn.Module:
    """A vision transformer for another image size: its position embeddings interpolated by torchvision's function."""
    from torchvision.models import get_model
    from torchvision.models.vision_transformer import interpolate_embeddings

    net = get_model(name, weights=None, image_size=_input_size(name, size).get("image_size", 224), **arguments)
    state = weights.get_state_dict(progress=True, check_hash=True)
    net.load_state_dict(interpolate_embeddings(net.image_size, net.patch_size, state))
    return net  # type: ignore[no-any-return]


def _is_meta() -> bool:
    import torch

    return torch.get_default_device().type == "meta"
