"""The report's Jinja templates: of markdown, and of HTML, which escapes what is put into it."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2


def markdown(name: str) -> jinja2.Template:
    """Not HTML, so no autoescape: what others wrote is escaped by wording.py."""
    return _environment(autoescape=False).get_template(name)


def html(name: str) -> jinja2.Template:
    """Everything that is put into it is text, unless the template says otherwise."""
    return _environment(autoescape=True).get_template(name)


@cache
def _environment(*, autoescape: bool) -> jinja2.Environment:
    import jinja2

    blocks: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True} if autoescape else {}
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("isotune.report", "."),
        undefined=jinja2.StrictUndefined,
        autoescape=autoescape,
        keep_trailing_newline=True,
        **blocks,
    )
    made.filters["digest"] = _digest
    return made


def _digest(text: str) -> str:
    """A Content-Security-Policy's source for exactly this style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
