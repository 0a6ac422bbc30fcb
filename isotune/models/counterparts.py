"""Which models are counterparts: one architecture in several libraries."""

from __future__ import annotations

from dataclasses import dataclass

from isotune import names
from isotune.errors import UsageError, nearest
from isotune.models.catalogue import Entry, catalogue

SIZE = (45, 51)  # height and width: odd and oblong; strides meet odd and even maps on the way down
SIZES = {  # of architectures that this is too small for
    "inception_resnet_v2": (77, 99),  # takes no less than 75 pixels
    # at 77x99 its last maps are one pixel, and BatchNorm over five values magnifies rounding
    "inception_v3": (107, 139),
    # Keras's adaptive average to 7x7 takes no smaller map, and of a larger one timm's classifier is convolved instead
    "vgg16": (225, 251),
    "vgg19": (225, 251),
    "xception": (77, 99),  # takes no less than 71 pixels
}
BATCH = 5
BATCHES = {"vgg16": 2, "vgg19": 2}  # large images; without BatchNorm two show what five do
# TensorFlow's grouped convolution, which Keras's ConvNeXts use, takes minutes a pass in float64 on the CPU.
ENGINES = {"convnext": "keras@torch"}


@dataclass(frozen=True)
class Family:
    """An architecture of Keras and its counterparts."""

    architecture: str
    first: str  # keras:MobileNetV2
    others: tuple[str, ...]  # timm's, torchvision's; none: there is no counterpart


def families() -> list[Family]:
    """Every architecture of keras.applications, with one counterpart of each other library that has any."""
    entries = catalogue(["keras", "timm", "torchvision"])
    by_architecture: dict[str, dict[str, list[str]]] = {}
    for entry in entries:
        adapter, _, name = entry.model.partition(":")
        found = by_architecture.setdefault(entry.architecture, {}).setdefault(adapter, [])
        if name not in found:
            found.append(name)
    found_families = []
    for architecture, models in by_architecture.items():
        for keras in models.get("keras", ()):
            library = next((engine for start, engine in ENGINES.items() if architecture.startswith(start)), "keras")
            others = [
                f"{adapter}:{_nearest(models[adapter])}" for adapter in ("timm", "torchvision") if adapter in models
            ]
            found_families.append(Family(architecture, f"{library}:{keras}", tuple(others)))
    return sorted(found_families, key=lambda family: family.first)


def _nearest(models: list[str]) -> str:
    """Of timm's models of one architecture that with TensorFlow's conventions (tf_), else the first by name."""
    return min(models, key=lambda name: (not name.startswith("tf_"), name))


def check_pair(left: str, right: str, *, may_be_equal: bool = False) -> Family:
    """Two models of one architecture. UsageError: they are not, with the pairs that exist."""
    first, second = (names.parse(model) for model in (left, right))
    if str(first) == str(second) and not may_be_equal:
        raise UsageError(f"{left} twice is no pair; a pair is two libraries', or two engines': keras@jax")
    for name in (first, second):
        if names.is_file(name.name):
            raise UsageError(
                f"{name} is of no architecture that is known; isotune investigate compares it with another"
            )
    entries = catalogue(sorted({first.adapter, second.adapter}))
    ours, theirs = (_architecture(name, entries) for name in (first, second))
    if ours != theirs:
        exist = [*_counterparts(ours, catalogue()), *_counterparts(theirs, catalogue())]
        raise UsageError(
            f"{left} is {ours} and {right} is {theirs}, no pair; pairs of theirs: {'; '.join(exist) or 'none'};"
            " isotune parity --list names those of Keras"
        )
    return Family(ours, str(first), (str(second),))


def _architecture(name: names.ModelName, entries: list[Entry]) -> str:
    """UsageError: the library has no such model."""
    found = {entry.model: entry.architecture for entry in entries if entry.model.startswith(f"{name.adapter}:")}
    plain = name.name.partition(".")[0] if name.adapter == "timm" else name.name
    if (model := f"{name.adapter}:{plain}") in found:
        return found[model]
    if name.name.startswith("hf-hub:"):
        return name.name
    raise UsageError(
        f"{name.adapter} has no model {name.name!r}; {nearest(name.name, (m.partition(':')[2] for m in found))}"
    )


def _counterparts(architecture: str, entries: list[Entry]) -> list[str]:
    """The models of an architecture in one line, when there are several."""
    models = list(dict.fromkeys(entry.model for entry in entries if entry.architecture == architecture))
    return [" = ".join(models)] if len(models) > 1 else []
