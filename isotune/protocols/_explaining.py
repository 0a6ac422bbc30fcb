"""What is wrong with a document that a person wrote, from a validation error of pydantic: one line."""

from __future__ import annotations

import functools
from typing import Any

from pydantic import BaseModel, ValidationError

from isotune.errors import nearest

_UNIONS = {
    "resize": "a whole number of pixels or 'squash'",
    "every": "a whole number of steps above 0, or 'epoch'",
    "stage": "the number of a [[stage]], from 1, or 'all'",
}
_ALTERNATIVES = ("int", "constrained-int", "literal['squash']", "literal['epoch']", "literal['all']")
_TAGS = ("sgd", "adam", "adamw", "rmsprop", *_ALTERNATIVES)  # of unions: no part of a field's path
_PATTERNS = {"name": "lower-case letters, digits and dashes", "trained": "head, last:N, from:LAYER or all"}
# What others call a field -> the field: arguments of timm's train.py, of torchvision's references, of torch and Keras
ELSEWHERE = {
    "drop_path": "stage.stochastic_depth.rate", "drop_path_rate": "stage.stochastic_depth.rate",
    "drop_connect_rate": "stage.stochastic_depth.rate", "stochastic_depth_prob": "stage.stochastic_depth.rate",
    "drop": "stage.head_dropout", "drop_rate": "stage.head_dropout", "dropout": "stage.head_dropout",
    "smoothing": "stage.label_smoothing",
    "grad_accum_steps": "stage.accumulate", "gradient_accumulation_steps": "stage.accumulate",
    "lr": "stage.schedule.learning_rate", "sched": "stage.schedule.name", "lr_scheduler": "stage.schedule.name",
    "warmup_lr": "stage.schedule.start", "warmup_lr_init": "stage.schedule.start",
    "start_factor": "stage.schedule.start", "lr_warmup_decay": "stage.schedule.start",
    "lr_warmup_epochs": "stage.schedule.warmup_epochs", "warmup_prefix": "stage.schedule.warmup_counts",
    "min_lr": "stage.schedule.final", "lr_min": "stage.schedule.final", "eta_min": "stage.schedule.final",
    "decay_rate": "stage.schedule.gamma", "lr_gamma": "stage.schedule.gamma",
    "decay_epochs": "stage.schedule.drop_every", "lr_step_size": "stage.schedule.drop_every",
    "decay_milestones": "stage.schedule.milestones", "pct_start": "stage.schedule.rise",
    "opt": "stage.optimizer.name", "opt_eps": "stage.optimizer.epsilon", "eps": "stage.optimizer.epsilon",
    "clip_grad": "stage.optimizer.clip_norm", "clip_grad_norm": "stage.optimizer.clip_norm",
    "clipnorm": "stage.optimizer.clip_norm", "global_clipnorm": "stage.optimizer.clip_norm",
    "model_ema": "average.decay", "model_ema_decay": "average.decay", "ema": "average.decay",
    "ema_decay": "average.decay", "use_ema": "average.decay", "ema_momentum": "average.decay",
    "model_ema_steps": "average.every", "model_ema_warmup": "average.warmup",
    "mixup_alpha": "augmentation.mixing.mixup", "cutmix_alpha": "augmentation.mixing.cutmix",
    "mixup": "augmentation.mixing.mixup", "cutmix": "augmentation.mixing.cutmix",
    "aa": "augmentation.policy", "auto_augment": "augmentation.policy", "ra_magnitude": "augmentation.policy",
    "color_jitter": "augmentation.policy", "reprob": "augmentation.random_erasing.probability",
    "random_erase": "augmentation.random_erasing.probability", "hflip": "augmentation.horizontal_flip",
    "hflip_prob": "augmentation.horizontal_flip", "train_crop_size": "input.size", "img_size": "input.size",
    "val_resize_size": "input.resize", "early_stopping": "selection.patience",
}  # fmt: skip


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """One validation error in one line: field, what is wrong, what would be valid.

    An unknown key comes before a missing one, since it may be the missing one misspelt.
    """
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    *parents, last = first["loc"] or ("",)
    path = [part for part in parents if part not in _TAGS]
    if first["type"] == "extra_forbidden" or last not in _TAGS:
        path.append(last)
    field = ".".join(map(str, path))
    given = first["input"]
    shown = f" (is {given!r})" if isinstance(given, str | int | float | bool) else ""
    match first["type"]:
        case "extra_forbidden" if _is_of_a_stage(model, path):
            message = f"belongs to a [[stage]]{', and a probe trains nothing step by step' * (path[0] == 'probe')}"
        case "extra_forbidden":
            message = f"unknown key; {_meant(str(last), fields_at(model, tuple(parents)))}"
        case "missing":
            message = "is missing"
        case "union_tag_invalid":
            tags = [tag.strip(" '") for tag in first["ctx"]["expected_tags"].split(",")]
            message = f"name {first['ctx']['tag']!r} is unknown; {nearest(first['ctx']['tag'], tags)}"
        case "model_type":
            message = f"must be a table, of {', '.join(fields_at(model, first['loc']))}{shown}"
        case "union_tag_not_found":
            message = "name is missing"
        case "too_short":
            message = "is empty; give at least one"
        case "string_pattern_mismatch" if last in _PATTERNS:
            message = f"must be {_PATTERNS[str(last)]}{shown}"
        case _ if last in _ALTERNATIVES and path[-1] in _UNIONS:
            message = f"must be {_UNIONS[str(path[-1])]}{shown}"
        case _ if field == "stage":
            message = "each stage is a table of its own, under [[stage]]"
        case _:
            message = first["msg"].removeprefix("Value error, ") + shown
    return f"{field}: {message}" if field else message


def _meant(key: str, known: list[str]) -> str:
    return f"here it is {ELSEWHERE[key]}" if key in ELSEWHERE else nearest(key, known)


def _is_of_a_stage(model: type[BaseModel], path: list[int | str]) -> bool:
    return "stage" in model.model_fields and path[0] != "stage" and path[-1] in fields_at(model, ("stage", 0))


def fields_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """Names of the fields of the model that `loc` leads to."""
    schema = _schema(model)
    node = schema
    for part in loc:
        node = _dereference(schema, node)
        if "discriminator" in node:
            node = {"$ref": node["discriminator"]["mapping"][part]}
        elif isinstance(part, int):
            node = node["items"]
        else:
            node = node["properties"][part]
    return list(_dereference(schema, node).get("properties", {}))


@functools.cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _dereference(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    for option in node.get("anyOf", ()):
        if "$ref" in option:
            node = option
    if "$ref" in node:
        return schema["$defs"][node["$ref"].rpartition("/")[2]]  # type: ignore[no-any-return]
    return node
