"""What comes of an investigation: one object for a notebook, a program and the command line."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

from isotune.attribution import Attribution
from isotune.comparison.sides import Side
from isotune.investigation import report
from isotune.investigation._walking import INTERRUPTED
from isotune.investigation.findings import Cause, Findings, Rung, Verdict
from isotune.investigation.reproducing import Reproducer
from isotune.places import path


@dataclass(frozen=True)
class Investigation:
    """Two sides, walked rung by rung until they part, with the causes and what each costs."""

    findings: Findings  # everything that was learned, as it is kept in the JSON
    attribution: Attribution | None = None  # what each difference costs in accuracy, where that was asked for
    command: str = "isotune investigate"  # that does the same
    name: str = ""  # of the report; empty: both models
    reproducer: Reproducer | None = None  # a script of what fails, where it was asked for and something does

    @property
    def left(self) -> Side:
        return self.findings.left

    @property
    def right(self) -> Side:
        return self.findings.right

    @property
    def verdict(self) -> str:
        """A few sentences: where the sides part, by which causes, in what else they differ, and what was left out of
        the comparison or set alike."""
        return report.verdict(self.findings, self.attribution)

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """Of the ladder, from pixels to drift, and accuracy where an attribution was asked for."""
        return self.findings.rungs

    @property
    def causes(self) -> dict[str, Cause]:
        """Rung -> its cause, of those that fail by themselves and whose cause has a name."""
        return self.findings.causes

    @property
    def price(self) -> Attribution | None:
        """`attribution`, as the option that asks for it is called."""
        return self.attribution

    @property
    def first_failure(self) -> Rung | None:
        """The first rung that fails by itself."""
        return self.findings.first_failure

    @property
    def stopped(self) -> str | None:
        """Why it could not go on to the end."""
        return self.findings.stopped

    @property
    def interrupted(self) -> bool:
        return self.stopped == INTERRUPTED

    @property
    def same(self) -> bool:
        """Whether no rung fails by itself or stays undecided, the walk came to its end, and the protocol's techniques
        have the same forms. What was not compared, the verdict says."""
        undecided = any(rung.verdict == "unknown" for rung in self.rungs)
        return self.stopped is None and self.first_failure is None and not undecided and not self.findings.forms

    def as_json(self) -> dict[str, Any]:
        """Everything, unrounded; NAME.json is the same."""
        return report.as_json(self.findings, self.attribution)

    def show(self) -> None:
        """Print the ladder, the causes and the attribution."""
        report.show(self.findings, self.attribution)

    def write(self, folder: str | Path, name: str = "") -> Path:
        """Write `NAME.md`, whose path is given back, `NAME.json` and the figures. UsageError: the folder cannot be
        written."""
        name = name or self.name or report.default_name(self.left, self.right)
        more = self.reproducer.lines() if self.reproducer else ()
        return report.write(self.findings, self.attribution, path(folder, "folder"), name, self.command, more)

    def _repr_html_(self) -> str:
        return report.html(self.findings, self.attribution)


def accuracy(attribution: Attribution) -> Rung:
    """The ladder's last rung: accuracy over seeds, and isolated with every axis switched; errors are shares of the test
    images. It holds where the 95 % interval of the difference holds 0; where nothing is drawn, where there is none."""
    gap, left_over = (attribution.end - attribution.begin).estimate, attribution.remainder.estimate
    parts = [not (each.low <= 0 <= each.high or each.mean == 0) for each in (gap, left_over)]
    unsure = any(isnan(each.low if attribution.drawn else each.mean) for each in (gap, left_over))
    verdict: Verdict = "not applicable" if unsure else "fails" if parts[1] else "inherits" if parts[0] else "holds"
    return Rung(
        name="accuracy", verdict=verdict, end_to_end=None if isnan(gap.mean) else abs(gap.mean) / 100,
        isolated=None if isnan(left_over.mean) else abs(left_over.mean) / 100, compared=len(attribution.seeds),
        failing=len(attribution.seeds) if verdict == "fails" else 0,
        remarks=(attribution.reason,) if unsure and attribution.reason else (),
    )  # fmt: skip
