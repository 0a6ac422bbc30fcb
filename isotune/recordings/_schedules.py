"""The learning rates of a loop against a stage's: of every step, by the form that gives them, and of every layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import numpy as np

from isotune.errors import UsageError
from isotune.protocols import Schedule, Stage, forms
from isotune.protocols.schedules import learning_rates
from isotune.recordings import _rates
from isotune.recordings._comparison import Cause, Outcome, together
from isotune.recordings._reading import Recording
from isotune.runs.training import layer_rates
from isotune.weights import HEAD, Layer

Array = np.ndarray
_NEAR = 1e-6  # relative, of a rate that a framework holds in float32
_SHARES = (0.01, 0.1)  # at which warm-ups begin, beside what is seen
_PLAIN = ("constant", "cosine", "linear")
_RISES = (0.25, 0.3)  # fastai's, torch's
_DIGITS, _PARTS = 5, 99  # of a value that is read off rates: digits, or a fraction's denominator


def held_against(recording: Recording, stage: Stage) -> Outcome:
    """The rate of every step, and by what it is multiplied in each layer."""
    return together((_schedule(recording, stage, _of_first_group(recording)), _layers(recording, stage)))


# -- of every step


def _schedule(recording: Recording, stage: Stage, factor: float) -> Outcome:
    """factor: of the head's rate, that of the group whose rates are recorded."""
    per_epoch, schedule = recording.about.steps_per_epoch, stage.schedule
    steps = stage.steps or (stage.epochs or 0) * (per_epoch or 0)
    if not steps and schedule.name == "constant":
        steps = max(recording.every.steps, schedule.warmup_steps)
    if not steps or (per_epoch is None and (schedule.per == "epoch" or schedule.warmup_epochs)):
        return Outcome(unknown=("the schedule (steps_per_epoch is not known: give it to isotune.watch)",))
    expected = learning_rates(schedule, steps, per_epoch or steps)
    seen = recording.rates / factor
    after = f"steps {len(expected)} to {len(seen) - 1}, which are after the protocol's stage"
    unknown = (after,) if len(seen) > len(expected) else ()
    if len(seen) < len(expected):
        unknown = (f"the schedule of steps {len(seen)} to {len(expected) - 1}, which were not watched",)
    seen = seen[: len(expected)]
    if (parted := _rates.parting(seen, expected, per_epoch)) is None:
        hidden = _hidden(schedule, seen, expected, per_epoch)
        agreed = f"schedule ({len(seen)} of {steps} steps{hidden})"
        return Outcome(agreed=(agreed,), unknown=unknown)
    step, words = parted
    left, right = float(seen[step]), float(expected[step])
    changes = _explained(schedule, seen, steps, per_epoch)
    if not changes:
        said = f"from step {step} on the learning rate is not the protocol's: {words}"
        return Outcome((_cause("schedule", left, right, step, said),), unknown=unknown)
    if len(changes) > 1:
        either = " or ".join(", ".join(f"{name} = {forms.shown(value)}" for name, value in each) for each in changes)
        said = f"from step {step} on the learning rate is that of {either}, which these steps do not tell apart"
        return Outcome((_cause("schedule", left, right, step, f"{said}; {words}"),), unknown=unknown)
    seen_as = _other(schedule, changes[0])
    return Outcome(tuple(_form_cause(name, seen_as, schedule, step) for name, _ in changes[0]), unknown=unknown)


def _cause(name: str, left: Any, right: Any, step: int, words: str) -> Cause:
    return Cause(name=name, rung="rate", left=left, right=right, steps=(step,), words=words)


def _form_cause(name: str, ours: Schedule, theirs: Schedule, step: int) -> Cause:
    left, right = (_plain(each.begins if name == "start" else getattr(each, name)) for each in (ours, theirs))
    said = forms.Difference(f"stage.schedule.{name}", left, right)
    return _cause(f"schedule.{name}", left, right, step, said.words("the loop", "the protocol"))


def _plain(value: Any) -> Any:
    return "none" if value is None else value


Change = tuple[tuple[str, Any], ...]  # fields with other values


def _explained(schedule: Schedule, seen: Array, steps: int, per_epoch: int | None) -> list[Change]:
    """The fewest other forms that give these rates; several where they cannot be told apart."""
    for size in (1, 2):
        fitting = [
            change
            for names in combinations(_values(schedule, seen, steps, per_epoch).items(), size)
            for change in _changes(names)
            if _gives(schedule, change, seen, steps, per_epoch)
        ]
        if fitting:
            return fitting
    return []


