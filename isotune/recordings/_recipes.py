"""Two protocols held against each other: in which forms they differ, and who has each."""

from __future__ import annotations

from isotune.protocols import Protocol, forms
from isotune.recordings._comparison import Cause, Comparison

# Where a part of a recipe shows first; what is not here shows at the step
_SHOWS = {
    "images": "batch", "input": "batch", "augmentation": "batch", "average": "evaluation", "evaluation": "evaluation",
    "schedule": "rate", "layer_decay": "rate", "body_rate": "rate", "batch_size": "batch", "drop_last": "batch",
    "accumulate": "gradients", "trained": "gradients", "label_smoothing": "loss", "batchnorm": "layers",
    "head_dropout": "layers",
}  # fmt: skip


def compare_protocols(left: Protocol, right: Protocol) -> Comparison:
    """In what two recipes differ: a cause for each field, forms of techniques first, and words that say whose each
    form is."""
    names = (left.name, right.name) if left.name != right.name else ("the left", "the right")
    parted = forms.differences(left, right)
    causes = tuple(
        Cause(name=each.field, rung=_rung(each.field), left=each.left, right=each.right, words=each.words(*names))
        for each in parted
    )
    apart = {each.field.partition(".")[0] for each in parted}
    parts = ("images", "input", "augmentation", "probe", "stage", "average", "own_classifier", "evaluation",
             "conventions")  # fmt: skip
    alike = tuple(part for part in parts if part not in apart and (getattr(left, part) or getattr(right, part)))
    return Comparison(kind="protocols", left=names[0], right=names[1], causes=causes, agreed=alike)


def _rung(field: str) -> str:
    parts = [part for part in field.split(".") if not part.isdecimal()]
    return next((_SHOWS[part] for part in reversed(parts) if part in _SHOWS), "step")
