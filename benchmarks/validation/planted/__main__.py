"""Does an investigation find what it should? Faults are planted in copies of models and of their trainers.

    python benchmarks/validation/planted

Draws 42 single faults (six of each category), ten pairs and 20 sound pairs from `--seed`, investigates each, and writes
reports/planted-faults.md (of another seed planted-faults-seed-N.md) with the rung where each was found and the
convention that was named. What the faults are: benchmarks/validation/planted. Outcomes are kept in `--store`, and a run
that was interrupted goes on. Exit status 1 when a first failing rung is wrong, more than one in twenty causes, or a
sound pair fails.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from isotune import data
from isotune.investigation import Findings, walk
from isotune.progress import reporting
from isotune.workers.threads import settle_threads

sys.path.insert(0, str(Path(__file__).parents[1]))  # what the rooms share, and this one as a package

import packages
from investigations import IMAGES, STEPS, in_turn, kept, photos

if TYPE_CHECKING:
    from planted.cases import Case

REPORTS = Path(__file__).parents[3] / "reports"


def install(place: Path) -> None:
    """The package with the faults, for this process and the workers."""
    site = str(packages.install([packages.PLANTED], place))
    os.environ["PYTHONPATH"] = os.pathsep.join([site, *filter(None, [os.environ.get("PYTHONPATH")])])
    sys.path.insert(0, site)


def outcome(case: Case, dataset: data.Dataset, store: Path) -> Findings:
    """What the investigation of a case gives, kept in the store."""

    def ask() -> Findings:
        return walk(*case.sides, dataset, case.protocol, images=IMAGES, steps=STEPS, seed=case.seed)

    return kept(store / f"{case.kind}-{case.number:02d}.json", [repr(case), IMAGES, STEPS], ask)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="chooses faults, models, recipes and weights (0)")
    parser.add_argument("--jobs", type=int, default=2, help="investigations at the same time (2)")
    parser.add_argument("--only", nargs="+", metavar="FAULT", help="these faults instead, printed and not written")
    parser.add_argument("--list", action="store_true", help="name the faults there are, and end")
    parser.add_argument("--store", type=Path, default=Path(".isotune/planted-faults"), help="folder of outcomes")
    parser.add_argument("--out", type=Path, default=REPORTS, help="folder of the report (reports)")
    asked = parser.parse_args()
    settle_threads()
    with tempfile.TemporaryDirectory(prefix="isotune-planted-") as scratch, reporting(True) as reporter:
        install(Path(scratch))
        from isotune_planted.faults import catalogue
        from planted import cases as drawing
        from planted import report

        if asked.list:
            for fault in catalogue().values():
                print(f"{fault.category:13}{fault.name:38}{fault.rung:22}{fault.axis or ''}")
            return 0
        if asked.only and (unknown := set(asked.only) - set(catalogue())):
            parser.error(f"there is no fault {unknown.pop()!r}; --list names them")
        cases = drawing.only(asked.only, asked.seed) if asked.only else drawing.draw(asked.seed)
        store = asked.store / ("only-" * bool(asked.only) + str(asked.seed))
        store.mkdir(parents=True, exist_ok=True)
        digits = data.prepare("digits")
        files = photos(digits, Path(scratch)) if any(case.files for case in cases) else digits

        def investigated(case: Case) -> report.Outcome:
            return report.Outcome(case, outcome(case, files if case.files else digits, store))

        outcomes = in_turn(
            "planted faults", cases, investigated, asked.jobs, report.Outcome.line, reporter, reporter.note
        )
        if not asked.only:
            print(report.write(outcomes, asked.seed, asked.out))
        return int(not report.as_it_should(outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
