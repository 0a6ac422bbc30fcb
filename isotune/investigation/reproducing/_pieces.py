"""Runs of an excerpt's operations as a function of NumPy arrays: what a script defines, and what is tried before."""

from __future__ import annotations

from dataclasses import dataclass

from isotune.excerpts import Excerpt, Operation

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """The operations first .. last of an excerpt, both included; `first` > 0 is a place where a script can begin."""

    excerpt: Excerpt
    first: int
    last: int

    @property
    def inputs(self) -> list[tuple[str, Shape, str]]:
        """(name, shape, line from NumPy) of what it reads."""
        if self.first == 0:
            return [(given.name, given.shape, given.line) for given in self.excerpt.given]
        before = self.excerpt.operations[self.first - 1]
        return [("between", before.shape, before.line)]

    @property
    def operations(self) -> tuple[Operation, ...]:
        return self.excerpt.operations[self.first : self.last + 1]

    @property
    def tensors(self) -> dict[str, Shape]:
        """Of the layer, where it is among the operations."""
        text = "\n".join(line for operation in self.operations for line in operation.lines)
        return {slot: shape for slot, shape in self.excerpt.tensors.items() if _holds(text, slot)}

    def cuts(self) -> list[int]:
        """Operations after which nothing but their own value is needed: a script can begin or end there."""
        operations, given = self.excerpt.operations, len(self.excerpt.given)
        found = []
        for place in range(self.first, self.last):
            later = [number for other in operations[place + 1 : self.last + 1] for number in other.inputs]
            if all(number >= given + place for number in later) and given + place in later:
                found.append(place)
        return found

    def body(self, arrays: list[str], *, shown: list[int] | None = None) -> list[str]:
        """Lines of a function that returns what the last operation gives, or a list of what those in `shown` give.

        arrays: names of the inputs' arrays.
        """
        given = len(self.excerpt.given)
        chained = shown is None and self._is_chain()
        names: dict[int, str] = {}
        lines = []
        numbers = [given + self.first - 1] if self.first else list(range(given))
        for number, array, (_, _, line) in zip(numbers, arrays, self.inputs, strict=True):
            names[number] = "y" if chained else f"y{len(names)}"
            lines.append(_filled(line, names[number], [array]))
        for place, operation in enumerate(self.operations, self.first):
            out = "y" if chained else f"y{len(names)}"
            inputs = [names[number] for number in operation.inputs]
            lines += [_filled(line, out, inputs) for line in operation.lines]
            names[given + place] = out
        taken = {
            place: self.excerpt.operations[place].taken.replace("OUT", names[given + place])
            for place in (shown if shown is not None else [self.last])
        }
        if shown is not None:
            return [*lines, f"return [{', '.join(taken.values())}]"]
        return [*lines, f"return {taken[self.last]}"]

    def _is_chain(self) -> bool:
        """Whether each operation reads what the one before gives, and nothing else."""
        begin = len(self.excerpt.given) + self.first - 1
        return len(self.inputs) == 1 and all(
            set(operation.inputs) <= {begin + place} for place, operation in enumerate(self.operations)
        )


def whole(excerpt: Excerpt) -> Piece:
    return Piece(excerpt, 0, len(excerpt.operations) - 1)


def _filled(line: str, out: str, inputs: list[str]) -> str:
    for place, name in reversed(list(enumerate(inputs))):
        line = line.replace(f"IN{place}", name)
    return line.replace("OUT", out)


def _holds(text: str, name: str) -> bool:
    import re

    return re.search(rf"(?<![\w.\"']){re.escape(name)}(?![\w=])", text) is not None
