"""Does an investigation find what it should? Faults are planted in copies of models and of their trainers.

    python benchmarks/validation/planted_faults.py

Draws 42 single faults (six of each category), ten pairs and 20 sound pairs from `--seed`, investigates each, and writes
reports/planted-faults.md with the rung where each was found and the convention that was named. What the faults are:
benchmarks/validation/planted. Outcomes are kept in `--store`, and a run that was interrupted goes on. Exit status 1
when a first failing rung is wrong, more than one in twenty causes, or a sound pair fails.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import packages
from PIL import Image

from isotune import data
from isotune.investigation import Findings, walk
from isotune.investigation.findings import VERSION
from isotune.progress import reporting
from isotune.workers.threads import settle_threads

if TYPE_CHECKING:
    from planted_cases import Case

REPORTS = Path(__file__).parents[2] / "reports"
IMAGES, STEPS = 8, 4


def install(place: Path) -> None:
    """The package with the faults, for this process and the workers."""
    site = str(packages.install([packages.PLANTED], place))
    os.environ["PYTHONPATH"] = os.pathsep.join([site, *filter(None, [os.environ.get("PYTHONPATH")])])
    sys.path.insert(0, site)


def write_files(digits: data.Dataset, place: Path) -> data.Dataset:
    """Some digits as JPEG files with subsampled colours, which decoders read differently."""
    for split, count in (("train", 40), ("test", 20)):
        part = getattr(digits, split)
        for number in range(count):
            folder = place / "photos" / split / digits.classes[int(part.labels[number])]
            folder.mkdir(parents=True, exist_ok=True)
            grey = np.kron(part.images[number].reshape(*part.images[number].shape[:2], -1)[..., 0], np.ones((8, 8)))
            coloured = np.stack([grey, np.roll(grey, 3, 0), np.roll(grey, 5, 1)], -1).astype(np.uint8)
            Image.fromarray(coloured).save(folder / f"{number}.jpg", quality=75, subsampling="4:2:0")
    return data.prepare(f"imagefolder:{place / 'photos'}")


def outcome(case: Case, dataset: data.Dataset, store: Path) -> Findings:
    """What the investigation of a case gives, kept in the store."""
    file = store / f"{case.kind}-{case.number:02d}.json"
    asked = json.dumps([VERSION, repr(case), IMAGES, STEPS])
    if file.exists() and (kept := json.loads(file.read_text(encoding="utf-8")))["asked"] == asked:
        return Findings.model_validate(kept["findings"])
    findings = walk(*case.sides, dataset, case.protocol, images=IMAGES, steps=STEPS, seed=case.seed)
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps({"asked": asked, "findings": findings.model_dump(mode="json")}), encoding="utf-8")
    draft.replace(file)
    return findings


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
        import planted_cases
        import planted_report
        from isotune_planted.faults import catalogue

        if asked.list:
            for fault in catalogue().values():
                print(f"{fault.category:13}{fault.name:38}{fault.rung:22}{fault.axis or ''}")
            return 0
        if asked.only and (unknown := set(asked.only) - set(catalogue())):
            parser.error(f"there is no fault {unknown.pop()!r}; --list names them")
        cases = planted_cases.only(asked.only, asked.seed) if asked.only else planted_cases.draw(asked.seed)
        store = asked.store / ("only-" * bool(asked.only) + str(asked.seed))
        store.mkdir(parents=True, exist_ok=True)
        digits = data.prepare("digits")
        photos = write_files(digits, Path(scratch)) if any(case.files for case in cases) else digits
        done = 0

        def investigated(case: Case) -> planted_report.Outcome:
            nonlocal done
            judged = planted_report.Outcome(case, outcome(case, photos if case.files else digits, store))
            done += 1
            reporter.note(judged.line())
            reporter(f"planted faults: {case.kind}", done, len(cases))
            return judged

        with ThreadPoolExecutor(asked.jobs) as pool:
            outcomes = list(pool.map(investigated, cases))
        if not asked.only:
            print(planted_report.write(outcomes, asked.seed, asked.out))
        return int(not planted_report.as_it_should(outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
