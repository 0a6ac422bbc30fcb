"""What there is to be known of an axis, and the one call that declares it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import Field

Kind = Literal["input", "network", "recipe"]
Feature = Literal[
    "training",
    "batch statistics",
    "frozen layers",
    "momentum",
    "weight decay",
    "adam",
    "rmsprop",
    "clipping",
    "average",
    "warm-up",
    "decay",
    "epochs",
    "mixing",
    "stochastic depth",
    "erasing",
]  # of a stage of training, or of a protocol, without which an axis cannot matter
Rung = Literal[
    "decoded bytes", "resized pixels", "scaled input", "weights", "layers", "logits", "training-mode layers", "loss",
    "gradients", "BatchNorm buffers", "one step", "drift",
]  # fmt: skip
RUNGS: tuple[Rung, ...] = get_args(Rung)  # of the ladder, in its order

DECLARED = "axis"  # the key of what a field declares, in its json_schema_extra


@dataclass(frozen=True)
class Axis:
    """What is known of an axis."""

    name: str
    about: str
    kind: Kind
    values: Mapping[str, str]  # value -> what it means and who does so; of a number or a free text, by the way
    rungs: tuple[Rung, ...]  # at which it shows, in the ladder's order; of a form of a technique none
    needs: tuple[Feature, ...]  # all of which one stage must have for the axis to matter
    carried: bool  # by a checkpoint, which means something else under another value
    layer: str  # the kind of layer in which alone it acts; empty: any
    candidates: tuple[Any, ...]  # values worth trying where it is unknown which one a network has
    reference: Any  # torch's reference training's, and that of weights that are drawn; None: left to a library
    formerly: str  # its name in what isotune wrote once; empty: the same
    former_values: Mapping[str, str]  # value as it was once written -> as it is
    field: str  # of a form of a technique, the field of a protocol that says it; empty: no such axis
    fields: Mapping[str, Any]  # value -> the field's; of what is not among them it is the value itself
    default: Any  # torch's; of an axis that a checkpoint carries, what the library builds; of a form, the protocol's

    def leaves_open(self, value: Any) -> bool:
        """Whether `value` stands for whatever the library builds, which need not be one value."""
        return self.carried and value in (None, "own")


def axis(
    default: Any,
    about: str,
    values: Mapping[str, str],
    *,
    kind: Kind,
    rungs: Sequence[Rung],
    needs: Sequence[Feature] = (),
    carried: bool | None = None,
    layer: str = "",
    candidates: Sequence[Any] | None = None,
    reference: Any = None,
    formerly: str = "",
    former_values: Mapping[str, str] | None = None,
    field: str = "",
    fields: Mapping[str, Any] | None = None,
    **limits: Any,
) -> Any:
    """A field of `Conventions`, with the axis as data.

    carried: left out, those of the network are. candidates: left out, all values but `own`.
    field, fields: of a form of a technique (`_forms`).
    limits: of a number, as pydantic's Field takes them.
    """
    known: Any = {
        "kind": kind,
        "values": dict(values),
        "rungs": list(rungs),
        "needs": list(needs),
        "carried": kind == "network" if carried is None else carried,
        "layer": layer,
        "candidates": [value for value in values if value != "own"] if candidates is None else list(candidates),
        "reference": reference,
        "formerly": formerly,
        "former_values": dict(former_values or {}),
        "field": field,
        "fields": dict(fields or {}),
    }
    return Field(default, description=about, json_schema_extra={DECLARED: known}, **limits)


PROTOCOL = "protocol"  # the value of a form that a set-up leaves to the protocol


def form(about: str, values: Mapping[str, str], *, field: str, needs: Sequence[Feature], **known: Any) -> Any:
    """A field of `Conventions` for a form of a technique, which by default is the protocol's.

    field: of a protocol, without numbers of stages. It is decided outside, for every library alike, and shows at no
    rung: both sides of a ladder are given the protocol's.
    """
    default = {PROTOCOL: f"as the protocol has it in {field}"}
    values = default | dict(values)
    return axis(PROTOCOL, about, values, kind="recipe", rungs=(), needs=needs, field=field, **known)
