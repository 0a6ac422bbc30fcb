"""`planted:MODEL:fault=NAME[+NAME]:draw=SEED`: torchvision's MODEL with deliberate faults; `fault=none`: without.

`faults` says what a fault is; a module for each category has them; `optimizers` is a second way to write a protocol's
optimizers, for the faults in them; `timm` and `keras` plant in their models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isotune.adapters.base import Model, Recipe, Trainer
from isotune.adapters.torchvision import TorchvisionAdapter
from isotune.conventions import Conventions
from isotune_planted.faults import Fault, catalogue, stream


class Planting:
    """In front of an adapter: its models, but for the faults that the model's name asks for."""

    def native_conventions(self, name: str, options: Mapping[str, str] | None = None) -> Conventions:
        return super().native_conventions(name, read_options(options)[2] if options else None)  # type: ignore[misc,no-any-return]

    def build(self, name: str, *, options: Mapping[str, str] | None = None, **asked: Any) -> Any:
        faults, seed, others = read_options(options)
        model = super().build(name, options=others, **asked)  # type: ignore[misc]
        plant(model, faults, seed)
        return model


class PlantedAdapter(Planting, TorchvisionAdapter):
    """torchvision's."""

    name = "planted"


def read_options(options: Mapping[str, str] | None) -> tuple[list[Fault], int, dict[str, str]]:
    """Faults and seed among a model's options, and the others."""
    others = dict(options or {})
    names, seed = others.pop("fault"), int(others.pop("draw", "0"))
    return [catalogue()[name] for name in names.split("+") if name != "none"], seed, others


def plant(model: Model, faults: list[Fault], seed: int) -> None:
    """Put the faults into a model that was just built."""
    for fault in faults:
        if fault.target == "model":
            fault.plant(model, stream(fault.name, seed))
        elif fault.target == "weights":
            _when_loaded(model, fault, seed)
        else:
            _when_trained(model, fault, seed)


def _when_loaded(model: Any, fault: Fault, seed: int) -> None:
    load = model.load
    model.load = lambda weights: load(fault.plant(dict(weights), stream(fault.name, seed)))


def _when_trained(model: Any, fault: Fault, seed: int) -> None:
    make = model.trainer

    def trainer(recipe: Recipe) -> Trainer:
        made = make(recipe)
        if fault.target == "batch":
            _batches(made, fault)
        else:
            fault.plant(made, recipe, stream(fault.name, seed))
        return made

    model.trainer = trainer


def _batches(trainer: Any, fault: Fault) -> None:
    step, memory = trainer.step, dict[str, Any]()

    def stepped(images: Any, labels: Any, learning_rate: float, *masks: Any) -> Any:
        return step(*fault.plant(images, labels, memory), learning_rate, *masks)

    trainer.step = stepped
