"""What each difference costs: the accuracy between two set-ups, attributed to the axes in which they differ.

- `attribute(...)`: runs every set of switched axes and gives an `Attribution`, Shapley values in points of accuracy;
- `with_own_defaults(...)`: cells that price each default of a library's by itself, for a report;
- `sentences(...)`, `as_json(...)`: what it says, and what a program may read;
- `waterfall.draw(...)`: its figure; to be imported by itself, since it needs matplotlib.

Modules: `_switches` (which axes are switched), `_own_defaults`, `_shapley`, `_runs`, `_attribution` (what it gives),
`_sentences`, `waterfall`. It stands on `comparison`, which describes both sides, and knows nothing of investigations.
"""

from isotune.attribution._attribution import Attribution, as_json
from isotune.attribution._own_defaults import with_own_defaults
from isotune.attribution._runs import attribute
from isotune.attribution._sentences import sentences

__all__ = ["Attribution", "as_json", "attribute", "sentences", "with_own_defaults"]
