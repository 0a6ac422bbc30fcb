"""Whether the images that a loop saw are those that a protocol draws, in its order.

A recording has fingerprints of what entered the network. The protocol's own images of the same steps are made again, as
a run would (order and augmentation from a seed), scaled in every known way, and held against them. Where they are none
of its first seeds' streams, each recorded image is looked up among the data set's, so that what the loop does is told:
not shuffled, the same order in every epoch, images twice, of the test split, mirrored. An order of its own is no fault:
a protocol says that images are shuffled, and not by which generator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from isotune.conventions import Conventions, affine
from isotune.data import Dataset, inputs
from isotune.data.augmentation import Augmenter
from isotune.errors import UsageError
from isotune.protocols import Protocol
from isotune.recordings._comparison import Cause, Outcome
from isotune.recordings._fingerprints import values
from isotune.recordings._reading import Recording
from isotune.runs.training import sample_order, steps_of
from isotune.seeds import Seeds

Array = np.ndarray
SEEDS = range(10)  # whose streams are tried
_SCALINGS = ("none", "unit", "minus-one-to-one", "mean-std", "caffe")
_NEAR = 1e-3  # of the largest value that entered: two fingerprints of one image
_MOST = 300_000_000  # bytes of a split that is looked through


@dataclass(frozen=True)
class _Seen:
    """A recorded step: the values of its images' fingerprints [N, V], and their labels, where they are known."""

    values: Array
    labels: Array | None


def held_against(recording: Recording, protocol: Protocol, number: int, dataset: Dataset) -> Outcome:
    """number: of the stage, from 0; the first step that was watched is its first."""
    stage, size = protocol.stage[number], protocol.input.size
    seen = {step: each for step in recording.steps if (each := _seen(recording, step, size)) is not None}
    if not seen:
        return Outcome(unknown=("the order of the images (their fingerprints are of no maps of the protocol's size)",))
    if any(len(each.values) > stage.batch_size for each in seen.values()):
        return Outcome(unknown=("the order of the images (the size of the batches is another)",))
    conventions = Conventions.model_validate(protocol.conventions)
    try:
        augmenter = Augmenter(
            dataset, protocol.images, protocol.input, protocol.augmentation, resize=conventions.resize
        )
        streams = _Streams(augmenter, protocol, number, max(seen))
    except UsageError as error:
        return Outcome(unknown=(f"the order of the images ({error})",))
    for scaling in _SCALINGS:
        for seed in SEEDS:
            if (order := _as_drawn(seen, streams, seed, scaling)) is not None:
                said = f"the images and their order (the protocol's of seed {seed}; scaled {scaling}{order})"
                wanted = {step: augmenter.labels[streams.order(seed)[step][1]] for step in seen}
                return Outcome(tuple(_labels(seen, wanted)) if not order else (), (said,))
    if protocol.augmentation.random_resized_crop:
        return Outcome(unknown=(f"the order of the images (cropped at random, by none of seeds 0 to {SEEDS[-1]})",))
    return _looked_up(seen, protocol, dataset, conventions, steps_of(stage, len(augmenter))[1])


def _seen(recording: Recording, number: int, size: int) -> _Seen | None:
    passes = recording.steps[number].entry.passes
    if not passes or any(each.batch is None or each.batch.shape[1:] != (size, size, 3) for each in passes):
        return None
    rows = np.concatenate([np.array(each.batch.images) for each in passes if each.batch])
    labels = [each.labels for each in passes if each.labels is not None]
    flat = np.concatenate([np.array(each) for each in labels]) if len(labels) == len(passes) else None
    return _Seen(rows, flat if flat is not None and len(flat) == len(rows) else None)


