"""Recordings of both sides: their workers are asked once for each thing, and what they wrote is kept in folders.

A worker whose answer nobody waits for is asked ahead for what will be needed.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any, Protocol, TypeVar

import numpy as np

from isotune import names
from isotune.comparison import input_scaling, requests
from isotune.comparison.observations import Observations
from isotune.comparison.pairing import Pairing, Place, pair
from isotune.comparison.sides import ONE_AT_A_TIME, Inputs, Part, Request, Side
from isotune.conventions import AXES
from isotune.errors import UsageError, WorkerFailure
from isotune.investigation._images import Batch
from isotune.investigation._left_out import without
from isotune.investigation._rung_specs import SETTINGS
from isotune.investigation.findings import SIDES, SetAlike
from isotune.models import layouts
from isotune.protocols import relevant_axes
from isotune.weights import Weights
from isotune.workers.turns import Turns

Array = np.ndarray
T = TypeVar("T")
Question = tuple[Side, Part, str, Mapping[str, Any]]  # of one side: how set up, which part, of which images, what else


class Answering(Protocol):
    """A worker, or a dump in its place."""

    def ask(self, do: Callable[..., Any], **request: Any) -> Any:
        """UsageError, WorkerFailure: it cannot."""

    def end(self) -> None:
        """Answer nothing any more."""


class Recordings:
    """Two sides, what answers for them, and what they have shown so far."""

    def __init__(
        self,
        sides: Mapping[str, Side],
        inputs: Inputs,
        batch: Batch,
        workers: Mapping[str, Answering],
        scratch: Path,
        left_images: Path | None = None,  # of a dump; else the batch's, as the left side makes them
    ) -> None:
        self.sides, self.inputs, self.batch = dict(sides), inputs, batch
        self.left_is_dump = left_images is not None
        self._workers, self._scratch, self._left_images = workers, scratch, left_images
        self._kept: dict[tuple[object, ...], Path] = {}
        self._count = count(1)
        self._turns = {which: Turns() for which in sides}
        self._ahead: list[Thread] = []
        self._closed = False
        self._took: dict[tuple[str, Part], float] = {}
        self.described: dict[str, dict[str, Any]] = {}
        self.pairing = Pairing({})

    def describe(self) -> None:
        """What each side is, asked of both workers at once; again of one that is to keep its own input scaling."""

        def ask(which: str) -> tuple[str, dict[str, Any]]:
            side = self.sides[which]
            answer = self._workers[which].ask(
                requests.describe, side=side.model_dump(), inputs=self.inputs.model_dump()
            )
            return which, answer | {"axes": answer["axes"] | self._settings(which)}

        self.described = dict(self._at_once(ask, list(self.sides)))
        if scaling := self._own_scalings():
            self.sides |= {
                which: self.sides[which].under({input_scaling.AXIS: input_scaling.INSIDE}) for which in scaling
            }
            self.described |= dict(self._at_once(ask, scaling))
        self._pair()

    def _own_scalings(self) -> list[str]:
        """The sides that get another scaling than they have inside, and are to keep it."""
        own = {which: self.described[which].get("own", {}) for which in SIDES}
        return [
            which
            for which, other in zip(SIDES, reversed(SIDES), strict=True)
            if input_scaling.keeps_its_own(self.sides[which], own[which], own[other])
            and self.axes(which)[input_scaling.AXIS] != own[which][input_scaling.AXIS]
            and not (which == "left" and self.left_is_dump)
        ]

    def _pair(self) -> None:
        """Have the right side's layers called as the left's are. UsageError: they are two architectures."""
        left, right = (
            [Place.model_validate(place) for place in self.described[which].get("places", ())] for which in self.sides
        )
        if not (left and right):  # a dump from before they were written down
            return
        library = all(not names.is_file(side.model.partition(":")[2]) for side in self.sides.values())
        try:
            self.pairing = pair(
                left, right, [each["architecture"] for each in self.described.values()] if library else ()
            )
        except UsageError as error:
            raise UsageError(f"{self.sides['left'].model} and {self.sides['right'].model}: {error}") from None
        called = self.pairing.names
        for known in ("layers", "between", "inputs"):
            named = self.described["right"].get(known, {}).items()
            self.described["right"][known] = {called.get(name, name): own for name, own in named}
        for limit in self.described["right"].get("limits") or ():
            limit["after"] = [called.get(name, name) for name in limit["after"]]
        feeding = self.described["right"]["inputs"]
        self.described["right"]["inputs"] = {
            name: [called.get(each, each) for each in inputs] for name, inputs in feeding.items()
        }

    def trained(self) -> tuple[str, ...] | None:
        """The layers that a step trains on either side, as the left side's blocks say; None: a dump of before does not
        say. UsageError: it has no such."""
        trained: list[str] | str | None = self.described["left"].get("trained")
        if isinstance(trained, str):
            raise UsageError(f"{self.sides['left'].model}: {trained}; give a protocol that trains head or all")
        return None if trained is None else tuple(trained)

    def _settings(self, which: str) -> dict[str, Any]:
        """The side's SETTINGS. A layout is compared between sides of one library only: no other has the same ones."""
        side = self.sides[which]
        alike = len({each.adapter for each in self.sides.values()}) == 1
        layout = layouts.resolved(side.layout, side.adapter) if alike else None
        return {name: getattr(side, name) for name in SETTINGS} | {"layout": layout}

    def axes(self, which: str) -> dict[str, Any]:
        axes: dict[str, Any] = self.described[which]["axes"]
        return axes

    def set_alike(self) -> tuple[SetAlike, ...]:
        """The axes that matter here in which the sides differ by themselves, and now do not; a scaling that either side
        has of its own too, where nobody knows the other's. Arrays are not decoded. A dump of before does not say what
        its side had by itself."""
        axes, own = ([self.described[which].get(key, {}) for which in SIDES] for key in ("axes", "own"))
        alike = []
        for axis in [axis for axis in AXES if axis in relevant_axes([self.inputs.stage])]:
            now = [each.get(axis) for each in axes]
            before = [None if AXES[axis].leaves_open(value := each.get(axis)) else value for each in own]
            known = [value for value in before if value is not None]
            enough = len(set(known)) == 2 or (axis == "input_scaling" and len(known) == 1 and known[0] != now[0])
            if now[0] == now[1] and enough and (axis != "decode" or self.batch.encoded):
                alike.append(SetAlike(axis=axis, value=now[0], own=(before[0], before[1])))
        return tuple(alike)

    def names(self) -> dict[str, tuple[str, str]]:
        """Layer -> what each library calls it."""
        left, right = (self.described[which]["layers"] for which in ("left", "right"))
        return {name: (left.get(name, ""), right.get(name, "")) for name in dict.fromkeys([*left, *right])}

    def between(self, layer: str) -> str:
        """What stands between a layer and those that feed it, where either side has operations there:
        "AvgPool2D (left) and AveragePooling2D (right) between 003.norm and it". Empty: nothing, or it is not known."""
        operations_of = {which: self.described[which].get("between", {}).get(layer, ()) for which in SIDES}
        if not any(operations_of.values()):
            return ""
        said = [f"{', '.join(operations) or 'nothing'} ({which})" for which, operations in operations_of.items()]
        before = next((b for which in SIDES if (b := self.described[which].get("inputs", {}).get(layer))), ())
        both = self.names()
        feeding = [" = ".join(filter(None, dict.fromkeys(both.get(each, ())))) or each for each in before]
        return f"{' and '.join(said)} between {', '.join(feeding) or 'what feeds it'} and it"

    def images(self, which: str, flipped: Mapping[str, Any] | None = None) -> str:
        """The file of the images as a side decodes and resizes them; flipped: axes of it that are otherwise."""
        if which == "left" and self._left_images is not None:
            return str(self._left_images)
        axes = self.axes(which) | dict(flipped or {})
        path = self._scratch / f"images-{axes['decode']}-{axes['resize']}.npy"
        if not path.exists():
            np.save(path, self.batch.pixels(axes["decode"], axes["resize"]))
        return str(path)

    def keep(self, images: Array) -> str:
        """A file of other images, for a question that is not asked again."""
        path = self._scratch / f"{next(self._count):04d}.npy"
        np.save(path, images)
        return str(path)

    def labels(self) -> str:
        path = self._scratch / "labels.npy"
        if not path.exists():
            np.save(path, self.batch.labels())
        return str(path)

    def weights(self, left: Side) -> str:
        """The file of the left side's tensors."""
        path = self._scratch / "left.safetensors"
        if not path.exists():
            seen = Observations(self.of("left", left, "weights", ""))
            Weights({name: np.asarray(array) for name, array in seen.items()}).write(path)
        return str(path)

    def of(self, which: str, side: Side, part: Part, images: str, **given: Any) -> Path:
        """The folder of what a side shows, from an earlier recording where there is one. given: fields of a `Request`,
        and what of the protocol is left out."""
        asked = side, part, images, given
        if (known := self._kept.get(_key(which, asked))) is not None:
            return known
        with self._turns[which].now():
            return self._recorded(which, asked)

    def _recorded(self, which: str, asked: Question) -> Path:
        """Whoever has the turn."""
        key = _key(which, asked)
        if key not in self._kept:
            side, part, images, given = asked
            left_out = given.get("left_out", ())
            folder = self._scratch / f"{next(self._count):04d}-{which}"
            called = self.pairing.names if which == "right" and self.pairing.shifts else {}
            trained = self.trained() if which == "right" and part in ("step", "drift") else None
            request = Request(
                side=side, inputs=without(self.inputs, left_out), part=part, images=images, labels=self.labels(),
                trained=trained, names=dict(called),
                **{name: value for name, value in given.items() if name != "left_out"},
            )  # fmt: skip
            began = time.perf_counter()
            self._workers[which].ask(requests.record, request=request.model_dump(), folder=str(folder))
            self._took.setdefault((which, part), time.perf_counter() - began)
            self._kept[key] = folder
        return self._kept[key]

    def ahead(self, which: str, asked: Iterable[Question]) -> None:
        """Have a side record what will be needed, while nobody waits for another answer of its. What fails is left for
        whoever needs it."""
        wanted = list(asked)
        self.labels()  # once

        def go_ahead() -> None:
            with suppress(UsageError, WorkerFailure):
                for each in wanted:
                    with self._turns[which].ahead():
                        if self._closed:
                            return
                        self._recorded(which, each)

        if not (self._large or self._closed):
            self._ahead.append(Thread(target=go_ahead, daemon=True))
            self._ahead[-1].start()

    def close(self) -> None:
        """Ask nothing ahead any more; when this returns, no worker is at work."""
        self._closed = True
        for thread in self._ahead:
            thread.join()

    def both(self, left: Question, right: Question) -> tuple[Path, Path]:
        """The folders of what both show, recorded at the same time where both have the room."""
        asked = {"left": left, "right": right}
        self.labels()  # once

        def of(which: str) -> Path:
            side, part, images, given = asked[which]
            return self.of(which, side, part, images, **given)

        ours, theirs = map(of, asked) if self._large else self._at_once(of, list(asked))
        return ours, theirs

    @property
    def _large(self) -> bool:
        """Whether two workers with such networks at work would not fit into memory."""
        return any(each.get("parameters", 0) > ONE_AT_A_TIME for each in self.described.values())

    def _at_once(self, ask: Callable[[str], T], sides: Sequence[str]) -> list[T]:
        with ThreadPoolExecutor(len(sides)) as pool:
            try:
                return list(pool.map(ask, sides))
            except KeyboardInterrupt:  # workers do not end by themselves, and the pool waits for its threads
                for worker in self._workers.values():
                    worker.end()
                raise

    def took(self, which: str, part: Part) -> float:
        """Seconds of a side's first answer about a part, what it compiled for it included; 0 before."""
        return self._took.get((which, part), 0.0)

    def kept(self) -> frozenset[Path]:
        """The folders that there are so far."""
        return frozenset(list(self._kept.values()))  # at once: what is asked ahead may be added meanwhile

    def forget(self, folder: Path) -> None:
        for key, path in list(self._kept.items()):
            if path == folder:
                del self._kept[key]
        shutil.rmtree(folder, ignore_errors=True)


def _key(which: str, asked: Question) -> tuple[object, ...]:
    side, part, images, given = asked
    return (which, side, part, images, *sorted((name, value) for name, value in given.items() if value))
