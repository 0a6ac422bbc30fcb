"""Which loop is held against which recipe, and what should be named: nothing where the recipe says what it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from isotune.protocols import Protocol
from isotune.recordings import Comparison

Framework = Literal["keras", "torch"]
STEPS = 6
NOTHING: frozenset[str] = frozenset()
# As each framework does without being asked; a recipe that leaves these out would be another one
OWN: Mapping[Framework, dict[str, str]] = {
    "keras": {"momentum_form": "rate-inside", "batchnorm_running_variance": "biased"}, "torch": {},
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A loop and a recipe. said: what the recipe says beyond the plain one. named: what it says otherwise than the loop
    does. unseen: what the verdict has to say that it was not compared."""

    framework: Framework
    loop: str
    said: dict[str, Any]
    named: frozenset[str] = NOTHING
    unseen: str = ""

    @property
    def sound(self) -> bool:
        return not self.named

    @property
    def protocol(self) -> Protocol:
        stage = {"steps": STEPS, "batch_size": 16, "optimizer": {"name": "sgd", "momentum": 0.9},
                 "schedule": {"learning_rate": 0.01}}  # fmt: skip
        whole = {name: self.said[name] for name in ("average", "augmentation") if name in self.said}
        inside = {name: value for name, value in self.said.items() if name not in whole}
        return Protocol(
            name="recipe", title="Recipe", source="a planted loop", input={"size": 16}, stage=[stage | inside],
            conventions=OWN[self.framework], **whole,
        )  # fmt: skip

    def right(self, said: Comparison) -> bool:
        """Whether exactly what differs is named, and what was not compared is told."""
        names = {cause.name for cause in said.causes}
        return names == self.named and self.unseen in "; ".join(said.not_compared)


def _average(**said: Any) -> dict[str, Any]:
    return {"average": {"decay": 0.9, **said}}


def _mixing(**said: Any) -> dict[str, Any]:
    return {"augmentation": {"mixing": said}}


def _clipped(limit: float) -> dict[str, Any]:
    return {"optimizer": {"name": "sgd", "momentum": 0.9, "clip_norm": limit}}


def _cosine(**said: Any) -> dict[str, Any]:
    return {"schedule": {"name": "cosine", "learning_rate": 0.01, **said}}


def _drops(**said: Any) -> dict[str, Any]:
    return {"schedule": {"name": "step", "learning_rate": 0.01, "drop_every": 3, **said}}


def _one_cycle(**said: Any) -> dict[str, Any]:
    """As torch's: of two phases, its final share that of the last step."""
    torchs = {"rise": 0.3, "final": 1 / 25 / 1e4, "reach": "last"}
    return {"schedule": {"name": "one-cycle", "learning_rate": 0.01, **torchs, **said}}


_PARTS = {"accumulate": 2, "drop_last": True}
_SMOOTHED = {"label_smoothing": 0.1}
_DEPTH: dict[str, Any] = {"rate": 0.1}
_MASKS = "what is drawn (masks of "
Table = dict[str, list[tuple[dict[str, Any], set[str], str]]]  # loop -> (said, named, unseen)

