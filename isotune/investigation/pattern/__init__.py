"""What a difference between two arrays looks like, and on how little it shows.

- `pattern(reference, other, bound)`: where two arrays of one layer differ and how, a `Pattern` of plain statements;
- `smallest(images, shows)`: the smallest input that shows a difference, a `Smallest`.

Modules: `_shape` (images, channels, borders), `_equations` (other = f(reference)), `_smallest`. Arrays go in, words
come out: nothing here knows of sides, rungs or workers.
"""

from isotune.investigation.pattern._shape import Pattern, pattern
from isotune.investigation.pattern._smallest import PARTS, Smallest, smallest

__all__ = ["PARTS", "Pattern", "Smallest", "pattern", "smallest"]
