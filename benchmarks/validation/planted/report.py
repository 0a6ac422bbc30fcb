"""What became of the planted faults: a line each, the shares that are right, a matrix of rungs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from investigations import versions
from isotune_planted.faults import CATEGORIES, catalogue
from planted.cases import Case

from isotune.conventions import RUNGS
from isotune.investigation import Findings
from isotune.report.figures import style as _style

HEADER = """# Planted faults

Does `isotune investigate` find what it should? {singles} single faults, {pairs} pairs and {clean} sound pairs are drawn
from the seed {seed}. Each fault is put into a fresh copy of a model or of its trainer, by code that does not use
isotune's own conventions (`benchmarks/validation/planted`), and the copy is held against a sound model of the same or
of another library.

    python benchmarks/validation/planted --seed {seed}

{verdict}

![Where faults are planted, and where they are found](figures/{figure}.svg)

*Rung right*: the first that fails by itself is the one that the fault is in. *Named right*: of a fault that amounts to
another value of a convention axis, or leaves out a part of the protocol, exactly that is named (of a pair, both); of
any other, none is, since a name would be wrong.
"""
TITLES = {"batchnorm": "BatchNorm", "data_order": "data order", "pair": "pairs of faults", "clean": "sound pairs"}


@dataclass(frozen=True)
class Outcome:
    """A case with what the investigation said."""

    case: Case
    investigation: Findings

    @property
    def rung(self) -> str:
        """The first that fails by itself; empty: none."""
        return first.name if (first := self.investigation.first_failure) else ""

    @property
    def named(self) -> frozenset[str]:
        """Every axis that a cause names, of whatever rung."""
        return frozenset(flip.axis for rung in self.investigation.rungs if rung.cause for flip in rung.cause.flips)

    @property
    def rung_right(self) -> bool:
        return self.investigation.stopped is None and self.rung == self.case.rung

    @property
    def cause_right(self) -> bool:
        """The conventions and no others; nothing where it is none."""
        return self.investigation.stopped is None and self.named == self.case.axes

    @property
    def category(self) -> str:
        return catalogue()[self.case.faults[0]].category if self.case.kind == "single" else self.case.kind

    def line(self) -> str:
        """For the terminal."""
        said = " <- ".join(filter(None, [self.rung or "nothing fails", ", ".join(sorted(self.named))]))
        right = self.rung_right and self.cause_right
        wrong = "" if right else f", WRONG: {' <- '.join([self.case.rung or 'nothing', *sorted(self.case.axes)])}"
        stopped = f", stopped: {self.investigation.stopped}" if self.investigation.stopped else ""
        return (
            f"{self.case.kind} {self.case.number}: {' + '.join(self.case.faults) or 'sound'} in {self.case.right},"
            f" {self.case.left}, {self.case.recipe}: {said} ({self.investigation.seconds:.0f} s){wrong}{stopped}"
        )


def as_it_should(outcomes: Sequence[Outcome]) -> bool:
    """Every rung right, 95 % of the causes, and nothing found in sound pairs."""
    faulty, clean = _faulty(outcomes), [each for each in outcomes if each.case.kind == "clean"]
    named = [each for each in faulty if each.case.axes]
    causes = sum(each.cause_right for each in named) >= 0.95 * len(named)
    return causes and all(each.rung_right for each in faulty) and all(_quiet(each) for each in clean)


def write(outcomes: Sequence[Outcome], seed: int, folder: Path) -> Path:
    """`planted-faults.md`, or `planted-faults-seed-N.md` of another seed than 0, and its figure; the path."""
    name = "planted-faults" + (f"-seed-{seed}" if seed else "")
    count = Counter(each.case.kind for each in outcomes)
    header = HEADER.format(
        singles=count["single"], pairs=count["pair"], clean=count["clean"], seed=seed, verdict=_verdict(outcomes),
        figure=name,
    )  # fmt: skip
    _draw(outcomes, folder / "figures" / f"{name}.svg")
    path = folder / f"{name}.md"
    path.write_text(
        "\n".join(
            [header, *_summary(outcomes), "", *_tables(outcomes), versions(each.investigation for each in outcomes), ""]
        ),
        encoding="utf-8",
    )
    return path


def _faulty(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [each for each in outcomes if each.case.kind != "clean"]


def _quiet(outcome: Outcome) -> bool:
    return outcome.rung_right and outcome.cause_right


def _verdict(outcomes: Sequence[Outcome]) -> str:
    faulty = _faulty(outcomes)
    named, others = _split(faulty)
    alarms = [not _quiet(each) for each in outcomes if each.case.kind == "clean"]
    seconds = median(each.investigation.seconds for each in outcomes)
    return (
        f"The first failing rung is right in **{sum(each.rung_right for each in faulty)} of {len(faulty)}**. The"
        f" convention is named right in **{_right(named)}** of those that are one, and none is named in"
        f" {_right(others)} of the others. False alarms: **{sum(alarms)} of {len(alarms)}**. Median time of an"
        f" investigation: {seconds:.0f} s, start of the workers included, two at a time on {os.cpu_count()} cores."
    )


def _split(outcomes: Sequence[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """Those of conventions, and the others."""
    return [each for each in outcomes if each.case.axes], [each for each in outcomes if not each.case.axes]


def _right(outcomes: Sequence[Outcome]) -> str:
    return f"{sum(each.cause_right for each in outcomes)} of {len(outcomes)}" if outcomes else ""


def _summary(outcomes: Sequence[Outcome]) -> list[str]:
    lines = [
        "| | cases | rung right | conventions named right | others, nothing named |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for category in (*CATEGORIES, "pair", "clean"):
        of_category = [each for each in outcomes if each.category == category]
        named, others = map(_right, _split(of_category))
        rungs = sum(each.rung_right for each in of_category)
        lines.append(f"| {TITLES.get(category, category)} | {len(of_category)} | {rungs} | {named} | {others} |")
    return lines


def _tables(outcomes: Sequence[Outcome]) -> list[str]:
    lines = []
    for category in (*CATEGORIES, "pair", "clean"):
        title = TITLES.get(category, category)
        lines += [
            f"## {title[0].upper()}{title[1:]}",
            "",
            "| fault | in | beside | recipe | first failing rung | named | s |",
        ]
        lines.append("| --- | --- | --- | --- | --- | --- | ---: |")
        lines += [_row(each) for each in outcomes if each.category == category]
        lines.append("")
    return lines


def _row(each: Outcome) -> str:
    rung = each.rung or (f"stopped: {each.investigation.stopped}" if each.investigation.stopped else "none")
    if not each.rung_right:
        rung = f"**{rung}**, should be {each.case.rung or 'none'}"
    named = ", ".join(sorted(each.named))
    if not each.cause_right:
        named = f"**{named or 'nothing'}**, should be {', '.join(sorted(each.case.axes)) or 'nothing'}"
    cells = (
        " + ".join(each.case.faults), f"`{_sound(each.case.right)}`", f"`{_sound(each.case.left)}`", each.case.recipe,
        rung, named, f"{each.investigation.seconds:.0f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _sound(model: str) -> str:
    """The model's name without what is planted in it."""
    adapter, name, *options = model.split(":")
    library = {"planted": "torchvision", "planted-timm": "timm", "planted-keras": "keras"}.get(adapter, adapter)
    return ":".join([library, name, *(option for option in options if not option.startswith(("fault=", "draw=")))])


