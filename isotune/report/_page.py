"""The leaderboard as one HTML page: `leaderboard.md` with its figures within, tables that sort and filter.

The page loads nothing from elsewhere: style, script and figures are embedded, and its Content-Security-Policy
allows nothing else. Names and error messages come from outside: of HTML in the markdown only the tags in
`_TAGS` are let through, everything else is shown as it is written, and figures are images, in which a browser
runs no script and loads nothing. Without its script the page still says everything.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isotune.errors import UsageError
from isotune.report._templates import html

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from markdown_it.utils import OptionsDict

_TAGS = re.compile(r"<(?:/?sub|br)>")  # what a report itself writes: context numbers, a second line in a cell
_NUMBER = re.compile(
    r"[≥≤<>≈~±]?\s*(?P<value>[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?)(?!\S*\w)", re.ASCII
)
_WORD = frozenset(("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Pc"))  # Unicode's general categories
_CONTENTS_FROM = 4  # sections
FENCE = "isotune-images"  # of a block of code whose content is the anchor of images


@dataclass(frozen=True)
class Heading:
    """tag: h1 to h6. anchor: unique in the page."""

    tag: str
    anchor: str
    title: str


def write_page(leaderboard: Path, text: str | None = None, pictures: Mapping[str, str] | None = None) -> Path:
    """Write `leaderboard.html` beside `leaderboard.md` and its `figures/*.svg`; the page's path.

    text: the markdown, where the page says more than the file. pictures: HTML of images by its anchor, for the blocks
    of code in the text that name one (`FENCE`).
    Errors: UsageError when the markdown or a figure cannot be read, or the page cannot be written.
    """
    page = leaderboard.with_suffix(".html")
    try:
        text = leaderboard.read_text(encoding="utf-8") if text is None else text
        page.write_text(_page(text, leaderboard.parent, pictures or {}), encoding="utf-8")
    except OSError as error:
        where = error.filename or leaderboard
        raise UsageError(f"{where}: {error.strerror}; write the report again: isotune report") from None
    return page


def fragment(leaderboard: Path) -> str:
    """What `leaderboard.md` and its `figures/*.svg` say, as HTML to embed in another page: no style, no script."""
    md = _markdown()
    tokens = md.parse(leaderboard.read_text(encoding="utf-8"))
    _prepare(tokens)
    body = md.renderer.render(tokens, md.options, {"folder": leaderboard.parent})
    return f'<div class="isotune-leaderboard">\n{body}</div>\n'


def _page(text: str, folder: Path, pictures: Mapping[str, str]) -> str:
    md = _markdown()
    tokens = md.parse(text)
    headings = _prepare(tokens, pictures)
    start = next(
        (i for i, token in enumerate(tokens) if (token.type, token.tag) == ("heading_open", "h2")), len(tokens)
    )
    sections = [heading for heading in headings if heading.tag == "h2"]
    env = {"folder": folder, "pictures": pictures}
    return html("page.html.j2").render(
        title=next((heading.title for heading in headings if heading.tag == "h1"), "Report"),
        lead=md.renderer.render(tokens[:start], md.options, env),
        body=md.renderer.render(tokens[start:], md.options, env),
        contents=sections if len(sections) >= _CONTENTS_FROM else [],
    )


def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    md = MarkdownIt("commonmark", {"html": False}).enable("table")
    md.inline.ruler.before("autolink", "tags", _tags)
    md.add_render_rule("image", _image)
    md.add_render_rule("fence", _fence)
    for name, rule in (("table_open", _table_open), ("table_close", _table_close), ("link_open", _link_open)):
        md.add_render_rule(name, rule)
    return md


def _tags(state: StateInline, silent: bool) -> bool:
    """Markdown rule: the allowed tags, letter by letter; what is escaped or within code never comes here."""
    if (tag := _TAGS.match(state.src, state.pos)) is None:
        return False
    if not silent:
        state.push("html_inline", "", 0).content = tag[0]
    state.pos = tag.end()
    return True


def _prepare(tokens: Sequence[Token], anchors: Iterable[str] = ()) -> list[Heading]:
    """Say in the tokens what style and script go by: anchors, columns of numbers, the value that a cell sorts by.
    anchors: that are taken."""
    headings: list[Heading] = []
    taken: dict[str, int] = dict.fromkeys(anchors, 0)
    for opened, inline, closed in zip(tokens, tokens[1:], tokens[2:], strict=False):
        children = inline.children or []
        if opened.type == "heading_open":
            title = " ".join(_words(children).split())
            headings.append(Heading(opened.tag, anchor(title, taken), title))
            opened.attrSet("id", headings[-1].anchor)
        elif opened.type in ("th_open", "td_open"):
            if "right" in str(opened.attrs.pop("style", "")):  # the policy allows no style in an attribute
                opened.attrSet("class", "number")
            if opened.type == "th_open":
                opened.attrSet("scope", "col")
            elif (known := value(_words(children))) is not None:
                opened.attrSet("data-value", repr(known))
        elif opened.type == "table_open" and headings:
            opened.attrSet("aria-label", headings[-1].title)
        elif opened.type == "paragraph_open" and [child.type for child in children] == ["image"]:
            opened.tag = closed.tag = "figure"
    return headings


def _words(tokens: Sequence[Token]) -> str:
    """The text of inline markdown; tags and breaks are ends of lines."""
    breaks = ("html_inline", "softbreak", "hardbreak")
    return "".join("\n" if token.type in breaks else token.content for token in tokens).strip()


def anchor(title: str, taken: dict[str, int]) -> str:
    """GitHub's anchor of a heading, so that the links of the markdown hold in both; `taken` is kept up to date.

    As github.com/Flet/github-slugger: letters, marks, decimal digits, connectors, hyphens and spaces stay, and
    of equal names the second gets -1, or the next number that is free.
    """
    kept = "".join(c for c in title.lower() if c in "- " or unicodedata.category(c) in _WORD)
    base = unique = kept.replace(" ", "-")
    while unique in taken:
        taken[base] += 1
        unique = f"{base}-{taken[base]}"
    taken[unique] = 0
    return unique


def value(cell: str) -> float | None:
    """The number that a cell begins with; None: it begins with none, or with a version, a date or the like.

    >>> value("94.0 ± 0.3"), value("1,217 (+283)"), value("≥ 6.1"), value("1.0.31")
    (94.0, 1217.0, 6.1, None)
    """
    number = _NUMBER.match(cell.strip())
    return float(number["value"].replace(",", "")) if number else None


# Render rules, as markdown-it calls them: the token's HTML.

Env = MutableMapping[str, Any]


def _image(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
    """A figure of the report's own folder, within the page; of anything else only the words."""
    from markdown_it.common.utils import escapeHtml

    token = tokens[index]
    folder: Path = env["folder"].resolve()
    source = str(token.attrs["src"])
    path = (folder / source).resolve()
    if ":" in source or path.suffix != ".svg" or not path.is_relative_to(folder):
        return f"<em>{escapeHtml(self.renderInlineAsText(token.children, options, env))}</em>"
    token.attrSet("src", f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}")
    return f'<div class="scroll" tabindex="0">{self.image(tokens, index, options, env)}</div>'


def _fence(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
    """A block of code, or the images that it names."""
    named = tokens[index].content.strip() if tokens[index].info == FENCE else ""
    return env.get("pictures", {}).get(named) or self.fence(tokens, index, options, env)


def _table_open(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
    return f'<div class="scroll" tabindex="0">\n{self.renderToken(tokens, index, options, env)}'


def _table_close(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
    return f"{self.renderToken(tokens, index, options, env)}</div>\n"


def _link_open(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
    if not str(tokens[index].attrs["href"]).startswith("#"):
        tokens[index].attrSet("rel", "noreferrer")
    return self.renderToken(tokens, index, options, env)
