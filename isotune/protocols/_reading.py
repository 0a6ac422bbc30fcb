"""Protocols by name, and from TOML files."""

from __future__ import annotations

import json
import tomllib
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from isotune.errors import UsageError, nearest
from isotune.protocols._explaining import explain
from isotune.protocols._protocol import Protocol

BUILTIN = "isotune.protocols.builtin"  # where benchmarks/protocols is installed


def names() -> list[str]:
    """Names of the protocols that come with isotune."""
    folder = resources.files(BUILTIN)
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load(name_or_path: str) -> Protocol:
    """A protocol by its name, or from a TOML file (anything that ends in .toml or has a slash)."""
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        path = Path(name_or_path)
        try:
            return parse(path.read_text(encoding="utf-8"), str(path))
        except OSError as error:
            raise UsageError(f"protocol file {name_or_path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UsageError(f"protocol file {name_or_path}: not UTF-8 text") from None
    if name_or_path not in names():
        raise UsageError(f"protocol {name_or_path!r} is unknown; {nearest(name_or_path, names())}")
    file = f"{name_or_path}.toml"
    return parse(resources.files(BUILTIN).joinpath(file).read_text(encoding="utf-8"), file)


def parse(text: str, where: str) -> Protocol:
    """A protocol from TOML text; errors are prefixed with `where`.

    Types are taken as written: "10" and true are no numbers.
    """
    try:
        values = tomllib.loads(text)
        # By way of JSON, pydantic's strict mode takes an array for a tuple and an integer for a float.
        found = Protocol.model_validate_json(json.dumps(values, default=str), strict=True)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: not TOML: {error}") from None
    except ValidationError as error:
        raise UsageError(f"{where}: {explain(error, Protocol)}") from None
    if found.own_classifier and found.own_classifier.input == "published" and "input" in values:
        raise UsageError(f'{where}: input: own_classifier.input = "published" finds it; leave one out')
    return found
