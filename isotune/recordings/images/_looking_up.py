"""Recorded images looked up among a data set's: what a loop of its own order does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from isotune.conventions import Conventions
from isotune.data import Dataset, inputs
from isotune.protocols import Protocol
from isotune.recordings._comparison import Cause, Outcome
from isotune.recordings._fingerprints import values
from isotune.recordings.images._seen import SCALINGS, Seen, apart, scaled, wrong_labels
from isotune.recordings.images._streams import SEEDS

Array = np.ndarray
_MOST = 300_000_000  # bytes of a split that is looked through


def looked_up(
    seen: Mapping[int, Seen], protocol: Protocol, dataset: Dataset, conventions: Conventions, an_epoch: int
) -> Outcome:
    def view(split: str) -> tuple[Array, Array]:
        return inputs(dataset, split, protocol.images, protocol.input, resize=conventions.resize)  # type: ignore[arg-type]

    pixels, labels = view("train")
    if pixels.nbytes > _MOST:
        return Outcome(unknown=(f"the order of the images (none of seeds 0 to {SEEDS[-1]})",))
    numbered, mirrored, clear = _numbers(seen, pixels)
    total = sum(map(len, numbered.values()))
    lost = sum(int((numbers < 0).sum()) for numbers in numbered.values())
    if lost:
        of_test = _numbers(seen, view("test")[0])[0] if len(dataset.test.labels) else {}
        in_test = sum(
            int(((numbers < 0) & (of_test[step] >= 0)).sum()) for step, numbers in numbered.items() if of_test
        )
        if in_test:
            words = f"{in_test} of {total} images are of the data set's test split"
            return Outcome((Cause(name="images", rung="batch", left="test", right="train", words=words),))
        if 2 * lost > total:
            words = f"{lost} of {total} are none of {dataset.name}'s as the protocol makes them"
            return Outcome(unknown=(f"the order of the images ({words}; name the loop's own with --dataset)",))
        words = f"{lost} of {total} images are none of the {len(labels)} that the protocol trains on"
        return Outcome((Cause(name="images", rung="batch", left=lost, right=0, words=words),))
    causes = list(_ordered(numbered, clear, an_epoch))
    if mirrored and not protocol.augmentation.horizontal_flip:
        words = f"{mirrored} of {total} images are mirrored, which the protocol does to none"
        causes.append(Cause(name="augmentation", rung="batch", left=mirrored, right=0, words=words))
    sure = {step: replace(each, labels=np.where(clear[step], each.labels, labels[numbered[step]]))
            if each.labels is not None else each for step, each in seen.items()}  # fmt: skip
    causes += wrong_labels(sure, {step: labels[numbers] for step, numbers in numbered.items()})
    own = f"the order of the images (shuffled, and none of the protocol's of seeds 0 to {SEEDS[-1]})"
    images = f"the images ({total} of the protocol's)"
    return Outcome(tuple(causes), () if causes else (images,), () if causes else (own,))


_Numbers = tuple[dict[int, Array], int, dict[int, Array]]


def _numbers(seen: Mapping[int, Seen], pixels: Array) -> _Numbers:
    """Of every step's images the numbers in a split, -1 where they are not in it; how many are mirrored; and of every
    step's images, whether no other of the split looks like it."""
    best: _Numbers = {step: np.full(len(each.values), -1) for step, each in seen.items()}, 0, {}
    for scaling in SCALINGS:
        known, turned = (_in_parts(side, scaling) for side in (pixels, pixels[:, :, ::-1]))
        numbers, clear, mirrored = dict[int, Array](), dict[int, Array](), 0
        for step, each in seen.items():
            (straight, once), (flipped, only) = _nearest(each.values, known), _nearest(each.values, turned)
            numbers[step] = np.where(straight >= 0, straight, flipped)
            clear[step] = np.where(straight >= 0, once, only)
            mirrored += int(((straight < 0) & (flipped >= 0)).sum())
        if _count(numbers) > _count(best[0]):
            best = numbers, mirrored, clear
        if _count(numbers) == sum(map(len, numbers.values())):
            break
    return best


def _count(numbers: Mapping[int, Array]) -> int:
    return sum(int((each >= 0).sum()) for each in numbers.values())


def _in_parts(pixels: Array, scaling: str, part: int = 256) -> Array:
    return np.concatenate(
        [values(scaled(pixels[start : start + part], scaling)) for start in range(0, len(pixels), part)]
    )


def _nearest(ours: Array, known: Array) -> tuple[Array, Array]:
    """Numbers, -1 where there is none, and whether there is only one."""
    rows = [apart(ours[place : place + 1], known)[0] for place in range(len(ours))]  # one by one: a split is large
    numbers = [int(row.argmin()) if row.min() <= 1 else -1 for row in rows]
    return np.array(numbers), np.array([int((row <= 1).sum()) == 1 for row in rows])


def _ordered(numbered: Mapping[int, Array], clear: Mapping[int, Array], an_epoch: int) -> Iterator[Cause]:
    """What is wrong with an order, whatever drew it."""
    size = max(map(len, numbered.values()))
    first = min(numbered)
    words = ""
    twice = _twice({step: numbers[clear[step]] for step, numbers in numbered.items()}, an_epoch)
    again = next((step for step in numbered if step + an_epoch in numbered
                  and np.array_equal(numbered[step], numbered[step + an_epoch])), None)  # fmt: skip
    if all(np.array_equal(each, np.arange(len(each)) + (step % an_epoch) * size) for step, each in numbered.items()):
        words = "the images come in the data set's own order: they are not shuffled"
    elif twice is not None:
        words = f"image {twice} comes twice in one epoch: the protocol draws each once"
    elif again is not None:
        words = f"steps {again} and {again + an_epoch} have the same images: every epoch has one order"
    if words:
        yield Cause(name="order", rung="batch", left="the loop's", right="shuffled anew in every epoch",
                    words=f"{words}, where the protocol shuffles anew in every epoch" if twice is None else words,
                    steps=(first,))  # fmt: skip


def _twice(numbered: Mapping[int, Array], an_epoch: int) -> int | None:
    """An image that is in one epoch more than once."""
    epochs: dict[int, list[int]] = {}
    for step, numbers in numbered.items():
        epochs.setdefault(step // an_epoch, []).extend(numbers.tolist())
    for drawn in epochs.values():
        kept, counts = np.unique(drawn, return_counts=True)
        if (counts > 1).any():
            return int(kept[counts > 1][0])
    return None
