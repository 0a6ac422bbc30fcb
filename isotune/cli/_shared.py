"""What several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isotune.errors import UsageError

if TYPE_CHECKING:
    from isotune.data import Dataset
    from isotune.progress import Reporter

StoreOption = Annotated[Path, typer.Option("--store", help="Folder of records, one folder a cell.")]
DEFAULT_STORE = Path(".isotune/records")


def split(text: str) -> list[str]:
    """`"a,b"` -> a, b."""
    return [part.strip() for part in text.split(",") if part.strip()]


def prepared(datasets: list[str], skip_unreadable: bool, reporter: Reporter) -> dict[str, Dataset]:
    """Data sets by name, fetched and made where they are not there yet."""
    from isotune import data

    return {name: data.prepare(name, skip_unreadable=skip_unreadable, progress=reporter.preparing) for name in datasets}


def pythons(pairs: list[str]) -> dict[str, str]:
    """Interpreters by adapter. UsageError: not ADAPTER=PATH, or no such file."""
    found = {}
    for pair in pairs:
        adapter, sign, path = pair.partition("=")
        if not sign or not Path(path).is_file():
            raise UsageError(f"--python {pair!r}: give ADAPTER=PATH with an interpreter that exists")
        found[adapter] = path
    return found
