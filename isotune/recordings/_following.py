"""One recording held against a stage of a protocol: does the loop do what the protocol says?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.protocols import SGD, Protocol, RMSprop, Stage
from isotune.protocols.trained import trained_layers
from isotune.recordings import techniques
from isotune.recordings._comparing import _equal, in_the_optimizer
from isotune.recordings._comparison import Cause, Comparison, Outcome, together
from isotune.recordings._reading import Recording
from isotune.recordings.habits import Habits, judge
from isotune.weights import Layer

if TYPE_CHECKING:
    from isotune.data import Dataset

_SHOWS = {"batch_size": "batch", "input size": "batch", "schedule": "rate", "trained": "gradients",
          "clipping": "gradients", "label_smoothing": "loss", "loss_reduction": "loss", "regularization": "loss",
          "accumulation": "gradients", "batchnorm_running_variance": "statistics after",
          "batchnorm": "layers", "frozen_batchnorm": "layers"}  # fmt: skip


def compare_with_protocol(
    recording: Recording, protocol: Protocol, stage: int = 1, dataset: Dataset | None = None
) -> Comparison:
    """Whether a loop does what a stage of a protocol says. stage: which, from 1; the first step watched is its first.
    dataset: of the loop; None: its images are not held against the protocol's.

    UsageError: the protocol has no such stage (a probe trains nothing by steps), or no step was recorded.
    """
    if not protocol.stage:
        raise UsageError(f"the protocol {protocol.name} trains nothing step by step: it has no [[stage]]")
    if not 1 <= stage <= len(protocol.stage):
        raise UsageError(f"the protocol {protocol.name} has {len(protocol.stage)} stages, and no stage {stage}")
    if not recording.steps:
        raise UsageError(f"{recording.name} has no full step; record some: isotune.watch(..., steps=range(3))")
    wanted, habits = protocol.stage[stage - 1], judge(recording)
    conventions = Conventions.model_validate(protocol.conventions)
    causes: list[Cause] = []
    agreed: list[str] = []
    unknown: list[str] = []
    in_loss = _decay_in_the_loss(habits, wanted, conventions)
    unclipped = _unclipped(recording, habits, wanted, conventions)
    asked = (*_of_stage(wanted, conventions), *_of_images(protocol, wanted))
    for name, expected, words in asked:
        if in_loss and name.startswith("weight_decay") and not habits.value("weight_decay"):
            continue  # it is told below
        if unclipped is not None and name in ("clipping", "clip_norm"):
            continue
        recorded, value = habits.value(name), expected
        if name == "input size":
            recorded = _input_size(recording)
        elif name == "trained":
            recorded, value = _trained(recording, wanted)
        if recorded is None:
            unknown.append(name + (f" ({habits[name].words})" if name in habits else ""))
        elif _equal(recorded, value):
            agreed.append(name)
        else:
            said = habits[name].words if name in habits else f"{name} is {recorded}"
            causes.append(Cause(name=name, rung=_SHOWS.get(name, "step"), left=recorded, right=value,
                                words=f"{said}, and the protocol says {words}"))  # fmt: skip
    if in_loss is not None:
        causes.append(in_loss) if in_loss.words else agreed.append("weight_decay, in the loss")
    causes += [unclipped] if unclipped is not None else []
    hidden = protocol.augmentation.mixing is not None and techniques.hides_labels(habits)
    causes += _beyond(habits, clips=wanted.optimizer.clip_norm is not None, loss=not hidden)
    from isotune.recordings import _schedules  # runs, which a loop that is watched does without

    images = _images(recording, protocol, stage - 1, dataset)
    other = together((
        _schedules.held_against(recording, wanted),
        images,
        techniques.held_against(
            recording, habits, protocol, wanted, {name for name, _, _ in asked},
            images=bool(images.causes or images.agreed),
        ),
    ))  # fmt: skip
    causes, agreed, unknown = [*causes, *other.causes], [*agreed, *other.agreed], [*unknown, *other.unknown]
    which = f" (stage {stage})" if len(protocol.stage) > 1 else ""
    return Comparison(
        kind="protocol", left=recording.name, right=protocol.name + which,
        causes=tuple(causes), agreed=tuple(agreed), not_compared=tuple(unknown),
    )  # fmt: skip


def _images(recording: Recording, protocol: Protocol, number: int, dataset: Dataset | None) -> Outcome:
    if dataset is None:
        return Outcome(unknown=("the images, their order, and how they were made",))
    from isotune.recordings.images import held_against  # data and runs, which a loop that is watched does without

    return held_against(recording, protocol, number, dataset)


Expected = tuple[str, Any, str]  # a habit's name, the value, and the value in words


def _of_stage(stage: Stage, conventions: Conventions) -> Iterator[Expected]:
    optimizer = stage.optimizer
    family = "adam" if optimizer.name in ("adam", "adamw") else optimizer.name
    yield "optimizer", family, optimizer.name
    fields = {SGD: ("momentum", "nesterov"), RMSprop: ("momentum", "rho", "epsilon")}
    for name in fields.get(type(optimizer), ("beta1", "beta2", "epsilon")):
        yield name, getattr(optimizer, name), f"{getattr(optimizer, name):g}"
    if getattr(optimizer, "momentum", 0):
        yield "momentum_form", conventions.momentum_form, conventions.momentum_form
    if family == "adam":
        yield "adam_epsilon", conventions.adam_epsilon, conventions.adam_epsilon
    if family == "rmsprop":
        yield "rmsprop_epsilon", conventions.rmsprop_epsilon, conventions.rmsprop_epsilon
    decay = optimizer.weight_decay
    yield "weight_decay", decay, f"{decay:g}"
    if decay:
        form = "decoupled" if optimizer.name == "adamw" else conventions.weight_decay_form
        yield "weight_decay_form", form, form
        yield "weight_decay_on", conventions.weight_decay_on, f"that {conventions.weight_decay_on} decay"
    if optimizer.clip_norm is not None:
        yield "clipping", conventions.clipping, conventions.clipping
        yield "clip_norm", optimizer.clip_norm, f"a norm of {optimizer.clip_norm:g}"
    yield "label_smoothing", stage.label_smoothing, f"{stage.label_smoothing:g}"
    yield "loss_reduction", "mean", "the mean"
    if stage.batchnorm == "frozen":
        yield "frozen_batchnorm", "inference", "that all BatchNorms are frozen, in inference mode"
        yield "trained", stage.trained, f"{stage.trained} but BatchNorm"
        return
    yield "batchnorm", stage.batchnorm, f"{stage.batchnorm} mode"
    if stage.batchnorm == "training":
        variance = conventions.batchnorm_running_variance
        yield "batchnorm_running_variance", variance, variance
    if stage.trained != "all":
        yield "frozen_batchnorm", conventions.frozen_batchnorm, conventions.frozen_batchnorm
    yield "trained", stage.trained, stage.trained


def _of_images(protocol: Protocol, stage: Stage) -> Iterator[Expected]:
    yield "batch_size", stage.batch_size, f"{stage.batch_size}"
    yield "input size", [protocol.input.size] * 2, f"{protocol.input.size} x {protocol.input.size} pixels"


def _input_size(recording: Recording) -> list[int] | None:
    for step in recording.steps.values():
        for each in step.entry.passes:
            if each.batch is not None and len(each.batch.shape) == 4:
                return list(each.batch.shape[1:3])
    return None


def _trained(recording: Recording, stage: Stage) -> tuple[Any, Any]:
    """Layers that are trained, and those that the protocol trains; both as the protocol's words where they agree."""
    layers = {entry.layer: Layer(entry.layer, entry.kind, entry.block, entry.own) for entry in recording.about.tensors}
    try:
        wanted = trained_layers(stage, list(layers.values()), lambda: [entry.name for entry in recording.about.tensors])
    except UsageError:
        return None, stage.trained
    seen = {name.rpartition(".")[0] for step in recording.steps.values() for name in step.tensors("gradients")
            if name in step.entry.optimizer.members}  # fmt: skip
    weighty = {entry.layer for entry in recording.about.tensors if not entry.buffer}
    return (stage.trained, stage.trained) if seen == wanted & weighty else (sorted(seen), sorted(wanted & weighty))