class _Streams:
    """The protocol's images of every step of a stage, by seed."""

    def __init__(self, augmenter: Augmenter, protocol: Protocol, number: int, last: int) -> None:
        self._augmenter, self._stage, self._number, self._last = augmenter, protocol.stage[number], number, last
        before = [steps_of(stage, len(augmenter)) for stage in protocol.stage[:number]]
        self._epochs = sum(-(-steps // an_epoch) for steps, an_epoch in before)  # an augmentation counts them on
        self._orders: dict[int, list[tuple[int, Array]]] = {}
        self._images: dict[tuple[int, int], Array] = {}

    def order(self, seed: int) -> list[tuple[int, Array]]:
        """(epoch, numbers of the images) of every step."""
        if seed not in self._orders:
            stage = self._stage
            drawn = sample_order(
                len(self._augmenter), stage.batch_size, stage.drop_last, Seeds.all(seed), self._number
            )  # fmt: skip
            self._orders[seed] = list(islice(drawn, self._last + 1))
        return self._orders[seed]

    def images(self, seed: int, step: int) -> Array:
        """uint8 [B, size, size, 3], or float32, in 0..255."""
        if (seed, step) not in self._images:
            epoch, chosen = self.order(seed)[step]
            self._images[seed, step] = self._augmenter.batch(self._epochs + epoch, chosen, Seeds.all(seed))[0]
        return self._images[seed, step]


def _scaled(images: Array, scaling: str) -> Array:
    """As it enters a network, float32."""
    bgr, scale, offset = affine(scaling)
    scaled: Array = ((images[..., ::-1] if bgr else images) * scale + offset).astype(np.float32)
    return scaled


def _apart(ours: Array, theirs: Array) -> Array:
    """Largest difference of two fingerprints, in units of _NEAR: [N, M]."""
    near = _NEAR * max(float(np.abs(ours).max(initial=0.0)), 1e-30)
    apart: Array = np.abs(ours[:, None] - theirs[None]).max(-1) / near
    return apart


def _as_drawn(seen: Mapping[int, _Seen], streams: _Streams, seed: int, scaling: str) -> str | None:
    """Empty: every step has the stream's images in its order; words: in another order within a step. None: it has
    others."""
    order = ""
    for step, each in seen.items():
        wanted = values(_scaled(streams.images(seed, step), scaling))
        if len(wanted) != len(each.values):
            return None
        near = _apart(each.values, wanted) <= 1
        if not near.diagonal().all():
            order = ", within a batch in another order"
        if not (near.any(0).all() and near.any(1).all()):
            return None
    return order


def _labels(seen: Mapping[int, _Seen], wanted: Mapping[int, Array]) -> Iterator[Cause]:
    """Where the images' labels are not the data set's."""
    wrong = {
        step: np.flatnonzero(each.labels != wanted[step]) for step, each in seen.items() if each.labels is not None
    }
    if count := sum(map(len, wrong.values())):
        step = next(step for step, places in wrong.items() if len(places))
        place = wrong[step][0]
        labels = seen[step].labels
        assert labels is not None
        ours, theirs = int(labels[place]), int(wanted[step][place])
        yield Cause(name="labels", rung="batch", left=ours, right=theirs, steps=(step,),
                    words=f"{count} labels are not the data set's: first, in step {step}, that of image {place} is"
                    f" {ours}, and the data set says {theirs}")  # fmt: skip


# -- images looked up


def _looked_up(
    seen: Mapping[int, _Seen], protocol: Protocol, dataset: Dataset, conventions: Conventions, an_epoch: int
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
    causes += _labels(sure, {step: labels[numbers] for step, numbers in numbered.items()})
    own = f"the order of the images (shuffled, and none of the protocol's of seeds 0 to {SEEDS[-1]})"
    images = f"the images ({total} of the protocol's)"
    return Outcome(tuple(causes), () if causes else (images,), () if causes else (own,))


_Numbers = tuple[dict[int, Array], int, dict[int, Array]]


def _numbers(seen: Mapping[int, _Seen], pixels: Array) -> _Numbers:
    """Of every step's images the numbers in a split, -1 where they are not in it; how many are mirrored; and of every
    step's images, whether no other of the split looks like it."""
    best: _Numbers = {step: np.full(len(each.values), -1) for step, each in seen.items()}, 0, {}
    for scaling in _SCALINGS:
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
        [values(_scaled(pixels[start : start + part], scaling)) for start in range(0, len(pixels), part)]
    )


def _nearest(ours: Array, known: Array) -> tuple[Array, Array]:
    """Numbers, -1 where there is none, and whether there is only one."""
    rows = [_apart(ours[place : place + 1], known)[0] for place in range(len(ours))]  # one by one: a split is large
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