def _draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """A matrix of the rung that a fault is in and the first that fails."""
    rungs = [*RUNGS, ""]
    counts = np.zeros((len(rungs), len(rungs)), int)
    for each in outcomes:
        counts[rungs.index(each.case.rung), rungs.index(each.rung)] += 1
    shown = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
    counts, names = counts[np.ix_(shown, shown)], [rungs[place] or "none" for place in shown]
    path.parent.mkdir(parents=True, exist_ok=True)
    with _style.style():
        made = _style.figure(6.4, 4.6)
        axes = made.add_subplot()
        axes.grid(visible=False)
        axes.plot([-0.5, len(names) - 0.5], [-0.5, len(names) - 0.5], color=_style.GRID, zorder=0)
        for row, column in np.argwhere(counts):
            count, colour = counts[row, column], "#0072B2" if row == column else "#D55E00"
            axes.scatter(column, row, s=120 + 25 * count, color=colour)
            axes.text(column, row, str(count), ha="center", va="center", color="white", fontsize=8.5)
        axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set_xlim(-0.7, len(names) - 0.3)
        axes.set_ylim(len(names) - 0.3, -0.7)
        axes.set_xlabel("first rung that fails")
        axes.set_ylabel("rung that the fault is in")
        _style.save(made, path)
