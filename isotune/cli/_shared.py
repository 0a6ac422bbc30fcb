"""What several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from isotune import names
from isotune.errors import UsageError

if TYPE_CHECKING:
    from isotune.data import Dataset
    from isotune.progress import Reporter
    from isotune.protocols import NumericMode

StoreOption = Annotated[Path, typer.Option("--store", help="Folder of records, one folder a cell.")]
ModelsOption = Annotated[
    str, typer.Option(help="Comma-separated adapter[@engine]:name[:option=value]; 'isotune models' lists them.")
]
DatasetOption = Annotated[str, typer.Option(help="One data set; see 'isotune prepare'.")]
CheckpointOption = Annotated[
    str, typer.Option(help="offline, pretrained, a library's own name, file:PATH or random:SEED.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable.")]
DEFAULT_STORE = Path(".isotune/records")
DEFAULT_MODELS = ",".join(names.DEFAULT_MODELS)


def split(text: str) -> list[str]:
    """`"a,b"` -> a, b."""
    return [part.strip() for part in text.split(",") if part.strip()]


def check_mode(mode: str) -> NumericMode:
    """UsageError: no numeric mode."""
    from isotune.errors import nearest
    from isotune.protocols import NumericMode

    known = get_args(NumericMode)
    if mode not in known:
        raise UsageError(f"numeric mode {mode!r}: {nearest(mode, known)}")
    return cast("NumericMode", mode)


def prepared(datasets: list[str], skip_unreadable: bool, reporter: Reporter) -> dict[str, Dataset]:
    """Data sets by name, fetched and made where they are not there yet."""
    from isotune import data

    return {name: data.prepare(name, skip_unreadable=skip_unreadable, progress=reporter) for name in datasets}


def pythons(pairs: list[str]) -> dict[str, str]:
    """Interpreters by adapter. UsageError: not ADAPTER=PATH, or no such file."""
    found = {}
    for pair in pairs:
        adapter, sign, path = pair.partition("=")
        if not sign or not Path(path).is_file():
            raise UsageError(f"--python {pair!r}: give ADAPTER=PATH with an interpreter that exists")
        found[adapter] = path
    return found
