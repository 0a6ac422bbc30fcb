"""Recordings of somebody's own loop compared, with each other, or one with a protocol; and two protocols."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from isotune import data, defaults, recordings
from isotune.data import Dataset
from isotune.errors import UsageError
from isotune.interface import arguments
from isotune.protocols import Protocol
from isotune.recordings import Comparison, Recording

PROTOCOL = "protocol:"


def is_about_recordings(*sides: object) -> bool:
    """Whether a side is a recording (one, `recording:FOLDER`, or the path of its folder), or a protocol."""
    return any(_is_recording(side) or _is_protocol(side) for side in sides)


def compare(left: Any, right: Any, dataset: Any = None) -> Comparison:
    """Two recordings, or a recording and a protocol (`protocol:NAME`, `protocol:NAME:STAGE`, a `Protocol`), or two
    protocols, whole.

    dataset: the loop's, whose images and order are held against the protocol's; None: they are not.

    UsageError: one of them is something else, or they cannot be compared.
    """
    if _is_protocol(left) and _is_protocol(right):
        return recordings.compare_protocols(_recipe(left), _recipe(right))
    if not _is_recording(left):
        left, right = right, left
    if not _is_recording(left):
        other = left if _is_protocol(right) else right
        raise UsageError(f"a protocol is compared with a recording or another protocol, not with {other!r}")
    first = _opened(left)
    if isinstance(right, Protocol):
        return recordings.compare_with_protocol(first, right, dataset=_prepared(dataset))
    if isinstance(right, str) and right.startswith(PROTOCOL):
        name, stage = _stage(right.removeprefix(PROTOCOL))
        return recordings.compare_with_protocol(first, arguments.recipe(name), stage, _prepared(dataset))
    if not _is_recording(right):
        raise UsageError(
            "a recording is compared with another, recording:FOLDER, or with a protocol, protocol:NAME; not with"
            f" {right!r}"
        )
    return recordings.compare(first, _opened(right))


def _prepared(dataset: Any) -> Dataset | None:
    """None: there is none, or it is the one that nobody named and cannot be had here."""
    if dataset is None:
        return None
    try:
        return data.prepare(arguments.dataset(dataset))
    except UsageError:
        if dataset == defaults.DATASET:
            return None
        raise


def _is_recording(side: object) -> bool:
    return recordings.is_recording(side) or _is_folder(side)


def _is_protocol(side: object) -> bool:
    return isinstance(side, Protocol) or (isinstance(side, str) and side.startswith(PROTOCOL))


def _recipe(side: Any) -> Protocol:
    return side if isinstance(side, Protocol) else arguments.recipe(side.removeprefix(PROTOCOL))


def _is_folder(side: object) -> bool:
    return isinstance(side, os.PathLike) and (Path(side) / "recording.json").is_file()


def _opened(side: Any) -> Recording:
    if isinstance(side, Recording):
        return side
    return Recording(side.removeprefix(recordings.PREFIX) if isinstance(side, str) else Path(side))


def _stage(words: str) -> tuple[str, int]:
    """`"fine-tune:2"` -> name, number; 1 where there is none."""
    name, colon, number = words.rpartition(":")
    return (name, int(number)) if colon and number.isdecimal() else (words, 1)
