"""What one side shows, kept in a folder, for the day when the other side runs on another machine.

    FOLDER/dump.json     the side, what it was given, what it is
    FOLDER/images.npy, labels.npy
    FOLDER/PART/         observations of every part; PART-permuted/ with the batch in reverse
    FOLDER/seal.json     digests of all of them

A dump answers as a worker would, as long as it is asked what it holds: it stands for the left side, in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from isotune import cache, data, places, reading, sealing
from isotune.comparison import observations, requests
from isotune.comparison.sides import Inputs, Part, Request, Side
from isotune.conventions import completed, upgraded_spec
from isotune.errors import UsageError
from isotune.investigation._images import Batch
from isotune.progress import Progress, untold
from isotune.protocols import Protocol
from isotune.workers.process import Workers

PREFIX = "dump:"
SEALED = 4  # the first version that is sealed
_FILE = "dump.json"


class DumpContents(BaseModel):
    """`dump.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[2, 3, 4, 5] = 5  # 2 has earlier names of axes; before 4 it was not sealed; 5 has a file a part
    side: Side
    inputs: Inputs
    dataset: str
    dataset_digest: str
    protocol: Protocol
    images: int
    described: dict[str, Any]


def write_dump(
    side: Side,
    inputs: Inputs,
    dataset: data.Dataset,
    recipe: Protocol,
    images: int,
    folder: Path,
    *,
    ask: Callable[..., Any] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write everything that an investigation asks of its left side; the folder. It is whole when dump.json is there.

    ask: what asks the side's worker, where one runs already. progress: (what, done, total).
    UsageError: the folder exists and is no dump, or the side is not in float64.
    """
    if side.numeric_mode != "float64" or side.compiled:
        raise UsageError("a dump is of the reference, which is in float64 and not compiled; leave the numeric mode out")
    places.check_folder(folder, "dump")
    if folder.exists() and any(folder.iterdir()) and not (folder / _FILE).exists():
        raise UsageError(f"{folder} holds something else; choose an empty folder")
    with ExitStack() as stack:
        if ask is None:
            pythons = {side.adapter: side.python} if side.python else None
            ask = stack.enter_context(Workers(threads=1, pythons=pythons))[side.adapter].ask
        described = ask(requests.describe, side=side.model_dump(), inputs=inputs.model_dump())
        contents = DumpContents(
            side=side.model_copy(update={"python": None}), inputs=inputs, dataset=dataset.name,
            dataset_digest=dataset.digest, protocol=recipe, images=images, described=described,
        )  # fmt: skip
        batch = Batch(dataset, recipe, images, own_classifier=inputs.classes is None)
        with cache.draft_folder(folder.absolute()) as draft:  # an earlier dump stays until this one is whole
            _write(side, contents, batch, draft, ask, progress or untold)
    return folder


def _write(
    side: Side,
    contents: DumpContents,
    batch: Batch,
    folder: Path,
    ask: Callable[..., Any],
    progress: Progress,
) -> None:
    axes = contents.described["axes"]
    np.save(folder / "images.npy", batch.pixels(axes["decode"], axes["resize"]))
    np.save(folder / "labels.npy", batch.labels())
    parts = [(part, permuted) for part in get_args(Part) for permuted in (False, True)]
    for number, (part, permuted) in enumerate(parts):
        progress(f"dump of {side.model}", number, len(parts))
        request = Request(
            side=side, inputs=contents.inputs, part=part, images=str(folder / "images.npy"),
            labels=str(folder / "labels.npy"), permuted=permuted,
        )  # fmt: skip
        ask(requests.record, request=request.model_dump(), folder=str(_place(folder, part, permuted)))
    (folder / _FILE).write_text(contents.model_dump_json(indent=1), encoding="utf-8")
    sealing.seal(folder)


class Dump:
    """A dump in a worker's place. UsageError: the folder is no dump, not whole, altered, or of another version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / _FILE).exists():
            raise UsageError(f"{folder} is no whole dump: it lacks {_FILE}; write it with 'isotune dump'")
        try:
            contents = DumpContents.model_validate_json(reading.content(folder / _FILE, 16 * reading.MIB))
        except ValidationError:
            raise UsageError(f"{folder / _FILE} is damaged or of another version; write the dump again") from None
        if contents.version >= SEALED:
            sealing.check(folder)
        then = {"conventions": upgraded_spec(contents.side.conventions)}
        if layout := contents.described["environment"].get("memory_format"):  # from before sides had a layout
            then["layout"] = layout
        side = contents.side.model_copy(update=then)
        described = contents.described | {"axes": completed(contents.described["axes"])}
        self.contents = contents.model_copy(update={"side": side, "described": described})

    def ask(self, do: Callable[..., Any], progress: object = None, **request: Any) -> Any:
        """As a worker would. UsageError: what the dump does not hold, a side under other conventions."""
        if do is requests.describe:
            return self.contents.described
        asked = Request.model_validate(request["request"])
        if asked.side.under({}) != self.contents.side.under({}) or asked.weights or asked.replaced:
            raise UsageError(
                f"the dump {self.folder} is of {self.contents.side.model} as it was, and cannot be changed"
            )
        observations.copy(_place(self.folder, asked.part, asked.permuted), Path(request["folder"]))
        return None

    def check_images(self, dataset: data.Dataset) -> None:
        """UsageError: the data set of this name has other images here than where the dump was made."""
        if dataset.digest != self.contents.dataset_digest:
            raise UsageError(
                f"{PREFIX}{self.folder} was made with other images: its {self.contents.dataset} has another digest than"
                " the one here"
            )


def _place(folder: Path, part: str, permuted: bool) -> Path:
    return folder / (part.replace(" ", "-") + ("-permuted" if permuted else ""))


def is_dump(model: str | Side | Dump) -> bool:
    """Whether a side is given as a dump: one, or `dump:FOLDER`."""
    return isinstance(model, Dump) or (isinstance(model, str) and model.startswith(PREFIX))


def dump_first(sides: Sequence[str | Side | Dump]) -> tuple[str | Side | Dump, str | Side]:
    """The dump first, since it is the reference. UsageError: both are dumps."""
    left, right = sides
    if is_dump(left) and is_dump(right):
        raise UsageError("two dumps cannot be compared: what one shows under the other's conventions is not in it")
    left, right = (right, left) if is_dump(right) else (left, right)
    assert not isinstance(right, Dump)
    return left, right
