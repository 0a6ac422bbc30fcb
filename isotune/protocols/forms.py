"""The forms of a technique: what each means, and who does so. Two recipes told apart by them.

A form is a field of a protocol of which libraries have values of their own; another number of steps is none. Most are
axes, declared in isotune.conventions; what is no library's default is declared here. Whatever differs is said, forms
first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from isotune.conventions import AXES, FORM_AXES, PROTOCOL
from isotune.protocols._protocol import Protocol
from isotune.protocols._stages import Schedule

_NAMES = ("name", "title", "source", "deviations", "expected")  # of a protocol, which change nothing of a run

# Field, without numbers of stages and policies -> value -> what it means (who does so). "*": any other value
_OTHER_FORMS: Mapping[str, Mapping[Any, str]] = {
    "average.every": {
        1: "at every step (timm, Keras's use_ema)",
        32: "at every 32nd step (torchvision's references)",
    },
    "stage.schedule.start": {"*": "a share of the peak (timm's warmup_lr, torch's LinearLR)"},
    "stage.schedule.final": {
        0.0: "the decay ends at 0 (torch's CosineAnnealingLR, Keras's CosineDecay by default)",
        "*": "the decay ends at a share of the peak (timm's min_lr, Keras's alpha)",
    },
    "stage.schedule.rise": {
        0.25: "the peak after a quarter of the steps (fastai's pct_start)",
        0.3: "the peak after three tenths of the steps (torch's pct_start)",
    },
    "stage.schedule.reach": {
        "after": "the final share would come one step after the last (fastai's fit_one_cycle)",
        "last": "the last step has the final share (torch's OneCycleLR)",
    },
    "stage.schedule.anneal": {
        "cosine": "up and down by half a cosine (fastai, torch's OneCycleLR by default)",
        "linear": "up and down by a line (torch's anneal_strategy)",
    },
    "stage.stochastic_depth.law": {
        "linear": "from 0 at the first block with a branch to the rate at the last (timm's ViT and ResNet,"
        " torchvision's Swin, the ConvNeXts)",
        "linear-from-first": "a share of the rate at the first block already (the paper, arXiv 1603.09382)",
        "linear-over-all": "from 0, every block counted, so that none has the whole rate (the EfficientNets)",
        "constant": "one rate for all branches",
    },
    "stage.batchnorm": {
        "training": "trained BatchNorms take the batch's statistics and track them (torch and Keras in training)",
        "inference": "trained BatchNorms take the running statistics (Keras's base_model(x, training=False))",
        "frozen": "no BatchNorm is trained, and each takes the running statistics (trainable = False of Keras's"
        " BatchNormalization, timm's and torchvision's FrozenBatchNorm2d)",
    },
    "stage.accumulate": {
        1: "one pass makes a step",
        "*": "the mean of so many passes' gradients makes a step (Keras's gradient_accumulation_steps, timm)",
    },
    "stage.layer_decay": {
        "none": "one rate for every block (torchvision's references, Keras)",
        "*": "the rate falls from each block to the one before (timm's layer_decay)",
    },
    "stage.body_rate": {
        1.0: "one rate for body and head",
        "*": "another rate for all but the head (fastai's discriminative rates, torch's parameter groups)",
    },
    "augmentation.policy.axes": {
        "horizontal": "to the other side (torchvision's RandomHorizontalFlip)",
        "vertical": "upside down (torchvision's RandomVerticalFlip)",
        "both": "both by one draw, half a turn (Keras's RandomFlip by default)",
    },
    "augmentation.policy.name": {
        "rand-augment": "torchvision's RandAugment",
        "noisy-rand-augment": "timm's RandAugment",
        "trivial-augment": "torchvision's TrivialAugmentWide",
        "auto-augment": "torchvision's AutoAugment",
        "color-jitter": "torchvision's ColorJitter",
        "random-rotation": "Keras's RandomRotation",
        "random-translation": "Keras's RandomTranslation",
        "random-flip": "Keras's RandomFlip",
        "random-contrast": "Keras's RandomContrast",
    },
}  # fmt: skip


def _forms_of_axes() -> Iterator[tuple[str, dict[Any, str]]]:
    """Field, and value of the field -> what it means. What is no one value of it, a rate for a share, is left out."""
    for axis in (AXES[name] for name in FORM_AXES):
        fields = axis.fields or {value: value for value in axis.values if value != PROTOCOL}
        yield axis.field, {"none" if field is None else field: axis.values[value] for value, field in fields.items()}


_OF_AXES = dict(_forms_of_axes())
FORMS: Mapping[str, Mapping[Any, str]] = {
    field: {**_OF_AXES.get(field, {}), **_OTHER_FORMS.get(field, {})} for field in {**_OF_AXES, **_OTHER_FORMS}
}


class Difference(NamedTuple):
    """A field in which two protocols differ, and the value of each: "none" is a part that one of them has not."""

    field: str  # stage.1.schedule.start, stages counted from 1
    left: Any
    right: Any

    @property
    def is_form(self) -> bool:
        """Whether it is a form of a technique or an axis, or a technique that one of them has not."""
        field = _unnumbered(self.field)
        return bool(meaning(self.field, self.left) or any(each.startswith(f"{field}.") for each in FORMS))

    def words(self, left: str, right: str) -> str:
        """left, right: what the two are called."""
        said = []
        for name, value in ((left, self.left), (right, self.right)):
            means = meaning(self.field, value)
            said.append(f"in {name} {shown(value)}{f' ({means})' if means else ''}")
        return f"{self.field} is {' and '.join(said)}"


def meaning(field: str, value: Any) -> str:
    """What a form, or the value of an axis, means and who does so; empty where it is neither."""
    part, _, axis = field.partition(".")
    if part == "conventions" and axis in AXES:
        return AXES[axis].values.get(str(value), "")
    known = FORMS.get(_unnumbered(field))
    return known.get(value, known.get("*", "")) if known else ""


def differences(left: Protocol, right: Protocol) -> list[Difference]:
    """All in which two recipes differ, but names and words about them; forms first, in the order of a protocol."""
    parted = [each for each in _parted(left, right) if each.field.partition(".")[0] not in _NAMES]
    return sorted(parted, key=lambda each: not each.is_form)


def _unnumbered(field: str) -> str:
    return ".".join(part for part in field.split(".") if not part.isdecimal())


def _parted(ours: Any, theirs: Any, field: str = "") -> Iterator[Difference]:
    """Field by field down to plain values; of two kinds of one part (optimizers, policies) what both have."""
    if isinstance(ours, Schedule) and isinstance(theirs, Schedule) and ours.name == theirs.name:
        ours, theirs = (each.model_copy(update={"start": each.begins}) for each in (ours, theirs))
    if ours == theirs:
        return
    parts, others = _parts(ours, field), _parts(theirs, field)
    if not parts or not others:
        yield Difference(field, _plain(ours), _plain(theirs))
        return
    several = isinstance(ours, tuple)  # one may have more of them
    names = dict.fromkeys([*parts, *others]) if several else [name for name in parts if name in others]
    for name in names:
        yield from _parted(parts.get(name), others.get(name), f"{field}.{name}".lstrip("."))


def _parts(value: Any, field: str) -> dict[str, Any]:
    if field == "conventions":
        return {axis.name: value.get(axis.name, axis.default) for axis in AXES.values()}
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, tuple) and value and all(isinstance(each, BaseModel) for each in value):
        return {str(place): each for place, each in enumerate(value, 1)}
    return {}


def _plain(value: Any) -> Any:
    """As a protocol's file has it; "none" of a part that is not there."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, tuple):
        return [_plain(each) for each in value] or "none"
    return "none" if value is None else value


def shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {shown(each)}" for name, each in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)
