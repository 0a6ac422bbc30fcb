"""A claim file: model, weights, data, protocol and claim in one, so that whoever has it can verify it.

    model = "timm:mobilenetv2_100"
    checkpoint = "file:weights.safetensors"
    dataset = "imagefolder:photos"
    protocol = "own-classifier"     # a name, a TOML file, or a table [protocol] with all of it

    [claim]
    accuracy = "85.0"               # percent
    source = "https://example.org/table-2"

Paths are as on the command line: of the folder in which it is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isotune import defaults, protocols, reading
from isotune.errors import UsageError
from isotune.protocols import Expected, Protocol

_MOST = reading.MIB  # of a claim file


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    model: str = Field(description="as of `isotune run --models`, one")
    checkpoint: str = Field(description="its weights: pretrained, a library's own name, file:PATH")
    dataset: str = Field(description="a name, or imagefolder:PATH")
    protocol: str | dict[str, Any] = Field(description="a name, a TOML file, or the protocol itself")
    conventions: str = Field("identical", description="identical, native, with overrides")
    mode: str = Field("float32", description="NUMERIC_MODE[-LAYOUT][-compiled]")
    seeds: int | str | list[int] = Field(defaults.SEEDS, description="of a training: how many, or which")
    weights_digest: str | None = Field(None, description="SHA-256 of the file of weights, as a result names it")
    dataset_digest: str | None = Field(None, description="of the prepared data set, as `isotune prepare` prints it")
    claim: dict[str, Any] = Field(description="the published number: accuracy or top5, source, and what else is known")


@dataclass(frozen=True)
class ClaimFile:
    """What a claim file says, read and checked. name: of the claim, for the files of its result."""

    name: str
    model: str
    checkpoint: str
    dataset: str
    protocol: Protocol
    conventions: str
    mode: protocols.Mode
    seeds: int | str | list[int]
    weights_digest: str | None
    dataset_digest: str | None
    expected: Expected
    document: dict[str, Any]  # as it was given


def read(path: Path) -> ClaimFile:
    """UsageError: there is no such file, or something in it is wrong; it names the line and what would be right."""
    source = reading.text(path, _MOST, str(path))
    values = reading.toml(source, str(path))
    return from_values(values, str(path), path.stem, source)


def from_values(values: Mapping[str, Any], where: str, name: str = "claim", source: str | None = None) -> ClaimFile:
    """A claim from what such a file holds. source: the file's text, in which lines are found."""

    def at(*path: str) -> str:
        line = "" if source is None else f", line {reading.line_of(source, path)}"
        return f"{where}{line}"

    reading.check_plain(values, where)
    try:
        said = _Document.model_validate(dict(values))
    except ValidationError as error:
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        key = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "missing":
            right = {"claim": "a table [claim] with accuracy and source", "checkpoint": "such as 'pretrained'"}
            raise UsageError(f"{where}: {key} is missing; give {right.get(key, 'one')}") from None
        raise UsageError(f"{at(key)}: {protocols.explain(error, _Document)}") from None
    expected = protocols.expected(said.claim, f"{at('claim')}: claim")
    for axis in ("model", "checkpoint", "dataset", "protocol", "conventions"):
        if getattr(expected, axis) is not None:
            raise UsageError(f"{at('claim', axis)}: claim: {axis} stands at the top of the file; leave it out here")
    recipe = protocols.load(said.protocol)
    if recipe.own_classifier:  # what the steps of preprocessing cost is another question
        plain = recipe.own_classifier.model_copy(update={"beside": ()})
        recipe = recipe.model_copy(update={"own_classifier": plain})
    try:
        mode = protocols.Mode.parse(said.mode)
    except UsageError as error:
        raise UsageError(f"{at('mode')}: {error}") from None
    return ClaimFile(
        name, said.model, said.checkpoint, said.dataset, recipe.model_copy(update={"expected": ()}), said.conventions,
        mode, said.seeds, said.weights_digest, said.dataset_digest, expected, dict(values),
    )  # fmt: skip
