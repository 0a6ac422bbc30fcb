"""Runs of an excerpt's operations as a function of NumPy arrays: what a script defines, and what is tried before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from isotune.excerpts import Excerpt, NotWritten, Operation

Shape = tuple[int, ...]
Shown = Literal["output", "gradient", "buffers"]


@dataclass(frozen=True)
class Piece:
    """The operations first .. last of an excerpt, both included; `first` > 0 is a place where a script can begin.

    shows: what the last gives; or the gradient of a loss of it by what is read; or running statistics after it.
    """

    excerpt: Excerpt
    first: int
    last: int
    shows: Shown = "output"

    @property
    def imports(self) -> tuple[str, ...]:
        how = self.excerpt.differentiated
        more = how.imports if how is not None and self.shows == "gradient" else ()
        return (*self.excerpt.imports, *more)

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
        places = []
        for place in range(self.first, self.last):
            later = [number for other in operations[place + 1 : self.last + 1] for number in other.inputs]
            if all(number >= given + place for number in later) and given + place in later:
                places.append(place)
        return places

    def body(self, arrays: list[str], *, shown: list[int] | None = None) -> list[str]:
        """Lines of a function that returns what the piece shows, or a list of what those in `shown` give; of what is no
        output that is a list of one.

        arrays: names of the inputs' arrays. NotWritten: the library's adapter does not say how it is shown.
        """
        if self.shows == "gradient":
            lines, value = self._differentiated(arrays)
            taken = [value]
        else:
            lines, names = self._forward(arrays, chained=shown is None and self._is_chain())
            places = shown if shown is not None else [self.last]
            taken = [self.excerpt.operations[place].taken.replace("OUT", names[place]) for place in places]
        if self.shows == "buffers":
            if not (buffers := self.excerpt.buffers):
                raise NotWritten("it has no running statistics")
            taken = [f"np.concatenate([{', '.join(buffers[slot] for slot in sorted(buffers))}])"]
        return [*lines, f"return [{', '.join(taken)}]" if shown is not None else f"return {taken[0]}"]

    def _forward(self, arrays: list[str], *, chained: bool, made: str = "") -> tuple[list[str], dict[int, str]]:
        """Lines, and what each operation's value is called. made: what of the inputs' lines is left out."""
        given = len(self.excerpt.given)
        names: dict[int, str] = {}
        lines = []
        numbers = [given + self.first - 1] if self.first else list(range(given))
        for number, array, (_, _, line) in zip(numbers, arrays, self.inputs, strict=True):
            names[number] = "y" if chained else f"y{len(names)}"
            lines.append(_filled(line.replace(made, "IN0") if made else line, names[number], [array]))
        for place, operation in enumerate(self.operations, self.first):
            out = "y" if chained else f"y{len(names)}"
            inputs = [names[number] for number in operation.inputs]
            lines += [_filled(line, out, inputs) for line in operation.lines]
            names[given + place] = out
        return lines, {number - given: name for number, name in names.items() if number >= given}

    def _differentiated(self, arrays: list[str]) -> tuple[list[str], str]:
        """Lines, and the gradients as one array: of the inputs in the order of their arrays' names, which is one on
        both sides."""
        how = self.excerpt.differentiated
        if how is None:
            raise NotWritten("its adapter does not say how a gradient is taken")
        leaves = ["leaf"] if len(arrays) == 1 else [f"leaf{place}" for place in range(len(arrays))]
        lines, names = self._forward(leaves, chained=self._is_chain(), made=how.made)
        ordered = sorted(zip(arrays, leaves, strict=True))
        words = {
            "LEAVES": ", ".join(leaf for _, leaf in ordered), "ARRAYS": ", ".join(array for array, _ in ordered),
            "COUNT": str(len(arrays)), "OUT": names[self.last],
        }  # fmt: skip
        before = [_filled(how.leaf, leaf, [array]) for array, leaf in ordered if how.leaf]
        within = [*lines, *(_worded(line, words) for line in how.loss)]
        opening = [_worded(line, words) for line in how.opening]
        within = [f"    {line}" for line in within] if opening else within
        after = [_worded(line, words) for line in how.gradients]
        value = "np.concatenate([np.asarray(each).ravel() for each in gradients])"
        return [*before, *opening, *within, *after], value

    def _is_chain(self) -> bool:
        """Whether each operation reads what the one before gives, and nothing else."""
        begin = len(self.excerpt.given) + self.first - 1
        return len(self.inputs) == 1 and all(
            set(operation.inputs) <= {begin + place} for place, operation in enumerate(self.operations)
        )


def whole(excerpt: Excerpt, shows: Shown = "output") -> Piece:
    return Piece(excerpt, 0, len(excerpt.operations) - 1, shows)


def _worded(line: str, words: dict[str, str]) -> str:
    for word, meaning in words.items():
        line = line.replace(word, meaning)
    return line


def _filled(line: str, out: str, inputs: list[str]) -> str:
    for place, name in reversed(list(enumerate(inputs))):
        line = line.replace(f"IN{place}", name)
    return line.replace("OUT", out)


def _holds(text: str, name: str) -> bool:
    import re

    return re.search(rf"(?<![\w.\"']){re.escape(name)}(?![\w=])", text) is not None
