"""Numbers and words as printed."""

from __future__ import annotations

import re
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune.report import _format as f
from isotune.statistics import Estimate, Quartiles


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
    assert f.gap(None, 1) == f.gap(Estimate(0, nan, nan, nan, nan), 1) == "-"


def test_quartiles_that_print_alike_are_printed_once() -> None:
    assert f.middle(Quartiles(1, 231, 231, 231)) == "231"
    assert f.middle(Quartiles(5, 224, 231, 238)) == "231 (224 to 238)"


@given(st.text())
def test_escaped_text_stays_one_table_cell(words: str) -> None:
    shown = f.text(words)
    assert "\n" not in shown
    assert not re.search(r"(?<!\\)(\\\\)*[|<*_`]", re.sub(r"\\.", "", shown))


@given(st.text(alphabet="a`|\\ \n"))
def test_a_code_span_holds_what_it_was_given(words: str) -> None:
    shown = f.code(words)
    span = re.fullmatch(r"(`+)( ?)(.*)\2\1", shown.replace(r"\|", "|"))
    assert span
    assert span[1] not in re.findall(r"`+", span[3])
    assert span[3].strip() == " ".join(words.split())
