"""reports/performance.md, from what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from isotune.report.analysis.timing import Taken, Timing, timing
from isotune.workers.disturbance import Disturbance
from isotune.workers.environment import machine, versions

Measured = Mapping[str, Any]
PLAIN = "float32"


def _disturbance(side: Measured, turn: int) -> Disturbance:
    return Disturbance.model_validate(side["disturbances"][turn])


def ratio(ours: Measured, theirs: Measured) -> Timing:
    """How much faster ours is: the median of the rounds' ratios; a round counts as disturbed where either side was."""
    taken = []
    for turn, (mine, other) in enumerate(zip(ours["seconds"], theirs["seconds"], strict=True)):
        seen = max((_disturbance(side, turn) for side in (ours, theirs)), key=lambda each: (each.disturbed, each.taken))
        taken.append(Taken(other / mine, seen))
    found = timing(taken)
    assert found is not None
    return found


def shown(figure: Timing) -> str:
    return f"{figure.median:.2f} ({figure.low:.2f} to {figure.high:.2f}){'*' if figure.cause else ''}"


def _seconds(side: Measured) -> float:
    calm = [s for turn, s in enumerate(side["seconds"]) if not _disturbance(side, turn).disturbed]
    return float(np.median(calm or side["seconds"]))


def _mode(name: str) -> str:
    return name.partition(" | ")[2]


def pairs(found: Measured, ours: str) -> Iterator[tuple[str, str, str, Timing]]:
    """(name of ours, who else, in which mode, ratio): in the same mode, and against float32 as it comes."""
    for name, side in found["sides"].items():
        if not name.startswith(ours):
            continue
        rivals = [(o, s) for o, s in found["sides"].items() if not o.startswith(ours)]
        for other, rival in sorted(rivals, key=lambda each: _mode(each[0]) != _mode(name)):
            if _mode(other) in (_mode(name), PLAIN):
                yield name, other.partition(" | ")[0], _mode(other), ratio(side, rival)


STEPS = """| library | network | mode | images/s | against | ratio | GFLOP/image | of FLOP/s | of bytes/s | memory, MB |
|---|---|---|---:|---|---:|---:|---:|---:|---:|"""


def steps_table(
    question: str, measured: Mapping[str, Measured], rate: Mapping[str, float]
) -> tuple[list[str], list[Timing]]:
    """Rows of one question, and their figures."""
    lines, figures = [], []
    for found in measured.values():
        asked = found.get("asked", {})
        if asked.get("question") != question:
            continue
        batch = asked["batch"]
        compiled = any(
            "compiled" in mode for mode in asked.get("modes", ())
        )  # beside what is measured already without it
        for name, who, mode, figure in pairs(found, "adapter"):
            if compiled and "compiled" not in _mode(name):
                continue
            figures.append(figure)
            side, seconds = found["sides"][name], _seconds(found["sides"][name])
            peak = rate.get("bfloat16" if "bfloat16" in _mode(name) else "float32")
            of_rate = f"{found['flops'] / seconds / peak:.2f}" if peak else "-"
            of_copy = (
                f"{found['bytes'] / seconds / rate['copy']:.2f}"
                if "copy" in rate and _mode(name).startswith(PLAIN)
                else "-"
            )
            against = who if mode == _mode(name) else f"{who}, {mode}"
            rival = next(s for n, s in found["sides"].items() if n == f"{who} | {mode}")
            lines.append(
                f"| {asked['library']} | {asked['network']} | {_mode(name)} | {batch / seconds:.1f} | {against} |"
                f" {shown(figure)} | {found['flops'] / batch / 1e9:.2f} | {of_rate} | {of_copy} |"
                f" {side['memory'] / 1e6:.0f}, {rival['memory'] / 1e6:.0f} |"
            )
    return lines, figures


WHOLE = """| library | task | isotune's mode | seconds | by hand | ratio | accuracy, % | by hand |
|---|---|---|---:|---:|---:|---:|---:|"""


def whole_table(measured: Mapping[str, Measured]) -> tuple[list[str], list[Timing]]:
    lines, figures = [], []
    for found in measured.values():
        asked = found.get("asked", {})
        if "task" not in asked:
            continue
        for name, who, mode, figure in pairs(found, "isotune"):
            figures.append(figure)
            side, rival = found["sides"][name], found["sides"][f"{who} | {mode}"]
            lines.append(
                f"| {asked['library']} | {asked['task']} | {_mode(name)} | {_seconds(side):.1f} |"
                f" {_seconds(rival):.1f} | {shown(figure)} |"
                f" {_range(side['accuracies'])} | {_range(rival['accuracies'])} |"
            )
    return lines, figures


