"""What each difference costs: the accuracy between two set-ups, attributed to the axes in which they differ.

- `price(...)`: runs every set of switched axes and gives a `Price`, Shapley values in points of accuracy;
- `as_json(...)`: what a program may read.

Modules: `_switches` (which axes are switched), `_shapley`, `_runs`, `_attribution` (what it gives), `_sentences`,
`_waterfall` (the figure).
"""

from isotune.attribution._attribution import Price, as_json
from isotune.attribution._runs import price
from isotune.attribution._sentences import sentences

__all__ = ["Price", "as_json", "price", "sentences"]