_IN_KERAS: Table = {
    "plain": [
        ({}, set(), ""), (_average(), set(), "average (none is recorded"),
        ({"head_dropout": 0.2}, {"head_dropout"}, ""), ({"stochastic_depth": _DEPTH}, {"stochastic_depth"}, ""),
        (_mixing(mixup=1.0), {"augmentation.mixing"}, ""), (_PARTS, {"accumulate"}, ""),
        (_clipped(1e-4), {"clip_norm"}, ""),
    ],
    "use_ema": [
        (_average(start="first", statistics="copied"), set(), "which weights the loop evaluates"),
        (_average(), {"average.start", "average.statistics"}, ""),
        (_average(start="first", statistics="copied", decay=0.99), {"average.decay"}, ""),
        (_average(start="first", statistics="copied", every=2), {"average.every"}, ""), ({}, {"average"}, ""),
    ],
    "ema_overwrite_frequency": [(_average(start="first", statistics="copied"), {"between_steps"}, "")],
    "average by hand": [
        (_average(statistics="copied"), set(), ""),
        (_average(statistics="copied", start="first"), {"average.start"}, ""),
    ],
    "average in a model": [(_average(), set(), ""), (_average(statistics="copied"), {"average.statistics"}, "")],
    "tf.train.ExponentialMovingAverage": [
        (_average(statistics="copied"), set(), ""),
        (_average(statistics="copied", warmup="counted"), {"average.warmup"}, ""),
    ],
    "MixUp": [
        (_mixing(mixup=1.0, per="image", partner="shuffled"), set(), "what is drawn (shares and partners of mixing)"),
        (_mixing(mixup=1.0), {"augmentation.mixing.per", "augmentation.mixing.partner"}, ""),
        (_mixing(mixup=1.0, per="image", partner="rolled"), {"augmentation.mixing.partner"}, ""),
        ({}, {"augmentation.mixing"}, ""),
    ],
    "CutMix": [
        (_mixing(cutmix=1.0, per="image", partner="shuffled"), {"augmentation.mixing.cutmix, its area"}, ""),
        (_mixing(mixup=1.0, per="image", partner="shuffled"), {"augmentation.mixing.mixup"}, ""),
    ],
    "mixup by hand": [
        (_mixing(mixup=1.0), set(), ""), (_mixing(mixup=1.0, partner="shuffled"), {"augmentation.mixing.partner"}, ""),
        (_mixing(mixup=1.0, per="image"), {"augmentation.mixing.per"}, ""),
    ],
    "Dropout": [
        ({"head_dropout": 0.2}, set(), f"{_MASKS}dropout)"), ({"head_dropout": 0.5}, {"head_dropout"}, ""),
        ({}, {"head_dropout"}, ""),
    ],
    "Dropout of whole images": [
        ({"stochastic_depth": _DEPTH}, set(), f"{_MASKS}stochastic depth)"),
        ({"stochastic_depth": _DEPTH | {"per": "batch"}}, {"stochastic_depth.per"}, ""),
        ({"stochastic_depth": {"rate": 0.2}}, {"stochastic_depth.rate"}, ""), ({}, {"stochastic_depth"}, ""),
    ],
    "RandomFlip": [({}, {"random_layers"}, "what layers of the network draw")],
    "gradient_accumulation_steps": [(_PARTS, set(), ""), ({}, {"accumulate"}, "")],
    "clipnorm": [({}, {"clipping"}, ""), (_clipped(500.0), {"clip_norm", "clipping"}, "")],
    "CosineDecay": [
        (_cosine(), set(), ""), (_cosine(per="epoch"), {"schedule.per"}, ""),
        (_cosine(final=0.1), {"schedule.final"}, ""), (_cosine(name="linear"), {"schedule.name"}, ""),
        (_cosine(warmup_steps=2), {"schedule.warmup_steps"}, ""),
        (_cosine(warmup_steps=2, start=0.0, warmup_counts=True), {"schedule.warmup_steps"}, ""),
    ],
    "CosineDecay with warmup_target": [
        (_cosine(warmup_steps=2, start=0.0), set(), ""), (_cosine(warmup_steps=2), {"schedule.start"}, ""),
        (_cosine(warmup_steps=2, start=0.0, warmup_counts=True), {"schedule.warmup_counts"}, ""),
    ],
    "LearningRateScheduler": [(_cosine(per="epoch"), set(), ""), (_cosine(), {"schedule.per"}, "")],
    "ExponentialDecay(staircase=True)": [(_drops(), set(), ""), (_drops(gamma=0.5), {"schedule.gamma"}, "")],
}  # fmt: skip

