"""Spoiled files of every kind that isotune reads, and what reading them ended in.

    python benchmarks/validation/fuzzing [--cases 10000] [--seed 0] [--kind NAME] [--out reports/reliability.json]

Each case is one small valid file, changed in one to three places (bits, runs of zeros, numbers, words, its end) or
exchanged for a pipe, a folder, a link to a device. It must be read or be refused in one clear line. Counted as
failures: a traceback, words that are no clear line, more than 5 s of the processor or 60 s of the clock, more than 1 GB
of memory, a file outside of the case's folder, a process started, and a wrong success: a file that carries checksums or
a digest, and whose content was altered and taken. Exit status 1 where there is any. About 10 minutes for 10,000.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the room itself is a package

from fuzzing.cases import READ, REFUSED, TRACEBACK, WORDING, WRONG
from fuzzing.child import FLOOD, HANG, OUTSIDE, PROCESS
from fuzzing.kinds import BY_NAME
from isotune.names import adapters
from isotune.workers.environment import machine, versions

CHILD = Path(__file__).with_name("child.py")
FAILURES = (TRACEBACK, WORDING, HANG, FLOOD, OUTSIDE, PROCESS, WRONG)
PATIENCE = 60.0  # seconds of the clock for one case
SLICE = 250  # cases of one process, so that none grows old


def tried(kind: str, seed: int, cases: int, folder: Path) -> tuple[Counter[str], list[tuple[int, str, str]]]:
    """How often each end came, and the failures: number, end, words."""
    ends: Counter[str] = Counter()
    failures: list[tuple[int, str, str]] = []
    number = 0
    while number < cases:
        last = min(cases, number + SLICE)
        for answer in _answers(kind, seed, number, last, folder):
            number, end, words = answer[0] + 1, answer[1], answer[2]
            ends[end] += 1
            if end in FAILURES:
                failures.append((answer[0], end, words))
    return ends, failures


def _answers(kind: str, seed: int, first: int, last: int, folder: Path) -> list[tuple[int, str, str]]:
    """Of one process: all of its cases, or those up to the one in which it died."""
    home = folder / f"{BY_NAME[kind].name.replace(' ', '-').strip('.')}-{first}"
    for name in ("home", "tmp", "cache", "cwd"):
        (home / name).mkdir(parents=True)
    given = {"HOME": home / "home", "TMPDIR": home / "tmp", "ISOTUNE_CACHE": home / "cache"}
    plain = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}
    environment = os.environ | {name: str(path) for name, path in given.items()} | plain
    command = [sys.executable, str(CHILD), kind, str(seed), str(first), str(last), str(home)]
    found: list[tuple[int, str, str]] = []
    begun = None
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=home / "cwd", text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(child.stdout, selectors.EVENT_READ)
            while waiting.select(PATIENCE):
                if not (line := child.stdout.readline()):
                    break
                answer = json.loads(line)
                if len(answer) == 1:
                    begun = answer[0]
                else:
                    begun = None
                    found.append((answer[0], answer[1], answer[2]))
            else:
                child.kill()
                if begun is not None:
                    return [*found, (begun, HANG, f"{PATIENCE:.0f} s of the clock")]
        said = child.stderr.read()[-2000:]
    if begun is not None:
        return [*found, (begun, TRACEBACK, f"the process ended with status {child.returncode}: {said[-300:]}")]
    if child.returncode:
        raise SystemExit(f"{kind}: {said}")
    return found


def table(kinds: dict[str, dict[str, int]]) -> str:
    """As markdown: a row a kind."""
    columns = (READ, REFUSED, *FAILURES)
    total: Counter[str] = Counter()
    for ends in kinds.values():
        total.update(ends)
    rows = [("kind of file", "cases", *columns), ("---", *("---:",) * (len(columns) + 1))]
    for name, ends in [*kinds.items(), ("all", total)]:
        rows.append((name, f"{sum(ends.values()):,}", *(f"{ends.get(column, 0):,}" for column in columns)))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=list(BY_NAME), help="one kind alone")
    parser.add_argument("--out", type=Path, help="put the figures into this JSON of reports, which need not be there")
    options = parser.parse_args()
    names = [options.kind] if options.kind else list(BY_NAME)
    each = -(-options.cases // len(names))
    kinds, failed = {}, []
    with tempfile.TemporaryDirectory(prefix="isotune-fuzz-") as folder:
        for name in names:
            ends, failures = tried(name, options.seed, each, Path(folder))
            kinds[name] = dict(ends)
            failed += [(name, *failure) for failure in failures]
            print(f"{name}: {', '.join(f'{count} {end}' for end, count in ends.items())}", file=sys.stderr)
    print(table(kinds))
    for name, number, end, words in failed:
        print(f"\n{end}: {name}, case {number}: {words}")
    if options.out:
        kept = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
        command = f"python benchmarks/validation/fuzzing --cases {options.cases} --seed {options.seed}"
        environment = {**machine(), **versions(*adapters())}
        kept["fuzz"] = {"command": command, "environment": environment, "kinds": kinds, "failures": failed}
        options.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
