"""timm's image models: some 1,150 architectures with 1,800 checkpoints, and 220 without any.

A model is named `mobilenetv2_100`, or with the tag of a checkpoint that becomes its default,
`mobilenetv2_100.ra_in1k`, or `hf-hub:timm/resnet18.a1_in1k`. A checkpoint is a tag. Most lie on the Hugging Face
hub, a few on GitHub in torch hub's cache.

timm names a few widths of MobileNet v1 and v2; `mobilenetv1_100:channel_multiplier=0.25` builds the others.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from isotune.adapters._torch.adapter import TorchAdapter, engines, load
from isotune.adapters._torch.architectures.timm_names import ARCHITECTURES
from isotune.adapters.base import Engine, ModelInfo
from isotune.errors import UnknownModel, UsageError, nearest

if TYPE_CHECKING:
    from torch import nn

_OF_ANY_WIDTH = {"mobilenetv1_100": "_gen_mobilenet_v1", "mobilenetv2_100": "_gen_mobilenet_v2"}  # their makers
_SCALINGS = {
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)): "mean-std",
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)): "minus-one-to-one",
    ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)): "unit",
}


_DEFAULT = next(iter(_SCALINGS))  # mean and deviation where a configuration says none


class TimmAdapter(TorchAdapter):
    """timm.create_model; checkpoints under timm's tags, `a1_in1k`."""

    name: ClassVar[str] = "timm"
    colour: ClassVar[str] = "#0072B2"
    engines: ClassVar[Mapping[str, Engine]] = engines("timm")
    hosts: ClassVar[Mapping[str, str]] = {"Hugging Face hub (timm)": "huggingface.co"}
    # Those of timm's classes and of create_scheduler_v2; its training script, which comes with no package, tells the
    # average the step ("first") and fills with noise.
    forms: ClassVar[Mapping[str, str]] = {
        **TorchAdapter.forms,
        "average_start": "initial",
        "average_statistics": "averaged",
        "warmup_start": "rate-1e-5",
        "warmup_place": "inside",
        "mixing_partner": "reversed",
    }

    @classmethod
    def downloads(cls) -> Mapping[str, Path]:
        """The hub's beside torch's (huggingface_hub/constants.py)."""
        home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
        hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or Path(home) / "hub"
        return {**super().downloads(), "huggingface": Path(hub)}

    @classmethod
    def split_name(cls, name: str) -> tuple[str, str]:
        """timm writes the checkpoint's tag behind a dot: "resnet50.a1_in1k"; of the hub's names nothing is known."""
        model, _, tag = name.partition(".")
        return (name, "") if cls.is_remote(name) else (model, tag)

    @classmethod
    def is_remote(cls, name: str) -> bool:
        return name.startswith("hf-hub:")

    @classmethod
    def representative(cls, models: Sequence[str]) -> str:
        """One with TensorFlow's conventions (tf_) where there is one: the nearest to Keras's."""
        return min(models, key=lambda name: (not name.startswith("tf_"), name))

    @classmethod
    def resized_side(cls, size: int, crop: float) -> int:
        """timm cuts the fraction off (timm/data/transforms_factory.py)."""
        return math.floor(size / crop + 0.01)  # 224 / 0.875 may come to 255.999

    def models(self) -> Iterable[ModelInfo]:
        return _models()

    def class_names(self, name: str, checkpoint: str | None) -> Sequence[str]:
        """Those of the checkpoint's configuration, `label_names`: the hub's fine-tuned models have them."""
        if checkpoint is None:
            return ()
        load("timm")
        from timm.models import parse_model_name

        source, repository = parse_model_name(name)
        if source == "hf-hub":
            known = self._of_hub(name, checkpoint, repository).get("label_names")
        else:
            known = _config(_with_tag(name, checkpoint)).label_names
        return tuple(known.values() if isinstance(known, Mapping) else known or ())

    def _network(
        self, name: str, checkpoint: str | None, size: tuple[int, int], options: Mapping[str, Any]
    ) -> nn.Module:
        load("timm")
        import timm
        from timm.models import (
            parse_model_name,
            set_pretrained_check_hash,
            set_pretrained_download_progress,
            split_model_name_tag,
        )

        from isotune.adapters._torch.fetching import HUB_WEIGHTS, Download, hub, hub_file

        if parse_model_name(name)[0] == "hf-hub":
            with hub(f"{self.name}:{name}", checkpoint or "pretrained", parse_model_name(name)[1], ("config.json",)):
                return timm.create_model(name, pretrained=checkpoint is not None, **options)
        full = _with_tag(name, checkpoint)
        arguments: dict[str, Any] = dict(options)
        config = _config(full)
        if config.fixed_input_size and tuple(config.input_size[1:]) != size:
            arguments.setdefault("img_size", size)
        if (width := arguments.pop("channel_multiplier", None)) is not None:
            if checkpoint is not None:
                raise UsageError(f"timm:{name} has no checkpoint of another width; use file:PATH or random:SEED")
            return _of_width(split_model_name_tag(full)[0], width, arguments)
        if checkpoint is None:
            return timm.create_model(full, pretrained=False, **arguments)
        set_pretrained_download_progress(True)
        set_pretrained_check_hash(True)
        asked = f"{self.name}:{name}", split_model_name_tag(full)[1] or "pretrained"
        if config.hf_hub_id:
            files = (config.hf_hub_filename,) if config.hf_hub_filename else HUB_WEIGHTS
            with hub(*asked, config.hf_hub_id, files):
                return timm.create_model(full, pretrained=True, **arguments)
        download = Download(*asked, config.url, hub_file(config.url))
        if not download.cached_at.exists():
            download.refuse_offline()
        with download.loading():
            return timm.create_model(full, pretrained=True, **arguments)

    def _classifier(self, net: nn.Module) -> str | None:
        from torch import nn

        from isotune.adapters._torch.layers import classifier_name

        classifier = net.get_classifier()  # type: ignore[operator]
        return classifier_name(net, classifier) if isinstance(classifier, nn.Module) else None

    def _renew_classifier(self, name: str, net: nn.Module, head: str | None, classes: int) -> str:
        from torch import nn

        old = net.get_classifier()  # type: ignore[operator]
        parts = old.modules() if isinstance(old, nn.Module) else [layer for part in old for layer in part.modules()]
        outputs = [layer for layer in parts if getattr(layer, "out_features", None) == net.num_classes]
        if len(outputs) > 1:  # distillation, or a classifier a branch
            raise UsageError(
                f"timm:{name} averages {len(outputs)} classifiers; only its own can be used, not a new one"
            )
        if head is None:  # a checkpoint without classes: timm makes the place
            net.reset_classifier(classes)  # type: ignore[operator]
            head = self._classifier(net)
        return super()._renew_classifier(name, net, head, classes)

    def _described(self, name: str, options: Mapping[str, str]) -> Mapping[str, Any]:
        """With the law of a new classifier: `create_model(num_classes=N)` draws it by the family's."""
        load("timm")
        from isotune.adapters._torch.axes.head import drawn
        from isotune.adapters._torch.conventions import describe

        def described(net: nn.Module) -> Mapping[str, Any]:
            head = self._classifier(net)
            law = recorded.law(net.get_submodule(head)) if head else None
            return describe(net) | ({"head_initialisation": law} if law else {})

        with drawn() as recorded:
            return self._read_off(name, options, described) or {}

    def _input_scaling(self, name: str) -> str:
        load("timm")
        from timm.models import parse_model_name

        source, repository = parse_model_name(name)
        if source == "hf-hub":
            said = self._of_hub(name, "pretrained", repository)
            mean, std = (
                tuple(said.get(each) or default) for each, default in zip(("mean", "std"), _DEFAULT, strict=True)
            )
        elif source:
            return "mean-std"
        else:
            config = _config(_with_tag(name, None))
            mean, std = tuple(config.mean), tuple(config.std)
        written = (",".join(map(repr, values)) for values in (mean, std))
        return _SCALINGS.get((mean, std)) or "mean-std({};{})".format(*written)

    def _of_hub(self, name: str, checkpoint: str, repository: str) -> Mapping[str, Any]:
        """What a repository's config.json says of its checkpoint. NotCached: it cannot be had."""
        from timm.models import load_model_config_from_hf

        from isotune.adapters._torch.fetching import hub

        with hub(f"{self.name}:{name}", checkpoint, repository, ("config.json",)):
            return load_model_config_from_hf(repository)[0]  # type: ignore[no-any-return]

    def _architecture(self, name: str) -> str:
        load("timm")
        from timm.models import split_model_name_tag

        architecture = split_model_name_tag(name)[0]
        return ARCHITECTURES.get(architecture, architecture)


