"""`NAME.md` of an investigation, its figures, and everything as `NAME.json`."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isotune import attribution, cache, names
from isotune.attribution import Price
from isotune.comparison.agreement import BOUND
from isotune.comparison.sides import Side
from isotune.errors import UsageError
from isotune.investigation._findings import Investigation, Rung
from isotune.investigation._sentences import (
    because,
    both,
    environment_of,
    evidence,
    kept,
    smallest_input,
    stop,
    verdict,
    versions,
)

COLUMNS = ("rung", "verdict", "error, carried", "error, alone", "allowed", "failing", "where first", "cause")
_RIGHT = (2, 3, 4, 5)
_TYPED = ("numeric_mode", "compiled")


def default_name(left: Side, right: Side) -> str:
    """A file's name: both models, and what tells the sides apart when they are one model."""
    words = [left.model, right.model]
    if left.model == right.model:
        words = [
            f"{side.model} {side.conventions} {side.numeric_mode}{' compiled' if side.compiled else ''}"
            f" {environment_of(side)}"
            for side in (left, right)
        ]
    return "-vs-".join(re.sub(r"[^a-z0-9.]+", "-", word.lower()).strip("-") for word in words)


def as_json(found: Investigation, price: Price | None) -> dict[str, Any]:
    """All that was found, unrounded."""
    return found.model_dump(mode="json") | {
        "verdict": verdict(found),
        "price": attribution.as_json(price) if price else None,
    }


