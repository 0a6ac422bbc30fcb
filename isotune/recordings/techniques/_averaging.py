"""An average of the weights: whether each update has the decay that the protocol's has."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

from isotune.protocols import Averaging, Protocol
from isotune.protocols.averages import decays
from isotune.recordings._comparison import Cause, Outcome, together
from isotune.recordings._reading import Recording
from isotune.recordings.habits.averages import Kept, is_recorded, kept
from isotune.recordings.techniques._naming import named, plain

_NEAR = 1e-6  # two decays are one, beside what rounding leaves
_DIGITS = 4


def average(recording: Recording, protocol: Protocol) -> Outcome:
    """Whether each update of a recorded average has the decay that the protocol's has."""
    wanted, seen = protocol.average, kept(recording)
    if wanted is None:
        words = "the loop keeps an average of the weights, and the protocol has none"
        return Outcome((_of_average("kept", "none", words),)) if is_recorded(recording) else Outcome()
    if not seen:
        none = "none is recorded: watching.average(average) shows it"
        why = "the weights moved too little in these steps" if is_recorded(recording) else none
        return Outcome(unknown=(f"average ({why})",))
    evaluated = Outcome(unknown=("which weights the loop evaluates, the average or those of the last step",))
    return together((_updates(recording, wanted, seen), _statistics(seen, wanted), evaluated))


def _of_average(left: Any, right: Any, words: str) -> Cause:
    return Cause(name="average", rung="evaluation", left=left, right=right, words=words)


def _updates(recording: Recording, wanted: Averaging, seen: dict[int, Kept]) -> Outcome:
    if strange := [number for number, each in seen.items() if each.decay is None]:
        words = f"after step {strange[0]} the average is no mean of what it was and the weights"
        if len(recording.steps[strange[0]].entry.passes) > 1:
            words = f"{words}: an optimizer's own (`use_ema`) is updated at each of the passes that make a step"
        return Outcome((_of_average("other", plain(wanted), words),))
    fitting = {size: [change for change in _changes(wanted, seen, size) if _gives(_changed(wanted, change), seen)]
               for size in (1, 2)}  # fmt: skip
    if _gives(wanted, seen):
        hidden = dict.fromkeys(name for change in fitting[1] for name, _ in change)
        shown = f"; they do not show {', '.join(hidden)}" if hidden else ""
        return Outcome(agreed=(f"average (after steps {', '.join(map(str, seen))}{shown})",))
    changes = fitting[1] or fitting[2]
    if len(changes) == 1:
        return Outcome(tuple(named(f"average.{name}", "evaluation", value, getattr(wanted, name))
                             for name, value in changes[0]))  # fmt: skip
    number = next(number for number, each in seen.items() if not _near(each, _expected(wanted, number)))
    words = f"after step {number} the average keeps {seen[number].decay:.6g} of what it was, and the protocol's"
    words = f"{words} {_expected(wanted, number):.6g}"
    if changes:
        either = " or ".join(", ".join(f"{name} = {value}" for name, value in change) for change in changes)
        words = f"{words}, as of {either}, which these steps do not tell apart"
    return Outcome((_of_average(seen[number].decay, plain(wanted), words),))


def _statistics(seen: dict[int, Kept], wanted: Averaging) -> Outcome:
    told = {each.statistics for each in seen.values() if each.statistics}
    field = "average.statistics"
    if len(told) != 1:
        return Outcome(unknown=(f"{field} (no step tells averaged and copied apart)",))
    (value,) = told
    if value == wanted.statistics:
        return Outcome(agreed=(field,))
    return Outcome((named(field, "evaluation", value, wanted.statistics),))


Change = tuple[tuple[str, Any], ...]


def _changes(wanted: Averaging, seen: dict[int, Kept], size: int) -> Iterator[Change]:
    """So many fields of an average with other values, those that the decays themselves show included."""
    updates = [each.decay for each in seen.values() if each.decay is not None and 0 < each.decay < 1]
    values: dict[str, list[Any]] = {
        "start": ["initial", "first", "zero"],
        "warmup": ["none", "counted", "power"],
        "every": [*range(1, 1 + max(seen, default=0)), 32],
        "decay": [float(f"{decay:.{_DIGITS}g}") for decay in updates[-1:]],
    }
    for names in combinations(values, size):
        for chosen in product(*(values[name] for name in names)):
            change = tuple(zip(names, chosen, strict=True))
            if all(getattr(wanted, name) != value for name, value in change):
                yield change


def _changed(wanted: Averaging, change: Change) -> Averaging:
    return Averaging(**wanted.model_dump() | dict(change))


def _gives(averaging: Averaging, seen: dict[int, Kept]) -> bool:
    return all(_near(each, _expected(averaging, number)) for number, each in seen.items())


def _expected(averaging: Averaging, step: int) -> float:
    """What is kept of an average at the update after a step, from 0; 1 where there is none."""
    updates, rest = divmod(step + 1, averaging.every)
    return 1.0 if rest else float(decays(averaging, updates)[-1])


def _near(seen: Kept, decay: float) -> bool:
    return seen.decay is not None and abs(seen.decay - decay) <= 4 * seen.error + _NEAR