def _decay_in_the_loss(habits: Habits, stage: Stage, conventions: Conventions) -> Cause | None:
    """Of a loop with L2 in its loss: how that is not the protocol's decay; without words where it is."""
    part, decay, form = habits.value("regularization"), stage.optimizer.weight_decay, conventions.weight_decay_form
    if not part:
        return None
    in_loss = form == "in-loss" and stage.optimizer.name != "adamw"
    said = "nothing of it"
    if decay:
        said = f"a weight_decay of {decay:g} in the optimizer ({form}), {in_the_optimizer(part, decay, form)}"
    if decay and in_loss:
        said = "" if _equal(part, 2 * decay) and not habits.value("weight_decay") else f"{decay:g} * sum(w^2)"
    words = said and f"{habits['regularization'].words}, and the protocol says {said}"
    return Cause(name="regularization", rung="loss", left=part, right=2 * decay if in_loss else decay, words=words)


def _unclipped(recording: Recording, habits: Habits, stage: Stage, conventions: Conventions) -> Cause | None:
    """Of a loop that clips nothing: a step whose gradients the protocol would have clipped; None: there is none."""
    limit = stage.optimizer.clip_norm
    if limit is None or habits.value("clipping") is not None:
        return None
    for number, step in recording.steps.items():
        norms = [norm for norm, _ in step.entry.raw.values()]
        alone = conventions.clipping == "per-variable"
        norm = max(norms, default=0.0) if alone else sum(each**2 for each in norms) ** 0.5
        if norm > limit * (1 + 1e-3):
            words = f"the loop clips no gradient, of a norm of {norm:.4g} in step {number}; the protocol says {limit:g}"
            return Cause(name="clip_norm", rung="gradients", left="none", right=limit, words=words, steps=(number,))
    return None


def _beyond(habits: Habits, *, clips: bool, loss: bool) -> Iterator[Cause]:
    """What a loop does and no protocol says. clips: whether the protocol does. loss: whether the loss is told."""
    if habits.value("accumulation") == "summed":
        yield Cause(name="accumulation", rung="gradients", left="summed", right="divided",
                    words=f"{habits['accumulation'].words}, the protocol's is the batch's mean")  # fmt: skip
    unsaid = ("between_steps", "step", "left_out", "dampening", *(("loss",) if loss else ()),
              *(() if clips else ("clipping",)))  # fmt: skip
    for name in unsaid:
        if habits.value(name) and (name != "dampening" or habits.value("momentum")):
            yield Cause(name=name, rung=_SHOWS.get(name, "step"), left=habits.value(name), right=None,
                        words=f"{habits[name].words}, of which the protocol says nothing")  # fmt: skip
