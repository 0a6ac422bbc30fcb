"""Which faults are planted where, and beside what: drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from investigations import OPTIMIZERS, protocol
from isotune_planted.faults import CATEGORIES, Fault, catalogue, stream

from isotune.conventions import RUNGS
from isotune.investigation import Side
from isotune.protocols import Protocol

Kind = Literal["single", "pair", "clean"]
Thing = TypeVar("Thing")
SINGLES, PAIRS, CLEAN = 42, 10, 20


@dataclass(frozen=True)
class Place:
    """A model that faults are planted in, and the sound ones that it is held against."""

    adapter: str
    options: str
    references: tuple[str, ...]
    size: int = 48  # pixels


def _timm(name: str, options: str = "", *others: str, size: int = 48) -> Place:
    return Place("planted-timm", options, (f"timm:{name}{options}", *others), size)


def _torchvision(name: str, options: str = "", *others: str, size: int = 48) -> Place:
    return Place("planted", options, (f"torchvision:{name}{options}", *others), size)


PLACES = {
    "mobilenet_v2": _torchvision(
        "mobilenet_v2", ":width_mult=0.35", "timm:mobilenetv2_035", "keras:MobileNetV2:alpha=0.35"
    ),
    "resnet18": _torchvision("resnet18", "", "timm:resnet18"),
    "resnet50": _torchvision("resnet50", "", "timm:resnet50"),  # Keras's has biases in convolutions: other weights
    "efficientnet_b0": _torchvision("efficientnet_b0", "", "timm:efficientnet_b0", "keras:EfficientNetB0"),
    "densenet121": _torchvision("densenet121", "", "timm:densenet121", "keras:DenseNet121"),
    "convnext_tiny": _torchvision("convnext_tiny", "", "timm:convnext_tiny"),
    "inception_v3": _torchvision("inception_v3", "", "timm:inception_v3", size=80),
    "regnet_x_400mf": _torchvision("regnet_x_400mf", "", "timm:regnetx_004_tv"),
    "mobilenet_v3_small": _torchvision("mobilenet_v3_small", "", "timm:mobilenetv3_small_100"),
    "legacy_xception": _timm("legacy_xception"),  # Keras's, the same network, takes no less than 71 pixels
    "test_convnext": _timm("test_convnext"),  # timm's for its own tests: 0.2 and 0.3 million parameters
    "test_vit": _timm("test_vit"),
    "test_resnet": _timm("test_resnet", ":act_layer=leaky_relu"),
    "MobileNetV2": Place(
        "planted-keras", ":alpha=0.35",
        ("keras:MobileNetV2:alpha=0.35", "torchvision:mobilenet_v2:width_mult=0.35", "timm:mobilenetv2_035"),
    ),
    "EfficientNetB0": Place("planted-keras", "", ("keras:EfficientNetB0", "torchvision:efficientnet_b0")),
    # on TensorFlow its grouped convolutions take minutes a pass in float64
    "ConvNeXtTiny": Place("planted-keras@torch", "", ("keras@torch:ConvNeXtTiny", "torchvision:convnext_tiny")),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Two sides, and what an investigation should say of them."""

    kind: Kind
    number: int
    faults: tuple[str, ...]
    left: str
    right: str
    recipe: str
    size: int
    seed: int  # of the weights, and of what the faults draw
    declared: tuple[str, ...] = ()  # conventions or a numeric mode of the right side

    @property
    def rung(self) -> str:
        """The first that should fail; empty: none."""
        rungs = [catalogue()[name].rung for name in self.faults]
        return min((rung for rung in rungs if rung), key=RUNGS.index, default="")

    @property
    def axes(self) -> frozenset[str]:
        """The conventions that should be named."""
        return frozenset(axis for name in self.faults if (axis := catalogue()[name].axis))

    @property
    def files(self) -> bool:
        """Whether the data set has to be encoded files."""
        return self.rung == "decoded bytes"

    @property
    def sides(self) -> tuple[Side, Side]:
        modes = {text.partition("=")[2] for text in self.declared if text.startswith("numeric_mode=")}
        axes = [text for text in self.declared if not text.startswith("numeric_mode=")]
        left = Side(model=self.left, checkpoint=f"random:{self.seed}", conventions="identical")
        right = Side(
            model=self.right, checkpoint=f"random:{self.seed}", conventions=",".join(["identical", *axes]),
            numeric_mode=modes.pop() if modes else "float64",  # type: ignore[arg-type]
        )  # fmt: skip
        return left, right

    @property
    def protocol(self) -> Protocol:
        return protocol(f"planted-{self.recipe}", self.recipe, self.size, frozen="last:2")


