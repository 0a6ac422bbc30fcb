"""What protocols and data sets there are: what each is, needs and costs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from isotune import data, protocols
from isotune.data.sources.naming import kinds
from isotune.errors import UsageError
from isotune.protocols import Protocol, Stage
from isotune.runs.training import steps_of


@dataclass(frozen=True)
class ListedProtocol:
    """A protocol that comes with isotune.

    needs: what a run of it takes; empty: any checkpoint, whose classifier is replaced, and any images. cost: what a run
    computes, as its file says; seconds are those of a network and a machine, and stand in reports.
    """

    name: str
    title: str
    size: int  # pixels, side of the network's input
    needs: str
    cost: str
    source: str


@dataclass(frozen=True)
class ListedDataset:
    """A kind of data set.

    name: as it is typed; PATH and NAME are to be filled in. needs: what is missing here, or to be given. state: whether
    it is prepared, and if not, whether it can be without network. images: of both parts; classes; bytes: on disk; None
    where it is not prepared.
    """

    name: str
    about: str
    needs: str
    state: str
    images: tuple[int, int] | None = None
    classes: int | None = None
    bytes: int | None = None


def list_protocols() -> list[ListedProtocol]:
    """The protocols that come with isotune, by name."""
    return [_protocol(protocols.load(name)) for name in protocols.names()]


def list_datasets() -> list[ListedDataset]:
    """Every kind of data set that isotune and installed packages have; nothing is fetched."""
    return [_dataset(name, kind.about, kind.packages, kind.completion, kind.is_whole) for name, kind in kinds().items()]


def _protocol(recipe: Protocol) -> ListedProtocol:
    needs = (
        "a checkpoint with its ImageNet classifier, and images of ImageNet's classes" if recipe.own_classifier else ""
    )
    return ListedProtocol(recipe.name, recipe.title, recipe.input.size, needs, _cost(recipe), recipe.source)


def _cost(recipe: Protocol) -> str:
    train, test = recipe.images.train, recipe.images.test
    tested = "all test images" if test is None else f"at most {test:,} test images"
    if recipe.own_classifier:
        return f"{tested} through the network, {1 + len(recipe.own_classifier.beside)} times"
    if recipe.probe:
        trained = "all training images" if train is None else f"at most {train:,} training images"
        return f"features of {trained} and {tested}, once for all seeds"
    trained = "; ".join(_stage(stage, train) for stage in recipe.stage)
    grid = recipe.selection.grid if recipe.selection else None
    if grid is None:
        return trained
    return f"{trained}, {len(grid.combinations) + grid.refit} times, to choose hyper-parameters"


def _stage(stage: Stage, images: int | None) -> str:
    what = "the head" if stage.trained == "head" else "all layers" if stage.trained == "all" else stage.trained
    if stage.steps is None and images is None:
        length = f"{stage.epochs} epoch{'' if stage.epochs == 1 else 's'}"
    else:
        steps = stage.steps or steps_of(stage, images or 0)[0]
        length = f"{steps:,} steps"
    return f"{length} of {stage.batch_size} images, {what}"


def _dataset(name: str, about: str, packages: Any, completion: str, whole: bool) -> ListedDataset:
    missing = [install for package, install in packages.items() if not _installed(package)]
    needs = [f"pip install {install}" for install in dict.fromkeys(missing)]
    if completion and not whole:
        needs.append("a folder or file of yours" if completion == "PATH" else "a name")
        return ListedDataset(f"{name}:{completion}", about, "; ".join(needs), "")
    try:
        state = data.describe(name)
        if not state.cached:
            said = "can be prepared offline" if state.offline and not missing else "to be downloaded"
            return ListedDataset(name, about, "; ".join(needs), said)
        kept = data.load(name, state.digest)
    except UsageError as error:
        if completion:
            return ListedDataset(name, about, "; ".join([*needs, f"a folder of yours, {name}:{completion}"]), "")
        return ListedDataset(name, about, "; ".join(needs), str(error))
    images = (len(kept.train), len(kept.test))
    size = sum(file.stat().st_size for file in Path(kept.folder).rglob("*") if file.is_file())
    return ListedDataset(name, about, "", "prepared", images, len(kept.classes), size)


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
