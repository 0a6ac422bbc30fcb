"""Which models are counterparts: one architecture in several libraries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from isotune import names
from isotune.errors import UnknownModel, UsageError, listed, nearest
from isotune.models.catalogue import Entry, catalogue
from isotune.models.hints import completed

SIZE = (45, 51)  # height and width: odd and oblong; strides meet odd and even maps on the way down
_WINDOWS = (224, 448)  # where the maps are no whole number of windows, the libraries pad at different places
_VGG = (225, 251)  # an adaptive average to 7x7 takes no smaller map, and of a larger one the classifier is convolved
SIZES = {  # of architectures that this is too small for, or that take some sizes only
    # at 45x51 their last maps are one pixel: BatchNorm over five values magnified rounding to 3e-2 in ten steps, which
    # at this size is 6e-13
    **{f"densenet{layers}": (77, 99) for layers in (121, 161, 169, 201)},
    "inception_resnet_v2": (77, 99),  # takes no less than 75 pixels
    # at 77x99 its last maps are one pixel, and BatchNorm over five values magnifies rounding
    "inception_v3": (107, 139),
    **{f"vgg{layers}{norm}": _VGG for layers in (11, 13, 16, 19) for norm in ("", "_bn")},
    # torchvision's take squares of whole patches only: three patches each way
    **{f"vit_{size}_{patch}": (3 * patch, 3 * patch) for size in "blh" for patch in (14, 16, 32)},
    **{f"swin_{size}": _WINDOWS for size in "tsb"},
    **{f"swin_v2_{size}": (256, 512) for size in "tsb"},
    "xception": (77, 99),  # takes no less than 71 pixels
}
BATCH = 5
BATCHES = {  # large images; without BatchNorm two show what five do
    architecture: 2 for architecture in SIZES if architecture.startswith(("vgg", "swin")) and "bn" not in architecture
}


@dataclass(frozen=True)
class Family:
    """One model and its counterparts in other libraries."""

    architecture: str
    first: str  # adapter[@engine]:name
    others: tuple[str, ...]  # one a library; none: there is no counterpart
    parameters: int | None = None  # of the first, as its library says
    searched: tuple[str, ...] = ()  # the libraries in which counterparts were looked for
    unlike: str = ""  # why what comes nearest there is none


def searching(libraries: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
    """The libraries whose architectures are looked for in others, and in which: the first of `libraries` in the rest;
    of none, what adapters say (`Adapter.counterparts`), as far as it is installed.

    UsageError: a library is unknown, or is named twice, or is the only one."""
    known = {adapter: facts for adapter in sorted(names.adapters()) if (facts := names.facts(adapter))}
    if libraries:
        for library in libraries:
            if library not in known:
                raise UsageError(f"library {library!r} is unknown; {nearest(library, known)}")
        if len(set(libraries)) < 2 or len(set(libraries)) < len(libraries):
            raise UsageError(f"libraries {','.join(libraries)}: name two or more, each once, of {', '.join(known)}")
        return {libraries[0]: tuple(libraries[1:])}
    return {
        adapter: others
        for adapter, facts in known.items()
        if (others := tuple(other for other in facts.counterparts if other in known))
    }


def families(libraries: Sequence[str] = ()) -> list[Family]:
    """Every model of the libraries that look for counterparts (`searching`), with one model of each library that has
    any."""
    return sorted(
        (family for adapter, others in searching(libraries).items() for family in _families(adapter, others)),
        key=lambda family: family.first,
    )


def _families(adapter: str, others: tuple[str, ...]) -> Iterator[Family]:
    by_architecture: dict[str, dict[str, list[str]]] = {}
    parameters: dict[str, int | None] = {}
    for entry in catalogue([adapter, *others]):
        library, _, name = entry.model.partition(":")
        models = by_architecture.setdefault(entry.architecture, {}).setdefault(library, [])
        if name not in models:
            models.append(name)
        parameters[entry.model] = entry.parameters
    known = {name: names.adapter_class(name) for name in (adapter, *others)}  # a look-up reads what is installed
    for architecture, models_of in by_architecture.items():
        counterparts = tuple(
            f"{other}:{known[other].representative(models_of[other])}" for other in others if other in models_of
        )
        engine = known[adapter].engine_for_proofs(architecture)
        library = f"{adapter}@{engine}" if engine else adapter
        unlike = "" if counterparts else known[adapter].unlike.get(architecture, "")
        for name in models_of.get(adapter, ()):
            count = parameters[f"{adapter}:{name}"]
            yield Family(architecture, f"{library}:{name}", counterparts, count, others, unlike)


def check_pair(left: str, right: str, *, may_be_equal: bool = False) -> Family:
    """Two models of one architecture. UsageError: they are not, with the pairs that exist."""
    first, second = (names.parse(model) for model in (left, right))
    if str(first) == str(second) and not may_be_equal:
        raise UsageError(f"{left} twice is no pair; a pair is two libraries', or two engines'")
    for name in (first, second):
        if names.is_file(name.name):
            raise UsageError(
                f"{name} is of no architecture that is known; isotune investigate compares it with another"
            )
    entries = catalogue(sorted({first.adapter, second.adapter}))
    ours, theirs = (_architecture(name, entries) for name in (first, second))
    if ours != theirs:
        exist = [*_counterparts(ours, catalogue()), *_counterparts(theirs, catalogue())]
        unlike = [why for name in (first, second) for why in _unlike(name.adapter, {ours, theirs})]
        raise UsageError(
            f"{left} is {ours} and {right} is {theirs}, no pair; pairs of theirs: {'; '.join(exist) or 'none'};"
            f" isotune parity --list names them{''.join(f'; {why}' for why in unlike)}"
        )
    listed_as = f"{first.adapter}:{names.adapter_class(first.adapter).split_name(first.name)[0]}"
    parameters = next((entry.parameters for entry in entries if entry.model == listed_as), None)
    return Family(ours, str(first), (str(second),), parameters)


def _architecture(name: names.ModelName, entries: list[Entry]) -> str:
    """UsageError: the library has no such model."""
    known = {entry.model: entry.architecture for entry in entries if entry.model.startswith(f"{name.adapter}:")}
    library = names.adapter_class(name.adapter)
    plain, _ = library.split_name(name.name)
    if (model := f"{name.adapter}:{plain}") in known:
        return known[model]
    if library.is_remote(name.name):
        return name.name
    raise completed(UnknownModel(name.adapter, name.name, (model.partition(":")[2] for model in known)))


def _unlike(adapter: str, architectures: set[str]) -> list[str]:
    """What the library says of why architectures of its have no counterpart."""
    known = names.adapter_class(adapter).unlike
    return [known[architecture] for architecture in sorted(architectures) if architecture in known]


def _counterparts(architecture: str, entries: list[Entry]) -> list[str]:
    """The models of an architecture in one line, when there are several."""
    models = list(dict.fromkeys(entry.model for entry in entries if entry.architecture == architecture))
    return [listed(models, between=" = ")] if len(models) > 1 else []
