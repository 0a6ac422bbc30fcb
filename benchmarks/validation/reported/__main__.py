"""Does an investigation find what people report? Pairs built after public issues, and their sound twins.

    python benchmarks/validation/reported

Investigates every case of cases.toml as it was reported and mended, and writes reported.md and reported.json. Outcomes
are kept in `--store` with the digest of isotune's own sources, so that a run that was interrupted goes on, and a
changed isotune is asked again. Workers are kept for the next pair. Exit status 1 when a case is neither named nor
localised, or a twin is not judged the same.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # what this folder shares with the other measurements

import packages
from investigations import in_turn, photos
from outcomes import Outcome
from pairs import Pair, cases, pairs
from report import write
from walking import investigated
from warm_workers import WarmWorkers

from isotune import data
from isotune.progress import reporting
from isotune.workers import process
from isotune.workers.threads import settle_threads

ROOT = Path(__file__).parents[3]


def install(place: Path) -> None:
    """The package with the faults in loops, for the workers."""
    site = str(packages.install([packages.PLANTED], place))
    os.environ["PYTHONPATH"] = os.pathsep.join([site, *filter(None, [os.environ.get("PYTHONPATH")])])
    sys.path.insert(0, site)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="CASE", help="these cases, printed and not written")
    parser.add_argument("--list", action="store_true", help="name the cases there are, and end")
    parser.add_argument("--jobs", type=int, default=2, help="investigations at the same time (2)")
    parser.add_argument("--store", type=Path, default=Path(".isotune/reported"), help="folder of outcomes")
    parser.add_argument("--out", type=Path, default=ROOT / "reports", help="folder of the report (reports)")
    asked = parser.parse_args()
    if asked.list:
        for case in cases():
            print(f"{case.name:42}{case.rung:22}{', '.join(case.axes)}")
        return 0
    try:
        chosen = cases(asked.only)
    except KeyError as error:
        parser.error(f"there is no case {error}; --list names them")
    settle_threads()
    asked.store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="isotune-reported-") as scratch, reporting(True) as reporter:
        install(Path(scratch))
        digits = data.prepare("digits")
        files = photos(digits, Path(scratch)) if any(case.images == "photos" for case in chosen) else digits

        def one(pair: Pair) -> Outcome:
            return investigated(pair, files if pair.case.images == "photos" else digits, asked.store)

        warm = WarmWorkers()
        process.WorkerProcess = warm.start  # type: ignore[assignment,misc]
        try:
            outcomes = in_turn("reported pairs", pairs(chosen), one, asked.jobs, Outcome.line, reporter, reporter.note)
        finally:
            warm.stop()
    if not asked.only:
        print(write(outcomes, "python benchmarks/validation/reported", asked.out))
    return int(not all(each.right for each in outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
