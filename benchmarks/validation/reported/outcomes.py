"""What an investigation said of a reported pair, held against the thread's cause."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal

from pairs import HERE, Pair

from isotune.conventions import AXES
from isotune.investigation import PARTS, Findings, Rung
from isotune.investigation.report import verdict

REFUSED, CRASHED = "refused: ", "crashed: "  # of `Findings.stopped`, where there was no walk
Kind = Literal[
    "named", "localised", "partly named", "not named", "misplaced", "wrong name", "called the same", "not judged",
    "refused", "crashed", "accused", "same",
]  # fmt: skip
RIGHT: tuple[Kind, ...] = ("named", "localised")


@dataclass(frozen=True)
class Outcome:
    """A pair with what was found."""

    pair: Pair
    findings: Findings

    @property
    def named(self) -> frozenset[str]:
        """Every convention that a cause names, of whatever rung."""
        return frozenset(flip.axis for rung in self.findings.rungs if rung.cause for flip in rung.cause.flips)

    @property
    def first(self) -> Rung | None:
        return self.findings.first_failure

    @property
    def kind(self) -> Kind:
        stopped = self.findings.stopped or ""
        if stopped.startswith(REFUSED):
            return "refused"
        if stopped:
            return "crashed"
        return self._of_sound() if self.pair.sound else self._of_reported()

    @property
    def right(self) -> bool:
        if self.pair.sound:
            return self.kind == "same"
        return self.kind == "refused" if self.pair.case.refused else self.kind in RIGHT

    def _of_sound(self) -> Kind:
        if self.first is not None:
            return "accused"
        return "same" if self._decided({"not judged"}) else "not judged"  # what both were given alike is said so

    def _of_reported(self) -> Kind:
        case, named = self.pair.case, self.named
        axes = {axis for axis in case.axes if axis in AXES or axis in PARTS}  # others are waiting to be declared
        if named - axes:
            return "wrong name"
        if self.first is None:
            return "called the same" if self._decided() else "not judged"
        if self.first.name != case.rung:
            return "misplaced"
        if named:
            return "named" if named == axes and self._rest_at_its_place(axes) else "partly named"
        if axes and not case.at:
            return "not named"
        return "localised" if self._at_their_place(self._failing(self.first)) else "misplaced"

    def _decided(self, also: Set[str] = frozenset()) -> bool:
        """Whether every rung was, those apart that do not apply to arrays in memory. also: further verdicts."""
        verdicts = {"holds", "inherits", "fails", "not applicable"} | also
        return all(rung.verdict in verdicts for rung in self.findings.rungs)

    def _rest_at_its_place(self, declared: set[str]) -> bool:
        """Of a case with causes that are no conventions yet: whether what the named ones leave is where they act."""
        rest = getattr(self.first, "unexplained", ())  # findings of before knew no parts
        return declared == set(self.pair.case.axes) or (bool(rest) and self._at_their_place(rest))

    def _at_their_place(self, failing: Sequence[str]) -> bool:
        """Whether these are what the case says, and nothing else."""
        at = self.pair.case.at
        return not at or all(any(fnmatch(name, each) for name in self._names(one) for each in at) for one in failing)

    def _failing(self, rung: Rung) -> list[str]:
        """What fails by itself; of weights, the first."""
        beyond = [
            error.name for error in rung.layers_isolated if rung.bound is not None and not error.relative <= rung.bound
        ]
        return beyond or [rung.where.split(" ")[0].removesuffix(":")]

    def _names(self, name: str) -> tuple[str, ...]:
        """A layer's or tensor's, isotune's own and both sides'."""
        layer, _, slot = name.rpartition(".")
        known = self.findings.names.get(name)
        return (name, *(known or (f"{each}.{slot}" for each in self.findings.names.get(layer, ()))))

    @property
    def places(self) -> list[str]:
        """What fails by itself at the first rung, by the right side's names."""
        return [self._names(name)[-1] for name in self._failing(self.first)] if self.first else []

    @property
    def said(self) -> str:
        """isotune's sentence, without this folder's path."""
        if (self.findings.stopped or "").startswith((REFUSED, CRASHED)):
            return str(self.findings.stopped).replace(f"{HERE}/", "")
        remarks = self.first.remarks if self.first and not self.first.cause else ()
        return " ".join([verdict(self.findings).replace(f"{HERE}/", ""), *(f"({remark})" for remark in remarks)])

    def line(self) -> str:
        """For the terminal."""
        rung = self.first.name if self.first else "nothing fails"
        where = f" at {', '.join(self.first.where.split()[:1])}" if self.first and self.first.where else ""
        named = f" <- {', '.join(sorted(self.named))}" if self.named else ""
        stopped = f", {self.findings.stopped}" if self.findings.stopped else ""
        mark = "" if self.right else "  WRONG"
        return f"{self.pair.name}: {self.kind} ({rung}{where}{named}, {self.findings.seconds:.0f} s){stopped}{mark}"
