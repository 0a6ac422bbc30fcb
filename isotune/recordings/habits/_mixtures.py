"""Mixtures of two images, read off what the loss was of: the share of each class, by image.

Of cross-entropy, dloss/dlogits = c * (softmax - targets), so that the targets show in every loop whose gradient is
seen, told or not. Else they are those that the loss was given. A row of them that was mixed and smoothed is
s * (1-a) + a/K at one class, (1-s) * (1-a) + a/K at another, and a/K at all others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from isotune.conventions import affine
from isotune.recordings._fingerprints import PLACES
from isotune.recordings._format import Batch

Array = np.ndarray
_FITS = 1e-3  # of a share
_EVEN = 1e-4  # of what smoothing gives each class
_SHOWS = 0.99  # a share, above which all are where logits near zero are divided by a number
FEWEST = 3  # classes, without which smoothing cannot be told from mixing
_CHANCE = 0.01  # that what is said of partners and pixels came about by itself
_WHOLE = 4  # images with whole values alone, which few mixtures have by chance
_WHOLE_BYTE = 0.02  # from a whole number
_SCALINGS = ("none", "unit", "minus-one-to-one", "mean-std", "caffe")


@dataclass(frozen=True)
class Mixture:
    """The targets of a pass: of each image two classes, alike where it is of one, and the greater share, 1 there."""

    classes: Array  # int64 [N, 2]
    shares: Array  # float64 [N], 1/2..1
    smoothing: float
    count: int  # of all classes
    weight: float | None  # of each image's loss, times the images; None: not seen
    pixels: int = 0  # of an image; 0: no image entered
    whole: Array = field(default_factory=lambda: np.zeros(0, bool))  # bool [N]: whether its values are whole bytes

    @property
    def shows(self) -> bool:
        """Whether it can be nothing else."""
        return bool(self.shares.min() <= _SHOWS)

    @property
    def mixed(self) -> Array:
        """bool [N]."""
        return self.shares < 1


def of_gradient(softmax: Array, gradient: Array, passes: int) -> Mixture | None:
    """The mixture of which the gradient is. softmax, gradient: float64 [N, K]. None: it is of none."""
    images = len(softmax)
    for divisor in dict.fromkeys((images, images * passes, 1)):
        if (mixture := of_targets(softmax - divisor * gradient)) is not None:
            return replace(mixture, weight=images / divisor)
    return None


def of_targets(targets: Array) -> Mixture | None:
    """The mixture that rows of targets are, float64 [N, K]. None: they are none, or of too few classes."""
    count = targets.shape[1]
    if count < FEWEST:
        return None
    order = np.argsort(-targets, axis=1)
    ranked = np.take_along_axis(targets, order, axis=1)
    floor = float(np.median(ranked[:, 2:]))
    if np.abs(ranked[:, 2:] - floor).max() > _EVEN or not -_EVEN < floor < 1 / count:
        return None
    smoothing = round(max(floor * count, 0.0), 4)
    shares = np.clip((ranked[:, 0] - smoothing / count) / (1 - smoothing), 0.0, 1.0)
    shares = np.where(shares > 1 - _FITS, 1.0, shares)
    classes = np.where((shares < 1)[:, None], order[:, :2], order[:, :1])
    return Mixture(classes, shares, smoothing, count, None)


def habits(passes: Sequence[Mixture], of: int) -> Iterator[dict[str, Any]]:
    """per, partner and law of these passes, of which at least one is mixed. of: passes in all."""
    mixed = [each for each in passes if each.mixed.any()]
    images = sum(int(each.mixed.sum()) for each in mixed)
    yield {"name": "mixing", "value": True,
           "words": f"the labels of {images} images are mixtures of two classes"}  # fmt: skip
    per = _per(mixed)
    said = f"a share is drawn for each {per}" if per else "for what a share is drawn cannot be seen in so few images"
    yield {"name": "mixing.per", "value": per, "words": said}
    partner = _partner(mixed)
    words = {
        "reversed": "an image is mixed with that of the batch in reverse",
        "rolled": "an image is mixed with its neighbour",
        "shuffled": "an image is mixed neither with that of the batch in reverse nor with its neighbour",
        None: "with which image one is mixed cannot be seen in so few classes and images",
    }
    yield {"name": "mixing.partner", "value": partner, "words": words[partner]}
    evident = any(each.whole.any() for each in passes) or per != "image" or partner != "shuffled"
    yield from _law(mixed, evident=evident)
    yield {"name": "mixing.shares", "value": independent(mixed, per),
           "words": "the shares that were drawn"}  # fmt: skip
    yield {"name": "mixing.batches", "value": [len(mixed), of],
           "words": f"{len(mixed)} of {of} batches are mixed"}  # fmt: skip


def independent(passes: Sequence[Mixture], per: str | None) -> list[float]:
    """One of each draw, the greater part."""
    shares: list[float] = []
    for each in passes:
        drawn = each.shares[each.mixed]
        half = each.shares[: -(-len(each.shares) // 2)]
        shares += {"image": drawn, "pair": half[half < 1]}.get(per or "", drawn[:1]).tolist()
    return shares


def _per(passes: Sequence[Mixture]) -> str | None:
    """One share a batch, a pair or an image; None: too few images are mixed to tell."""
    told = [each.shares for each in passes if each.mixed.sum() > 2]
    if not told:
        return None
    if all(np.ptp(shares[shares < 1]) <= 2 * _FITS for shares in told):
        return "batch"
    return "pair" if all(np.abs(shares - shares[::-1]).max() <= 2 * _FITS for shares in told) else "image"


def _partner(passes: Sequence[Mixture]) -> str | None:
    """reversed, rolled, or neither; None: both would do, or it may be chance."""
    classes = passes[0].count
    laws = {"reversed": ([_reversed(each) for each in passes], 2 / classes**2),
            "rolled": ([_rolled(each) for each in passes], 2 / classes)}  # fmt: skip
    fitting = {name: chance ** sum(links or 0 for links in seen)
               for name, (seen, chance) in laws.items() if None not in seen}  # fmt: skip
    if not fitting:
        return "shuffled"
    name, luck = min(fitting.items(), key=lambda each: each[1])
    return name if len(fitting) == 1 and luck < _CHANCE else None


def _reversed(each: Mixture) -> int | None:
    """How many pairs of a pass have the same two classes; None: one has not."""
    count = len(each.shares)
    pairs = [number for number in range(count // 2) if each.mixed[number] and each.mixed[count - 1 - number]]
    if any(set(each.classes[number]) != set(each.classes[count - 1 - number]) for number in pairs):
        return None
    return len(pairs)


def _rolled(each: Mixture) -> int | None:
    """How many neighbours of a pass could share a class as a chain does, each image having a class of its own and its
    neighbour's; None: there is no such chain."""
    best = None
    for start in set(each.classes[0]):
        own, links = start, 0
        for classes, mixed in zip(each.classes[1:], each.mixed[1:], strict=True):
            if not mixed:  # it may have a neighbour of its own class
                own = classes[0]
            elif own in classes:
                own, links = next(other for other in (*classes[classes != own], own)), links + 1
            else:
                break
        else:
            best = max(best or 0, links)
    return best