def show(found: Investigation, price: Price | None) -> None:
    """Print the ladder, the causes and the price."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, name in enumerate(COLUMNS[:-1]):
        table.add_column(name, justify="right" if index in _RIGHT else "left", no_wrap=index < len(COLUMNS) - 2)
    for rung in found.rungs:
        table.add_row(*_row(found, rung)[:-1])
    console.print(table, markup=False, highlight=False)
    for line in _lines_of_causes(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    lines = [
        *(attribution.sentences(price) if price else []),
        verdict(found),
        *([stop(found)] if found.stopped else []),
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def write(found: Investigation, price: Price | None, folder: Path, name: str, command: str) -> Path:
    """Write `name.md`, whose path is given back, `name.json` and the figures. UsageError: the folder cannot be
    written."""
    from isotune.attribution import _waterfall
    from isotune.investigation import _along

    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        figures = {
            "along": f"figures/{name}-layers.svg" if _along.draw(found, folder / f"figures/{name}-layers.svg") else "",
            "price": "",
        }
        for rung in found.rungs:
            if rung.smallest is not None:
                figures[rung.name] = f"figures/{name}-{rung.name.replace(' ', '-')}-smallest.png"
                (folder / figures[rung.name]).write_bytes(base64.b64decode(rung.smallest.png))
        if price is not None and _waterfall.draw(price, folder / f"figures/{name}-price.svg"):
            figures["price"] = f"figures/{name}-price.svg"
        texts = {
            f"{name}.json": json.dumps(as_json(found, price), indent=1),
            f"{name}.md": "\n".join(_lines(found, price, figures, command)),
        }
        for file, text in texts.items():
            with cache.draft_file(folder / file) as draft:
                draft.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the report cannot be written to {folder}: {error.strerror}; choose another folder") from None
    return folder / f"{name}.md"


def _row(found: Investigation, rung: Rung) -> list[str]:
    return [
        rung.name, rung.verdict, _number(rung.error), _number(rung.alone),
        _number(rung.bound) + (" (noise)" if rung.noise is not None and (rung.bound or 0) > BOUND else ""),
        f"{rung.failing} of {rung.compared}" if rung.compared else "-", rung.where or "-",
        because(found, rung.cause) if rung.cause else "-",
    ]  # fmt: skip


def _number(value: float | None) -> str:
    return "-" if value is None else "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-").replace("e+00", "")


def _lines_of_causes(found: Investigation) -> Iterator[str]:
    for rung in found.rungs:
        if rung.verdict == "fails":
            what = because(found, rung.cause) if rung.cause else "no known convention explains it"
            proof = f" ({evidence(rung)})" if rung.cause else ""
            yield f"{rung.name}: {what}{proof}"
        yield from (f"{rung.name}: {remark}" for remark in rung.remarks if rung.cause is None)
        if rung.smallest is not None:
            yield f"{rung.name}: {smallest_input(rung.smallest)}"


def _lines(found: Investigation, price: Price | None, figures: dict[str, str], command: str) -> Iterator[str]:
    from isotune.report import _format as f

    yield f"# {f.text(found.left.model)} against {f.text(found.right.model)}"
    yield ""
    yield f.text(verdict(found))
    yield ""
    if found.stopped:
        line = f"**Stopped**: {f.text(found.stopped)}; what was learned until then follows."
        if found.survivor is not None:
            line += f" {f.text(kept(found.survivor))}"
            line += f" Go on with {f.code(found.survivor.command)}." if found.survivor.command else ""
        yield line
        yield ""
    yield "## The ladder"
    yield ""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "| " + " | ".join("---:" if index in _RIGHT else "---" for index in range(len(COLUMNS))) + " |"
    for rung in found.rungs:
        cells = list(map(f.text, _row(found, rung)))
        cells[1] = f"**{cells[1]}**" if rung.verdict == "fails" else cells[1]
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield from _EXPLAINED
    yield ""
    if figures["along"]:
        yield f"![Relative error of every layer, {f.text(both(found))}]({figures['along']})"
        yield ""
    yield "## Causes"
    yield ""
    causes = list(_lines_of_causes(found))
    yield from (f"- {f.text(line)}" for line in causes)
    if not causes:
        yield "No rung fails by itself."
    yield ""
    for rung in found.rungs:
        if rung.smallest is not None:
            yield f"![The smallest input found for the rung {rung.name}]({figures[rung.name]})"
            yield ""
    if price is not None:
        yield "## Price"
        yield ""
        yield from (f"- {f.text(line)}" for line in attribution.sentences(price))
        yield ""
        if figures["price"]:
            yield f"![From one accuracy to the other, axis by axis]({figures['price']})"
            yield ""
    yield from _remedies(found)
    yield from _environments(found)
    yield from _evidence(found, command)


def _remedies(found: Investigation) -> Iterator[str]:
    """The lines that make either side behave like the other, for every axis that was found to be a cause."""
    axes = dict.fromkeys(flip.axis for rung in found.rungs if rung.cause for flip in rung.cause.flips)
    differing = [axis for axis in axes if axis in found.axes and axis not in _TYPED]
    if not differing:
        return
    yield "## To make one behave like the other"
    yield ""
    for side, values, place in ((found.left, 1, "left"), (found.right, 0, "right")):
        yield f"### {side.model}{f' ({place})' if found.left.model == found.right.model else ''}, like the other"
        yield ""
        for axis in differing:
            wanted = found.axes[axis][values]
            if wanted is None:
                yield f"{axis}: the other has no one value; the layers that fail are named above."
                yield ""
                continue
            library = names.facts(side.adapter)
            lines = library.remedy(axis, wanted) if library else None
            note = lines.note if lines else f"{side.adapter} is not installed here, so its lines are not known."
            yield f"{axis} = {wanted}: {note}".rstrip(": ")
            yield ""
            if lines and lines.code:
                yield "```python"
                yield from lines.code.strip().splitlines()
                yield "```"
                yield ""


def _environments(found: Investigation) -> Iterator[str]:
    """Two environments, side by side; nothing where both are isotune's own."""
    from isotune.report import _format as f

    if not (found.left.python or found.right.python) or not found.environment:
        return
    yield "## The two environments"
    yield ""
    yield f"| | left: {f.text(found.left.model)} | right: {f.text(found.right.model)} |"
    yield "| --- | --- | --- |"
    pythons = [f.code(side.python) if side.python else "isotune's own" for side in (found.left, found.right)]
    yield f"| interpreter | {pythons[0]} | {pythons[1]} |"
    for name, ours, theirs in versions(found):
        cells = [f"**{each}**" if each and ours != theirs else each or "-" for each in (f.text(ours), f.text(theirs))]
        yield f"| {name} | {cells[0]} | {cells[1]} |"
    yield ""


def _evidence(found: Investigation, command: str) -> Iterator[str]:
    from isotune.report import _format as f

    yield "## Evidence"
    yield ""
    yield f"- Command: {f.code(command)}"
    yield f"- Duration of the ladder, workers' start included: {f.duration(found.seconds)}"
    yield f"- {found.images} images of {f.text(found.dataset)} under {f.text(found.protocol)}, {found.steps} steps"
    for side, which in ((found.left, "left"), (found.right, "right")):
        known = found.environment.get(which, {})
        versions = ", ".join(f"{name} {value}" for name, value in sorted(known.items()))
        yield f"- {f.text(side.model)}, checkpoint {f.code(side.checkpoint)}: {f.text(versions)}"


_EXPLAINED = """- **carried**: each side goes its own way from the images on. **alone**: the right side is given the
  left's values of all that comes before; in training, the causes found below are set alike instead.
- **fails**: by itself. **inherits**: only with what came before. **unknown**: what makes a rung below fail has no name,
  so that this one cannot be judged by itself.
- An error is the largest difference over the largest value of a tensor; the reference is the left side in
  float64.""".splitlines()
