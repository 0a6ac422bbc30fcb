"""Which output of a classifier stands for which class of a data set.

A class is found by its name, never by its place alone:

1. by `map` of the protocol, class -> output's name or number;
2. by name: the outputs' names are `classes` of the protocol, else those that stand beside a checkpoint's file
   (`beside`), else those that the model's adapter knows (`Adapter.class_names`);
3. by synset id, where the outputs are ImageNet-1k's 1,000, which are in the order of the ids;
4. by position, where the protocol says `match = "position"`, and only then.

Names are compared as they are, and where that finds none of a class, without case, `_`, `-` and blanks. Outputs that
are none of the data set's classes (a background class, classes of which it has no images) are left out: a prediction is
the best of the data set's classes, as the authors of ImageNet-A and -R evaluate (Hendrycks et al. 2021); the accuracy
among all outputs is given beside it (`Columns.among_all`).

A single output, a sigmoid's, says how likely one of two classes is: the second name of two, the only name, or the class
that `map` names. Its logit z is that of two outputs, 0 and z, whose softmax is the sigmoid.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isotune import data, reading
from isotune.errors import UsageError, listed, nearest
from isotune.protocols import OwnClassifier, Protocol

LIST, CONFIG = "classes.txt", "config.json"  # beside a checkpoint's file
IMAGENET = 1000  # outputs of an ImageNet-1k classifier
_MOST = 4 * reading.MIB  # bytes of a list
_SECTION = "[own_classifier]"


@dataclass(frozen=True)
class Columns:
    """outputs: int64 [classes], the output of each class; of a single output, 1 for the class that it is of, else 0."""

    outputs: np.ndarray
    single: bool = False

    def of(self, logits: np.ndarray) -> np.ndarray:
        """[N, classes], of the classifier's [N, outputs]."""
        both = np.concatenate([np.zeros_like(logits), logits], axis=1) if self.single else logits
        columns: np.ndarray = both[:, self.outputs]
        return columns

    def among_all(self, logits: np.ndarray, labels: np.ndarray) -> float | None:
        """Share of the images whose class has the greatest of all outputs, those of no class of the data set too; None
        where there are no such."""
        if self.single or logits.shape[1] == len(self.outputs):
            return None
        return float((logits.argmax(axis=1) == self.outputs[labels]).mean())


def beside(file: Path) -> tuple[str, ...]:
    """The names of a checkpoint's outputs that stand in its folder, in their order; empty where nothing does.

    `classes.txt`, a name a line; else `config.json` as on the Hugging Face hub, with `id2label`, or timm's
    `label_names`. UsageError: it is there and is no such list.
    """
    if (path := file.with_name(LIST)).exists():
        lines = [line.strip() for line in reading.text(path, _MOST).splitlines()]
        while lines and not lines[-1]:
            lines.pop()
        if not lines or not all(lines):
            raise UsageError(f"{path}: write the classifier's classes there, a name a line, in the outputs' order")
        return tuple(lines)
    if not (path := file.with_name(CONFIG)).exists():
        return ()
    config = reading.json(path, _MOST)
    config = config if isinstance(config, dict) else {}
    inner = config.get("pretrained_cfg")
    config = (inner if isinstance(inner, dict) else {}) | config
    if (names := config.get("id2label")) is not None:
        return _of_numbers(names, path)
    names = config.get("label_names", ())
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{path}: label_names must be a list of names")
    return tuple(names)


def _of_numbers(names: Any, path: Path) -> tuple[str, ...]:
    """{"0": "cat", "1": "dog"} -> cat, dog."""
    numbers = {str(number) for number in range(len(names))} if isinstance(names, dict) else set()
    if (
        not numbers
        or {str(key) for key in names} != numbers
        or not all(isinstance(name, str) for name in names.values())
    ):
        raise UsageError(f"{path}: id2label must give a name to each output, 0, 1, 2, ...")
    return tuple(names[str(number)] for number in range(len(names)))


def planned(dataset: data.Dataset, recipe: Protocol) -> np.ndarray:
    """The outputs of a data set's classes, as far as the protocol alone says which: int64 [classes]. Without a word of
    it they are ImageNet-1k's. UsageError: they are not."""
    rule = recipe.own_classifier
    assert rule is not None
    known = len(dataset.classes) if rule.match == "position" else len(rule.classes)
    return columns(dataset.classes, known or IMAGENET, (), rule, dataset=dataset.name, who="the classifier").outputs


def columns(
    wanted: Sequence[str], outputs: int, names: Sequence[str], rule: OwnClassifier, *, dataset: str, who: str
) -> Columns:
    """The outputs of the classes `wanted` of a data set.

    names: of the outputs, in their order; empty: nothing is known. rule: its `classes` go before these. dataset, who:
    data set and model, for errors. UsageError, one line: a class has no output, or nobody says which it is.
    """
    known = rule.classes or tuple(names)
    if outputs == 1:
        return Columns(_of_one(wanted, known, rule, dataset, who), single=True)
    if rule.match == "position":
        if outputs != len(wanted):
            raise _wrong(f'match = "position": {who} has {outputs:,} outputs, and {dataset} {len(wanted):,} classes')
        return Columns(np.arange(outputs))
    if known and len(known) != outputs:
        raise _wrong(
            f"{who} has {outputs:,} outputs, and the list of their names has {len(known):,}"
            f" ({_some(known)}); give each a name, in their order, a background class too"
        )
    mapped = _mapped(wanted, outputs, known, rule, dataset, who)
    rest = [name for name in wanted if name not in mapped]
    named = _by_name(rest, known)
    if outputs == IMAGENET and not (named or mapped) and (not known or _are_synsets(rest)):
        return Columns(data.outputs(wanted, dataset))
    for name in rest:
        if len(places := named.get(name, [])) > 1:
            raise _wrong(
                f"class {name!r} of {dataset} is {len(places)} outputs of {who}, "
                f"{listed([str(place) for place in places])};"
                f' say which: map = {{ "{name}" = {places[0]} }} under {_SECTION}'
            )
    if missing := [name for name in rest if name not in named]:
        raise _missing(missing, wanted, outputs, known, dataset, who)
    taken = [mapped[name] if name in mapped else named[name][0] for name in wanted]
    _check_once(taken, wanted, dataset)
    return Columns(np.array(taken, np.int64))


