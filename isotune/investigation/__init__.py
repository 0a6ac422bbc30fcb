"""Why two models differ: the first place where they part, the cause by name, and what each cause costs.

- `side(...)`, `investigate(left, right, ...)`: walks the ladder with two sides and gives an `Investigation`;
- `price(...)`: what each convention in which two models differ costs in accuracy;
- `remedy(library, axis, value)`: the lines that make a library behave otherwise;
- `show(...)`, `as_json(...)`, `write(...)`: a table, JSON, and `NAME.md` with its figures.

Modules: `_setup` (the sides), `_examining` (the worker's part), `_showing` (its answers), `_claims`, `_judging`,
`_ladder` (the walk), `_causes`, `_shape` and `_equations` (of an error), `_smallest` (an input), `_findings`, `_dump`,
`_surviving` (of a side that cannot run), `_investigating`; `_switches`, `_shapley`, `_price`, `_priced`; `_remedies`
with a module for each library's half; `_sentences`, `_price_sentences`, `_report`, `_along`, `_waterfall`.
"""

from isotune.investigation._dump import Dumped, dump, is_dump, ordered
from isotune.investigation._findings import Cause, Flip, Investigation, Rung, Survivor
from isotune.investigation._investigating import INTERRUPTED, inputs, investigate, side, with_price
from isotune.investigation._price import price
from isotune.investigation._priced import Price
from isotune.investigation._remedies import Remedy, remedy
from isotune.investigation._report import as_json, default_name, show, write
from isotune.investigation._setup import Side

__all__ = [
    "INTERRUPTED",
    "Cause",
    "Dumped",
    "Flip",
    "Investigation",
    "Price",
    "Remedy",
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
    "price",
    "remedy",
    "show",
    "side",
    "with_price",
    "write",
]
