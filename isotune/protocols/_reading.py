"""Protocols by name, and from TOML files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from isotune import reading
from isotune.errors import UsageError, nearest
from isotune.protocols._explaining import explain
from isotune.protocols._protocol import Protocol

_MOST = 256 * reading.KIB  # of a protocol's file
BUILTIN = "isotune.protocols.builtin"  # where benchmarks/protocols is installed


def names() -> list[str]:
    """Names of the protocols that come with isotune."""
    folder = resources.files(BUILTIN)
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load(protocol: str | os.PathLike[str] | Mapping[str, Any] | Protocol) -> Protocol:
    """A protocol by its name, from a TOML file (a path, anything that ends in .toml or has a slash), from the values
    that such a file holds, or as it is.

    UsageError: there is none of that name, or it is wrong in some field.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if isinstance(protocol, Mapping):
        return from_values(protocol, f"protocol {protocol.get('name', '')}".strip())
    if not isinstance(protocol, str | os.PathLike):
        takes = "a name such as 'quick', a TOML file, a dictionary or a Protocol"
        raise UsageError(f"protocol: takes {takes}, not {type(protocol).__name__}")
    return parse(*written(protocol))


def written(protocol: str | os.PathLike[str]) -> tuple[str, str]:
    """The TOML text of a protocol, comments and all, and its file: of one that comes with isotune by its name, or of a
    file of the user's (a path, anything that ends in .toml or has a slash). UsageError: there is none."""
    name_or_path = os.fspath(protocol)
    if name_or_path.endswith(".toml") or "/" in name_or_path or not isinstance(protocol, str):
        path = Path(name_or_path)
        return reading.text(path, _MOST, f"protocol file {name_or_path}"), str(path)
    if name_or_path not in names():
        raise UsageError(f"protocol {name_or_path!r} is unknown; {nearest(name_or_path, names())}")
    file = f"{name_or_path}.toml"
    return resources.files(BUILTIN).joinpath(file).read_text(encoding="utf-8"), file


def parse(text: str, where: str) -> Protocol:
    """A protocol from TOML text; errors are prefixed with `where`.

    Types are taken as written: "10" and true are no numbers.
    """
    return from_values(reading.toml(text, where), where)


def from_values(values: Mapping[str, Any], where: str) -> Protocol:
    """A protocol from what a TOML file holds, parts of a protocol among them; errors as of `parse`."""
    reading.check_plain(values, where)
    try:
        # By way of JSON, pydantic's strict mode takes an array for a tuple and an integer for a float.
        protocol = Protocol.model_validate_json(json.dumps(dict(values), default=_plain), strict=True)
    except ValidationError as error:
        raise UsageError(f"{where}: {explain(error, Protocol)}") from None
    if protocol.own_classifier and protocol.own_classifier.input == "published" and "input" in values:
        raise UsageError(f'{where}: input: own_classifier.input = "published" determines it; remove one of the two')
    return protocol


def _plain(value: Any) -> Any:
    """A part of a protocol as its values, NumPy's numbers as Python's; what JSON has no word for becomes text, which is
    refused where it is written."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return value.item() if isinstance(value, np.generic) else str(value)
