"""What a protocol asks for and no recording of steps shows: told, so that nothing is left out in silence."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from isotune.conventions import AXES, Conventions
from isotune.protocols import Evaluation, Images, Input, Protocol, Stage
from isotune.recordings._comparison import Outcome
from isotune.recordings.habits import Habits

# Of the input, which enters the network scaled and shrunk; and of what a step does, which its numbers do not tell
_OF_IMAGES = ("resize", "decode", "input_scaling")


def unseen(protocol: Protocol, stage: Stage, judged: Collection[str], *, images: bool) -> Outcome:
    """judged: conventions that were. images: whether the images were, against a data set's."""
    fields = [*_conventions(protocol, judged, images=images), *_numbers(protocol)]
    if not images:
        fields += _images(protocol)
    if stage.drop_last and stage.accumulate == 1:
        fields.append("drop_last (which an epoch's last step alone shows)")
    return Outcome(unknown=tuple(fields))


def own_draws(protocol: Protocol, stage: Stage, habits: Habits, *, images: bool) -> Outcome:
    """In one line: what both sides draw, the loop by generators of its own and the protocol by its seeds' streams."""
    augmentation = protocol.augmentation
    of_images = {
        "crops": augmentation.random_resized_crop or augmentation.random_crop, "flips": augmentation.horizontal_flip,
        "policies": augmentation.policy, "random erasing": augmentation.random_erasing,
    }  # fmt: skip
    techniques = {
        **({} if images else of_images), "shares and partners of mixing": augmentation.mixing,
        "masks of dropout": stage.head_dropout, "masks of stochastic depth": stage.stochastic_depth,
    }  # fmt: skip
    asked = [name for name, part in techniques.items() if part]
    does = {
        "shares and partners of mixing": "mixing", "masks of dropout": "dropout",
        "masks of stochastic depth": "stochastic_depth", "what layers of the network draw": "random_layers",
    }  # fmt: skip
    loops = [name for name, habit in does.items() if habits.value(habit) not in (None, [], "none")]
    drawn = ", ".join(dict.fromkeys([*asked, *loops]))
    if not drawn:
        return Outcome()
    return Outcome(unknown=(f"what is drawn ({drawn}), by the loop's generators and by the protocol's streams",))


def _conventions(protocol: Protocol, judged: Collection[str], *, images: bool) -> Iterator[str]:
    said = Conventions.model_validate(protocol.conventions)
    for axis in AXES.values():
        if axis.name in judged or (images and axis.name in _OF_IMAGES):
            continue
        if axis.name in protocol.conventions and getattr(said, axis.name) != axis.default:
            yield f"conventions.{axis.name}"


def _numbers(protocol: Protocol) -> Iterator[str]:
    """What is made of the trained weights."""
    if protocol.images.test is not None:
        yield "images.test"
    if protocol.selection is not None:
        yield "selection"
    if protocol.evaluation.views != Evaluation().views:
        yield "evaluation.views"


def _images(protocol: Protocol) -> Iterator[str]:
    """Fields of the images, whose values a recording without its data set does not show."""
    asked = []
    if protocol.images.train != Images().train:
        asked.append("images.train")
    for name in ("resize", "interpolation"):
        if getattr(protocol.input, name) != getattr(Input(), name):
            asked.append(f"input.{name}")
    augmentation = protocol.augmentation
    fields = ("random_resized_crop", "random_crop", "horizontal_flip", "policy", "random_erasing")
    asked += [f"augmentation.{name}" for name in fields if getattr(augmentation, name)]
    if asked:
        yield f"{', '.join(asked)} (which the images do not show)"
