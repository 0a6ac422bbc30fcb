"""The ladder as rows of text, and its causes as lines."""

from __future__ import annotations

from collections.abc import Iterator

from isotune.comparison.bounds import BOUND
from isotune.investigation.findings import Findings, Rung
from isotune.investigation.report._sentences import because, evidence, smallest_input, unexplained

COLUMNS = (
    "rung", "verdict", "error, end to end", "error, isolated", "allowed", "failing", "where first", "cause"
)  # fmt: skip
NUMERIC = (2, 3, 4, 5)  # columns


def row(findings: Findings, rung: Rung) -> list[str]:
    """A cell for each of COLUMNS."""
    return [
        rung.name, rung.verdict, _number(rung.end_to_end), _number(rung.isolated),
        _number(rung.bound) + (" (noise)" if rung.noise is not None and (rung.bound or 0) > BOUND else ""),
        f"{rung.failing} of {rung.compared}" if rung.compared else "-", rung.where or "-",
        because(findings, rung.cause) if rung.cause else "-",
    ]  # fmt: skip


def lines_of_causes(findings: Findings) -> Iterator[str]:
    """Of every rung that fails by itself: its cause, or what is known without one."""
    for rung in findings.rungs:
        if rung.verdict == "fails":
            what = because(findings, rung.cause) if rung.cause else rung.named or "no known convention explains it"
            proof = f" ({evidence(rung)})" if rung.cause else ""
            yield f"{rung.name}: {what}{proof}"
            if rung.cause and rung.unexplained:
                yield f"{rung.name}: no known convention explains {unexplained(findings, rung.unexplained)}"
        yield from (f"{rung.name}: {remark}" for remark in rung.remarks)
        if rung.smallest is not None:
            yield f"{rung.name}: {smallest_input(rung.smallest)}"


def _number(value: float | None) -> str:
    return "-" if value is None else "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-").replace("e+00", "")
