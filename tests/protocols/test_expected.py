"""A published number is handed in as it was printed; what it lacks, and another unit, is told with what is right."""

from __future__ import annotations

import pytest

from isotune import protocols
from isotune.errors import UsageError
from isotune.protocols import Expected, expected

OWN = {"name": "own", "title": "Own", "source": "a test", "own_classifier": {"input": "protocol"}}


def test_the_text_of_an_option_a_table_and_an_object_are_one_thing() -> None:
    text = "accuracy=85.0,source=https://a.org/?x=1,2&y=3,seeds=3,spread=0.25,at-least"
    table = {"accuracy": "85.0", "source": "https://a.org/?x=1,2&y=3", "seeds": 3, "spread": 0.25, "at_least": True}
    assert expected(text) == expected(table) == Expected(**table) == expected(Expected(**table))
    assert str(expected(text)) == "at least 85.0 %"


@pytest.mark.parametrize(
    ("printed", "value", "rounding"),
    [("85", 85, 1), ("85.0", 85, 0.1), ("85.00", 85, 0.01), (85.0, 85, 0.1), ("0.5%", 0.5, 0.1), (100, 100, 1)],
)
def test_the_digits_say_how_it_was_rounded(printed: str | float, value: float, rounding: float) -> None:
    one = expected({"accuracy": printed, "source": "here"})
    assert (one.value, one.rounding) == (value, pytest.approx(rounding))


def test_an_error_is_the_accuracy_that_it_leaves_with_its_digits() -> None:
    one = expected("error=8.27,source=u,images=10000")
    assert (one.text, one.rounding, one.images) == ("91.73", pytest.approx(0.01), 10_000)
    assert one == expected({"accuracy": "91.73%", "source": "u", "images": 10_000})
    assert Expected.model_validate(one.model_dump(exclude_none=True)) == one
    assert str(expected({"error": 15, "source": "u", "at_least": True})) == "at least 85 %"


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("error=0.0827,source=u", "error: takes percent, from 0 to 100; write 8.27"),
        ("error=eight,source=u", "error: takes a number in percent"),
        ("error=8.27,accuracy=91.73,source=u", "accuracy and error say the same"),
        ("accuracy=0.85,source=u", "percent, from 0 to 100; write 85, or 0.85% if that is meant"),
        ("accuracy=1,source=u", "write 100"),
        ("accuracy=850,source=u", "more than 100"),
        ("accuracy=eighty,source=u", "takes a number in percent, such as 85.0"),
        ("accuracy=85", "source is missing: say where the number is published"),
        ("accuracy=85,source=", "not KEY=VALUE"),
        ("accuracy=85,source= ,seeds=3", "not KEY=VALUE"),
        ("source=u", "give one of accuracy, top5"),
        ("accuracy=85,top5=97,source=u", "accuracy and top5 are 2; give one of"),
        ("acuracy=85,source=u", "did you mean 'accuracy'?"),
        ("accuracy=85,source=u,image=300", "did you mean 'images'?"),
        ("accuracy=85,accuracy=86,source=u", "said twice"),
        ("accuracy=85,source=u,at-least,margin=1", "a bound (at-least) has none"),
        ("accuracy=85,source=u,test=other", "say how many there were"),
        ("accuracy=85,source=u,test=others", "'same', 'subset' or 'other'"),
        ("accuracy=85,source=u,spread=-1", "greater than or equal to 0"),
        ("85", "accuracy=85.0,source=https"),
        ("", "accuracy=85.0,source=https"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_what_is_right(text: str, right: str) -> None:
    with pytest.raises(UsageError) as told:
        expected(text)
    assert right in str(told.value)
    assert str(told.value).startswith("expect: ")


def test_what_a_protocol_expects_is_no_part_of_what_is_run() -> None:
    plain = protocols.load(OWN)
    with_one = protocols.load(OWN | {"expected": [{"accuracy": 85.0, "source": "here"}]})
    assert with_one.expected[0].value == 85
    assert with_one.model_dump_json() == plain.model_dump_json()
    with pytest.raises(UsageError, match=r"expected.0.accuracy: takes percent, from 0 to 100; write 85"):
        protocols.load(OWN | {"expected": [{"accuracy": 0.85, "source": "here"}]})