def _law(passes: Sequence[Mixture], *, evident: bool) -> Iterator[dict[str, Any]]:
    """mixup or CutMix by the images' values, and whether CutMix's labels have the area that is left.

    evident: whether values that are no whole bytes are mixed ones. Keras's CutMix has labels of the drawn area, and
    images that it is fed may have been resized to no whole bytes, so that nothing tells it from its MixUp.
    """
    if not all(each.pixels and len(each.whole) == len(each.shares) for each in passes):
        return
    told = [(each, each.whole[each.mixed]) for each in passes]
    mixes = any(not wholes.all() for _, wholes in told)
    cuts, drawn = _areas([each for each, wholes in told if wholes.all() and len(wholes) >= _WHOLE])
    value = "both" if mixes and cuts else "mixup" if mixes else "cutmix" if cuts else None
    value = value if evident or not mixes else None
    words = {
        "both": "in some batches images are mixed value by value, in some they have a part of another",
        "mixup": "images are mixed value by value (mixup)",
        "cutmix": "images have a part of another (CutMix): all values are whole bytes",
        None: "mixup and CutMix cannot be told apart in these images",
    }
    yield {"name": "mixing.law", "value": value, "words": words[value]}
    if cuts:
        area = "drawn" if drawn else "left" if cuts > 1 else None
        said = {
            "left": "CutMix's labels have the share of the area that is left",
            "drawn": "CutMix's labels have the share that was drawn, and not that of the area that is left",
            None: "one box alone does not show whose share CutMix's labels have",
        }
        yield {"name": "mixing.area", "value": area, "words": said[area]}


def _areas(passes: Sequence[Mixture]) -> tuple[int, int]:
    """Of passes of CutMix: how many different shares they have, and how many are of no whole number of pixels."""
    shares = np.unique([round(share * each.pixels, 3) for each in passes for share in each.shares[each.mixed]])
    near = max([0.01, *(1e-6 * each.pixels for each in passes)])
    return len(shares), int((np.abs(shares - np.round(shares)) > near).sum())


def whole_bytes(batch: Batch) -> Array:
    """Whether each image's kept values are whole bytes, all scaled in one known way, bool [N]; empty: no images."""
    if len(batch.shape) != 4 or batch.shape[3] != 3:
        return np.zeros(0, bool)
    rows = np.array(batch.images)[:, 2:]
    channels = np.linspace(0, math.prod(batch.shape[1:]) - 1, PLACES).astype(int) % 3
    best = np.zeros(len(rows), bool)
    for scaling in _SCALINGS:
        _, scale, offset = affine(scaling)
        pixels = (rows - offset[channels]) / scale[channels]
        near = (np.abs(pixels - np.round(pixels)) < _WHOLE_BYTE) & (pixels > -0.5) & (pixels < 255.5)
        best = max(best, near.all(1), key=np.count_nonzero)
    return best
