"""The parsers of the published numbers: what they take, they give back; everything else is refused with a reason."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune.reference_results._citations import Citation
from isotune.reference_results._citations import parse as parse_bibtex
from isotune.reference_results._contradictions import parse_other
from isotune.reference_results._schema import (
    COLUMNS,
    SETTINGS,
    SPREAD_KINDS,
    Reference,
    parse,
    parse_evaluation,
    parse_spread,
    parse_value,
)  # fmt: skip

DECIMALS = st.decimals(min_value=0, max_value=1000, allow_nan=False, places=3)
GOOD = {
    **dict.fromkeys(COLUMNS, ""),
    "adapter": "timm", "model": "resnet50", "checkpoint": "a1_in1k", "dataset": "imagenet", "split": "val",
    "metric": "top-1", "value": "80.382", "unit": "percent", "rounding": "0.001", "runs": "1", "statistic": "single",
    "spread_kind": "none", "protocol": "own-classifier", "size_px": "224", "crop": "0.95", "measured_by": "timm",
    "trust": "high", "source": "timm-results", "location": "results-imagenet.csv",
}  # fmt: skip


def test_a_row_becomes_a_reference() -> None:
    row = parse(GOOD, "imagenet.csv")
    assert (row.value, row.rounding, row.half_unit) == (80.382, 0.001, 0.0005)
    assert (row.architecture, row.name, row.size_px, row.crop) == ("resnet50", "timm:resnet50", 224, 0.95)
    assert (row.spread, row.sd, row.default, row.file) == (None, None, False, "imagenet.csv")


@given(column=st.sampled_from(COLUMNS), text=st.text(max_size=12))
def test_any_text_in_any_column_is_taken_or_refused_with_that_columns_name(column: str, text: str) -> None:
    try:
        row = parse(GOOD | {column: text})
    except ValueError as error:
        assert str(error).partition(":")[0] in COLUMNS  # noqa: PT017
    else:
        assert isinstance(row, Reference)


@pytest.mark.parametrize("column", ["model", "value", "source", "note"])
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(ValueError, match=f"^{column}: the column is missing"):
        parse({name: value for name, value in GOOD.items() if name != column})


@given(DECIMALS, st.integers(min_value=0, max_value=4))
def test_a_value_goes_with_the_rounding_of_its_digits_and_with_no_other(value: Decimal, places: int) -> None:
    unit = Decimal(1).scaleb(-places)
    text = f"{value.quantize(unit):f}"
    assert parse_value(text, f"{unit:f}") == (float(text), float(unit))
    with pytest.raises(ValueError, match="has other digits"):
        parse_value(text, f"{unit.scaleb(-1):f}")


@pytest.mark.parametrize(
    ("value", "rounding"), [("nan", "0.1"), ("1e1", "1"), ("1", "0"), ("1", "-1"), ("", "1"), ("inf", "1"), ("٣", "1")]
)
def test_what_is_no_plain_number_is_no_value(value: str, rounding: str) -> None:
    with pytest.raises(ValueError, match=r"^(value|rounding): "):
        parse_value(value, rounding)


@given(DECIMALS, DECIMALS)
def test_a_range_keeps_its_ends(one: Decimal, other: Decimal) -> None:
    low, high = sorted((one, other))
    assert parse_spread(f"{low}..{high}", "range") == (float(high - low), float(low), float(high))
    if low < high:
        with pytest.raises(ValueError, match="falls"):
            parse_spread(f"{high}..{low}", "range")


@given(st.text(max_size=10), st.sampled_from(SPREAD_KINDS))
def test_a_spread_is_what_its_kind_says_or_refused(text: str, kind: str) -> None:
    try:
        spread, low, high = parse_spread(text, kind)
    except ValueError as error:
        assert str(error).startswith("spread: ")  # noqa: PT017
        return
    assert (kind == "none") == (text == "") == (spread is None)
    assert (kind == "range") == (low is not None) == (high is not None)


PLAIN = st.text(st.characters(exclude_characters=";=", exclude_categories=["C"]), min_size=1).filter(
    lambda text: text.strip() == text
)


@given(st.dictionaries(st.sampled_from(SETTINGS), PLAIN))
def test_an_evaluation_is_read_back(settings: dict[str, str]) -> None:
    assert parse_evaluation("; ".join(f"{key}={value}" for key, value in settings.items())) == settings


@pytest.mark.parametrize("text", ["batch", "batch=", "batch=1; batch=2", "batch=1; ", "colour=red", ";"])
def test_another_form_of_an_evaluation_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^evaluation: "):
        parse_evaluation(text)


WORD = st.from_regex(r"[a-z0-9_]{1,8}", fullmatch=True)


@given(WORD, WORD, st.lists(WORD, max_size=2), WORD, st.none() | st.integers(min_value=0, max_value=999))
def test_a_further_model_is_read_back(
    adapter: str, model: str, options: list[str], checkpoint: str, size: int | None
) -> None:
    name = ":".join([model, *options])
    spec = f"{adapter}:{name}:{checkpoint}" + ("" if size is None else f"@{size}")
    assert parse_other(spec) == (adapter, name, checkpoint, size)


KEYS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True)
FIELDS = st.dictionaries(
    st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    st.text(st.characters(exclude_characters="{}\\", exclude_categories=["C"])).map(
        lambda text: " ".join(text.split())
    ),
    max_size=4,
)


@given(st.lists(st.tuples(KEYS, FIELDS), max_size=4))
def test_bibtex_is_read_back(entries: list[tuple[str, dict[str, str]]]) -> None:
    text = "% a comment @misc{x,\n" + "\n".join(
        f"@misc{{{key},\n" + "".join(f"  {name} = {{{value}}},\n" for name, value in values.items()) + "}\n"
        for key, values in entries
    )
    assert parse_bibtex(text) == [Citation(key, "misc", values) for key, values in entries]


@given(st.text(alphabet="@misc{key,=}\n %\\title", max_size=60))
def test_other_text_ends_in_entries_or_in_a_reason_with_its_line(text: str) -> None:
    try:
        parse_bibtex(text)
    except ValueError as error:
        assert str(error).startswith("line ")  # noqa: PT017


def test_bibtex_loses_its_braces_and_escapes_only() -> None:
    text = "@misc{a,\n  title = {The {BiT} of big\\_transfer\n    and 5\\% more},\n  note = {{A}, {B}}\n}"
    assert parse_bibtex(text) == [
        Citation("a", "misc", {"title": "The BiT of big_transfer and 5% more", "note": "A, B"})
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("misc{a,}", "line 1: an entry must begin"),
        ("\n@misc{a,\n title = {x}", "line 3: a: expected"),
        ("@misc{a,\n title = {x", "line 2: a brace is not closed"),
        ("@misc{a,\n title = x,\n}", "line 1: a: expected"),
        ("@misc{a, note={1}, note={2}}", "line 1: a has two fields note"),
    ],
)
def test_broken_bibtex_names_the_line(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_bibtex(text)