def _of_width(name: str, width: Any, arguments: Mapping[str, Any]) -> nn.Module:
    """A MobileNet of another width than those that timm has names for. UsageError: not such a model."""
    from timm.models import efficientnet

    make = getattr(efficientnet, _OF_ANY_WIDTH.get(name, ""), None)
    if make is None:
        raise UsageError(f"timm:{name} has one width; channel_multiplier is for {' and '.join(_OF_ANY_WIDTH)}")
    if not isinstance(width, int | float) or not 0 < width <= 4:
        raise UsageError(f"timm:{name}: channel_multiplier={width} must be a number above 0 and at most 4")
    return make(name, width, pretrained=False, **arguments)  # type: ignore[no-any-return]


@cache
def _models() -> tuple[ModelInfo, ...]:
    load("timm")
    from timm.models import list_models, list_pretrained, split_model_name_tag

    tags: dict[str, list[str]] = {name: [] for name in list_models()}
    for full in list_pretrained():
        architecture, tag = split_model_name_tag(full)
        tags.setdefault(architecture, []).append(tag)
    return tuple(_info(architecture, named) for architecture, named in tags.items())


def _info(name: str, tags: list[str]) -> ModelInfo:
    config = _config(name)
    ordered = sorted(tags, key=lambda tag: tag != config.tag)
    return ModelInfo(name, ARCHITECTURES.get(name, name), tuple(ordered), size=config.input_size[-1])


def _config(full: str) -> Any:
    """What timm knows of a checkpoint: where it lies, the size and scaling of its input. Of a few models, in some
    versions, it knows nothing; then its defaults, which it takes as well."""
    load("timm")
    from timm.models import PretrainedCfg, get_pretrained_cfg

    return get_pretrained_cfg(full, allow_unregistered=True) or PretrainedCfg()


def _with_tag(name: str, checkpoint: str | None) -> str:
    """The name with the checkpoint's tag. UsageError: no such model, no such tag."""
    load("timm")
    from timm.models import get_arch_pretrained_cfgs, is_model, split_model_name_tag

    architecture, tag = split_model_name_tag(name)
    if not is_model(architecture):
        known = [info.name for info in _models()]
        raise UnknownModel("timm", architecture, known)
    if checkpoint not in (None, "pretrained"):
        tag = checkpoint
    known = list(get_arch_pretrained_cfgs(architecture))
    tags = [split_model_name_tag(full)[1] for full in known]
    if tag and tag not in tags:
        raise UsageError(f"timm:{architecture} has no checkpoint {tag!r}; {nearest(tag, tags)}")
    if checkpoint and architecture not in {info.name for info in _models() if info.checkpoints}:
        raise UsageError(f"timm:{architecture} has no pretrained checkpoint")
    return f"{architecture}.{tag}" if tag else architecture
