"""Why two models differ: the first place where they part, and the cause by name.

- `side(...)`, `investigate(left, right, ...)`: walks the ladder with two sides and gives an `Investigation`;
- `with_price(...)`: the ladder with what each cause costs (`isotune.attribution`);
- `show(...)`, `as_json(...)`, `write(...)`: a table, JSON, and `NAME.md` with its figures.

Modules: `_examining` (the worker's part), `_showing` (its answers), `_claims`, `_judging`, `_ladder` (the walk),
`_causes`, `_shape` and `_equations` (of an error), `_smallest` (an input), `_findings`, `_accuracy`, `_dump`,
`_surviving` (of a side that cannot run), `_investigating`; `_sentences`, `_report`, `_along`.
"""

from isotune.comparison.sides import Side
from isotune.investigation._dump import Dumped, dump, is_dump, ordered
from isotune.investigation._findings import Cause, Flip, Investigation, Rung, Survivor
from isotune.investigation._investigating import INTERRUPTED, inputs, investigate, side, with_price
from isotune.investigation._report import as_json, default_name, show, write

__all__ = [
    "INTERRUPTED",
    "Cause",
    "Dumped",
    "Flip",
    "Investigation",
    "Rung",
    "Side",
    "Survivor",
    "as_json",
    "default_name",
    "dump",
    "inputs",
    "investigate",
    "is_dump",
    "ordered",
    "show",
    "side",
    "with_price",
    "write",
]