def _of_one(wanted: Sequence[str], known: Sequence[str], rule: OwnClassifier, dataset: str, who: str) -> np.ndarray:
    """1 for the class that a single output is of, 0 for the other."""
    if len(wanted) != 2:
        raise _wrong(
            f"{who} has one output, which tells two classes apart, and {dataset} has {len(wanted):,} ({_some(wanted)})"
        )
    if rule.match == "position":
        return np.array([0, 1])
    if len(known) > 2:
        raise _wrong(f"{who} has one output, and the list of names has {len(known):,} ({_some(known)}); give two")
    if rule.map and not {*rule.map} <= {*wanted}:
        raise _wrong(f"map names {next(iter({*rule.map} - {*wanted}))!r}; {dataset} has {_some(wanted)}")
    positive = list(rule.map)
    if len(known) == 2 and not positive:
        if missing := [name for name in wanted if name not in _by_name(wanted, known)]:
            raise _missing(missing, wanted, 1, known, dataset, who)
        return np.array([_by_name([name], known)[name][0] for name in wanted], np.int64)
    if len(known) == 1 and not positive:
        positive = list(_by_name(wanted, known))
    if len(positive) != 1:
        raise _wrong(
            f"{who} has one output, and nothing says which of {_some(wanted)} it is of;"
            f' write map = {{ "{wanted[1]}" = 0 }} under {_SECTION}, or both names, the other class first, in {LIST}'
        )
    return np.array([int(name == positive[0]) for name in wanted], np.int64)


def _mapped(
    wanted: Sequence[str], outputs: int, known: Sequence[str], rule: OwnClassifier, dataset: str, who: str
) -> Mapping[str, int]:
    """The classes that `map` names, with their outputs."""
    mapped = {}
    for name, to in rule.map.items():
        if name not in wanted:
            raise _wrong(f"map names {name!r}, which is no class of {dataset}; {nearest(name, wanted)}")
        if isinstance(to, int):
            if not 0 <= to < outputs:
                raise _wrong(f"map: {name!r} = {to}: {who} has outputs 0 to {outputs - 1}")
            mapped[name] = to
            continue
        if not known:
            raise _wrong(f"map: {name!r} = {to!r}: nothing says what the outputs of {who} are called; give a number")
        if known.count(to) != 1:
            raise _wrong(
                f"map: {name!r} = {to!r} is {'no name' if to not in known else 'the name of several'} of the outputs"
                f" of {who}; {nearest(to, known) if to not in known else 'give a number'}"
            )
        mapped[name] = known.index(to)
    return mapped


def _by_name(wanted: Sequence[str], known: Sequence[str]) -> dict[str, list[int]]:
    """Of each class that is found, the outputs of its name."""
    exact, folded = defaultdict(list), defaultdict(list)
    for place, name in enumerate(known):
        exact[name].append(place)
        folded[_folded(name)].append(place)
    places = {name: exact.get(name) or folded.get(_folded(name)) for name in wanted}
    return {name: at for name, at in places.items() if at}


def _folded(name: str) -> str:
    return re.sub(r"[\s_\-]+", "", name.casefold())


def _are_synsets(names: Sequence[str]) -> bool:
    return set(names) <= set(data.synsets())


def _check_once(taken: Sequence[int], wanted: Sequence[str], dataset: str) -> None:
    """UsageError: two classes are one output, which could not tell them apart."""
    first: dict[int, str] = {}
    for name, output in zip(wanted, taken, strict=True):
        if output in first:
            raise _wrong(
                f"classes {first[output]!r} and {name!r} of {dataset} would both be output {output}; rename one"
            )
        first[output] = name


def _missing(
    missing: Sequence[str], wanted: Sequence[str], outputs: int, known: Sequence[str], dataset: str, who: str
) -> UsageError:
    if not known:
        position = f', or say match = "position" under {_SECTION}' if outputs == len(wanted) else ""
        return _wrong(
            f"nothing says which of the {outputs:,} outputs of {who} are the classes of {dataset} ({_some(wanted)});"
            f" write their names into {LIST} beside the weights, a line each, or classes = [...] under"
            f" {_SECTION}{position}"
        )
    more = f", nor {len(missing) - 1:,} more," if len(missing) > 1 else ""
    return _wrong(
        f"class {missing[0]!r} of {dataset}{more} is none of the classes of {who} ({_some(known)});"
        f' rename it, or say which it is: map = {{ "{missing[0]}" = "{known[0]}" }} under {_SECTION}'
    )


def _wrong(what: str) -> UsageError:
    return UsageError(f"own-classifier: {what}")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:4]))
    return f"{shown}, ..." if len(names) > 4 else shown
