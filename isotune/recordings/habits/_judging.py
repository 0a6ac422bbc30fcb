"""What a loop does, read off its recording by equations: a habit has a name, a value, and the numbers it stands on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from isotune.recordings._format import TensorEntry
from isotune.recordings._reading import RecordedStep, Recording
from isotune.recordings.habits import _between, _clipping, _draws, _losses, _norms
from isotune.recordings.habits._forms import moved
from isotune.recordings.habits._updates import Told, explain

HYPER = ("momentum", "dampening", "nesterov", "weight_decay", "beta1", "beta2", "rho", "epsilon")
NEAR = 1e-5  # two numbers of two recordings are one up to this


class Habit(BaseModel):
    """One thing that a loop does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="an axis of the conventions, or a field of a protocol's stage")
    value: Any = Field(description="None: it cannot be told from this recording")
    words: str
    steps: tuple[int, ...] = Field((), description="in which it was seen")


class Habits(Mapping[str, Habit]):
    """All that was read off a recording, by name."""

    def __init__(self, habits: Iterable[Habit]) -> None:
        self._habits = {habit.name: habit for habit in habits}

    def __getitem__(self, name: str) -> Habit:
        return self._habits[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._habits)

    def __len__(self) -> int:
        return len(self._habits)

    def value(self, name: str) -> Any:
        """A habit's value; None where it is not known."""
        return self._habits[name].value if name in self._habits else None


def judge(recording: Recording) -> Habits:
    """What the loop does: form of the step, decay, clipping, loss, accumulation, BatchNorm, what is trained."""
    entries = {entry.name: entry for entry in recording.about.tensors}
    steps = recording.steps
    told = {number: _told(entries, step) for number, step in steps.items()}
    habits: list[Habit] = []
    finders = (_configured, _clipping.habits, _passes, _losses.habits, _norms.habits, _draws.habits, _between.habits,
               _trained)  # fmt: skip
    for finder in finders:
        habits += [Habit(**values) for values in finder(recording)]
    habits += _of_updates(entries, steps, {number: each for number, each in told.items() if each})
    return Habits(habits)


def _told(entries: Mapping[str, TensorEntry], step: RecordedStep) -> Told | None:
    tensors = list(moved(entries, step))
    gone = any((tensor.before != tensor.after).any() for tensor in tensors)
    return explain(step.entry.optimizer, tensors) if tensors and gone else None


Found = Iterator[dict[str, Any]]


def _configured(recording: Recording) -> Found:
    """Hyper-parameters as the optimizer had them in the first full step."""
    if not recording.steps:
        return
    number, step = next(iter(recording.steps.items()))
    optimizer = step.entry.optimizer
    yield {"name": "optimizer", "value": optimizer.family if optimizer.family != "unknown" else optimizer.own,
           "words": f"its optimizer is {optimizer.own}", "steps": (number,)}  # fmt: skip
    for name in HYPER:
        values = list(dict.fromkeys(group[name] for group in optimizer.groups if name in group))
        if values:
            value = values[0] if len(values) == 1 else max(values)
            several = f" (groups: {', '.join(map(_number, values))})" if len(values) > 1 else ""
            words = f"{name} is {_number(value)}{several}"
            yield {"name": name, "value": value, "words": words, "steps": (number,)}
    rates = list(dict.fromkeys(group.get("learning_rate") for group in optimizer.groups))
    words = f"the learning rate of step {number} is {', '.join(map(_number, rates))}"
    value = rates[0] if len(rates) == 1 else rates
    yield {"name": "learning_rate", "value": value, "words": words, "steps": (number,)}


def _of_updates(
    entries: Mapping[str, TensorEntry], steps: Mapping[int, RecordedStep], told: Mapping[int, Told]
) -> list[Habit]:
    if not told:
        return []
    habits = []
    numbers = tuple(told)
    whole = {number: each for number, each in told.items() if not each.failing}
    if failing := {number: each.failing for number, each in told.items() if each.failing}:
        habits.append(_unexplained(failing))
    names = dict.fromkeys(name for each in whole.values() for form in each.forms for name in form.axes)
    for name in names:
        common = set.intersection(*({form.axes.get(name) for form in each.forms} for each in whole.values()))
        value = common.pop() if len(common) == 1 else None
        words = f"{name} is {value}" if value is not None else f"these steps do not show {name}"
        habits.append(Habit(name=name, value=value, words=words, steps=numbers))
    habits += _decay_habits(entries, steps, whole)
    return habits


