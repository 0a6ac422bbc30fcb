"""Models: what the libraries list, the checkpoints they can start from, and weights carried between them.

`isotune.models("mobilenet")` lists what can be run: the package itself is called (`listing`).

- `listing`: `models(...)` and what it gives; `catalogue`: the entries, kept in the cache;
- `checkpoints`: weights and the conventions they were trained with, by name; `embedded`: those in installed packages;
- `told`: names without the paths of this machine;
- `files`: a checkpoint's file, whose it is; `beside`: what stands beside it of names and of the input;
- `contents`: what decides a cell's result, files by their content; `building`: models built in a worker, and kept;
- `counterparts`: the models of several libraries that are one architecture;
- `patterns`: several models by `*` and `?`; `transfer`: a checkpoint of one library as a file of another;
- `hints`: what else weights would fit, and which library has a model that another has not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isotune.models.listing import Models
    from isotune.progress import Progress


class _Listing(ModuleType):
    """This package, which can be called."""

    def __call__(
        self,
        pattern: str = "",
        *,
        adapters: str | Iterable[str] | None = None,
        architecture: str | None = None,
        progress: bool | Progress = False,
    ) -> Models:
        """See `isotune.models.listing.models`."""
        from isotune.models.listing import models

        return models(pattern, adapters=adapters, architecture=architecture, progress=progress)


sys.modules[__name__].__class__ = _Listing
