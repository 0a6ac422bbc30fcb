"""`parity.md`: the table of proofs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from isotune import cache, names
from isotune.comparison.bounds import BOUND, NOISE_CAP, NOISE_FACTOR
from isotune.errors import UsageError
from isotune.models.counterparts import Family
from isotune.parity._proof_inputs import LONGEST, OPTIMIZER_CASES, WHOLE_BELOW
from isotune.parity._results import Result, Rung, as_json

COLUMNS = ("features", "layers", "loss", "gradients", "1 step", "10 steps", "buffers", "slots", "logits")


def column(rung: Rung) -> str:
    """The table's column of a rung: both losses are one, and so are all optimizers."""
    if rung.name.endswith("loss"):
        return "loss"
    return next((name for name in COLUMNS if rung.name.endswith(f" {name}")), rung.name)


def worst(result: Result, name: str) -> Rung | None:
    """The rung of a column that comes nearest to its bound, or exceeds it most."""
    those = [rung for rung in result.rungs if column(rung) == name]
    return max(those, key=lambda rung: (rung.error / rung.bound if rung.bound else math.inf, rung.error), default=None)


def rows(results: Iterable[Result]) -> list[list[str]]:
    """The table as cells of text: pair, parameters, a cell a rung, verdict."""
    table = []
    for result in results:
        cells = [_cell(worst(result, name)) for name in COLUMNS]
        question = result.question
        table.append([
            f"{question.left} = {question.right}", f"{result.parameters / 1e6:.1f}", *cells, _verdict(result)
        ])  # fmt: skip
    return table


def _cell(rung: Rung | None) -> str:
    if rung is None:
        return ""
    text = "0" if rung.error == 0 else f"{rung.error:.0e}".replace("e-0", "e-")
    if not rung.holds:
        return f"**{text}**"
    return f"{text} (noise)" if rung.bound > BOUND else text


def _verdict(result: Result) -> str:
    if result.error is not None:
        return "not carried out"
    if result.first_failure is not None:
        return result.outcome
    return "identical" if result.finished else f"identical so far ({', '.join(result.stages)})"


def verdict_line(result: Result) -> str:
    """ "MODEL = MODEL: identical", or where it differs, or why it could not be carried out."""
    reason = f": {result.error}" if result.error is not None else ""
    return f"{result.question.left} = {result.question.right}: {_verdict(result)}{reason}"