def _unexplained(failing: Mapping[int, Mapping[str, float | None]]) -> Habit:
    tensors = next(iter(failing.values()))
    factors = {None if factor is None else round(factor, 4) for factor in tensors.values()}
    several = "s" if len(tensors) > 1 else ""
    words = f"no known form of the step gives what {len(tensors)} tensor{several} became, first {next(iter(tensors))}"
    value: Any = sorted(tensors)
    if None not in factors and len(factors) == 1:
        value = next(iter(factors))
        words = (
            f"{len(tensors)} tensor{several} moved {value:g} times as far as the rate says, first {next(iter(tensors))}"
        )
    return Habit(name="step", value=value, words=words, steps=tuple(failing))


def _decay_habits(
    entries: Mapping[str, TensorEntry], steps: Mapping[int, RecordedStep], told: Mapping[int, Told]
) -> list[Habit]:
    forms = {each.decay for each in told.values() if each.decay}
    if not told:
        return []
    if forms == {"none"} and all(each.decay for each in told.values()):
        return [Habit(name="weight_decay_form", value="none", words="nothing decays", steps=tuple(told))]
    known = [form for form in forms if form != "none"]
    form = known[0] if len(known) == 1 else None
    words = f"weight decay is {form}" if form else "rounding hides in these steps whether weight decay is coupled"
    habits = [Habit(name="weight_decay_form", value=form, words=words, steps=tuple(told))]
    decays: dict[str, bool] = {}
    for each in told.values():
        decays |= {name: does for name, does in each.decays.items() if does is not None}
    kernels, others = ({name: does for name, does in decays.items() if (entries[name].slot == "kernel") is kernel}
                       for kernel in (True, False))  # fmt: skip
    hidden = len({name for each in told.values() for name in each.decays}) - len(decays)
    value, words = _decayed_words(kernels, others, hidden, entries)
    habits.append(Habit(name="weight_decay_on", value=value, words=words, steps=tuple(told)))
    return habits


def _decayed_words(
    kernels: Mapping[str, bool], others: Mapping[str, bool], hidden: int, entries: Mapping[str, TensorEntry]
) -> tuple[Any, str]:
    unseen = f"; of {hidden} tensors it cannot be seen (they are zero, or rounding hides it)" if hidden else ""
    if not others or not kernels:
        return None, f"what decays cannot be seen in these steps{unseen}"
    if all(kernels.values()) and not any(others.values()):
        return "kernels", f"kernels decay; biases and norms do not{unseen}"
    if all(kernels.values()) and all(others.values()):
        kinds = Counter(entries[name].slot for name in others)
        return "all", f"everything decays, {', '.join(f'{n} x {kind}' for kind, n in kinds.items())} too{unseen}"
    does = sorted({entries[name].slot for name, yes in {**kernels, **others}.items() if yes})
    does_not = sorted({entries[name].slot for name, yes in {**kernels, **others}.items() if not yes})
    return (
        f"some: {', '.join(does)}",
        f"decay acts on some of {', '.join(does)}, not on some of {', '.join(does_not)}{unseen}",
    )


def _passes(recording: Recording) -> Found:
    counts = Counter(len(step.entry.passes) for step in recording.steps.values())
    if recording.every.steps:
        images = Counter(recording.images.tolist())
        value = images.most_common(1)[0][0]
        steps = recording.every.steps
        other = f"; {steps - images[value]} of {steps} steps have another number" if len(images) > 1 else ""
        if value:
            yield {"name": "batch_size", "value": value, "words": f"a step takes {value} images{other}"}
    if counts and counts.most_common(1)[0][0]:
        value = counts.most_common(1)[0][0]
        yield {"name": "passes", "value": value, "words": f"a step has {value} pass{'es' if value > 1 else ''}",
               "steps": tuple(recording.steps)}  # fmt: skip


def _trained(recording: Recording) -> Found:
    steps = list(recording.steps.values())
    if not steps:
        return
    changed = {name for step in steps for name in step.tensors("gradients") if name in step.entry.optimizer.members}
    weights = [entry for entry in recording.about.tensors if not entry.buffer]
    layers = list(dict.fromkeys(entry.layer for entry in weights if entry.name in changed))
    everything = list(dict.fromkeys(entry.layer for entry in weights))
    value: Any = "all" if layers == everything else "head" if layers == ["head"] else layers
    words = "every layer is trained" if value == "all" else f"{len(layers)} of {len(everything)} layers are trained"
    yield {"name": "trained", "value": value, "words": words, "steps": tuple(recording.steps)}
    if gone := [entry.name for entry in weights if entry.layer in layers and entry.name not in changed]:
        yield {"name": "left_out", "value": gone, "words": f"{len(gone)} tensors of trained layers are left out, first"
               f" {gone[0]}", "steps": tuple(recording.steps)}  # fmt: skip


def _number(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, float) else str(value)
