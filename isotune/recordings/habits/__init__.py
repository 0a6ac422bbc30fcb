"""What a loop does, read off its recording by equations.

`judge(recording)` gives `Habits`, each a `Habit` with a name, a value and words. `_forms` are the known forms of an
optimizer's step and what each leaves of a recorded one, `_updates` chooses among them; `_clipping`, `_losses` and
`_norms` are about gradients, the loss and BatchNorm, `_mixtures` about what mixed labels show; `_judging` puts all
together. `averages` reads a recorded average of the weights, which is held against a protocol's.
"""

from isotune.recordings.habits._judging import NEAR, Habit, Habits, judge

__all__ = ["NEAR", "Habit", "Habits", "judge"]
