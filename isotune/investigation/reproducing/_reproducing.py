"""From an investigation's findings to a script that was run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from isotune import cache, places
from isotune.comparison.sides import Inputs
from isotune.errors import UsageError
from isotune.excerpts import NotWritten
from isotune.investigation.findings import Findings, Rung
from isotune.investigation.reproducing._asking import Asker
from isotune.investigation.reproducing._cutting import failing
from isotune.investigation.reproducing._pieces import Shown
from isotune.investigation.reproducing._recipe import of_recipe
from isotune.investigation.reproducing._running import NotReproduced, run
from isotune.investigation.reproducing._script import Half, composed, draws
from isotune.printable import one_line
from isotune.progress import Progress, untold
from isotune.workers.environment import versions

_TRIED = 3  # layers of a rung
_NETWORK = ("layers", "logits", "training-mode layers")


@dataclass(frozen=True)
class Reproducer:
    """A script that was run and failed as it says; or, with an empty text, why there is none."""

    rung: str
    text: str = ""
    printed: str = ""  # by the script: both values, and its assertion
    refused: str = ""  # why there is none, a line

    def write(self, path: Path) -> Path:
        """UsageError: it cannot be written, or there is no script."""
        if not self.text:
            raise UsageError(f"there is no reproducer: {self.refused}")
        path = places.path(path, "path")
        places.make_folder_of(path)
        try:
            with cache.draft_file(path) as draft:
                draft.write_text(self.text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}; choose another file") from None
        return path

    def said(self, path: Path) -> str:
        """A line: where the script is, or why there is none."""
        return f"reproducer of {self.rung}: {path}" if self.text else f"no reproducer: {self.refused}"

    def lines(self) -> Iterator[str]:
        """Of a report, Markdown."""
        yield "## To reproduce it"
        yield ""
        if not self.text:
            yield f"No script reproduces it: {self.refused}."
        else:
            yield f"The rung {self.rung}, without isotune; run before it was written here, it fails:"
            yield ""
            yield "```python"
            yield from self.text.splitlines()
            yield "```"
            yield ""
            yield "```text"
            yield from self.printed.splitlines()
            yield "```"
        yield ""


def reproduce(findings: Findings, inputs: Inputs, progress: Progress | None = None) -> Reproducer | None:
    """The least that still fails as a script, of the first rung for which there is one: those of the network first.

    inputs: what both sides were given. None: no rung fails by itself.
    """
    tell = progress or untold
    wrong = [rung for rung in findings.rungs if rung.verdict == "fails"]
    if not wrong:
        return None
    if why := _impossible(findings):
        return Reproducer(wrong[0].name, refused=why)
    ordered = sorted(wrong, key=lambda rung: rung.name not in _NETWORK)
    refusals: dict[str, str] = {}
    for number, rung in enumerate(ordered):
        tell(f"a reproducer of {rung.name}", number, len(ordered))
        try:
            return _of_rung(findings, rung, inputs)
        except (NotReproduced, NotWritten) as error:
            refusals[rung.name] = str(error)
    return Reproducer(ordered[0].name, refused=one_line("; ".join(f"{name}: {why}" for name, why in refusals.items())))


def _impossible(findings: Findings) -> str:
    """Why no script can have both sides."""
    left, right = findings.left, findings.right
    if left.python or right.python:
        return "the sides are of two environments, and a script has one"
    if any(side.compiled for side in (left, right)):
        return "a side is compiled, and a script's few operations are not"
    if left.numeric_mode != "float64" or right.numeric_mode != "float64":
        return "a script computes in float64, and the sides do not"
    if left.layout != right.layout:
        return "the sides differ in the layout of memory, which a script in float64 does not show"
    return ""


def _of_rung(findings: Findings, rung: Rung, inputs: Inputs) -> Reproducer:
    refusals: dict[str, str] = {}
    if rung.name not in (*_NETWORK, "gradients"):
        try:
            text = of_recipe(findings, rung, inputs, about(findings, rung))
            return Reproducer(rung.name, text, run(text))
        except (NotReproduced, NotWritten) as error:
            if rung.name not in _SHOWS:
                raise
            refusals["as the libraries do it"] = str(error)
    with Asker({"left": findings.left, "right": findings.right}, inputs) as asker:
        for layer in _layers(findings, rung):
            try:
                text = _of_layer(findings, rung, layer, asker)
                return Reproducer(rung.name, text, run(text))
            except (NotReproduced, NotWritten) as error:
                refusals[layer] = str(error)
    raise NotReproduced("; ".join(f"{layer}: {why}" for layer, why in refusals.items()) or "no layer fails by itself")


_SHOWS: dict[str, Shown] = {"gradients": "gradient", "BatchNorm buffers": "buffers"}


def _layers(findings: Findings, rung: Rung) -> Sequence[str]:
    """Those that fail by themselves, in order, and of each kind the first."""
    if rung.name == "logits":
        return ("head",)
    if rung.name in _SHOWS:
        return _with_tensors(findings, rung)
    bound = rung.bound or 0.0
    beyond = [error.name for error in rung.layers_isolated if not error.relative <= bound and not error.lacking]
    kinds: dict[str, str] = {}
    for name in beyond:
        kinds.setdefault(name.rpartition(".")[2], name)
    return list(dict.fromkeys([*kinds.values(), *beyond]))[:_TRIED]


def _with_tensors(findings: Findings, rung: Rung) -> list[str]:
    """Layers whose tensors fail; of gradients what stands behind the last of them, where backpropagation comes from."""
    order = list(findings.names)
    named = rung.unexplained or (rung.where.partition(" ")[0].removesuffix(":"),)
    places = sorted({order.index(layer) for name in named if (layer := name.rpartition(".")[0]) in order})
    if not places or rung.name != "gradients":
        return [order[place] for place in places[:_TRIED]]
    last = places[-1]
    return [*order[last + 1 : last + _TRIED], order[last]]


def _of_layer(findings: Findings, rung: Rung, layer: str, asker: Asker) -> str:
    training = rung.name.startswith("training") or rung.name in _SHOWS
    shows = _SHOWS.get(rung.name, "output")
    now = failing(lambda which, channels: asker.excerpt(which, layer, channels, training), asker.values, shows)
    sides = {"left": findings.left, "right": findings.right}
    halves = {
        which: Half(one_line(sides[which].model), piece.imports, tuple(piece.body(now.read(which))))
        for which, piece in now.pieces.items()
    }
    return composed(about(findings, rung, layer), halves, draws(now), now.tolerance)


def about(findings: Findings, rung: Rung, layer: str = "") -> list[str]:
    """Of the script's docstring."""
    names = findings.names.get(layer, ("", ""))
    where = f", layer {layer}" if layer else ""
    where += f" ({' = '.join(filter(None, names))})" if any(names) else ""
    axes = [flip.axis for flip in rung.cause.flips] if rung.cause else []
    cause = " and ".join(axes) or "no known convention explains it"
    if layer and len(axes) > 1:  # of all the rung's layers
        cause = f"{cause} explain the rung, of which this layer shows one at least"
    known = versions(findings.left.adapter, findings.right.adapter)
    told = ", ".join(f"{name} {value}" for name, value in known.items() if name != "isotune")
    return [
        one_line(f"{findings.left.model} and {findings.right.model} part at the rung '{rung.name}'{where}: {cause}."),
        f"Made by isotune investigate with {told}. It fails where they differ.",
    ]
