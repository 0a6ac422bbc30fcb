"""From what fails to the text of a script."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from isotune.investigation.findings import Which
from isotune.investigation.reproducing._cutting import SEED, SPREAD, Failing
from isotune.investigation.reproducing._running import NotReproduced

MOST = 40  # lines


@dataclass(frozen=True)
class Half:
    """One side of a script: a function without arguments that returns an array."""

    title: str  # the model's name
    imports: tuple[str, ...]
    body: tuple[str, ...]


def draws(now: Failing) -> list[str]:
    """Lines that draw what `Failing.drawn` draws."""
    lines = [f"draw = np.random.default_rng({SEED})"]
    given = zip(now.names(), now.given.values(), strict=True)
    lines += [f"{name} = draw.normal(0, {SPREAD}, {shape})" for name, shape in given]
    tensors = [(slot, shape, slot == "variance") for slot, shape in now.tensors.items()]
    for (shape, positive), group in groupby(tensors, key=lambda each: each[1:]):
        slots = [slot for slot, *_ in group]
        drawn = "uniform(0.5, 2, {})" if positive else "normal(size={})"
        whole = shape if len(slots) == 1 else (len(slots), *shape)
        lines.append(f"{', '.join(slots)} = draw.{drawn.format(whole)}")
    return lines


def composed(about: Sequence[str], halves: Mapping[Which, Half], shared: Sequence[str], tolerance: float) -> str:
    """NotReproduced: the two sides cannot be in one script, or it would be too long."""
    engines = {line for half in halves.values() for line in half.imports if line.startswith("os.environ")}
    if len(engines) > 1:
        raise NotReproduced("the sides are two engines of one library, and a process has one")
    left, right = halves["left"], halves["right"]
    text = script(about, _apart(left, right), _apart(right, left), shared, tolerance)
    if (lines := len(text.splitlines())) > MOST:
        raise NotReproduced(f"the script would have {lines} lines, more than {MOST}")
    return text


def _apart(half: Half, other: Half) -> Half:
    """The half with lines at the top that give a name another meaning than the other half's in its function."""
    meant = {name: line for line in other.imports for name in _bound(line)}
    own = tuple(line for line in half.imports if any(meant.get(name, line) != line for name in _bound(line)))
    kept = tuple(line for line in half.imports if line not in own)
    return Half(half.title, kept, (*own, *half.body))


def _bound(line: str) -> set[str]:
    """Names that a line at the top gives a meaning."""
    (node,) = ast.parse(line).body
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def script(about: Sequence[str], left: Half, right: Half, shared: Iterable[str], tolerance: float) -> str:
    """The whole text. about: what it shows, the lines of its docstring. shared: lines before both functions."""
    imports = list(dict.fromkeys(["import numpy as np", *left.imports, *right.imports]))
    first, rest, settings = _ordered(imports)
    lines = ['"""' + about[0], *about[1:], '"""', "", *first, *rest, "", *settings, *shared]
    for name, half in (("left", left), ("right", right)):
        lines += ["", "", f"def {name}():  # {half.title}", *(f"    {line}" for line in half.body)]
    lines += [
        "", "", "ours, theirs = left(), right()",
        'assert ours.size == theirs.size, f"shapes {ours.shape} and {theirs.shape}"',
        "apart = np.abs(ours - theirs.reshape(ours.shape))",
        f"print({left.title!r}, ours.flat[apart.argmax()], {right.title!r}, theirs.flat[apart.argmax()])",
        f'assert apart.max() <= {tolerance} * np.abs(ours).max(), f"they differ by {{apart.max():.2g}}"',
    ]  # fmt: skip
    return "\n".join(_dense(lines)) + "\n"


def _ordered(imports: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """(what must come before a library, imports, settings)."""
    before = [line for line in imports if line == "import os" or line.startswith("os.environ")]
    named = [line for line in imports if line.startswith(("import ", "from ")) and line not in before]
    return before, sorted(named), [line for line in imports if line not in before and line not in named]


def _dense(lines: list[str]) -> list[str]:
    """With single empty lines where there would be too many lines otherwise, then with none, and the docstring's end
    on its last line."""
    if len(lines) <= MOST:
        return lines
    kept = [line for place, line in enumerate(lines) if line or lines[place - 1]]
    if len(kept) <= MOST:
        return kept
    kept = [line for line in kept if line]
    end = kept.index('"""')
    return kept if len(kept) <= MOST else [*kept[: end - 1], kept[end - 1] + kept[end], *kept[end + 1 :]]
