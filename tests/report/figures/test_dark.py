"""A figure in the dark: every colour has another one there, which can be read, and the figure itself stays."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_factories import default_run, default_speeds

from isotune import report
from isotune.report.figures import dark


@given(st.from_regex(r"#[0-9a-f]{6}", fullmatch=True))
def test_every_colour_can_be_read_in_the_dark(colour: str) -> None:
    there = dark.in_the_dark(colour)
    grounds = ("#ffffff", "#e4e7eb")  # what lies behind
    if colour not in grounds:
        assert dark.contrast(dark._parts(there), dark._parts(dark.GROUND)) >= 4.5


def test_black_and_white_have_the_contrast_that_wcag_says() -> None:
    assert dark.contrast([0, 0, 0], [255, 255, 255]) == pytest.approx(21)
    assert dark.contrast([119, 119, 119], [255, 255, 255]) == pytest.approx(4.48, abs=0.005)  # #777, a known value


def test_every_figure_says_what_its_colours_are_in_the_dark(tmp_path: Path) -> None:
    report.write(default_run(), tmp_path, speeds=default_speeds())
    figures = list((tmp_path / "figures").iterdir())
    assert figures
    for path in figures:
        text = path.read_text(encoding="utf-8")
        ElementTree.fromstring(text)
        drawn = text.partition("@supports")[0]
        painted = set(re.findall(r"(fill|stroke): (#[0-9a-f]{6})", drawn))
        assert ("fill", "#ffffff") in painted, "drawn on white"
        assert "@media (prefers-color-scheme: dark) { svg:not([data-theme]) {" in text, "whoever chose by hand is heard"
        for kind, colour in painted:
            there = dark.in_the_dark(colour)
            rule = f'[style*="{kind}: {colour}"] {{ {kind}: var(--c{colour[1:]}, {colour}) !important }}'
            assert (rule in text) == (there != colour)
            assert text.count(f" --c{colour[1:]}: {there};") == (2 if there != colour else 0)
