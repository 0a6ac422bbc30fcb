"""reports/augmentation.md, from what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from techniques import BATCH, NOT_THE_SAME, PLAIN, SIDE, SIZE

from isotune.report.analysis.timing import Taken, Timing, timing
from isotune.workers.disturbance import Disturbance

GOAL = 1.10  # of a step's time with crops and flips alone
Measured = Mapping[str, Any]


def _disturbance(answer: Measured) -> Disturbance:
    return Disturbance.model_validate(answer["disturbance"])


def ratio(ours: Sequence[Measured], theirs: Sequence[Measured], what: str) -> Timing:
    """The median of the pairs' ratios; a pair counts as disturbed where either side was."""
    taken = []
    for one, other in zip(ours, theirs, strict=True):
        seen = max(map(_disturbance, (one, other)), key=lambda each: (each.disturbed, each.taken))
        taken.append(Taken(one[what] / other[what], seen))
    found = timing(taken)
    assert found is not None
    return found


def figure(answers: Sequence[Measured], what: str) -> Timing:
    found = timing([Taken(answer[what], _disturbance(answer)) for answer in answers])
    assert found is not None
    return found


def shown(found: Timing, places: int = 2) -> str:
    interval = f"{found.median:.{places}f} ({found.low:.{places}f} to {found.high:.{places}f})"
    return f"{interval}{'*' if found.cause else ''}"


def _of(measured: Measured, question: str) -> Iterator[tuple[str, Any]]:
    for name, each in measured.items():
        asked, _, technique = name.partition(" ")
        if asked == question:
            yield technique, each["found"]


def beside(measured: Measured) -> tuple[list[str], list[Timing]]:
    """Rows and the figures in them."""
    lines, figures = [], []
    for technique, found in _of(measured, "beside"):
        cells = []
        for pair in found.values():
            cost = ratio(pair["with"], pair["plain"], "seconds")
            figures.append(cost)
            step = figure(pair["plain"], "seconds")
            cells += [f"{1000 * step.median:.0f}", shown(cost)]
        lines.append(f"| {technique} | {' | '.join(cells)} |")
    return lines, figures


def against(measured: Measured) -> tuple[list[str], list[Timing]]:
    lines, figures = [], []
    for technique, found in _of(measured, "against"):
        ours = found["isotune"]
        cells = [f"{figure(ours, 'rate').median:.0f}"]
        for library in ("torchvision", "keras"):
            if library not in found:
                cells += ["-", "-"]
                continue
            faster = ratio(ours, found[library], "rate")
            figures.append(faster)
            other = " †" if (technique, library) in NOT_THE_SAME else ""
            cells += [f"{figure(found[library], 'rate').median:.0f}", shown(faster) + other]
        lines.append(f"| {technique} | {' | '.join(cells)} |")
    return lines, figures


def report(everything: Measured) -> str:
    """everything: what augmentation.json holds: machine, versions, names of all measurements, and those that are there
    by name."""
    here, used, every, measured = (everything[key] for key in ("machine", "versions", "names", "measured"))
    steps, costs = beside(measured)
    rates, faster = against(measured)
    lines = [
        "# Augmentation beside a training step, and against other libraries",
        "",
        "`python benchmarks/validation/augmentation`; sides take turns. A ratio is the median of the pairs' ratios;"
        " (a to b) holds it with 95 % from six rounds on, and is the range of fewer.",
        "",
        f"{here['cpu']}, {here['cores']} cores; {', '.join(f'{name} {version}' for name, version in used.items())};"
        f" {', '.join(sorted({each['taken'] for each in measured.values()}))}.",
    ]
    if steps:
        held = sum(each.median <= GOAL for each in costs)
        lines += [
            "",
            "## Beside a training step",
            "",
            "MobileNetV2 in torch, all layers, fed by `Augmenter.batches`: milliseconds of a step on crops and flips"
            " alone, and how many times as long one with the technique takes. The goal is 1.10 at most.",
            "",
            "| technique | 96 px, 32 images: ms | times | 224 px, 8 images: ms | times |",
            "|---|---:|---:|---:|---:|",
            *steps,
            "",
            f"{held} of {len(costs)} are at most {GOAL:.2f}; the most is {max(each.median for each in costs):.2f}.",
        ]
    if rates:
        lines += [
            "",
            "## Against other libraries",
            "",
            f"Images/s of a crop of {SIZE} from {SIDE} pixels at a drawn place, a flip, and the technique, in batches"
            f" of {BATCH}, nothing else to do: isotune's threads, torchvision's `transforms.v2` in a `DataLoader` with"
            " a worker a core, Keras's preprocessing layers in `tf.data`. Above 1 isotune is faster. `-`: the library"
            " has no such operation.",
            "",
            "| technique | isotune | torchvision | ratio | Keras | ratio |",
            "|---|---:|---:|---:|---:|---:|",
            *rates,
            "",
            f"{sum(each.median >= 1 for each in faster)} of {len(faster)} ratios are at least 1.00.",
            "",
            "† Not the same operation: "
            + "; ".join(f"Keras's {technique}: {why}" for (technique, _), why in NOT_THE_SAME.items())
            + ".",
        ]
    if disturbed := [each for each in (*costs, *faster) if each.cause]:
        lines += [
            "",
            f"\\* Other programs ran in every round of {len(disturbed)} of {len(costs) + len(faster)} figures, for one:"
            f" {disturbed[0].cause}. Rounds in turn share what they take, so that a ratio holds better than a time.",
        ]
    if absent := [name for name in every if name not in measured]:
        lines += ["", f"Not measured: {', '.join(absent)}."]
    lines += ["", f"Rounds and disturbances, unrounded: `augmentation.json`. Crops and flips alone are `{PLAIN}`."]
    return "\n".join(lines) + "\n"
