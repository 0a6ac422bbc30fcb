"""A protocol's own images of every step of a stage, by seed, and whether those that were seen are of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, get_args

import numpy as np

from isotune.data.augmentation import Augmenter
from isotune.protocols import Augmentation, Protocol, RandomErasing, forms
from isotune.recordings._comparison import Cause
from isotune.recordings._fingerprints import values
from isotune.recordings.images._seen import SCALINGS, Seen, apart, scaled
from isotune.runs.training import sample_order, steps_of
from isotune.seeds import Seeds

Array = np.ndarray
SEEDS = range(10)  # whose streams are tried
_POLICIES = {"magnitude": range(31), "operations": range(1, 4), "table": ("imagenet", "cifar10", "svhn")}


class Streams:
    """The protocol's images of every step of a stage, by seed."""

    def __init__(self, augmenter: Augmenter, protocol: Protocol, number: int, last: int) -> None:
        self._augmenter, self._stage, self._number, self._last = augmenter, protocol.stage[number], number, last
        before = [steps_of(stage, len(augmenter)) for stage in protocol.stage[:number]]
        self._epochs = sum(-(-steps // an_epoch) for steps, an_epoch in before)  # an augmentation counts them on
        self.labels = augmenter.labels
        self._orders: dict[int, list[tuple[int, Array]]] = {}
        self._images: dict[tuple[int, int], Array] = {}
        self._firsts: dict[tuple[int, int], Array] = {}

    def order(self, seed: int) -> list[tuple[int, Array]]:
        """(epoch, numbers of the images) of every step."""
        if seed not in self._orders:
            stage = self._stage
            drawn = sample_order(
                len(self._augmenter), stage.batch_size, stage.drop_last, Seeds.all(seed), self._number
            )  # fmt: skip
            self._orders[seed] = list(islice(drawn, self._last + 1))
        return self._orders[seed]

    def image(self, seed: int, step: int) -> Array:
        """The first of a step's, before it is mixed with another: [1, size, size, 3]."""
        if (seed, step) not in self._firsts:
            epoch, chosen = self.order(seed)[step]
            self._firsts[seed, step] = self._augmenter.batch(self._epochs + epoch, chosen[:1], Seeds.all(seed))[0]
        return self._firsts[seed, step]

    def images(self, seed: int, step: int) -> Array:
        """uint8 [B, size, size, 3], or float32, in 0..255."""
        if (seed, step) not in self._images:
            epoch, chosen = self.order(seed)[step]
            self._images[seed, step] = self._augmenter.batch(self._epochs + epoch, chosen, Seeds.all(seed))[0]
        return self._images[seed, step]


def as_drawn(seen: Mapping[int, Seen], streams: Streams, seed: int, scaling: str) -> str | None:
    """Empty: every step has the stream's images in its order; words: in another order within a step. None: it has
    others."""
    order = ""
    for step, each in seen.items():
        wanted = values(scaled(streams.images(seed, step), scaling))
        if len(wanted) != len(each.values):
            return None
        near = apart(each.values, wanted) <= 1
        if not near.diagonal().all():
            order = ", within a batch in another order"
        if not (near.any(0).all() and near.any(1).all()):
            return None
    return order


def of_another_form(
    seen: Mapping[int, Seen], augmentation: Augmentation, drawn: Callable[[Augmentation, str], Streams]
) -> Cause | None:
    """The one field of a policy or of erasing, with which the protocol's streams give these images."""
    fitting = [
        (forms.Difference(f"augmentation.{field}", value, wanted), fits)
        for field, value, wanted, changed in _other_forms(augmentation)
        if (fits := _fits(seen, changed, drawn))
    ]
    if not fitting:
        return None
    (first, fits), *others = fitting
    words = f"{first.words('the loop', 'the protocol')} ({fits})"
    if others:
        words = f"{words}; or {', '.join(f'{each.field} = {forms.shown(each.left)}' for each, _ in others)}"
    return Cause(name=first.field, rung="batch", left=first.left, right=first.right, words=words)


def _fits(seen: Mapping[int, Seen], augmentation: Augmentation, drawn: Callable[[Augmentation, str], Streams]) -> str:
    """The seed and scaling with which an augmentation gives these images; empty: none does."""
    streams = drawn(augmentation, SCALINGS[0])
    for scaling in SCALINGS:
        if augmentation.random_erasing:  # whose fill is meant of the scaled image
            streams = drawn(augmentation, scaling)
        for seed in SEEDS:
            if _begins(seen, streams, seed, scaling) and as_drawn(seen, streams, seed, scaling) is not None:
                return f"seed {seed}; scaled {scaling}"
    return ""


def _other_forms(augmentation: Augmentation) -> Iterator[tuple[str, Any, Any, Augmentation]]:
    """(field, value, the protocol's, with that value alone otherwise)."""
    if (erasing := augmentation.random_erasing) is not None:
        for fill in get_args(RandomErasing.model_fields["fill"].annotation):
            other = erasing.model_copy(update={"fill": fill})
            if other != erasing:
                yield "random_erasing.fill", fill, erasing.fill, _with(augmentation, random_erasing=other)
        yield "random_erasing", "none", "asked for", _with(augmentation, random_erasing=None)
    for place, policy in enumerate(augmentation.policy):
        for name, tried in _POLICIES.items():
            wanted = getattr(policy, name, None)
            for value in tried if wanted is not None else ():
                several = [*augmentation.policy]
                several[place] = policy.model_copy(update={name: value})
                if value != wanted:
                    yield f"policy.{place + 1}.{name}", value, wanted, _with(augmentation, policy=tuple(several))
        left = (*augmentation.policy[:place], *augmentation.policy[place + 1 :])
        yield f"policy.{place + 1}", "none", policy.name, _with(augmentation, policy=left)


def _with(augmentation: Augmentation, **changed: Any) -> Augmentation:
    return augmentation.model_copy(update=changed)


def _begins(seen: Mapping[int, Seen], streams: Streams, seed: int, scaling: str) -> bool:
    """Whether the stream's first image is among the first step's: what is cheap to know of a seed."""
    step, each = next(iter(seen.items()))
    return bool((apart(each.values, values(scaled(streams.image(seed, step), scaling))) <= 1).any())
