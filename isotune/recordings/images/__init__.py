"""Whether the images that a loop saw are those that a protocol draws, in its order.

A recording has fingerprints of what entered the network. The protocol's own images of the same steps are made again, as
a run would (order and augmentation from a seed), scaled in every known way, and held against them. Where they are none
of its first seeds' streams, each recorded image is looked up among the data set's, so that what the loop does is told:
not shuffled, the same order in every epoch, images twice, of the test split, mirrored. An order of its own is no fault:
a protocol says that images are shuffled, and not by which generator.

`_seen` is what was recorded, `_streams` what a protocol draws, `_looking_up` finds images in a data set, `_holding`
puts all together. It stands on `data` and `runs`, which a loop that is watched does without: it is imported when asked.
"""

from isotune.recordings.images._holding import held_against

__all__ = ["held_against"]
