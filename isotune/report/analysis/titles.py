"""What sections are called: data set and protocol, and where two would be called the same, in what they differ; and in
what the files differ that rows name alike, since an edited file makes another row."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from isotune.printable import one_line
from isotune.runs.records import Cell

_MOST = 3  # fields that a title names
_LONGEST = 40  # characters of a value
_SHOWN = 8  # digits of a digest
_LAST = ("title", "source", "deviations")  # words about a recipe: only where nothing else differs


class Recipe(NamedTuple):
    """key: JSON of all that is asked of a section's cells alike."""

    dataset: str
    digest: str
    protocol: str
    key: str


def titles(recipes: Sequence[Recipe]) -> dict[Recipe, str]:
    """Unique, of each recipe: "digits, quick", or "digits, quick (input.size 64)" beside another of that name."""
    groups: dict[str, list[Recipe]] = defaultdict(list)
    for recipe in recipes:
        groups[f"{recipe.dataset}, {recipe.protocol}"].append(recipe)
    named = {}
    for title, group in groups.items():
        for recipe, words in zip(group, _differing(group), strict=True):
            named[recipe] = f"{title} ({words})" if words else title
    return named


def _differing(group: Sequence[Recipe]) -> Iterator[str]:
    """In what each of a group differs from the others, a digest where words do not tell them all apart."""
    if len(group) == 1:
        yield ""
        return
    said = [_fields(recipe) for recipe in group]
    names = sorted({name for each in said for name in each}, key=lambda name: (name.partition(".")[0] in _LAST, name))
    apart = [name for name in names if len({each.get(name) for each in said}) > 1]
    words = [", ".join(f"{name} {each.get(name, 'none')}" for name in apart[:_MOST]) for each in said]
    counts = Counter(words)
    for recipe, each in zip(group, words, strict=True):
        if counts[each] > 1:
            digest = hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:_SHOWN]
            yield f"{each}, {digest}"
        else:
            yield each


def _fields(recipe: Recipe) -> dict[str, str]:
    """Of a recipe and its data, by dotted names, as text."""
    return {**dict(_flat(json.loads(recipe.key))), "data": recipe.digest[:_SHOWN]}


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
            for place, each in enumerate(value):
                yield from _flat(each, f"{before}{name}.{place}.")
        elif value not in (None, [], {}):
            yield f"{before}{name}", one_line(value if isinstance(value, str) else json.dumps(value), _LONGEST)


class Contents(NamedTuple):
    """Model and checkpoint, with the SHA-256 of the files that they name; empty: there is none, or it is not known."""

    model: str
    checkpoint: str
    network: str
    weights: str
    beside: str  # what stands beside the weights' file


_FILES = {"network": "unknown", "weights": "unknown", "beside": "nothing"}  # and what it is called that has no digest


def contents(cell: Cell) -> Contents:
    digests = (cell.network_digest, cell.weights_digest, cell.beside_digest)
    return Contents(cell.model, cell.checkpoint, *(digest or "" for digest in digests))


def versions(cells: Iterable[Cell]) -> dict[Contents, str]:
    """What tells each content from the others of its names, in words: "network 3f2a91c0, weights 0d12b1f3"; empty where
    nothing else goes by them."""
    by_name: dict[tuple[str, str], set[Contents]] = defaultdict(set)
    for cell in cells:
        by_name[cell.model, cell.checkpoint].add(contents(cell))
    return {each: _words(each, several) for several in by_name.values() for each in several}


def _words(each: Contents, several: Collection[Contents]) -> str:
    differing = [file for file in _FILES if len({getattr(other, file) for other in several}) > 1]
    return ", ".join(f"{file} {getattr(each, file)[:_SHOWN] or _FILES[file]}" for file in differing)