def _changes(names: Sequence[tuple[str, list[Any]]]) -> Iterator[Change]:
    for values in product(*(values for _, values in names)):
        yield tuple((name, value) for (name, _), value in zip(names, values, strict=True))


def _other(schedule: Schedule, change: Change) -> Schedule:
    """Without what then has no meaning: where a warm-up begins that is no more, the end of a decay that is none.
    UsageError: such a schedule there is not."""
    said = {name: getattr(schedule, name) for name in Schedule.model_fields} | dict(change)
    if said["name"] != "one-cycle":
        if not said["warmup_steps"] and not said["warmup_epochs"]:
            said |= {"start": None, "warmup_counts": False}
        if said["name"] not in ("cosine", "linear"):
            said |= {"final": 0.0, "warmup_counts": False}
    return Schedule(**said)


def _gives(schedule: Schedule, change: Change, seen: Array, steps: int, per_epoch: int | None) -> bool:
    try:
        rates = learning_rates(_other(schedule, change), steps, per_epoch or steps)[: len(seen)]
    except UsageError:  # such a schedule there is not
        return False
    return bool((np.abs(rates - seen) <= _NEAR * np.maximum(np.abs(rates), np.abs(seen))).all())


def _values(schedule: Schedule, seen: Array, steps: int, per_epoch: int | None) -> dict[str, list[Any]]:
    """Other values of each form of a schedule that are worth trying, those that the rates themselves show included."""
    tried: dict[str, list[Any]] = {}
    shown = _share(float(seen[0]) / schedule.learning_rate)
    if schedule.warmup_steps or schedule.warmup_epochs:
        tried["start"] = [None, 0.0, *_SHARES, *shown]
        tried["warmup_counts"] = [True, False]
        tried |= _warmups(schedule, seen, per_epoch or steps)
    if schedule.name == "one-cycle":
        tried["start"] = [each for each in shown if each != schedule.begins]
        tried |= {"rise": list(_RISES), "anneal": ["cosine", "linear"], "reach": ["after", "last"]}
    elif per_epoch:
        tried["per"] = ["step", "epoch"]
    if schedule.name in _PLAIN:
        tried["name"] = list(_PLAIN)
    if schedule.name in ("cosine", "linear", "one-cycle"):
        tried["final"] = [0.0, *_finals(schedule, seen, steps, per_epoch)]
    if schedule.name == "step":
        tried["gamma"] = _gammas(seen)
    return {
        name: [value for value in dict.fromkeys(values) if value != getattr(schedule, name)]
        for name, values in tried.items()
    }


