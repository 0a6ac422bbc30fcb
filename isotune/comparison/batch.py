"""Images and labels in the order in which a side is given them, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Batch:
    """Images and labels, in their own order or in another one, which sums otherwise and is the same else."""

    images: Array  # uint8 [N, H, W, 3]
    labels: Array  # int64 [N]
    order: Array  # of every place, which image stands there
    count: int  # images that there are; N, or one more

    @classmethod
    def of(cls, images: Array, labels: Array, *, permuted: bool = False, apart: bool = False) -> Batch:
        """permuted: in reverse. apart: in reverse, and without the first image."""
        order = np.arange(len(images))[:: -1 if permuted or apart else 1]
        order = order[:-1] if apart else order
        return cls(images[order], labels[order], order, len(images))

    @property
    def places(self) -> Array:
        """Where each image stands."""
        return np.argsort(self.order)

    def arranged(self, array: Array) -> Array:
        """What was shown of the images in their own order, in this one."""
        return _moved(array, self.count, self.order)

    def back(self, array: Array) -> Array:
        """What was shown of this batch, in the images' own order."""
        return _moved(array, len(self.order), self.places)


def _moved(array: Array, count: int, order: Array) -> Array:
    """Rows by image: one for each, or several that follow each other (windows); else the array is of no image."""
    if not array.ndim or not len(array) or len(array) % count or np.array_equal(order, np.arange(count)):
        return array
    rows: Array = array.reshape(count, -1, *array.shape[1:])[order]
    return rows.reshape(-1, *array.shape[1:])
