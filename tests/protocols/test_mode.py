"""Modes: their spelling and their words."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from isotune.errors import UsageError
from isotune.protocols import Layout, Mode, NumericMode


@pytest.mark.parametrize(
    "mode",
    [
        Mode(numeric_mode=numeric, layout=layout, compiled=compiled)
        for numeric, layout, compiled in product(get_args(NumericMode), (None, *get_args(Layout)), (False, True))
    ],
    ids=str,
)
def test_a_spelling_is_the_mode(mode: Mode) -> None:
    assert Mode.parse(mode.spelling) == mode
    assert mode.mode.replace(" ", "-") == mode.spelling
    assert Mode(**mode.settings) == mode


def test_a_mode_in_words() -> None:
    assert Mode().mode == "float32"
    assert Mode.parse("bfloat16-channels_last-compiled").mode == "bfloat16 channels_last compiled"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("float31", "did you mean 'float32'"),
        ("float32-channel_last", "did you mean 'channels_last'"),
        ("float32-compiled-channels_last", "NUMERIC_MODE"),
        ("channels_last", "float32"),
        ("", "float32"),
    ],
)
def test_what_is_no_mode_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        Mode.parse(text)
    assert len(str(refused.value).splitlines()) == 1
