"""Numbers and words as every report prints them, in markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isnan, log10

from isotune.names import title
from isotune.printable import printable
from isotune.report.analysis.answers import Changed
from isotune.report.analysis.sections import Row, Section
from isotune.report.analysis.timing import Timing
from isotune.statistics import Estimate, Interval, MedianInterval

NOTHING = "-"
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~$&!])")
_ADDRESS = re.compile(r"(https?://[\w.~:/?#@%&=+,;-]*[\w/])", re.ASCII)


@dataclass(frozen=True)
class Table:
    """A markdown table; the first `left` columns are words, the others numbers and set to the right."""

    columns: list[str]
    rows: list[list[str]]
    left: int = 1

    def filled(self) -> Table:
        """Without the columns that say nothing in any row; the first always stays."""
        keep = [i for i in range(len(self.columns)) if i == 0 or any(row[i] != NOTHING for row in self.rows)]
        rows = [[row[i] for i in keep] for row in self.rows]
        return Table([self.columns[i] for i in keep], rows, sum(i < self.left for i in keep))

    def head(self, rows: int) -> Table:
        return Table(self.columns, self.rows[:rows], self.left)

    def markdown(self) -> str:
        """A line for the columns, one that sets them left or right, and one for each row; each is ended."""
        rule = [" --- " if place < self.left else " ---: " for place in range(len(self.columns))]
        rows = [f"| {' | '.join(row)} |" for row in (self.columns, *self.rows)]
        return "".join(f"{line}\n" for line in (rows[0], f"|{'|'.join(rule)}|", *rows[1:]))


def text(words: object) -> str:
    """Words of others, to appear as they are in markdown, also within a table; addresses become links."""
    line = printable(" ".join(str(words).split()))
    parts = _ADDRESS.split(line)  # words and addresses by turns
    return "".join(f"<{part}>" if i % 2 else _MARKUP.sub(r"\\\1", part) for i, part in enumerate(parts))


def code(words: object) -> str:
    """A code span that is valid in a table (where a pipe is escaped even within code)."""
    line = printable(" ".join(str(words).split()))
    fence = "`" * (max((len(run) for run in re.findall(r"`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{pad}{line}{pad}{fence}".replace("|", r"\|")


def accuracy(value: Estimate | None, decimals: int) -> str:
    """ "85.0 ± 0.3" percent, without the margin when one seed gives none; "92.5 (0.0 to 100.0)" where the interval ends
    at a limit."""
    if value is None or isnan(value.mean):
        return NOTHING
    return f"{value.mean:.{decimals}f}{_margin(value, f'.{decimals}f')}"


def gap(value: Estimate | None, decimals: int) -> str:
    """ "-6.1 ± 0.4" points; exactly 0 for every seed is "0"; "-6.1 (-100.0 to +87.8)" where the interval ends at a
    limit."""
    if value is None or isnan(value.mean):
        return NOTHING
    if value.mean == 0 and not value.margin > 0:
        return "0"
    return f"{value.mean:+z.{decimals}f}{_margin(value, f'+z.{decimals}f')}"


def _margin(value: Estimate, how: str) -> str:
    """What follows a mean: how far its interval reaches on either side, or both ends."""
    if isnan(value.margin):
        return ""
    if value.symmetric:
        return f" ± {value.margin:{how.lstrip('+')}}"
    return f" ({value.low:{how}} to {value.high:{how}})"


def changed(value: Changed | None, decimals: int) -> str:
    """Share of predictions; without the predictions themselves, what is certain: "> 0", "≥ 6.1"."""
    if value is None:
        return NOTHING
    if value.at_least:
        return f"≥ {value.share:.{decimals}f}" if round(value.share, decimals) > 0 else "> 0"
    return f"{value.share:.{decimals}f}" if value.share else "0"


def opening(words: str, anchor: str | None) -> str:
    """A cell's words, which open what is at an anchor, where there is one."""
    return words if anchor is None else f"[{words}](#{anchor})"


def interval(value: Interval | None, decimals: int) -> str:
    """ "-0.3 to +1.2", with signs as a difference has them."""
    return NOTHING if value is None else f"{value.low:+z.{decimals}f} to {value.high:+z.{decimals}f}"


def probability(value: float | None) -> str:
    """A p-value: two digits, and nothing smaller than is useful."""
    if value is None:
        return NOTHING
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def share(value: float | None, within: Interval | None) -> str:
    """ "0.83 (0.44 to 0.97)", of 1."""
    if value is None:
        return NOTHING
    return f"{value:.2f}" + (f" ({within.low:.2f} to {within.high:.2f})" if within else "")


def significant(value: float | None, digits: int = 3) -> str:
    """Three digits, thousands set apart: 1,240 and 231 and 58.1 and 0.0123."""
    if value is None or isnan(value):
        return NOTHING
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - floor(log10(abs(value))))
    return f"{value:,.{decimals}f}"


def middle(value: MedianInterval | None) -> str:
    """ "231 (224 to 238)": median, and its interval."""
    if value is None or isnan(value.median):
        return NOTHING
    low, mid, high = significant(value.low), significant(value.median), significant(value.high)
    return mid if low == mid == high else f"{mid} ({low} to {high})"


def timed(value: Timing | None) -> str:
    """ "231 (224 to 238) \\*": with the mark of a disturbed figure."""
    return middle(value) + (r" \*" if value is not None and value.cause else "")


def mebibytes(value: int | None, above: int | None = None) -> str:
    """ "612 (+143)": peak, and how much of it came after the start."""
    if value is None:
        return NOTHING
    return f"{value / 2**20:,.0f}" + ("" if above is None else f" ({above / 2**20:+,.0f})")


def duration(seconds: float) -> str:
    """ "4 min 12 s"."""
    if seconds < 60:
        return f"{significant(seconds, 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def decimals(test_images: int) -> int:
    """Decimals of a percentage that this many test images resolve."""
    return 2 if test_images >= 10_000 else 1


def library(name: str) -> str:
    """ "keras@jax" -> "Keras on jax"."""
    return title(name)


def row_name(row: Row, *, with_checkpoint: bool) -> str:
    """Model, then whatever sets the row apart: mode, checkpoint, convention overrides, content of the user's files."""
    parts = [code(row.model)]
    if row.mode != "float32":
        parts.append(text(row.mode))
    if with_checkpoint:
        parts.append(code(row.checkpoint))
    if row.overrides:
        parts.append(code(row.overrides))
    if row.version:
        parts.append(f"({text(row.version)})")
    return " ".join(parts)


def name_in(section: Section, row: Row) -> str:
    """`row_name`, with the checkpoint where the section has several."""
    return row_name(row, with_checkpoint=len(section.checkpoints) > 1)


def number(count: int, noun: str) -> str:
    """ "1 seed", "5 seeds"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def word(count: int) -> str:
    """A small number in words."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[count] if count < len(words) else f"{count:,}"


def listing(parts: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else ""
