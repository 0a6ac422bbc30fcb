"""What is in the caches, and what of it can go.

- `Kind`, `Item`: what lies there, kind by kind and piece by piece; `Listed`, `listed`: all of it, nothing is read;
- `Pruned`, `prune`: pieces are removed, by age and by size, those that nobody used for longest first.

isotune's cache (`isotune.cache`) is made again when it is needed. What had to be fetched, the downloads of libraries
above all, and a store's drafts of fine-tunings are shown, and removed only where they are named. Nothing is removed
that a running process makes or uses, nothing outside these folders, and no link is followed.
"""

from isotune.caches._items import Item
from isotune.caches._kinds import Kind, Listed, listed
from isotune.caches._pruning import Pruned, prune

__all__ = ["Item", "Kind", "Listed", "Pruned", "listed", "prune"]
