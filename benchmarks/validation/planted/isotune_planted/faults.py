"""What a deliberate fault is, and all of them: each is a function in the module of its category.

A fault changes a fresh copy of a model, its weights as they are loaded, its trainer, or the batches that the trainer is
given. None goes through isotune's own realisation of a convention: where one amounts to another value of a convention
axis, that is what an investigation should find out. The generator that a fault is given chooses the layer or the value.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

CATEGORIES = ("architecture", "input", "loss", "optimizer", "batchnorm", "data_order", "precision")
USUAL = ("mobilenet_v2", "resnet18", "efficientnet_b0", "densenet121", "regnet_x_400mf", "legacy_xception")
ANY = (*USUAL, "test_convnext", "test_vit")  # without BatchNorm, and with few convolutions, too
OUTSIDE = ("input", "loss", "optimizer", "data_order")  # of the network
SGD = ("sgd", "sgd-plain")
TRAINED = ("sgd", "adam", "adamw", "rmsprop")

Target = Literal["model", "weights", "trainer", "batch", "declared"]
Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Fault:
    """One deliberate fault, and what an investigation should say of it."""

    name: str
    category: str
    rung: str  # the first that fails
    axis: str | None  # the convention, or the part of the protocol left out, that it amounts to; None: none
    models: tuple[str, ...]  # torchvision's, timm's or Keras's, that it can be planted in
    recipes: tuple[str, ...]  # under which it shows
    target: Target
    plant: Callable[..., Any]


CATALOGUE: dict[str, Fault] = {}


def fault(
    rung: str,
    axis: str | None = None,
    *,
    models: tuple[str, ...] = (),
    recipes: tuple[str, ...] = TRAINED,
    target: Target = "model",
    category: str = "",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put a function into the catalogue. By target it is called with

    model: (model, draw), when it is built; weights: (tensors, draw) -> tensors, when they are loaded;
    trainer: (trainer, recipe, draw); batch: (images, labels, memory) -> (images, labels), at every step;
    declared: (draw) -> a convention or numeric mode that the side says it has. category: the module's name. models:
    left out, any for what is outside the network, else those with BatchNorm.
    """

    def keep(plant: Callable[..., Any]) -> Callable[..., Any]:
        name, module = plant.__name__.replace("_", "-"), plant.__module__.rpartition(".")[2]
        outside = target in ("trainer", "batch", "declared") or module in OUTSIDE
        places = models or (ANY if outside and module != "batchnorm" else USUAL)
        CATALOGUE[name] = Fault(name, category or module, rung, axis, places, recipes, target, plant)
        return plant

    return keep


def catalogue() -> dict[str, Fault]:
    """All faults by name."""
    for module in (*CATEGORIES, "keras"):
        importlib.import_module(f"isotune_planted.{module}")
    return CATALOGUE


def stream(name: str, seed: int) -> np.random.Generator:
    """A fault's own generator."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def pick(draw: np.random.Generator, things: Sequence[Thing]) -> Thing:
    return things[int(draw.integers(len(things)))]
