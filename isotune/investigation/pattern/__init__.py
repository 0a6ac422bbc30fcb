"""What a difference between two arrays looks like, and on how little it shows.

- `pattern(reference, other, bound)`: where two arrays of one layer differ and how, a `Pattern` of plain statements;
- `arrangement(reference, other, bound)`: one tensor as the other, its values in other places;
- `described(failing, reference, other, bound)`, `alike(failing, layers, tensors)`: of all that differ, what the first
  looks like and what they have in common;
- `heads_tokens(head, reference, other, tensors, bound)`: which tokens of a sequence two classifiers read;
- `penalty(reference, other, weights)`: an L2 part that one side's loss has and the other's lacks;
- `rates(failing, reference, other, before)`: another learning rate for some tensors, from one step;
- `smallest(images, shows)`: the smallest input that shows a difference, a `Smallest`.

Modules: `_shape` (images, tokens, channels, borders), `_equations` (other = f(reference)), `_arrangement`, `_together`,
`_tokens`, `_penalty`, `_rates`, `_smallest`. Arrays go in, words come out: nothing here knows of sides or rungs.
"""

from isotune.investigation.pattern._arrangement import arrangement
from isotune.investigation.pattern._penalty import penalty
from isotune.investigation.pattern._rates import rates
from isotune.investigation.pattern._shape import Pattern, pattern
from isotune.investigation.pattern._smallest import PARTS, Smallest, smallest
from isotune.investigation.pattern._together import alike, described
from isotune.investigation.pattern._tokens import heads_tokens

__all__ = [
    "PARTS", "Pattern", "Smallest", "alike", "arrangement", "described", "heads_tokens", "pattern", "penalty",
    "rates", "smallest",
]  # fmt: skip
