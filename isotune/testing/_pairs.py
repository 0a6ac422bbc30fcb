"""A pair of models in somebody's tests: compared, and what came of it in a few lines and in properties for a CI."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from isotune import interface, names
from isotune.conventions import AXES
from isotune.errors import MissingExtra, UsageError, nearest
from isotune.interface import arguments
from isotune.investigation import Investigation
from isotune.investigation.findings import NOT_ASKED, Rung
from isotune.parity import Proofs
from isotune.workers.environment import versions

_MOST = 4  # rungs that a failure names


class Outcome(NamedTuple):
    """What came of a comparison."""

    word: str  # identical, differs, failed: it could not be carried out; missing: a library is not there
    why: str  # a few lines; of an identical pair none


class Pair:
    """Two models of a test. left, right: their names, once they are known to be names."""

    def __init__(self, left: Any, right: Any, *, options: Mapping[str, Any], beside: Path) -> None:
        """beside: the folder of the test, where files of networks are looked for too."""
        self._given, self._options, self._beside = (left, right), dict(options), beside
        self.left, self.right = (str(getattr(each, "__name__", each)) for each in self._given)
        self.result: Proofs | Investigation | None = None

    def missing(self) -> str:
        """Which library is not installed, and what to install; empty: none, or the names are wrong."""
        lacking: dict[str, None] = {}
        for model in self._given:
            try:
                name = names.parse(arguments.model(model))
                known = names.adapter_class(name.adapter).engines
                packages = known[name.engine or next(iter(known))].packages
            except (UsageError, KeyError):
                continue
            for package, install in packages.items():
                if importlib.util.find_spec(package) is None:
                    lacking[str(MissingExtra(package, install))] = None
        return f"{self.left} and {self.right} are not compared: {'; '.join(lacking)}" if lacking else ""

    def compare(self) -> Outcome:
        """Prove the pair, or investigate it where one is a user's own network; `.result` has all that was learned."""
        try:
            self.left, self.right = (self._placed(arguments.model(model)) for model in self._given)
            own = any(names.is_file(names.parse(model).name) for model in (self.left, self.right))
            self.result = self._investigated() if own else self._proved()
        except UsageError as error:
            return Outcome("failed", f"{self.left} and {self.right} cannot be compared: {error}")
        return _of_investigation(self.result) if isinstance(self.result, Investigation) else _of_proof(self.result)

    def properties(self, outcome: tuple[str, str]) -> dict[str, str]:
        """For JUnit: both models, the verdict, the first rung that fails, its error and bound, versions."""
        word, why = outcome
        told = {"left": self.left, "right": self.right, "verdict": word}
        if (rung := _first(self.result)) is not None:
            told |= rung
        adapters = [model.partition(":")[0] for model in (self.left, self.right)]
        known = {} if word == "missing" else versions(*adapters)
        told["versions"] = ", ".join(f"{name} {value}" for name, value in known.items())
        return {name: value for name, value in (told | {"why": why.partition("\n")[0]}).items() if value}

    def _placed(self, model: str) -> str:
        """A file that is not where pytest was started, beside the test."""
        adapter, _, name = model.partition(":")
        if not names.is_file(name):
            return model
        file = Path(name.partition(".py")[0] + ".py")
        other = self._beside / file
        return f"{adapter}:{self._beside / name}" if not file.exists() and other.exists() else model

    def _proved(self) -> Proofs:
        proof: Proofs = self._called(interface.prove, {"only": "inference"} | self._options)
        return proof

    def _investigated(self) -> Investigation:
        walked: Investigation = self._called(interface.investigate, self._options)
        return walked

    def _called(self, compare: Callable[..., Any], options: Mapping[str, Any]) -> Any:
        known = [name for name in inspect.signature(compare).parameters if name not in ("left", "right")]
        if unknown := next((name for name in options if name not in known), None):
            raise UsageError(f"@isotune.identical has no option {unknown!r} here; {nearest(unknown, known)}")
        return partial(compare, progress=False)(self.left, self.right, **options)


def _first(result: Proofs | Investigation | None) -> dict[str, str] | None:
    """The first rung that fails, for a machine."""
    if isinstance(result, Investigation):
        wrong = next((rung for rung in result.rungs if _wrong(rung)), None)
        if wrong is None:
            return None
        return {"rung": wrong.name, "where": wrong.where, "error": _number(wrong.isolated)}
    failing = [rung for each in result.results if (rung := each.first_failure)] if result else []
    if not failing:
        return None
    return {"rung": failing[0].name, "where": failing[0].where, "error": _number(failing[0].error)}


def _of_proof(proof: Proofs) -> Outcome:
    (result,) = proof.results
    pair = f"{result.question.left} and {result.question.right}"
    if result.error is not None:
        return Outcome("failed", f"{pair} were not compared to the end: {result.error}")
    failing = [rung for rung in result.rungs if not rung.holds]
    if not failing:
        return Outcome("identical", "") if result.rungs else Outcome("failed", f"{pair}: no rung was compared")
    lines = [f"{pair} are not the same, {len(failing)} of {len(result.rungs)} rungs fail:"]
    lines += [
        f"  {rung.name}: error {_number(rung.error)}, allowed {_number(rung.bound)}, worst at {rung.where}"
        for rung in failing[:_MOST]
    ]
    return Outcome("differs", "\n".join([*lines, f"  why: isotune investigate {_words(result.question)}"]))


def _words(question: Any) -> str:
    return f"{question.left} {question.right} --checkpoint {question.checkpoint}"


def _of_investigation(walked: Investigation) -> Outcome:
    """Whether the network is the same: no rung fails by itself or stays without a judgement, but for what is known to
    be the recipe's or the images' and not the network's."""
    pair = f"{walked.left.model} and {walked.right.model}"
    if walked.stopped is not None:
        return Outcome("failed", f"{pair} were not compared to the end: {walked.stopped}")
    wrong = [rung for rung in walked.rungs if _wrong(rung)]
    if not wrong:
        held = any(rung.verdict in ("holds", "inherits") for rung in walked.rungs)
        return Outcome("identical", "") if held else Outcome("failed", f"{pair}: no rung was judged")
    lines = [f"{pair} are not the same network: {walked.verdict}"]
    lines += [f"  {_said(rung)}" for rung in wrong[:_MOST]]
    return Outcome("differs", "\n".join([*lines, f"  again: {walked.command}"]))


def _said(rung: Rung) -> str:
    where = f" at {rung.where}" if rung.where else ""
    named = [f"{flip.axis} {flip.was} against {flip.value}" for flip in rung.cause.flips] if rung.cause else []
    error = f"error {_number(rung.isolated)}, allowed {_number(rung.bound)}"
    return f"{rung.name} {rung.verdict}{where}: {error}" + (f"; {' and '.join(named)}" if named else "")


def _wrong(rung: Rung) -> bool:
    """Whether the rung is against the network's being the same. What fails by conventions of the recipe or of pixels
    alone is not; what is not judged is, but for training where `quick` asked for inference alone."""
    if rung.verdict in ("holds", "inherits", "not applicable"):
        return False
    if rung.verdict == "not judged":
        carried = any(AXES[axis].carried for axis in AXES if rung.name in AXES[axis].rungs)
        return carried and NOT_ASKED not in rung.remarks
    axes = [flip.axis for flip in rung.cause.flips] if rung.verdict == "fails" and rung.cause else []
    return not axes or any(axis not in AXES or AXES[axis].carried for axis in axes)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"
