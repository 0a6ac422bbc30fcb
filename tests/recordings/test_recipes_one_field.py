"""Two recipes that differ in exactly one field are told apart by that field and no other, in both orders; and a loop
that does one of them is accused of that field alone, or the verdict says that the field was not compared."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from numpy_loop import Loop
from pydantic import BaseModel

from isotune import protocols
from isotune.conventions import AXES, FORM_AXES, NETWORK_AXES
from isotune.errors import UsageError
from isotune.protocols import Protocol
from isotune.recordings import Draw, compare_protocols, compare_with_protocol

Place = tuple[str | int, ...]  # where a field stands: ("stage", 0, "schedule", "start")
SGD = {"name": "sgd", "momentum": 0.9, "weight_decay": 0.01}
WORDS = {"name", "title", "source", "deviations", "expected"}  # of a protocol, which change nothing of a run


def stage(**said: Any) -> dict[str, Any]:
    return {"steps": 4, "batch_size": 8, "optimizer": SGD, "schedule": {"learning_rate": 0.1}} | said


def scheduled(**schedule: Any) -> dict[str, Any]:
    return {"stage": [stage(steps=12, schedule={"learning_rate": 0.1, **schedule})]}


# Each is one recipe; between them every field of a protocol can be another without any other being another
BASES: dict[str, dict[str, Any]] = {
    "plain": {"stage": [stage()]},
    "two stages": {"stage": [stage(trained="last:1"), stage()], "evaluation": {"margin": 1.0}},
    "epochs": {"stage": [stage(steps=None, epochs=6, schedule={
        "learning_rate": 0.1, "name": "cosine", "warmup_epochs": 2, "per": "epoch"})]},
    "warm-up": scheduled(name="cosine", warmup_steps=4, start=0.1),
    "drops": scheduled(name="step", milestones=[2, 5]),
    "drops at a distance": scheduled(name="step", drop_every=2.5),
    "one-cycle": scheduled(name="one-cycle", start=0.1, final=0.01),
    "adam": {"stage": [stage(optimizer={"name": "adam", "weight_decay": 0.1, "clip_norm": 1.0})]},
    "rmsprop": {"stage": [stage(optimizer={"name": "rmsprop", "momentum": 0.9})]},
    "in parts": {"stage": [stage(batch_size=16, accumulate=2, drop_last=True, layer_decay=0.5, body_rate=0.5,
                                 label_smoothing=0.1, head_dropout=0.2, stochastic_depth={"rate": 0.1})]},
    "averaged": {"stage": [stage()], "average": {"decay": 0.9}},
    "mixed": {"stage": [stage()], "augmentation": {
        "mixing": {"mixup": 1.0, "cutmix": 1.0, "switch": 0.4}, "random_erasing": {}, "horizontal_flip": 0.5}},
    "cropped": {"stage": [stage()], "input": {"size": 32, "resize": 40}, "augmentation": {"random_crop": 36},
                "evaluation": {"views": "three-crop"}},
    "policies": {"stage": [stage()], "augmentation": {"random_resized_crop": [0.5, 1.0], "policy": [
        {"name": "rand-augment"}, {"name": "auto-augment"}, {"name": "color-jitter", "brightness": 0.4, "hue": 0.1},
        {"name": "random-rotation", "turn": 0.1}, {"name": "random-translation", "height": 0.1, "width": 0.2},
        {"name": "noisy-rand-augment"},
        {"name": "random-flip"}, {"name": "random-contrast", "factor": [0.9, 1.1]}, {"name": "trivial-augment"}]}},
    "selected": {"stage": [stage()], "images": {"train": 200, "test": 100}, "selection": {
        "held_out": 0.2, "every": 2, "reports": "best", "patience": 3}},
    "mean of the last": {"stage": [stage()], "selection": {"every": 2, "reports": "mean-of-last", "last": 3}},
    "a grid": {"stage": [stage()], "selection": {"held_out": 0.2, "grid": {
        "learning_rate": [0.1, 0.01], "weight_decay": [0.0, 0.1], "steps": [4, 8]}}},
    "a grid of what decays by the rate": {
        "stage": [stage(steps=8, schedule={"learning_rate": 0.1, "name": "step", "milestones": [2]}), stage()],
        "selection": {"held_out": 0.2, "grid": {"learning_rate": [0.1], "rate_times_decay": [0.01, 0.1],
                                                "steps": [6, 8], "stage": 1, "schedule": "scaled"}}},
    "conventions": {"stage": [stage(optimizer=SGD | {"clip_norm": 1.0})], "conventions": {
        "momentum_form": "rate-inside", "head_initialisation": "zeros"}},
    "a probe": {"probe": {"l2": [0.1, 1.0]}},
    "its own classifier": {"own_classifier": {"classes": ["a", "b"], "map": {"cat": "a"}, "beside": [
        {"name": "plain", "input": {"interpolation": "bicubic"}, "conventions": {"resize": "plain"}}]}},
    "its own by position": {"own_classifier": {"match": "position", "beside": [
        {"name": "plain", "input": {"resize": "squash", "interpolation": "nearest"}}]}},
    "a cell's step": {"own_classifier": {"step": "plain"}},
}  # fmt: skip


def recipe(said: dict[str, Any]) -> Protocol:
    return Protocol(**{"name": "mine", "title": "Mine", "source": "a test", "input": {"size": 32}} | said)


def spelled(value: Any) -> Any:
    """A part with all its fields, as a dict."""
    if isinstance(value, BaseModel):
        return {name: spelled(getattr(value, name)) for name in type(value).model_fields}
    return [spelled(each) for each in value] if isinstance(value, tuple | list) else value


def fields(model: BaseModel, at: Place = ()) -> Iterator[tuple[Place, type[BaseModel], str, Any]]:
    """Every field: where it stands, whose it is, its name, its value."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        yield (*at, name), type(model), name, value
        for place, part in enumerate(value) if isinstance(value, tuple) else ():
            if isinstance(part, BaseModel):
                yield from fields(part, (*at, name, place))
        if isinstance(value, BaseModel):
            yield from fields(value, (*at, name))


