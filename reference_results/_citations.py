"""sources.bib: the subset of BibTeX that it is written in, and a citation as one line of text.

    @misc{key,
      title = {Text with {inner braces} and \\_ escapes},
      year = {2020},
    }

Values are in braces. Between entries only white space and lines that begin with % are allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from isotune.errors import UsageError, nearest
from isotune.reference_results._schema import Reference
from isotune.reference_results._tables import folder

FILE = "sources.bib"
_HEAD = re.compile(r"@(\w+)\{\s*([A-Za-z0-9][\w.-]*)\s*,")
_FIELD = re.compile(r"\s*([a-z]+)\s*=\s*\{")


@dataclass(frozen=True)
class Citation:
    key: str
    kind: str  # misc, software, inproceedings, ...
    fields: Mapping[str, str]  # plain text: escapes and braces are gone

    def __str__(self) -> str:
        """Author, title, place and year, where to find it."""
        author = self.fields.get("author", "").replace(" and others", " et al.").replace(" and ", ", ")
        parts = [author, self.fields["title"], self.fields.get("booktitle", ""), self.fields.get("year", "")]
        where = self.fields.get("url") or self.fields.get("howpublished", "")
        return ", ".join(filter(None, parts)) + (f"; {where}" if where else "")


def parse(text: str) -> list[Citation]:
    """The entries of BibTeX text, in order. ValueError: what is not of that form, with its line."""
    entries: list[Citation] = []
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
        elif text[place] == "%":
            place = _line_end(text, place)
        else:
            citation, place = _entry(text, place)
            entries.append(citation)
    return entries


def _line_end(text: str, place: int) -> int:
    end = text.find("\n", place)
    return len(text) if end < 0 else end + 1


def _entry(text: str, place: int) -> tuple[Citation, int]:
    start = place
    if not (head := _HEAD.match(text, place)):
        raise ValueError(f"line {_line(text, start)}: an entry must begin @kind{{key,")
    place = head.end()
    values: dict[str, str] = {}
    while field := _FIELD.match(text, place):
        value, place = _braced(text, field.end())
        if field[1] in values:
            raise ValueError(f"line {_line(text, field.start(1))}: {head[2]} has two fields {field[1]}")
        values[field[1]] = _plain(value)
        if comma := re.compile(r"\s*,").match(text, place):
            place = comma.end()
        else:
            break
    if not (end := re.compile(r"\s*\}").match(text, place)):
        raise ValueError(f"line {_line(text, place)}: {head[2]}: expected field = {{value}} or the closing brace")
    return Citation(head[2], head[1], values), end.end()


def _braced(text: str, place: int) -> tuple[str, int]:
    """The text from `place`, after an opening brace, to its closing one; and the place after that."""
    depth, start = 1, place
    while place < len(text):
        character = text[place]
        if character == "\\":
            place += 1
        else:
            depth += (character == "{") - (character == "}")
            if not depth:
                return text[start:place], place + 1
        place += 1
    raise ValueError(f"line {_line(text, start)}: a brace is not closed")


def _plain(value: str) -> str:
    """Without inner braces and escapes, blanks and line ends as one blank."""
    plain = re.sub(r"\\(.)|[{}]", lambda match: match[1] or "", value, flags=re.DOTALL)
    return " ".join(plain.split())


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


@cache
def citations() -> dict[str, Citation]:
    """The entries of sources.bib by key. UsageError: the file is not of the form above."""
    try:
        return {entry.key: entry for entry in parse((folder() / FILE).read_text(encoding="utf-8"))}
    except ValueError as error:
        raise UsageError(f"reference_results/{FILE}: {error}") from None


def cite(key: str) -> str:
    """A source in one line. UsageError: there is no such key."""
    known = citations()
    if key not in known:
        raise UsageError(f"sources.bib has no {key!r}; {nearest(key, known)}")
    return str(known[key])


def cited(row: Reference) -> str:
    """The source of a number in one line; of one that is handed in, what was said."""
    return row.source if row.expected else cite(row.source)