def _warmups(schedule: Schedule, seen: Array, per_epoch: int) -> dict[str, list[Any]]:
    """None, and as long as the rates rise: to the step with the highest, or to the one before."""
    highest = int(np.argmax(seen))
    if schedule.warmup_steps:
        return {"warmup_steps": [0, highest, highest + 1]}
    return {"warmup_epochs": [0, *dict.fromkeys((highest // per_epoch, -(-(highest + 1) // per_epoch)))]}


def _finals(schedule: Schedule, seen: Array, steps: int, per_epoch: int | None) -> list[float]:
    """The share that is left at the end, if the last rate seen is of such a decay: rates are linear in it."""
    whole, none = (
        learning_rates(schedule.model_copy(update={"final": final}), steps, per_epoch or steps)[len(seen) - 1]
        for final in (0.5, 0.0)
    )
    if whole == none:
        return []
    return _share(0.5 * float(seen[-1] - none) / float(whole - none))


def _gammas(seen: Array) -> list[float]:
    """The factor of the first drop that is seen."""
    drops = np.flatnonzero(seen[1:] < seen[:-1])
    return _share(float(seen[drops[0] + 1] / seen[drops[0]])) if drops.size else []


def _share(value: float) -> list[float]:
    """What somebody wrote who meant this: a short decimal, a third and the like, or the value itself; empty: no share
    of anything."""
    written = (float(f"{value:.{_DIGITS}g}"), float(Fraction(value).limit_denominator(_PARTS)), value)
    return [next(each for each in written if abs(each - value) <= _NEAR * value)] if _NEAR < value < 1 else []


def _hidden(schedule: Schedule, seen: Array, expected: Array, per_epoch: int | None) -> str:
    """Forms of which another value gives the same rates as far as was seen, and others later."""
    hidden = [
        name
        for name, values in _values(schedule, seen, len(expected), per_epoch).items()
        for value in values
        if _gives(schedule, ((name, value),), seen, len(expected), per_epoch)
        and not _gives(schedule, ((name, value),), expected, len(expected), per_epoch)
    ]
    return f", which do not show {', '.join(dict.fromkeys(hidden))}" if hidden else ""


# -- of every layer


def _of_layers(recording: Recording) -> dict[str, float]:
    """Of each layer that is stepped its rate over the head's, in the first step that has any; empty: not known."""
    for step in recording.steps.values():
        optimizer = step.entry.optimizer
        rates = {name: float(optimizer.of(name).get("learning_rate") or 0.0) for name in optimizer.members}
        head = next((rate for name, rate in rates.items() if name.startswith(f"{HEAD}.")), 0.0)
        if head:
            return {name.rpartition(".")[0]: rate / head for name, rate in rates.items()}
    return {}


def _of_first_group(recording: Recording) -> float:
    """The rate of the optimizer's first group, which is recorded of every step, over the head's."""
    known = _of_layers(recording)
    for step in recording.steps.values():
        members = step.entry.optimizer.members
        layers = [name.rpartition(".")[0] for name, group in members.items() if group == 0]
        if layers and layers[0] in known:
            return known[layers[0]]
    return 1.0


def _layers(recording: Recording, stage: Stage) -> Outcome:
    seen = _of_layers(recording)
    layers = {entry.layer: Layer(entry.layer, entry.kind, entry.block, entry.own) for entry in recording.about.tensors}
    asked = stage.layer_decay is not None or stage.body_rate != 1
    if not seen:
        return Outcome(unknown=("the rates of the layers (no step shows the head's)",) if asked else ())
    known = [layers[name] for name in seen if name in layers]
    if _same(seen, layer_rates(known, stage)):
        return Outcome(agreed=("the rates of the layers",)) if asked else Outcome()
    for change in _other_rates(known, seen, stage):
        if _same(seen, layer_rates(known, stage.model_copy(update=dict(change)))):
            return Outcome(tuple(_rate_cause(stage, name, value) for name, value in change))
    name, most = min(seen.items(), key=lambda each: each[1])
    words = f"the rate of {name} is {most:.6g} times the head's, which no layer_decay and body_rate give"
    return Outcome((Cause(name="layer_decay", rung="rate", left=most, right=stage.layer_decay, words=words),))


def _rate_cause(stage: Stage, name: str, value: Any) -> Cause:
    wanted = getattr(stage, name)
    words = forms.Difference(f"stage.{name}", _plain(value), _plain(wanted)).words("the loop", "the protocol")
    return Cause(name=name, rung="rate", left=_plain(value), right=_plain(wanted), words=words)


def _other_rates(layers: Sequence[Layer], seen: Mapping[str, float], stage: Stage) -> Iterator[Change]:
    """One of the two otherwise, then both, with the values that the rates themselves show."""
    decay, body = _fitted(layers, seen)
    decays: list[float | None] = [None, *([decay] if decay else [])]
    bodies = [1.0, *([body] if body else [])]
    wanted = stage.layer_decay, stage.body_rate
    yield from ((("layer_decay", each),) for each in decays if each != wanted[0])
    yield from ((("body_rate", each),) for each in bodies if each != wanted[1])
    for one, other in product(decays, bodies):
        if one != wanted[0] and other != wanted[1]:
            yield ("layer_decay", one), ("body_rate", other)


def _fitted(layers: Sequence[Layer], seen: Mapping[str, float]) -> tuple[float | None, float | None]:
    """layer_decay and body_rate whose product these rates are, log-linear in the blocks; None: 1, or no such."""
    blocks = max((layer.block for layer in layers), default=0)
    below = [(blocks - layer.block + 1, seen[layer.name]) for layer in layers if layer.name != HEAD]
    behind = sorted({number for number, _ in below})
    if not below or any(rate <= 0 for _, rate in below):
        return None, None
    logs = np.log([rate for _, rate in below])
    if len(behind) == 1:
        return None, float(f"{np.exp(logs.mean()):.{_DIGITS}g}")
    slope, level = np.polyfit([number for number, _ in below], logs, 1)
    decay, body = (float(f"{np.exp(value):.{_DIGITS}g}") for value in (slope, level))
    return (decay if decay < 1 else None), (body if body != 1 else None)


def _same(seen: Mapping[str, float], wanted: Mapping[str, float]) -> bool:
    return all(abs(rate - wanted[name]) <= 1e-4 * wanted[name] for name, rate in seen.items() if name in wanted)