SAMPLES: dict[Any, list[Any]] = {
    bool: [True, False], int: [1, 40, 2, 3], float: [0.3, 0.25, 1.5], str: ["all", "head", "last:1", "b"],
}  # fmt: skip
PARTS: dict[str, list[Any]] = {  # of fields that are parts, where a recipe has none
    "random_erasing": [{"fill": "noise"}], "mixing": [{"mixup": 0.2}], "average": [{"decay": 0.5}],
    "stochastic_depth": [{"rate": 0.3}], "selection": [{"held_out": 0.3}], "grid": [{"steps": [2, 4]}],
    "policy": [[{"name": "trivial-augment"}]], "conventions": [{"resize": "nearest"}],
    "beside": [[{"name": "other", "conventions": {"resize": "nearest"}}]], "map": [{"cat": "b"}, {"cat": 1}],
    "classes": [["b", "c"]], "l2": [[0.5]], "milestones": [[2, 6], [3]], "factor": [[0.8, 1.2]],
    "random_resized_crop": [[0.2, 1.0]], "area": [[0.1, 0.3]], "ratio": [[0.5, 2.0]], "steps": [[2, 4], 5],
    "learning_rate": [[0.5]], "rate_times_decay": [[0.2]], "weight_decay": [[0.5]],
    "every": ["epoch", 3], "resize": ["squash", 48],
}  # fmt: skip


def others(owner: type[BaseModel], name: str, value: Any) -> list[Any]:
    """Other values of a field that are worth trying; what is no value of it is refused when it is tried. Of a part its
    own fields are tried, of a list of parts one part less."""
    if name == "conventions" and owner is Protocol:
        recipes = [axis for axis in AXES.values() if axis.name not in NETWORK_AXES]
        return [value | {axis.name: each} for axis in recipes for each in axis.values
                if each != str(value.get(axis.name, axis.default))]  # fmt: skip
    if isinstance(value, BaseModel):
        return [None]
    if isinstance(value, tuple) and any(isinstance(each, BaseModel) for each in value):
        return [spelled(value)[:-1]]
    tried = [*PARTS.get(name, []), *_of_annotation(owner.model_fields[name].annotation)]
    return [each for each in tried if each != spelled(value)]


def _of_annotation(annotation: Any) -> list[Any]:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return list(inner)
    if origin is Annotated:
        return _of_annotation(inner[0])
    if origin in (Union, UnionType):
        return [value for each in inner for value in _of_annotation(each)]
    return [None] if annotation is type(None) else SAMPLES.get(annotation, [])


