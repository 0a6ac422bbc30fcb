"""What changed between two sets of runs: before and after an upgrade, a patch, on another machine.

- `of_records(...)`, `of_report(...)`: one side, from records and speeds, or from a report's JSON: a `Side`;
- `changes(before, after)`: what fell, rose, stands on one side alone, and which versions, flags and machine differ:
  `Changes`, with `.markdown()`, `.frame()`, `.json`, `.fell`;
- `show(changes)`: the same on a terminal.

Inside: `_sides` reads, with `_timings`; `_environment` says under what the two sides were computed, `_accuracy` and
`_speeds` judge what pairs, `_one_sided` names what does not, `_compared` holds all of it, `_words` writes.

What is paired is what was asked: model, checkpoint, data set by its content, protocol, conventions, mode and seeds.
With what it was computed is no part of that, and neither is the content of a user's own file: both may be what changed.
"""

from __future__ import annotations

from isotune.changes._changes import Changes, changes
from isotune.changes._sides import Side, of_records, of_report
from isotune.changes._words import show

__all__ = ["Changes", "Side", "changes", "of_records", "of_report", "show"]
