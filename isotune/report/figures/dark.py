"""A figure in the dark: rules within the SVG that give every colour of it another one.

They count where the reader asks for a dark scheme, unless the root element says `data-theme`, which a page writes there
whose reader chose by hand. The figure itself stays as it was drawn, in light colours.
"""

from __future__ import annotations

import re

GROUND = "#14181d"  # the page's
_INK = "#e4e8ec"
_FIXED = {
    "#ffffff": GROUND, "#000000": _INK, "#24292f": _INK, "#6e7781": "#9aa5b1", "#e4e7eb": "#2c333b",
}  # fmt: skip
_CONTRAST = 4.5  # WCAG 2.2, 1.4.3, of text: names of models are written in their library's colour
_PAINTED = re.compile(r"\b(fill|stroke): (#[0-9a-f]{6})\b")


def dressed(svg: str) -> str:
    """The SVG with its rules, just before its end.

    Every colour becomes a variable, which the dark sets on the root. Rules that name the root themselves would not
    reach what `use` repeats, as markers are; and what knows no variables passes over `@supports`.
    """
    painted = {(kind, colour) for kind, colour in _PAINTED.findall(svg) if in_the_dark(colour) != colour}
    rules = "".join(
        f'[style*="{kind}: {colour}"] {{ {kind}: var(--c{colour[1:]}, {colour}) !important }}\n'
        for kind, colour in sorted(painted)
    )
    there = "".join(f" --c{colour[1:]}: {in_the_dark(colour)};" for colour in sorted({colour for _, colour in painted}))
    style = (
        f'<style type="text/css">\n@supports (fill: var(--c, #000000)) {{\n{rules}}}\n'
        f"@media (prefers-color-scheme: dark) {{ svg:not([data-theme]) {{{there} }} }}\n"
        f"svg[data-theme=dark] {{{there} }}\n</style>\n"
    )
    before, end, after = svg.rpartition("</svg>")
    return f"{before}{style}{end}{after}"


def in_the_dark(colour: str) -> str:
    """What a colour, "#rrggbb", is where it stands on a dark ground: itself, or so much lighter that it can be read."""
    if (fixed := _FIXED.get(colour)) is not None:
        return fixed
    parts = _parts(colour)
    for share in range(0, 101, 5):
        lighter = [round(part + (255 - part) * share / 100) for part in parts]
        if contrast(lighter, _parts(GROUND)) >= _CONTRAST:
            return "#" + "".join(f"{part:02x}" for part in lighter)
    return _INK


def contrast(first: list[int], second: list[int]) -> float:
    """Of two colours, 1 to 21 (WCAG 2.2, contrast ratio)."""
    lights = sorted(_luminance(colour) for colour in (first, second))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _luminance(parts: list[int]) -> float:
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _parts(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
