"""A training of a grid that is done and may be the one that counts: what it gave, kept while others are tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from isotune.runs.drafts import Parts
from isotune.runs.selection.averaging import Average
from isotune.runs.selection.evaluations import Evaluations, Tensors
from isotune.runs.training import Training, trainer_of
from isotune.workers.disturbance import Disturbance

if TYPE_CHECKING:
    from isotune.adapters.base import Model
    from isotune.protocols import Stage

_PART = "chosen-"  # of a draft: another training's parts are in it too
_ARRAYS = ("losses", "trainer")  # of a training; losses may not be finite, and JSON is


@dataclass
class Finished:
    """end: what a trainer gives of itself and its model after the last step; None: not kept, the model is in it while
    nothing else is done."""

    result: Training
    evaluations: Evaluations | None
    average: Average | None
    end: Tensors | None = None

    def keep(self) -> None:
        """Copy how it ended, before the model is trained anew. Of the model that is more than its weights: a network of
        the user's own may have state that no weights tell."""
        assert self.result.trainer is not None
        self.end = {name: np.array(array) for name, array in self.result.trainer.snapshot().items()}

    def put_back(self, model: Model, stages: tuple[Stage, ...]) -> None:
        """The model as it ended."""
        assert self.end is not None
        trainer_of(model, stages[-1]).restore(self.end)

    # -- in a draft

    @property
    def said(self) -> dict[str, Any]:
        result = {each.name: getattr(self.result, each.name) for each in fields(Training) if each.name not in _ARRAYS}
        if self.result.disturbance is not None:
            result["disturbance"] = self.result.disturbance.model_dump()
        return {"result": result, "evaluations": self.evaluations.said if self.evaluations else None}

    @property
    def parts(self) -> dict[str, Tensors]:
        assert self.end is not None
        parts: dict[str, Tensors] = {"trainer": self.end, "losses": {"epochs": np.array(self.result.losses)}}
        if self.average is not None:
            parts["average"] = self.average.tensors
        if self.evaluations is not None:
            parts |= self.evaluations.parts
        return {f"{_PART}{name}": tensors for name, tensors in parts.items()}

    @classmethod
    def restored(
        cls, said: Mapping[str, Any], parts: Parts, evaluations: Evaluations | None, average: Average | None
    ) -> Finished:
        """As it was in a draft. evaluations, average: of a training that has not begun."""
        own = {name.removeprefix(_PART): tensors for name, tensors in parts.items() if name.startswith(_PART)}
        result = dict(said["result"])
        if result["disturbance"] is not None:
            result["disturbance"] = Disturbance.model_validate(result["disturbance"])
        result |= {"resumed": tuple(result["resumed"]), "losses": own["losses"]["epochs"].tolist()}
        if average is not None:
            average.restore(own["average"])
        if evaluations is not None:
            evaluations.restore(said["evaluations"], own)
        return cls(Training(**result), evaluations, average, own["trainer"])
