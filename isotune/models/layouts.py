"""Layouts as libraries have them: what is known without starting one.

What a library's user gets by default has no name of its own in a mode, so that one computation has one spelling: Keras
in `channels_last` is Keras. Records say in their environment which layout it was.
"""

from __future__ import annotations

from typing import TypeVar

from isotune import names
from isotune.protocols import Layout, Mode

InMode = TypeVar("InMode", bound=Mode)


def as_asked(what: InMode, adapter: str) -> InMode:
    """A mode, or what is in one, for a model of an adapter ("keras@jax"): the library's default layout left out.

    UsageError: the library has no such layout.
    """
    known = names.facts(adapter)
    if what.layout is None or known is None:  # a record's adapter need not be installed
        return what
    engine = adapter.partition("@")[2]
    is_default = known.layout_on(engine, what.layout) == known.layout_on(engine)
    return what.model_copy(update={"layout": None}) if is_default else what


def resolved(layout: Layout | None, adapter: str) -> Layout | None:
    """The layout that a mode comes to; None: the adapter says nothing of layouts, or is not installed.

    UsageError: the library has no such layout.
    """
    known = names.facts(adapter)
    return layout if known is None else known.layout_on(adapter.partition("@")[2], layout)


def others(adapter: str) -> tuple[Layout, ...]:
    """The layouts that a library has beside its default."""
    known = names.facts(adapter)
    if known is None:
        return ()
    engine = adapter.partition("@")[2] or next(iter(known.engines))
    return known.engines[engine].layouts[1:] if engine in known.engines else ()
