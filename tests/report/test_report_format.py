"""Numbers and words as printed."""

from __future__ import annotations

import re
from html import unescape
from math import nan

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from isotune.report import wording as f
from isotune.statistics import Estimate, MedianInterval


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1240.4, "1,240"), (231.2, "231"), (58.14, "58.1"), (0.01234, "0.0123"), (0, "0"), (None, "-"), (nan, "-")],
)
def test_three_digits_are_shown(value: float | None, shown: str) -> None:
    assert f.significant(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.5, "0.50 s"), (59.4, "59 s"), (60, "1 min 0 s"), (252, "4 min 12 s"), (7260, "2 h 1 min")]
)
def test_durations_read_as_people_say_them(seconds: float, shown: str) -> None:
    assert f.duration(seconds) == shown


def test_a_gap_shows_its_sign_and_only_exact_zero_is_bare() -> None:
    assert f.gap(Estimate(3, -6.1, 0.1, -6.3, -5.9), 1) == "-6.1 ± 0.2"
    assert f.gap(Estimate(3, 0.0, 0.0, 0.0, 0.0), 1) == "0"
    assert f.gap(Estimate(1, 0.0, nan, nan, nan), 1) == "0"
    assert f.gap(Estimate(3, 0.0, 0.5, -0.5, 0.5), 1) == "+0.0 ± 0.5"
    assert f.gap(Estimate(3, -0.01, 0.5, -0.51, 0.49), 1) == "+0.0 ± 0.5"
    assert f.gap(None, 1) == f.gap(Estimate(0, nan, nan, nan, nan), 1) == "-"


def test_an_interval_that_prints_as_its_median_is_printed_once() -> None:
    assert f.middle(MedianInterval(1, 231, 231, 231, 0)) == "231"
    assert f.middle(MedianInterval(6, 224, 231, 238, 0.97)) == "231 (224 to 238)"


MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def as_read(cell: str) -> str:
    """What a reader of a table sees in a cell."""
    html = MARKDOWN.render(f"| a | b |\n| --- | --- |\n| {cell} | end |\n")
    match = re.search(r"<tbody>\s*<tr>\s*<td>(.*)</td>\s*<td>end</td>\s*</tr>\s*</tbody>", html, re.DOTALL)
    assert match, html
    return unescape(re.sub(r"</?(code|a)\b[^>]*>", "", match[1]))


# no control characters: parsers of markdown replace or drop them
words = st.text(
    st.sampled_from("ab1 |`*_<>[]()#~$&!\\\n-+.:/") | st.characters(codec="utf-8", categories=("L", "P", "S"))
)


@given(words)
@example("a|b\\|c `d` **e** <script> &amp; [x](y) ~~z~~ $1$")
@example("see https://example.org/a_b_c?d=e&f=g_h, or not")
def test_the_words_of_others_are_read_as_they_were_written(given: str) -> None:
    assert as_read(f.text(given)) == " ".join(given.split())


@given(words.filter(str.strip))
@example("a`b``c")
def test_a_code_span_is_read_as_it_was_written(given: str) -> None:
    assert as_read(f.code(given)) == " ".join(given.split())


def test_addresses_become_links() -> None:
    shown = f.text("He et al. (https://example.org/a_b).")
    assert shown == "He et al. (<https://example.org/a_b>)."