def _range(values: Sequence[float]) -> str:
    low, high = 100 * min(values), 100 * max(values)
    return f"{low:.1f}" if high - low < 0.05 else f"{low:.1f} to {high:.1f}"


def goals(figures: Sequence[Timing]) -> str:
    """How many ratios are at the goal."""
    faster, slower = sum(each.low > 1 for each in figures), sum(each.high < 1 for each in figures)
    return (
        f"Of {len(figures)} ratios {sum(each.median >= 1 for each in figures)} are at least 1.00 and"
        f" {sum(each.median >= 1.2 for each in figures)} at least 1.20. {faster} have their whole"
        f" interval above 1, {slower} below; that of the others holds 1."
    )


def missing(measured: Mapping[str, Measured], asked: Sequence[str]) -> list[str]:
    lines = [f"- {name}: {found['error']}" for name, found in measured.items() if "error" in found]
    for name, found in measured.items():
        lines += [f"- {name}, {side}: {why}" for side, why in found.get("failed", {}).items()]
    absent = [name for name in asked if name not in measured]
    return lines + ([f"- Not measured: {', '.join(absent)}."] if absent else [])


def report(measured: Mapping[str, Measured], asked: Sequence[str], loops: str = "") -> str:
    """measured: by name; asked: names of all measurements there are; loops: which versions of the published ones."""
    rate = {name: value for name, value in measured.get("machine", {}).items() if isinstance(value, float)}
    here = machine()
    used = ", ".join(f"{name} {version}" for name, version in versions("torchvision", "timm", "keras").items())
    lines = [
        "# isotune against what its users would run",
        "",
        "`python benchmarks/validation/performance --timm FOLDER --torchvision FOLDER`; sides take turns in one"
        " process, or as whole commands. A ratio is isotune's speed over the other's, the median of the rounds'"
        " ratios; (a to b)"
        " holds that median with 95 % from six rounds on, and is the range of fewer. Above 1 isotune is faster."
        " Where no mode is named, the other side is in the same.",
        "",
        f"{here['cpu']}, {here['cores']} cores; {used}{'; ' if loops else ''}{loops}.",
    ]
    if rate:
        lines += [
            "",
            f"The machine, by torch: {rate['float32'] / 1e9:.0f} GFLOP/s in float32 (NumPy"
            f" {rate['float32 (NumPy)'] / 1e9:.0f}) and {rate['bfloat16'] / 1e9:.0f} in bfloat16 on matrices of"
            f" 2048 x 2048; a copy reads and writes {rate['copy'] / 1e9:.1f} GB/s. FLOPs are those of convolutions and"
            " matrix products. Bytes are the inputs and outputs of every operation of the float32 step, unfused: above"
            " 1.00 of the bandwidth, caches served. Memory is what a side added to the"
            " process when it was built and in its first steps, isotune's first: a lower bound, since it finds what"
            " sides before it have left.",
        ]
    every: list[Timing] = []
    for question, title in (("training", "A training step"), ("inference", "Inference")):
        rows, figures = steps_table(question, measured, rate)
        every += figures
        if rows:
            lines += ["", f"## {title}", "", STEPS, *rows, "", goals(figures)]
    rows, figures = whole_table(measured)
    every += figures
    if rows:
        lines += [
            "", "## End to end", "",
            "From a folder of JPEG files (digits, 160 px; 1,000 for training, 797 for testing) to the accuracy, the"
            " whole command with its start, MobileNetV2 at 96 px: `isotune run` with an empty cache of images against"
            " `benchmarks/by_hand.py`. Thirty steps of `tune` amplify rounding: another layout, or another order of the"
            " images by hand, is another draw of its accuracy (`isotune variance` measures it).", "",
            WHOLE, *rows, "", goals(figures),
        ]  # fmt: skip
    if causes := list(dict.fromkeys(each.cause for each in every if each.cause)):
        lines += ["", f"\\* Every round was disturbed ({'; '.join(causes)}): measure these again on a quiet machine."]
    if gone := missing(measured, asked):
        lines += ["", "## Not here", "", *gone]
    return "\n".join([*lines, ""])
