"""Do published numbers reproduce? Claims of others, with their weights, their test images and their protocols.

    python benchmarks/validation/claims

Fetches what `sources.toml` lists from public repositories, each file at a commit and checked by its digest, prepares it
in `--folder`, verifies every claim of `published/` there as `isotune verify CLAIM.toml` does, and writes each result
and its badge, and a page of all of them, into `--out`. Where a claim does not hold, the steps of preprocessing are
priced, and the two sides of `reasons.toml` investigated. Needs git, a network or `--clones`, and Fashion-MNIST
(Debian's dataset-fashion-mnist, or a network).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # what this folder shares with the other measurements

import gathering
from page import write
from preparing import prepare
from reasons import explain, reasons
from warm_workers import WarmWorkers

import isotune
from isotune.interface import Verified
from isotune.workers import process

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(".isotune/claims"), help="for files and runs")
    parser.add_argument("--clones", type=Path, help="folder of clones, OWNER/NAME, in the place of a network")
    parser.add_argument("--only", nargs="+", metavar="CLAIM", help="these claims, printed and not written")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "claims", help="folder of the report")
    asked = parser.parse_args()
    files = {file.stem: file for file in sorted((HERE / "published").glob("*.toml"))}
    if unknown := [name for name in asked.only or () if name not in files]:
        parser.error(f"there is no claim {unknown[0]}; there are {', '.join(files)}")
    folder, out = asked.folder.absolute(), asked.out.absolute()
    try:
        gathering.gather(folder, asked.clones and asked.clones.absolute(), gathering.sources())
    except gathering.NotGathered as error:
        print(f"claims: {error}", file=sys.stderr)
        return 2
    prepare(folder)
    for file in [*files.values(), *(HERE / "networks").glob("*.py")]:
        shutil.copy(file, folder)
    os.chdir(folder)  # what a claim names is there
    warm = WarmWorkers()
    process.WorkerProcess = warm.start  # type: ignore[assignment,misc]
    try:
        verified = [_verified(name) for name in asked.only or files]
        explained = [] if asked.only else [explain(reason) for reason in reasons()]
    finally:
        warm.stop()
    if not asked.only:
        print(write(out, verified, explained, "python benchmarks/validation/claims"))
    return 0


def _verified(name: str) -> Verified:
    verified = isotune.verify(f"{name}.toml", store="records", progress=False)
    print(f"{name}: {verified.line}", flush=True)
    return verified


if __name__ == "__main__":
    sys.exit(main())
