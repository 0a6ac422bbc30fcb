"""Causes in the words in which a protocol's forms are told."""

from __future__ import annotations

from typing import Any

from isotune.protocols import forms
from isotune.recordings._comparison import Cause


def named(field: str, rung: str, left: Any, right: Any, also: str = "") -> Cause:
    """A field of a protocol that a loop has otherwise. left: the loop's. also: words behind."""
    words = forms.Difference(field, left, right).words("the loop", "the protocol")
    return Cause(name=field.removeprefix("stage."), rung=rung, left=left, right=right, words=words + also)


def plain(part: Any) -> Any:
    """A part of a protocol, as its file has it."""
    return part.model_dump(mode="json")
