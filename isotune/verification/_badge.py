"""A verdict as a badge, SVG, in the form that code repositories show: what was claimed, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from isotune.protocols import METRICS, Expected

_COLOURS = {"reproduced": "#2e7d32", "different": "#b71c1c", "inconclusive": "#616161"}  # white on each: above 5:1
_CHARACTER, _PADDING = 6.6, 8  # pixels of a character of 11 px, about; the text is set to the width that is reckoned


def badge(result: Mapping[str, Any]) -> str:
    """The badge of a result (`result`): an accessible name, the whole line as its title, the result's digest within."""
    claimed = Expected.model_validate(result["claim"])
    left = f"{METRICS[claimed.metric]} {claimed}"
    right = str(result["outcome"])
    if result["measured_percent"] is not None:
        right += f": {result['measured_percent']:.{max(1, claimed.decimals)}f} %"
    texts = [round(len(text) * _CHARACTER) for text in (left, right)]
    first, second = (width + 2 * _PADDING for width in texts)
    colour = _COLOURS[result["outcome"]]
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{first + second}" height="20" role="img"
 aria-label={quoteattr(f"{left}: {right}")}>
<title>{escape(result["line"])}</title>
<desc>sha256:{result["digest"]}</desc>
<clipPath id="r"><rect width="{first + second}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)">
<rect width="{first}" height="20" fill="#424242"/>
<rect x="{first}" width="{second}" height="20" fill="{colour}"/>
</g>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="{_PADDING}" y="14" textLength="{texts[0]}">{escape(left)}</text>
<text x="{first + _PADDING}" y="14" textLength="{texts[1]}">{escape(right)}</text>
</g>
</svg>
"""
