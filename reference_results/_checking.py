"""Everything that must hold of the tables; each check gives one line for each thing that does not."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable

from isotune.errors import nearest
from isotune.reference_results import _citations, _tables
from isotune.reference_results._contradictions import Contradiction, find, parse_other
from isotune.reference_results._schema import COLUMNS, IDENTITY, Reference, parse
from isotune.reference_results._tables import Explanation

_RECIPE = ("protocol", "trains", "recipe", "accounted")
_EXPLANATION = ("adapter", "models", "checkpoint", "dataset", "metric", "others", "status", "why", "sources")
_STATUSES = ("explained", "partly", "open")


@dataclass
class Checked:
    """What was read, and what is wrong with it: `imagenet.csv, line 12: crop: ...`."""

    counts: dict[str, int] = field(default_factory=dict)  # good rows of each file of references
    sources: int = 0
    references: list[Reference] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check(where: Traversable | None = None) -> Checked:
    """Check the tables of a folder; absent: those that are installed."""
    where = where or _tables.folder()
    done = Checked()
    recipes = {row["protocol"]: row for _, row in _rows(where / _tables.PROTOCOLS, _RECIPE, done)}
    done.problems += [
        f"{_tables.PROTOCOLS}: {name}: trains {row['trains']!r} is none of {', '.join(_tables.TRAINS)}"
        for name, row in recipes.items()
        if row["trains"] not in _tables.TRAINS
    ]
    _references(where, recipes, done)
    _top5_above_top1(done)
    named = {row.protocol for row in done.references}
    done.problems += [f"{_tables.PROTOCOLS}: {name!r} is used by no row" for name in recipes if name not in named]
    used = dict.fromkeys(_explanations(where, recipes, done), _tables.CONTRADICTIONS)
    used |= {row.source: row.file for row in reversed(done.references)}
    _citations_both_ways(where, used, done)
    return done


def _references(where: Traversable, recipes: Mapping[str, Mapping[str, str]], done: Checked) -> None:
    seen: dict[tuple[str, ...], str] = {}
    for file in _tables.files(where):
        done.counts[file.name] = 0
        for line, row in _rows(file, COLUMNS, done):
            at = f"{file.name}, line {line}"
            try:
                reference = parse(row, file.name)
            except ValueError as error:
                done.problems.append(f"{at}: {error}")
                continue
            done.counts[file.name] += 1
            done.references.append(reference)
            identity = tuple(row[name] for name in IDENTITY)
            if identity in seen:
                done.problems.append(f"{at}: the same number as {seen[identity]}")
            seen.setdefault(identity, at)
            done.problems += [f"{at}: {problem}" for problem in _against_recipe(reference, recipes)]


def _against_recipe(row: Reference, recipes: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    recipe = recipes.get(row.protocol)
    if recipe is None:
        yield f"protocol: {_tables.PROTOCOLS} has no {row.protocol!r}; {nearest(row.protocol, recipes)}"
    elif (recipe["trains"] == "nothing") != (row.train == ""):
        yield f"train: {row.train!r}, and {row.protocol} trains {recipe['trains']}"
    elif not row.train and row.selection:
        yield f"selection: {row.selection!r}, and {row.protocol} trains nothing"


def _top5_above_top1(done: Checked) -> None:
    """Of one evaluation, top-5 is at least top-1; and each library has one default checkpoint of a model."""
    alike: dict[tuple[object, ...], dict[str, Reference]] = defaultdict(dict)
    defaults: dict[tuple[str, str], set[str]] = defaultdict(set)
    same = [name for name in IDENTITY if name not in ("metric", "location")]
    for row in done.references:
        if row.metric in ("top-1", "top-5"):
            alike[tuple(getattr(row, name) for name in same)][row.metric] = row
        if row.default:
            defaults[row.adapter, row.model].add(row.checkpoint)
    done.problems += [
        f"{pair['top-5'].file}: {pair['top-5'].name} {pair['top-5'].checkpoint}: top-5 {pair['top-5'].value:g} below"
        f" top-1 {pair['top-1'].value:g}"
        for pair in alike.values()
        if len(pair) == 2 and pair["top-5"].value < pair["top-1"].value
    ]
    done.problems += [
        f"{adapter}:{model} has {len(checkpoints)} default checkpoints: {', '.join(sorted(checkpoints))}"
        for (adapter, model), checkpoints in defaults.items()
        if len(checkpoints) > 1
    ]


def _explanations(where: Traversable, recipes: Mapping[str, Mapping[str, str]], done: Checked) -> set[str]:
    """Check contradictions.csv, and find what contradicts; the citations that it names."""
    names = {(row.adapter, row.model, row.checkpoint) for row in done.references}
    good: dict[str, Explanation] = {}
    for line, row in _rows(where / _tables.CONTRADICTIONS, _EXPLANATION, done):
        at = f"{_tables.CONTRADICTIONS}, line {line}"
        explanation = _tables.explanation(row)
        before = len(done.problems)
        if explanation.status not in _STATUSES:
            done.problems.append(f"{at}: status: {explanation.status!r} is none of {', '.join(_STATUSES)}")
        if not explanation.why or not explanation.sources:
            done.problems.append(f"{at}: {'sources' if explanation.why else 'why'}: is empty")
        for spec in explanation.others:
            try:
                if parse_other(spec)[:3] not in names:
                    done.problems.append(f"{at}: others: there is no row of {spec}")
            except ValueError as error:
                done.problems.append(f"{at}: others: {error}")
        if len(done.problems) == before:
            good[at] = explanation
    trains = {name: row["trains"] for name, row in recipes.items()}
    done.contradictions = find(done.references, list(good.values()), trains)
    useful = {each.explanation for each in done.contradictions}
    done.problems += [f"{at}: it explains no contradiction" for at, each in good.items() if each not in useful]
    return {key for each in good.values() for key in each.sources}


def _citations_both_ways(where: Traversable, used: Mapping[str, str], done: Checked) -> None:
    """used: keys, and the file that names each first."""
    try:
        entries = _citations.parse((where / _citations.FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        done.problems.append(f"{_citations.FILE}: {error}")
        return
    done.sources = len(entries)
    keys = Counter(citation.key for citation in entries)
    done.problems += [f"{_citations.FILE}: {key!r} appears {n} times" for key, n in keys.items() if n > 1]
    for citation in entries:
        missing = [name for name in ("title", "note") if not citation.fields.get(name)]
        if not citation.fields.get("url") and not citation.fields.get("howpublished"):
            missing.append("url or howpublished")
        done.problems += [f"{_citations.FILE}: {citation.key!r} has no {name}" for name in missing]
    done.problems += [f"{_citations.FILE}: {key!r} is cited by no row" for key in keys if key not in used]
    done.problems += [
        f"{file}: source: {_citations.FILE} has no {key!r}; {nearest(key, keys)}"
        for key, file in used.items()
        if key not in keys
    ]


def _rows(file: Traversable, columns: Sequence[str], done: Checked) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows that have exactly these columns; what has not is a problem."""
    try:
        reader = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))
        header = list(reader.fieldnames or ())
        if header != list(columns):
            odd = sorted(set(header) ^ set(columns)) or ["another order"]
            done.problems.append(f"{file.name}: its columns are not the schema's: {', '.join(odd)}")
            return
        for row in reader:
            if None in row or None in row.values():
                done.problems.append(f"{file.name}, line {reader.line_num}: it does not have {len(columns)} columns")
            else:
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        done.problems.append(f"{file.name}: cannot be read: {error}")
