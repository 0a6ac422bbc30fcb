"""Data sets: framework-neutral images and labels.

The door. A data set is prepared once into the cache and known by its digest afterwards; every framework
then reads the same bytes:

    dataset = prepare("digits")
    images, labels = inputs(dataset, "train", protocol.images, protocol.input, resize="antialias", decode="pillow")
    Augmenter(dataset, ...).batches(order, seed)      # isotune.data.augmentation

What may be imported from here is below. A source of one's own takes `sources.source`, `files` and `writing`; the
arithmetic of pixels is in `decoding` and `resizing`. Modules whose name begins with `_` are this folder's own.
"""

from isotune.data._preparing import Availability, describe, load, prepare, status
from isotune.data._views import inputs, subset
from isotune.data.dataset import Dataset, Split, SplitName, encoded
from isotune.data.decoding import Unreadable, decode
from isotune.data.resizing import Place
from isotune.data.sources.imagenet import outputs, synsets
from isotune.data.sources.naming import names
from isotune.data.sources.splitting import was_split

__all__ = [
    "Availability",
    "Dataset",
    "Place",
    "Split",
    "SplitName",
    "Unreadable",
    "decode",
    "describe",
    "encoded",
    "inputs",
    "load",
    "names",
    "outputs",
    "prepare",
    "status",
    "subset",
    "synsets",
    "was_split",
]