def draw(seed: int) -> list[Case]:
    """SINGLES faults, as many of each category as can be and none twice; PAIRS of two that are conventions; CLEAN."""
    stream_ = np.random.default_rng(seed)
    return [*_singles(stream_), *_pairs(stream_), *_clean(stream_)]


def only(names: Sequence[str], seed: int) -> list[Case]:
    """One case for each fault named. KeyError: there is none of that name."""
    stream_ = np.random.default_rng(seed)
    return [_case("single", number, (catalogue()[name],), stream_) for number, name in enumerate(names)]


def _singles(stream_: np.random.Generator) -> Iterator[Case]:
    known = [fault for fault in catalogue().values() if fault.rung]
    left = {category: [fault for fault in known if fault.category == category] for category in CATEGORIES}
    for number in range(SINGLES):
        faults = left[CATEGORIES[number % len(CATEGORIES)]] or max(left.values(), key=len)
        yield _case("single", number, (faults.pop(int(stream_.integers(len(faults)))),), stream_)


def _pairs(stream_: np.random.Generator) -> Iterator[Case]:
    # the last was named later than the first seeds were drawn, which draw the same pairs to this day
    alone = (None, "numeric_mode", "gradients_cleared")
    named = [fault for fault in catalogue().values() if fault.axis not in alone]
    seen: set[frozenset[str]] = set()
    while len(seen) < PAIRS:
        first, second = (named[int(place)] for place in stream_.choice(len(named), 2, replace=False))
        fits = first.axis != second.axis and _shared(first.models, second.models)
        if fits and _shared(first.recipes, second.recipes) and frozenset((first.name, second.name)) not in seen:
            yield _case("pair", len(seen), (first, second), stream_)
            seen.add(frozenset((first.name, second.name)))


def _clean(stream_: np.random.Generator) -> Iterator[Case]:
    """Sound models of two libraries, and copies with nothing planted or with the optimizer rewritten."""
    for number in range(CLEAN):
        name = _one(stream_, list(PLACES))
        place, recipe = PLACES[name], _one(stream_, list(OPTIMIZERS))
        rewritten = "rewritten" if place.adapter in ("planted", "planted-timm") and recipe != "frozen" else "none"
        copy = f"{place.adapter}:{name}:fault={rewritten}{place.options}"
        left, right = (str(each) for each in stream_.choice([*place.references, copy], 2, replace=False))
        yield Case("clean", number, (), left, right, recipe, place.size, int(stream_.integers(1000)))


def _case(kind: Kind, number: int, faults: tuple[Fault, ...], stream_: np.random.Generator) -> Case:
    models, recipes = (_shared(*(getattr(fault, which) for fault in faults)) for which in ("models", "recipes"))
    name, recipe, seed = _one(stream_, models), _one(stream_, recipes), int(stream_.integers(1000))
    place = PLACES[name]
    planted = "+".join(fault.name for fault in faults if fault.target != "declared") or "none"
    return Case(
        kind, number, tuple(fault.name for fault in faults), _one(stream_, place.references),
        f"{place.adapter}:{name}:fault={planted}:draw={seed}{place.options}", recipe, place.size, seed,
        tuple(fault.plant(stream(fault.name, seed)) for fault in faults if fault.target == "declared"),
    )  # fmt: skip


def _shared(*lists: Sequence[str]) -> list[str]:
    return [thing for thing in lists[0] if all(thing in others for others in lists[1:])]


def _one(stream_: np.random.Generator, things: Sequence[Thing]) -> Thing:
    return things[int(stream_.integers(len(things)))]
