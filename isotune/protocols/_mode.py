"""Modes: how a network is computed, which changes speed and rounding and no meaning.

A mode is a numeric mode, a layout and whether a compiler is used. It is recorded with all that is measured, and rows of
different modes are never mixed. What a library's user gets by default is the mode that nobody asks for.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from isotune.errors import UsageError, nearest
from isotune.protocols._numeric_mode import NumericMode, numeric_mode

Layout = Literal["contiguous", "channels_last"]
"""The order of a batch of images and of convolutions' weights in memory: [N, C, H, W] or [N, H, W, C]."""

LAYOUTS: tuple[Layout, ...] = get_args(Layout)


def layout(text: str) -> Layout:
    """The layout of that name. UsageError: there is none."""
    for each in LAYOUTS:
        if each == text:
            return each
    raise UsageError(f"layout {text!r}: {nearest(text, LAYOUTS)}")


class Mode(BaseModel):
    """How something is computed; cells, measurements and sides are in one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    numeric_mode: NumericMode = "float32"
    layout: Layout | None = Field(None, description="of tensors in memory; null: what the library's user gets")
    compiled: bool = Field(False, description="by the library's compiler")

    @classmethod
    def parse(cls, text: str) -> Mode:
        """From "float32", "float32-channels_last", "bfloat16-channels_last-compiled". UsageError: it is none."""
        first, *rest = text.strip().split("-")
        compiled = rest[-1:] == ["compiled"]
        layouts = rest[:-1] if compiled else rest
        if len(layouts) > 1:
            raise UsageError(f"mode {text!r}: write NUMERIC_MODE[-LAYOUT][-compiled], such as float32-channels_last")
        return cls(numeric_mode=numeric_mode(first), layout=layout(layouts[0]) if layouts else None, compiled=compiled)

    @property
    def spelling(self) -> str:
        """What `parse` takes."""
        return self.mode.replace(" ", "-")

    @property
    def mode(self) -> str:
        """In words: "float32", "bfloat16 channels_last compiled"."""
        return " ".join(filter(None, (self.numeric_mode, self.layout, "compiled" if self.compiled else "")))

    @property
    def settings(self) -> dict[str, Any]:
        """The mode alone, by name: of a cell, what it has in common with others in its mode."""
        return {name: getattr(self, name) for name in Mode.model_fields}
