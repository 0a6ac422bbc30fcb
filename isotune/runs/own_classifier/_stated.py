"""The evaluation that stands beside a checkpoint's file (`isotune.models.beside`): size, crop and interpolation."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pydantic import ValidationError

from isotune import names
from isotune.errors import UsageError
from isotune.models import beside, contents
from isotune.protocols import Input

if TYPE_CHECKING:
    from isotune.adapters.base import Adapter
    from isotune.runs.records import Cell

_log = logging.getLogger("isotune")


def stated_input(cell: Cell, right: str) -> Input | None:
    """As a file of the checkpoint's folder says; None: there is none, or it does not say the size.

    A protocol that says its own goes before it; what it does otherwise is said in a warning of the logger `isotune`.
    right: what to do where `Input` cannot express it. UsageError: the protocol has none of its own, and it cannot.
    """
    assert cell.protocol.own_classifier is not None
    file = contents.weights_file(cell.checkpoint)
    if file is None or (said := beside.evaluation(file)) is None or said.size is None:
        return None
    published = cell.protocol.own_classifier.input == "published"
    resize = _facts(cell).resized_side(said.size, said.resize) if isinstance(said.resize, float) else said.resize
    values = {"size": said.size, "resize": resize, "interpolation": said.interpolation}
    try:
        stated = None if said.unlike else Input.model_validate(values)
        unlike = said.unlike
    except ValidationError:
        stated, unlike = None, f"{said.interpolation} interpolation of {resize} and {said.size} pixels"
    if published and stated is None:
        raise UsageError(
            f"own-classifier: {said.file} says {unlike or 'an input'}, which [input] cannot express; {right}"
        )
    if stated is not None and not published and stated != cell.protocol.input:
        own = cell.protocol.input
        _log.warning(
            "%s evaluates at %s, and %s says %s; the protocol's is taken", cell.protocol.name, words(own), said.file,
            words(stated), extra={"once": True},
        )  # fmt: skip
    return stated


def _facts(cell: Cell) -> type[Adapter]:
    from isotune.adapters.base import Adapter

    return names.facts(cell.adapter) or Adapter


def words(input: Input) -> str:
    """ "224 px of 256, bicubic"."""
    of = "the whole image" if input.resize == "squash" else str(input.resize)
    return f"{input.size} px of {of}, {input.interpolation}"
