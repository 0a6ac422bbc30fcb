"""Text of others, as it is printed: names of files and classes, titles, what a library says.

A terminal obeys control characters, a table ends at a newline, and SVG and HTML do not hold the others; so all that are
not printable are written as their escape, here and nowhere else. `errors` asks for it in every message, `progress` in
every line, `report.wording` in every cell of a table.
"""

from __future__ import annotations

MOST = 990  # characters of a message
_WIDE = 80


def printable(text: object) -> str:
    r"""Everything in it that does not print, a newline too, as its escape; what prints stays as it is.

    >>> print(printable("a\x1b[2Jb\nc"), printable("Mühle"))
    a\x1b[2Jb\nc Mühle
    """
    line = str(text)
    if line.isprintable():
        return line
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in line
    )


def counted(number: int, noun: str) -> str:
    """ "1 cell", "2,000 cells"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def one_line(text: object, most: int = MOST) -> str:
    """`printable`, and no longer than a reader takes in: what is too long loses its middle, as what is wrong stands at
    the beginning and what would be right at the end."""
    line = printable(text)
    if len(line) <= most:
        return line
    end, between = most // 3, " ... " if most > _WIDE else "..."
    return f"{line[: most - end - len(between)]}{between}{line[-end:]}"
