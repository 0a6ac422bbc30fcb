"""How fast do two trainings part that differ by a rounding?

    python benchmarks/validation/rounding/parting.py

MobileNetV2 is fine-tuned on digits (`quick-fine-tune`, 48 steps) again and again: as it is, from weights that are off
by 1e-16, 1e-7 and 1e-4 of themselves, in float64 and float32, in torchvision and Keras, and in torchvision twice alike.
After every few steps the loss of the test images and the classes that they get are compared. Writes
reports/parting.md and the figure of docs/concepts/rounding.md.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isotune.progress import reporting
from isotune.report.figures import style
from isotune.workers.environment import machine
from isotune.workers.process import Workers

ROOT = Path(__file__).parents[3]
TORCH, KERAS = "torchvision:mobilenet_v2", "keras:MobileNetV2"
AT = [0, 1, 2, 4, 8, 16, 32, 48]


@dataclass(frozen=True)
class Side:
    model: str
    mode: str
    off: float = 0.0


@dataclass(frozen=True)
class Pair:
    name: str
    left: Side
    right: Side


PAIRS = (
    Pair("torchvision against itself", Side(TORCH, "float32"), Side(TORCH, "float32")),
    Pair("torchvision, float64, weights off by 1e-16", Side(TORCH, "float64"), Side(TORCH, "float64", 1e-16)),
    Pair("torchvision against Keras, float64", Side(TORCH, "float64"), Side(KERAS, "float64")),
    Pair("torchvision, weights off by 1e-7", Side(TORCH, "float32"), Side(TORCH, "float32", 1e-7)),
    Pair("Keras, weights off by 1e-7", Side(KERAS, "float32"), Side(KERAS, "float32", 1e-7)),
    Pair("torchvision, float32 against float64", Side(TORCH, "float64"), Side(TORCH, "float32")),
    Pair("Keras, float32 against float64", Side(KERAS, "float64"), Side(KERAS, "float32")),
    Pair("torchvision against Keras, float32", Side(TORCH, "float32"), Side(KERAS, "float32")),
    Pair("torchvision, weights off by 1e-4", Side(TORCH, "float32"), Side(TORCH, "float32", 1e-4)),
)


def parted(images: int) -> dict[str, tuple[list[float], list[float]]]:
    """By pair: |difference of the losses| and share of changed classes, percent, after each of `AT` steps."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    runs: dict[Side, dict[str, Any]] = {}
    given = {}
    with reporting(True) as reporter, Workers() as workers:

        def run(side: Side) -> dict[str, Any]:
            answer = workers[side.model.partition(":")[0]].ask(
                "parting_steps:train", reporter, model=side.model, numeric_mode=side.mode, off=side.off, at=AT,
                images=images,
            )  # fmt: skip
            return dict(answer)

        reporter.parts("pairs", len(PAIRS))
        for pair in PAIRS:
            left = runs.setdefault(pair.left, {}) or run(pair.left)
            runs[pair.left] = left
            right = run(pair.right) if pair.right == pair.left else runs.get(pair.right) or run(pair.right)
            runs.setdefault(pair.right, right)
            losses = np.abs(np.array(left["losses"]) - np.array(right["losses"]))
            changed = np.mean(np.array(left["predictions"]) != np.array(right["predictions"]), axis=1)
            given[pair.name] = (losses.tolist(), (100 * changed).tolist())
            reporter.ended(f"{pair.name}: {100 * changed[-1]:.1f} % at the end")
    return given


def draw(given: dict[str, tuple[list[float], list[float]]], path: Path) -> None:
    with style.style():
        made = style.figure(8.4, 4.2)
        left, right = made.subplots(1, 2)
        for number, (name, (losses, changed)) in enumerate(given.items()):
            look = {"marker": "o", "markersize": 3, "color": f"C{number}", "label": name}
            if any(losses):
                left.plot(AT[1:], losses[1:], **look)
            right.plot(AT, changed, **look)
        left.set(xlabel="steps", ylabel="difference of the test losses, nats", xscale="log", yscale="log")
        left.set_xticks(AT[1:], [str(step) for step in AT[1:]])
        left.set_xticks([], minor=True)
        left.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
        right.set(xlabel="steps", ylabel="test images of another class, %")
        made.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        style.save(made, path)


def table(columns: list[str], lines: list[list[str]]) -> str:
    head = [columns, ["---"] + ["---:"] * (len(columns) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [*head, *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=500, help="test images that are looked at (500)")
    options = parser.parse_args()
    given = parted(options.images)
    columns = ["pair", *(f"{step} steps" for step in AT)]
    losses = [[name, *("0" if not each else f"{each:.0e}" for each in rows)] for name, (rows, _) in given.items()]
    changed = [[name, *(f"{each:.1f}" for each in rows)] for name, (_, rows) in given.items()]
    text = f"""# How fast trainings part

`python benchmarks/validation/rounding/parting.py`; MobileNetV2, real ImageNet weights, digits under
`quick-fine-tune`, identical conventions, seed 0, {options.images} test images;
{machine()["cpu"]}, {machine()["cores"]} cores.

## Difference of the test losses, nats

{table(columns, losses)}

## Test images of another class, %

{table(columns, changed)}
"""
    (ROOT / "reports" / "parting.md").write_text(text, encoding="utf-8")
    draw(given, ROOT / "docs" / "concepts" / "rounding.svg")
    print(text)


if __name__ == "__main__":
    main()