def changed(said: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    """The spelled recipe with one field of another value."""
    first, *rest = place
    copy: Any = list(said) if isinstance(said, list) else dict(said)
    copy[first] = changed(copy[first], tuple(rest), value) if rest else value
    return copy


def pairs() -> Iterator[tuple[str, Place, type[BaseModel], Protocol, Protocol]]:
    """Every base, with every other recipe that differs from it in one field."""
    for base, said in BASES.items():
        one = recipe(said)
        whole = spelled(one)
        for place, owner, name, value in fields(one):
            if place[0] in WORDS:
                continue
            for other in others(owner, name, value):
                try:
                    yield base, place, owner, one, Protocol(**changed(whole, place, other))
                except UsageError:  # there is no such recipe
                    continue


def in_words(place: Place) -> str:
    """As a comparison names it: stages and policies count from 1."""
    return ".".join(str(part + 1) if isinstance(part, int) else part for part in place)


PAIRS = list(pairs())


def test_every_field_of_a_protocol_is_tried() -> None:
    tried = {(owner, place[-1]) for _, place, owner, _, _ in PAIRS}
    known = {(owner, name) for said in BASES.values() for _, owner, name, value in fields(recipe(said))
             if not isinstance(value, BaseModel)}  # fmt: skip
    models = {owner for owner, _ in known}
    unseen = {name for name, kind in vars(protocols).items() if isinstance(kind, type) and issubclass(kind, BaseModel)
              and kind not in models}  # fmt: skip
    assert unseen <= {"Expected", "Mode"}, "a part of a protocol that no base has"
    alone = {"probe", "own_classifier"}  # without which, or a stage, there is no recipe
    kinds = {(owner, "name") for owner in models if get_origin(owner.model_fields.get("name") and
             owner.model_fields["name"].annotation) is Literal}  # fmt: skip
    apart = {(owner, name) for owner, name in known - tried - kinds if name not in alone}
    assert {name for owner, name in apart if owner is not Protocol or name not in WORDS} == set()


def _mirrored(causes: Any) -> list[tuple[str, Any, Any]]:
    return [(cause.name, cause.right, cause.left) for cause in causes]


@pytest.mark.parametrize("base", BASES)
def test_two_recipes_that_differ_in_one_field_are_told_apart_by_it_alone(base: str) -> None:
    of_base = [pair for pair in PAIRS if pair[0] == base]
    assert of_base
    for _, place, _, one, other in of_base:
        there, back = compare_protocols(one, other), compare_protocols(other, one)
        names = [cause.name for cause in there.causes]
        assert len(names) == 1, (place, names)
        field = in_words(place)
        if place[0] == "conventions":  # of which each axis is one
            assert names[0].startswith("conventions."), names
        else:  # of a list of parts, the part that differs
            assert names[0] == field or names[0].startswith(f"{field}."), (field, names)
        assert not there.same
        assert names[0] in there.verdict
        assert [(cause.name, cause.left, cause.right) for cause in there.causes] == _mirrored(back.causes)


@pytest.mark.parametrize("base", BASES)
def test_a_recipe_with_its_defaults_spelled_out_is_the_same(base: str) -> None:
    one = recipe(BASES[base])
    whole = spelled(one)
    elsewhere = {*NETWORK_AXES, *FORM_AXES}  # a form is a field of its technique
    axes = {axis.name: axis.default for axis in AXES.values() if axis.name not in elsewhere}
    told = {name: value for name, value in axes.items() if name != "numeric_mode"} | whole["conventions"]
    again = Protocol(**whole | {"name": "again", "title": "Again", "deviations": ["none"], "conventions": told})
    found = compare_protocols(one, again)
    assert found.same, found.verdict


# -- a loop that does one of two recipes

# A field that shows as another, or with another
ALIASES: dict[str, set[str]] = {
    "clip_norm": {"clipping"}, "learning_rate": {"schedule"}, "weight_decay": {"weight_decay_form"},
    "steps": {"schedule"}, "name": {"optimizer", "schedule", "momentum_form"}, "trained": {"frozen_batchnorm"},
    "size": {"input size"}, "accumulate": {"batch_size"}, "batchnorm": {"trained", "frozen_batchnorm"},
}  # fmt: skip
UNKNOWN = {"input.size", "stage.1.stochastic_depth.law"}  # of the sound recipes, too
NO_LOOPS = {"margin", ("evaluation", "batch_size")}  # of verdicts and of memory: no loop has it


LOOPS = {  # what does as a recipe says
    "plain": Loop(rates=(0.1,) * 4),
    "averaged": Loop(rates=(0.1,) * 4, average=protocols.Averaging(decay=0.9)),
    "in parts": Loop(
        rates=(0.1,) * 4, passes=2, smoothing=0.1, layers={"000.dense": 0.5 * 0.25, "001.norm": 0.5 * 0.5},
        draws=(Draw(kind="dropout", own="Dropout", rate=0.2, per="value", head=True),
               Draw(kind="stochastic depth", own="DropPath", rate=0.1, per="image")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("base", LOOPS)
def test_a_loop_is_told_the_one_field_that_a_recipe_has_otherwise_or_that_it_was_not_compared(base, tmp_path) -> None:
    loop = LOOPS[base].record(tmp_path / "loop")
    sound = compare_with_protocol(loop, recipe(BASES[base]))
    assert sound.same, sound.verdict
    said = {in_words(place): protocol for known, place, _, _, protocol in PAIRS
            if known == base and not {place[-1], place[-2:]} & NO_LOOPS}  # fmt: skip
    for field, protocol in said.items():
        found = compare_with_protocol(loop, protocol)
        last = field.rpartition(".")[2]
        known = {last, *ALIASES.get(last, set())}
        parts = {part for part in field.split(".") if part not in ("stage", "1", "input", "evaluation")}
        for cause in found.causes:
            assert parts & set(cause.name.split(".")) or cause.name in known, (field, found.verdict)
        news = set(found.not_compared) - (set() if field in UNKNOWN else set(sound.not_compared))
        mentioned = bool(found.causes) or any(part in "; ".join(news) for part in parts | known)
        assert mentioned, f"{field} is left out in silence: {found.verdict}"
