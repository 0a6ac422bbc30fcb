"""The reported cases of cases.toml as pairs of sides: one that people reported, and its sound twin."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from investigations import OPTIMIZERS, protocol

from isotune.conventions import AXES, Conventions
from isotune.investigation import Side
from isotune.protocols import Protocol

HERE = Path(__file__).parent
FILES = {
    "torch": "torch:{}/torch_networks.py",
    "keras": "keras:{}/keras_networks.py",
    "keras-pixels": "keras:{}/keras_pixels.py",
}  # by the prefix that cases.toml has
# What both sides have in common unless a case says otherwise, so that nothing but what is reported differs.
ALIKE = {
    axis: getattr(Conventions(), axis)
    for axis, known in AXES.items()
    if known.kind in ("input", "recipe") and axis != "input_scaling"
}


@dataclass(frozen=True)
class Case:
    """One report. The fields are explained in cases.toml."""

    name: str
    source: tuple[str, ...]  # OWNER/REPOSITORY#NUMBER
    cause: str
    left: str
    right: str
    rung: str
    mended: str = ""
    differs: str = ""
    alike: str = ""
    recipe: str = "sgd"
    checkpoint: str = "random:0"
    images: str = "digits"
    axes: tuple[str, ...] = ()
    at: tuple[str, ...] = ()
    refused: bool = False

    @property
    def urls(self) -> list[str]:
        """Of an issue; where the number is a pull request's, the address leads there."""
        return [f"https://github.com/{source.replace('#', '/issues/')}" for source in self.source]

    @property
    def protocol(self) -> Protocol:
        return protocol(f"reported-{self.recipe}", self.recipe, size=32, frozen="last:1")


@dataclass(frozen=True)
class Pair:
    """A case as it was reported, or its sound twin: the same with the cause mended."""

    case: Case
    sound: bool

    @property
    def name(self) -> str:
        return f"{self.case.name}{'-sound' * self.sound}"

    @property
    def sides(self) -> tuple[Side, Side]:
        right = self.case.right if not self.sound else self.case.mended or self.case.right
        return self._side(self.case.left, ""), self._side(right, "" if self.sound else self.case.differs)

    def _side(self, model: str, differs: str) -> Side:
        adapter, _, name = model.partition(":")
        place = FILES.get(adapter, adapter).format(HERE)
        values = {**ALIKE, **_values(self.case.alike), **_values(differs)}
        spec = ",".join(["native", *(f"{axis}={value}" for axis, value in values.items())])
        return Side(model=f"{place}:{name}", checkpoint=self.case.checkpoint, conventions=spec)

    @property
    def asked(self) -> list[Any]:
        """What an outcome depends on, isotune apart."""
        files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(HERE.glob("*_*.py"))}
        return [asdict(self.case), self.sound, files]


def cases(names: list[str] | None = None) -> list[Case]:
    """All, or those of these names. KeyError: there is none of that name."""
    rows = tomllib.loads((HERE / "cases.toml").read_text(encoding="utf-8"))["case"]
    made = {}
    for row in rows:
        case = Case(**{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()})
        assert case.recipe in OPTIMIZERS, case.name
        assert case.name not in made, case.name
        made[case.name] = case
    return [made[name] for name in names] if names else list(made.values())


def pairs(chosen: list[Case]) -> list[Pair]:
    """What was reported first, then the sound twins."""
    return [Pair(case, sound) for sound in (False, True) for case in chosen]


def _values(text: str) -> dict[str, str]:
    """`A=1;B=2` by name; a value may hold commas."""
    return dict(each.split("=", 1) for each in text.split("&")) if text else {}
