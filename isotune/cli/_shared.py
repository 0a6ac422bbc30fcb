"""What several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from isotune.errors import UsageError

if TYPE_CHECKING:
    from isotune.comparison.sides import Mode
    from isotune.data import Dataset
    from isotune.progress import Reporter

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
DEFAULT_MODELS = "torchvision:mobilenet_v2,timm:mobilenetv2_100,keras:MobileNetV2"


def split(text: str) -> list[str]:
    """`"a,b"` -> a, b."""
    return [part.strip() for part in text.split(",") if part.strip()]


def check_mode(mode: str) -> Mode:
    """UsageError: no numeric mode."""
    from isotune.errors import nearest

    known = ("float32", "bfloat16", "float64")
    if mode not in known:
        raise UsageError(f"numeric mode {mode!r}: {nearest(mode, known)}")
    return cast("Mode", mode)


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