def show(results: Sequence[Result]) -> None:
    """Print each pair's rungs."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    for result in results:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name, justify in (("rung", "left"), ("worst relative error", "right"), ("allowed", "right"),
                              ("where", "left"), ("tensors", "right"), ("", "left")):  # fmt: skip
            table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for rung in result.rungs:
            verdict = "" if rung.holds else f"{'UNDECIDED' if rung.doubtful else 'DIFFERS'} {rung.why}".rstrip()
            table.add_row(
                rung.name, f"{rung.error:.1e}", f"{rung.bound:.1e}" + (" (noise)" if rung.noise is not None else ""),
                rung.where, str(rung.tensors), verdict,
            )  # fmt: skip
        if result.rungs:
            console.print(table)
        console.print(verdict_line(result), markup=False, highlight=False, soft_wrap=True)


def write(results: Sequence[Result], families: Sequence[Family], folder: Path, command: str) -> Path:
    """Write `parity.md`, whose path is given back, and `parity.json`; `families` says what has no counterpart.

    UsageError: the folder cannot be written."""
    texts = {
        "parity.json": json.dumps(as_json(results), indent=1),
        "parity.md": "\n".join(_lines(results, families, command)),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with cache.draft_file(folder / name) as draft:
                draft.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the report cannot be written to {folder}: {error.strerror}; choose another folder") from None
    return folder / "parity.md"


def _lines(results: Sequence[Result], families: Sequence[Family], command: str) -> Iterable[str]:
    done = [result for result in results if result.finished is not None]
    held = sum(result.holds for result in done)
    sizes = sorted({result.question.size for result in results})
    whose = {"identical": "the checkpoint's", "native": "the first model's own"}
    specs = ", ".join(sorted({whose.get(spec, spec) for spec in {result.question.conventions for result in results}}))
    yield "# Parity: the same weights, the same function"
    yield ""
    tried = [result for result in done if result.error is None]
    left = f" {len(done) - len(tried)} could not be carried out." if len(tried) < len(done) else ""
    yield f"{held} of {len(tried)} pairs are identical in float64{_covering(done, families)}.{left}"
    yield ""
    yield (
        f"Each pair has one checkpoint under one set of conventions ({specs}), every tensor drawn at random, images of"
        f" {' and '.join(f'{height} x {width}' for height, width in sizes)} pixels. A cell is the worst relative"
        f" error of its rung, whatever optimizer; {BOUND:.0e} is allowed. Where a network amplifies rounding by"
        f" itself (noise), {NOISE_FACTOR} times what the first model shows against itself with the batch permuted is"
        f" allowed, {NOISE_CAP:.0e} at most; what more noise could explain is undecided. Rungs are explained below the"
        " table."
    )
    yield ""
    head = ["pair", "parameters, M", *COLUMNS, "verdict"]
    yield "| " + " | ".join(head) + " |"
    yield "|" + "|".join(["---", *["---:"] * (len(head) - 2), "---"]) + "|"
    for row in rows(results):
        yield "| " + " | ".join(row) + " |"
    yield ""
    yield from _exceptions(results, families)
    yield from _meanings()
    yield "## What libraries round by themselves"
    yield ""
    yield "Each of these alone would break the bound, and is computed otherwise where float64 is asked for."
    yield ""
    yield "| library | rounds | instead |"
    yield "|---|---|---|"
    libraries = [known for adapter in sorted(names.adapters()) if (known := names.facts(adapter))]
    for rounded in dict.fromkeys(row for library in libraries for row in library.rounds):
        yield "| " + " | ".join(rounded) + " |"
    yield ""
    yield "## Evidence"
    yield ""
    yield f"Command: `{command}`"
    yield ""
    versions = {f"{name} {version}" for result in results for name, version in result.question.versions.items()}
    yield f"Versions: {', '.join(sorted(versions))}."
    seconds = sum(result.seconds for result in results)
    if seconds >= 60:
        yield f"Time: {seconds / 60:.0f} minutes."


def _meanings() -> Iterable[str]:
    """What each rung is, and what is left out of which networks."""
    yield "## Rungs"
    yield ""
    yield "- features, layers: inference mode; layers are all that both models show, before an activation of their own."
    yield "  Every layer is also given the same of all images but one, in reverse: what it shows of an image depends on"
    yield "  no other, on either side (it is listed where it does)."
    yield "- loss, gradients: training mode; the loss without and with label smoothing 0.1."
    yield "- 1 step, 10 steps: every tensor and every loss; buffers: BatchNorm's; slots: the optimizer's; logits: in"
    yield "  inference mode after the last step."
    yield f"- Networks of {WHOLE_BELOW // 1_000_000} million parameters and more take one step of one optimizer,"
    yield f"  {LONGEST}. Pairs of libraries that the same lines train take ten steps of {LONGEST} and one of each other"
    yield "  optimizer: what an optimizer makes of further gradients is theirs alike, and in no network."
    yield f"- Optimizers: {'; '.join(f'{case.name} ({case.title})' for case in OPTIMIZER_CASES)}."
    yield "- A tensor's error is its largest difference over its largest value; where a rung sums over the batch,"
    yield "  values below a thousandth of the rung's largest count as that much."
    yield ""


def _exceptions(results: Sequence[Result], families: Sequence[Family]) -> Iterable[str]:
    """What the table cannot say: bounds by noise, failures, architectures without a counterpart."""
    noisy = [(result, rung) for result in results for rung in result.rungs if rung.holds and rung.bound > BOUND]
    if noisy:
        yield "## Bounds by noise"
        yield ""
        yield "| pair | rung | error | where | against itself, batch permuted |"
        yield "|---|---|---:|---|---:|"
        for result, rung in noisy:
            pair = f"{result.question.left} = {result.question.right}"
            yield f"| {pair} | {rung.name} | {rung.error:.1e} | {rung.where} | {rung.noise:.1e} |"
        yield ""
    failed = [(result, rung) for result in results for rung in result.rungs if not rung.holds]
    broken = [result for result in results if result.error is not None]
    if failed:
        yield "## Not identical"
        yield ""
        for result, rung in failed:
            why = f", {rung.why}" if rung.why else ""
            yield (
                f"- {result.question.left} = {result.question.right}, {rung.name}: {rung.error:.1e} at {rung.where}"
                f"{why}; allowed {rung.bound:.1e}"
                + (f"; undecided, since the first model moves by {rung.noise:.1e} itself" if rung.doubtful else "")
            )
        yield ""
    if broken:
        yield "## Not carried out"
        yield ""
        for result in broken:
            yield f"- {result.question.left} = {result.question.right}: {result.error}"
        yield ""
    yield from _missing(results, families)


def _covering(done: Sequence[Result], families: Sequence[Family]) -> str:
    """ "; they cover 39 of the 40 architectures of Keras"; empty without families."""
    proved = {_model(result.question.left) for result in done if result.holds}
    by_library: dict[str, list[bool]] = {}
    for family in families:
        by_library.setdefault(names.parse(family.first).adapter, []).append(_model(family.first) in proved)
    covered = (f"{sum(held)} of the {len(held)} architectures of {names.title(library)}"
               for library, held in sorted(by_library.items()))  # fmt: skip
    return f"; they cover {' and '.join(covered)}" if families else ""


def _missing(results: Sequence[Result], families: Sequence[Family]) -> Iterable[str]:
    """Pairs without a proof, and architectures without a pair."""
    done = {(result.question.left, result.question.right) for result in results if result.finished is not None}
    pairs = [(family.first, other) for family in families for other in family.others]
    if waiting := [pair for pair in pairs if pair not in done]:
        yield "## Not proved yet"
        yield ""
        yield from (f"- {left} = {right}" for left, right in waiting)
        yield ""
    if single := [family for family in families if not family.others]:
        yield "## Without a counterpart"
        yield ""
        for family in single:
            nearest = f" {family.unlike[0].upper()}{family.unlike[1:]}." if family.unlike else ""
            yield f"- {family.first}: the architecture is in none of: {', '.join(family.searched)}.{nearest}"
        yield ""


def _model(text: str) -> tuple[str, str]:
    """Library and name, without the engine."""
    name = names.parse(text)
    return name.adapter, name.name
