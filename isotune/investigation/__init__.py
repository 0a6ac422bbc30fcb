"""Why two models differ: the first place where they part, and the cause by name.

- `investigate(left, right, ...)`: walks the ladder with two sides and gives an `Investigation`, with `.verdict`,
  `.rungs`, `.causes`, `.attribution`, `.write(folder)`;
- `dump(model, folder, ...)`: what one side shows, for an investigation on another machine;
- `walk(...)`: the ladder alone, of sides that are made already, which gives `Findings` (`findings`).

- `PARTS`: of a protocol, which a side may leave out, by the name that a cause gives them.

Modules: `_rung_specs`, `_recordings` (of both sides), `_judging`, `_causes`, `_left_out`, `_ladder` (the
walk, rung by rung), `_walking` (from end to end), `_dump` and `_surviving` (of a side that cannot run), `_sides`,
`_images`, `_command`, `_investigation`, `_investigating`; `pattern` (of an error), `report` (of all). It stands on
`comparison` and `attribution`.
"""

from isotune.comparison.sides import Side
from isotune.investigation._dump import Dump
from isotune.investigation._investigating import dump, investigate
from isotune.investigation._investigation import Investigation
from isotune.investigation._left_out import PARTS
from isotune.investigation._sides import side
from isotune.investigation._walking import INTERRUPTED, walk
from isotune.investigation.findings import Cause, Findings, Flip, Rung, Survivor

__all__ = [
    "INTERRUPTED",
    "PARTS",
    "Cause",
    "Dump",
    "Findings",
    "Flip",
    "Investigation",
    "Rung",
    "Side",
    "Survivor",
    "dump",
    "investigate",
    "side",
    "walk",
]
