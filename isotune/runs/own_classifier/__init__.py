"""The checkpoint's own classifier, evaluated; nothing is trained.

What may be imported is below, and `classes`: which output stands for which class of a data set.
"""

from isotune.runs.own_classifier._outputs import as_logits
from isotune.runs.own_classifier._setups import (
    as_input,
    check_dataset,
    classes_to_build,
    drawn_head,
    outputs_of,
    published_input,
    setups,
    who,
)

__all__ = [
    "as_input",
    "as_logits",
    "check_dataset",
    "classes_to_build",
    "drawn_head",
    "outputs_of",
    "published_input",
    "setups",
    "who",
]
