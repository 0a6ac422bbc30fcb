"""What the pages take from the code when they are built: `<!-- generated: NAME -->` in a page stands for it.

Made from the command line's app, the axes' declarations and the protocols' files and models, so that none of it is
written twice.
"""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from sphinx.application import Sphinx

from isotune import conventions, protocols
from isotune.cli._help import VARIABLES

_PLACE = re.compile(r"^<!-- generated: (\S+) -->$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]\n]+)\]\(([^)#\s:]+/?)\)")
_KINDS = {
    "input": "Input: what becomes of an image before the network sees it",
    "network": "Network: what a checkpoint was trained with",
    "recipe": "Recipe: how it is fine-tuned",
}


def commands() -> str:
    """Every command with its arguments and options, as Typer writes them down from the app."""
    made = subprocess.run(
        [sys.executable, "-m", "typer", "isotune.cli", "utils", "docs", "--name", "isotune"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    _, first, rest = made.partition("\n## ")  # before it: `isotune` alone, with a list of the commands, cut short
    return first + rest.replace("```console\n", "```text\n")


def variables() -> str:
    """The variables of the environment that isotune reads, as `isotune --help` names them."""
    return "\n".join(["| variable | |", "|---|---|", *(f"| `{name}` | {text} |" for name, text in VARIABLES.items())])


def axes() -> str:
    """A table of the axes for each kind, as `isotune.conventions` declares them."""
    return "\n".join(line for kind, title in _KINDS.items() for line in _axes_of(kind, title))


def _axes_of(kind: str, title: str) -> Iterator[str]:
    yield from (f"### {title}", "", "| axis | values | shows at |", "|---|---|---|")
    for axis in conventions.AXES.values():
        if axis.kind == kind:
            values = "<br>".join(f"`{value}`: {meaning}" for value, meaning in axis.values.items())
            shows = ", ".join(axis.rungs) or f"no rung: it is `{axis.field}` of a protocol"
            cells = (f"`{axis.name}`", f"{axis.about}:<br>{values}", shows)
            yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
    yield ""


def shipped_protocols() -> str:
    """Name, title and source of each protocol that comes with isotune."""
    each = map(protocols.load, protocols.names())
    return "\n".join(f"`{one.name}`\n: {one.title}. Source: {one.source}.\n" for one in each)


def protocol_fields() -> str:
    """The fields of a protocol, table by table of its TOML, from the models that check them."""
    return "\n".join(_fields("", "### At the top", protocols.Protocol))


def _fields(table: str, title: str, model: type[BaseModel]) -> Iterator[str]:
    """Of `model`, and then of the models that its fields are."""
    yield from (title, "", "| field | takes | default | |", "|---|---|---|---|")
    inner: list[tuple[str, str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        path, models = f"{table}.{name}".lstrip("."), _models(field.annotation)
        header = f"`[[{path}]]`" if "tuple" in str(field.annotation) else f"`[{path}]`"
        takes = f"the table {header}" if models else _choices(field.annotation)
        default = "needed" if field.is_required() else ""
        if not models and not field.is_required():
            default = _toml(field.get_default(call_default_factory=True))
        yield f"| `{name}` | {takes} | {default} | {field.description or ''} |".replace("|W|", r"\|W\|")
        for each in models:
            kind = each.model_fields["name"].annotation if len(models) > 1 else None
            inner.append((path, f"### {header}" + (f", {_choices(kind)}" if kind else ""), each))
    yield ""
    for each in inner:
        yield from _fields(*each)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models in a field's type: of `tuple[Stage, ...]` that is Stage."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _choices(annotation: Any) -> str:
    """What a field takes, in the words of TOML."""
    parts = [part for part in get_args(annotation) if part not in (type(None), Ellipsis)]
    if get_origin(annotation) is Literal:
        return ", ".join(f'`"{word}"`' for word in parts)
    if get_origin(annotation) in (tuple, list):
        return f"list of {_choices(parts[0])}s"
    if get_origin(annotation) is dict:
        return "a table"
    if get_origin(annotation) is Annotated:
        return _choices(parts[0])
    if parts:
        return " or ".join(map(_choices, parts))
    return {bool: "`true`, `false`", int: "whole number", float: "number", str: "text"}.get(annotation, "anything")


def _toml(value: Any) -> str:
    return f"`{json.dumps(value)}`" if value or isinstance(value, bool | float) else ""


GENERATED: dict[str, Callable[[], str]] = {
    "commands": commands,
    "variables": variables,
    "axes": axes,
    "protocols": shipped_protocols,
    "protocol-fields": protocol_fields,
}


def fill(app: Sphinx, name: str, source: list[str]) -> None:
    """Sphinx's event source-read: the page's text, before it is parsed.

    A link to a folder stays as words: a site has no listing of it. Reports are reached by links, not from a table of
    contents.
    """
    folder = Path(app.env.doc2path(name)).parent

    def link(written: re.Match[str]) -> str:
        return written[1] if (folder / written[2]).is_dir() else written[0]

    text = _PLACE.sub(lambda place: GENERATED[place[1]](), source[0])
    alone = "---\norphan: true\n---\n" if name.startswith("reports/") and name != "reports/README" else ""
    source[0] = alone + _LINK.sub(link, text)


def as_fields(_app: Sphinx, _what: str, _name: str, thing: Any, _options: Any, lines: list[str]) -> None:
    """Sphinx's event autodoc-process-docstring: `argument: what it is`, at the start of a line or of a sentence in such
    a paragraph, becomes a field of the reference, and so does `Errors:`."""
    try:
        known = [*inspect.signature(thing).parameters, "Errors"]
    except (TypeError, ValueError):
        known = ["Errors"]
    begins = re.compile(rf"(?:^|(?<=[.:;] ))({'|'.join(map(re.escape, known))}): ")
    written: list[str] = []
    for paragraph in "\n".join(lines).split("\n\n"):
        rows = paragraph.splitlines()
        first = next((number for number, row in enumerate(rows) if begins.match(row)), len(rows))
        listed = any(row.lstrip().startswith("- ") for row in rows[first:])
        written += [*(rows if listed else rows[:first]), ""]
        if first == len(rows) or listed:
            continue
        _, *pieces = begins.split(" ".join(row.strip() for row in rows[first:]))
        for name, text in zip(pieces[::2], pieces[1::2], strict=True):
            field = "Errors" if name == "Errors" else f"param {name}"
            written.append(f":{field}: {text.strip()}")
        written.append("")
    lines[:] = written


def as_words(
    _app: Sphinx, _what: str, _name: str, _thing: Any, _options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Sphinx's event autodoc-process-signature: types and paths by their plain names."""
    spelled = [
        part and re.sub(r"(?:TypeAliasForwardRef|PosixPath)\('([^']*)'\)", _plain, part)
        for part in (signature, returned)
    ]
    return spelled[0], spelled[1]


def _plain(written: re.Match[str]) -> str:
    return written[1] if written[0].startswith("Type") else repr(written[1])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", as_fields)
    app.connect("autodoc-process-signature", as_words)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
