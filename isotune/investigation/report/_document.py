"""`NAME.md` of an investigation."""

from __future__ import annotations

from collections.abc import Iterator

from isotune import attribution as attributions
from isotune.attribution import Attribution
from isotune.investigation.findings import Findings
from isotune.investigation.report._remedies import remedies
from isotune.investigation.report._sentences import both, kept, versions
from isotune.investigation.report._tables import COLUMNS, NUMERIC, lines_of_causes, row
from isotune.investigation.report._verdict import verdict
from isotune.report import wording as f


def document(
    findings: Findings, attribution: Attribution | None, figures: dict[str, str], command: str
) -> Iterator[str]:
    """Its lines. figures: what is drawn -> its file."""
    yield f"# {f.text(findings.left.model)} against {f.text(findings.right.model)}"
    yield ""
    yield f.text(verdict(findings, attribution))
    yield ""
    if findings.stopped:
        line = f"**Stopped**: {f.text(findings.stopped)}; what was learned until then follows."
        if findings.survivor is not None:
            line += f" {f.text(kept(findings.survivor))}"
            line += f" Go on with {f.code(findings.survivor.command)}." if findings.survivor.command else ""
        yield line
        yield ""
    yield "## The ladder"
    yield ""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "| " + " | ".join("---:" if index in NUMERIC else "---" for index in range(len(COLUMNS))) + " |"
    for rung in findings.rungs:
        cells = list(map(f.text, row(findings, rung)))
        cells[1] = f"**{cells[1]}**" if rung.verdict == "fails" else cells[1]
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield from _EXPLAINED
    yield ""
    if "layers figure" in figures:
        yield f"![Relative error of every layer, {f.text(both(findings))}]({figures['layers figure']})"
        yield ""
    yield "## Causes"
    yield ""
    causes = list(lines_of_causes(findings))
    yield from (f"- {f.text(line)}" for line in causes)
    if not causes:
        yield "No rung fails by itself."
    yield ""
    for rung in findings.rungs:
        if rung.smallest is not None:
            yield f"![The smallest input found for the rung {rung.name}]({figures[rung.name]})"
            yield ""
    if attribution is not None:
        yield "## Attribution"
        yield ""
        yield from (f"- {f.text(line)}" for line in attributions.sentences(attribution))
        yield ""
        if "attribution" in figures:
            yield f"![From one accuracy to the other, axis by axis]({figures['attribution']})"
            yield ""
    yield from remedies(findings)
    yield from _environments(findings)
    yield from _evidence(findings, command)


def _environments(findings: Findings) -> Iterator[str]:
    """Two environments, side by side; nothing where both are isotune's own."""
    if not (findings.left.python or findings.right.python) or not findings.environment:
        return
    yield "## The two environments"
    yield ""
    yield f"| | left: {f.text(findings.left.model)} | right: {f.text(findings.right.model)} |"
    yield "| --- | --- | --- |"
    pythons = [f.code(side.python) if side.python else "isotune's own" for side in (findings.left, findings.right)]
    yield f"| interpreter | {pythons[0]} | {pythons[1]} |"
    for name, ours, theirs in versions(findings):
        cells = [f"**{each}**" if each and ours != theirs else each or "-" for each in (f.text(ours), f.text(theirs))]
        yield f"| {name} | {cells[0]} | {cells[1]} |"
    yield ""


def _evidence(findings: Findings, command: str) -> Iterator[str]:
    yield "## Evidence"
    yield ""
    yield f"- Command: {f.code(command)}"
    yield f"- Duration of the ladder, workers' start included: {f.duration(findings.seconds)}"
    given = f"{f.text(findings.dataset)} under {f.text(findings.protocol)}"
    yield f"- {findings.images} images of {given}, {findings.steps} steps"
    for side, which in ((findings.left, "left"), (findings.right, "right")):
        known = findings.environment.get(which, {})
        versions = ", ".join(f"{name} {value}" for name, value in sorted(known.items()))
        yield f"- {f.text(side.model)}, checkpoint {f.code(side.checkpoint)}: {f.text(versions)}"


_EXPLAINED = """- **end to end**: each side goes its own way from the images on. **isolated**: the right side is given
  the left's values of all that comes before; in training, the causes named below are set alike instead.
- **fails**: by itself, isolated. **inherits**: only end to end. **unknown**: what makes a rung below fail cannot be set
  alike, so that this one cannot be isolated. **not judged**: all that could make it fail was set alike, or one side
  alone has an operation that no image of the run shows.
- An error is the largest difference over the largest value of a tensor; the reference is the left side in
  float64.""".splitlines()
