"""A pair walked, or what was kept of it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from investigations import IMAGES, STEPS, kept
from outcomes import CRASHED, REFUSED, Outcome
from pairs import Pair

from isotune import data
from isotune.errors import UsageError
from isotune.investigation import Findings, walk

ROOT = Path(__file__).parents[3]


def investigated(pair: Pair, dataset: data.Dataset, store: Path) -> Outcome:
    """A pair walked, or what the store has of it. What ends in an error is an outcome too."""

    def ask() -> Findings:
        left, right = pair.sides
        try:
            return walk(left, right, dataset, pair.case.protocol, images=IMAGES, steps=STEPS)
        except UsageError as error:
            stopped = f"{REFUSED}{error}"
        except Exception as error:  # whatever it is, the others go on
            stopped = f"{CRASHED}{type(error).__name__}: {error}"
        return Findings(
            left=left, right=right, dataset=dataset.name, protocol=pair.case.protocol.name, images=IMAGES, steps=STEPS,
            stopped=stopped,
        )  # fmt: skip

    return Outcome(pair, kept(store / f"{pair.name}.json", [*pair.asked, _sources(), IMAGES, STEPS], ask))


@cache
def _sources() -> str:
    """SHA-256 over the sources of isotune and its adapters; hexadecimal."""
    sha = hashlib.sha256()
    for folder in ("isotune", "adapters", "benchmarks/protocols"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in (".py", ".toml"):
                sha.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return sha.hexdigest()