_IN_TORCH: Table = {
    "plain": [
        ({}, set(), ""), ({"head_dropout": 0.2}, {"head_dropout"}, ""),
        ({"stochastic_depth": _DEPTH}, {"stochastic_depth"}, ""), (_clipped(1e-4), {"clip_norm"}, ""),
    ],
    "AveragedModel": [
        (_average(start="first", statistics="copied"), set(), "which weights the loop evaluates"),
        (_average(), {"average.start", "average.statistics"}, ""),
    ],
    "AveragedModel with buffers": [
        (_average(start="first"), set(), ""),
        (_average(start="first", statistics="copied"), {"average.statistics"}, ""),
    ],
    "mixup by hand": [
        (_mixing(mixup=1.0, partner="rolled"), set(), ""), (_mixing(mixup=1.0), {"augmentation.mixing.partner"}, ""),
    ],
    "timm's ModelEmaV3": [
        (_average(), set(), "which weights the loop evaluates"), (_average(start="first"), {"average.start"}, ""),
        (_average(statistics="copied"), {"average.statistics"}, ""),
    ],
    "timm's Mixup": [
        (_SMOOTHED | _mixing(mixup=0.8), set(), ""), (_mixing(mixup=0.8), {"label_smoothing"}, ""),
        (_SMOOTHED | _mixing(mixup=0.8, partner="rolled"), {"augmentation.mixing.partner"}, ""),
        (_SMOOTHED | _mixing(mixup=0.8, per="image"), {"augmentation.mixing.per"}, ""),
    ],
    "timm's Mixup, mode elem": [
        (_SMOOTHED | _mixing(mixup=0.8, per="image"), set(), ""),
        (_SMOOTHED | _mixing(mixup=0.8), {"augmentation.mixing.per"}, ""),
    ],
    "timm's Mixup with cutmix_alpha": [
        (_SMOOTHED | _mixing(mixup=0.8, cutmix=1.0), set(), ""), (_SMOOTHED, {"augmentation.mixing"}, ""),
    ],
    "torchvision's MixUp": [
        (_mixing(mixup=1.0, partner="rolled"), set(), ""), (_mixing(mixup=1.0), {"augmentation.mixing.partner"}, ""),
    ],
    "torchvision's CutMix": [
        (_mixing(cutmix=1.0, partner="rolled"), set(), ""),
        (_mixing(mixup=1.0, partner="rolled"), {"augmentation.mixing.mixup"}, ""),
        (_mixing(cutmix=1.0), {"augmentation.mixing.partner"}, ""),
    ],
    "timm's DropPath": [
        ({"stochastic_depth": _DEPTH}, set(), f"{_MASKS}stochastic depth)"),
        ({"stochastic_depth": _DEPTH | {"scaled": False}}, {"stochastic_depth.scaled"}, ""),
        ({"stochastic_depth": _DEPTH | {"per": "batch"}}, {"stochastic_depth.per"}, ""),
    ],
    "timm's DropPath without scaling": [
        ({"stochastic_depth": _DEPTH | {"scaled": False}}, set(), ""),
        ({"stochastic_depth": _DEPTH}, {"stochastic_depth.scaled"}, ""),
    ],
    "Dropout": [
        ({"head_dropout": 0.2}, set(), f"{_MASKS}dropout)"), ({"head_dropout": 0.5}, {"head_dropout"}, ""),
    ],
    "functional.dropout": [
        ({"head_dropout": 0.2}, set(), "head_dropout (something draws"), ({}, set(), "head_dropout ("),
    ],
    "StochasticDepth": [
        ({"stochastic_depth": _DEPTH}, set(), f"{_MASKS}stochastic depth)"),
        ({"stochastic_depth": _DEPTH | {"law": "constant"}}, {"stochastic_depth.law"}, ""),
        ({"stochastic_depth": {"rate": 0.2}}, {"stochastic_depth.rate"}, ""),
    ],
    "StochasticDepth of a batch": [
        ({"stochastic_depth": _DEPTH | {"per": "batch"}}, set(), ""),
        ({"stochastic_depth": _DEPTH}, {"stochastic_depth.per"}, ""),
    ],
    "passes": [(_PARTS, set(), ""), ({}, {"accumulate"}, "")],
    "clip_grad_norm_": [(_clipped(0.05), set(), ""), (_clipped(0.1), {"clip_norm"}, ""), ({}, {"clipping"}, "")],
    "groups": [({"body_rate": 0.5}, set(), ""), ({}, {"body_rate"}, "")],
    "LinearLR, then CosineAnnealingLR": [
        (_cosine(warmup_steps=2, start=1 / 3), set(), ""), (_cosine(warmup_steps=2), {"schedule.start"}, ""),
        (_cosine(warmup_steps=2, start=0.0), {"schedule.start"}, ""),
        (_cosine(warmup_steps=3, start=1 / 3), {"schedule.warmup_steps"}, ""),
    ],
    "CosineAnnealingLR by epoch": [(_cosine(per="epoch"), set(), ""), (_cosine(), {"schedule.per"}, "")],
    "OneCycleLR": [
        (_one_cycle(), set(), ""), (_one_cycle(reach="after"), {"schedule.reach"}, ""),
        (_one_cycle(rise=0.25), {"schedule.rise"}, ""), (_one_cycle(anneal="linear"), {"schedule.anneal"}, ""),
        (_one_cycle(start=0.1), {"schedule.start"}, ""), (_one_cycle(final=1e-4), {"schedule.final"}, ""),
    ],
    "timm's CosineLRScheduler": [
        (_cosine(warmup_steps=2, start=1e-3, warmup_counts=True), set(), ""),
        (_cosine(warmup_steps=2, start=1e-3), {"schedule.warmup_counts"}, ""),
        (_cosine(warmup_steps=2, warmup_counts=True), {"schedule.start"}, ""),
        (_cosine(warmup_steps=2), {"schedule.start", "schedule.warmup_counts"}, ""),
    ],
    "timm's CosineLRScheduler with warmup_prefix": [
        (_cosine(warmup_steps=2, start=1e-3), set(), ""),
        (_cosine(warmup_steps=2, start=1e-3, warmup_counts=True), {"schedule.warmup_counts"}, ""),
    ],
}  # fmt: skip


def cases(framework: Framework) -> Iterator[Case]:
    """Every loop of a framework with every recipe that it is held against."""
    for loop, recipes in {"keras": _IN_KERAS, "torch": _IN_TORCH}[framework].items():
        for said, named, unseen in recipes:
            yield Case(framework, loop, said, frozenset(named), unseen)
