"""The list of models that `isotune.models(...)` gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, overload

from isotune.errors import UsageError
from isotune.models.catalogue import Entry, catalogue
from isotune.progress import Progress, reporting

if TYPE_CHECKING:
    import pandas as pd


class Models(Sequence[Entry]):
    """Checkpoints of models, one an entry (`Entry`); of a model without any, the model. A notebook shows a table."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = tuple(entries)

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> Models: ...
    def __getitem__(self, place: int | slice) -> Entry | Models:
        return Models(self._entries[place]) if isinstance(place, slice) else self._entries[place]

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        shown = ", ".join(self.names[:8]) + (", ..." if len(self.names) > 8 else "")
        return f"<Models: {len(self.names)} with {sum(bool(each.checkpoint) for each in self)} checkpoints: {shown}>"

    @property
    def names(self) -> list[str]:
        """The models, each once: what `isotune.run` takes."""
        return list(dict.fromkeys(entry.model for entry in self))

    def frame(self) -> pd.DataFrame:
        """A pandas table with a row for each entry; top1 is in percent, size in pixels."""
        import pandas as pd

        return pd.DataFrame([asdict(entry) for entry in self], columns=list(Entry.__dataclass_fields__))

    def _repr_html_(self) -> str:
        html: str = self.frame().to_html(index=False, na_rep="", max_rows=60)
        return html


def models(
    pattern: str = "",
    *,
    adapters: str | Iterable[str] | None = None,
    architecture: str | None = None,
    progress: bool | Progress = False,
) -> Models:
    """Models that the installed libraries list, with their checkpoints and published ImageNet top-1.

    pattern: part of a model's, an architecture's or a checkpoint's name. adapters: only these; absent: every library
    that can be imported. architecture: only this one, which is what several libraries have in common. progress: as of
    `isotune.run`; a library that was not listed before takes seconds.
    Errors: UsageError: an adapter, pattern or architecture that matches nothing.

    >>> isotune.models("mobilenet_v2").frame()[["model", "checkpoint", "top1"]]
    """
    for argument, value in (("pattern", pattern), ("architecture", architecture)):
        if not isinstance(value, str) and not (value is None and argument == "architecture"):
            raise UsageError(f"{argument}: takes text, not {type(value).__name__}")
    if architecture is not None and not architecture.strip():
        raise UsageError("architecture: is empty; leave it out for all")
    takes = "adapters: takes a name, such as one of an adapter that isotune doctor shows, or several"
    if adapters is not None and not isinstance(adapters, Iterable):
        raise UsageError(f"{takes}, not {type(adapters).__name__}")
    named = [adapters] if isinstance(adapters, str) else list(adapters or ())
    if adapters is not None and not named:
        raise UsageError("adapters: there is none; leave it out for all, or give at least one")
    if stray := next((each for each in named if not isinstance(each, str)), None):
        raise UsageError(f"{takes}, not {type(stray).__name__}")
    with reporting(progress) as reporter:
        return Models(catalogue(named, pattern=pattern, architecture=architecture or "", progress=reporter))
