"""Layouts: what each library has, known without starting it, and one spelling for one computation."""

from __future__ import annotations

import pytest

from isotune.errors import UsageError
from isotune.models import layouts
from isotune.protocols import Mode

TORCH = ("torchvision", "timm", "torch")
KERAS = ("keras", "keras@tensorflow", "keras@jax", "keras@torch")


@pytest.mark.parametrize("adapter", TORCH)
def test_torchs_libraries_are_contiguous_and_have_channels_last(adapter) -> None:
    assert layouts.resolved(None, adapter) == layouts.resolved("contiguous", adapter) == "contiguous"
    assert layouts.resolved("channels_last", adapter) == "channels_last"
    assert layouts.others(adapter) == ("channels_last",)


@pytest.mark.parametrize("adapter", KERAS)
def test_keras_is_channels_last_only(adapter) -> None:
    assert layouts.resolved(None, adapter) == layouts.resolved("channels_last", adapter) == "channels_last"
    assert layouts.others(adapter) == ()
    engine = adapter.partition("@")[2] or "tensorflow"
    with pytest.raises(UsageError, match=f"^keras on {engine} has no layout 'contiguous'; it has channels_last only$"):
        layouts.resolved("contiguous", adapter)


def test_a_librarys_default_has_no_spelling_of_its_own() -> None:
    last, first = Mode(layout="channels_last", compiled=True), Mode(numeric_mode="bfloat16", layout="contiguous")
    assert layouts.as_asked(last, "keras@jax") == Mode(compiled=True)
    assert layouts.as_asked(last, "timm") == last
    assert layouts.as_asked(first, "timm") == Mode(numeric_mode="bfloat16")
    assert layouts.as_asked(Mode(), "timm") == Mode()
    with pytest.raises(UsageError, match="no layout 'contiguous'"):
        layouts.as_asked(first, "keras")


def test_of_an_adapter_that_is_not_installed_a_record_says_what_it_says() -> None:
    assert layouts.as_asked(Mode(layout="contiguous"), "elsewhere") == Mode(layout="contiguous")
    assert layouts.resolved("channels_last", "elsewhere") == "channels_last"
    assert layouts.resolved(None, "elsewhere") is None
