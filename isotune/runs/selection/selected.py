"""What a record says of a choice: every accuracy by name, what was held out, and what the choice went by."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from isotune.protocols import REPORTS, Report

Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tried(_Part):
    """One combination of a grid, trained without the held-out images."""

    values: dict[str, float] = Field(description="hyper-parameters")
    score: float | None = Field(None, description="of the held-out images by the protocol's metric; null: not finite")
    steps: int = Field(ge=0, description="that were trained")
    seconds: float = Field(ge=0, description="its training and its evaluations")


class Selected(_Part):
    reports: Report = Field(description="which of the accuracies is that of the run")
    accuracy: dict[Report, Share] = Field(description="of the test images, by what it is of")
    mean_per_class: dict[Report, Share] = Field(description="of the test images, likewise")
    curve: tuple[tuple[int, float | None], ...] = Field(
        (), description="after which step, and the protocol's metric of the images that were evaluated while training;"
        " null: nothing was evaluated, or it is not finite"
    )  # fmt: skip
    best_step: int | None = Field(None, description="after which the metric was best; null: nothing was evaluated")
    stopped: int | None = Field(None, description="steps after which early stopping ended the training")
    held_out_images: int = Field(0, ge=0, description="training images that the choice went by")
    chosen: dict[str, float] | None = Field(None, description="hyper-parameters, of a grid")
    tried: tuple[Tried, ...] = ()

    def words(self, report: Report) -> str:
        """What an accuracy is of, as this run has it: "of the best step (40)"."""
        if report in ("best", "best-on-test"):
            return f"{REPORTS[report]} ({self.best_step:,})"
        return REPORTS[report]

    @property
    def line(self) -> str:
        """Which accuracy is the run's, and the others."""
        others = (f"{share:.2%} {self.words(name)}" for name, share in self.accuracy.items() if name != self.reports)
        said = [self.words(self.reports), *others]
        if self.stopped is not None:
            said.append(f"ended after step {self.stopped:,}")
        if self.chosen is not None:
            values = ", ".join(f"{name} = {value:g}" for name, value in self.chosen.items())
            said.append(f"chosen among {len(self.tried)}: {values}")
        return "; ".join(said)
