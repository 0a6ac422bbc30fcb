"""How long do a plan and a status of a large sweep take, how much memory, and what does one more record cost?

    python benchmarks/validation/speed/sweeps.py

The synthetic records of `report_scale.py` are put into a store on disk. A plan of as many cells, all of which are
there, and `isotune status` then run over it in processes of their own: start-up, making the cells and their keys,
reading are all in it. Prints a markdown table: records, milliseconds that each of the last 500 took to add, seconds,
seconds of CPU (what they would be on an idle machine) and peak resident memory of both.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from report_scale import records

from isotune import sweeps
from isotune.runs.store import Store

LAST = 500  # records whose writing is timed


def filled(store: Store, count: int) -> float:
    """Milliseconds a record of the last ones that are written."""
    began, timed = 0.0, min(LAST, count)
    for number, record in enumerate(records(count)):
        if number == count - timed:
            began = time.perf_counter()
        store.write(record)
    return (time.perf_counter() - began) * 1000 / timed


def measured(command: Sequence[str]) -> str:
    """Seconds, CPU seconds and peak MiB of a process."""
    began = time.perf_counter()
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    process = os.posix_spawn(sys.executable, [sys.executable, *command], os.environ, file_actions=silent)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, KiB elsewhere
    return f"{time.perf_counter() - began:.1f} ({usage.ru_utime + usage.ru_stime:.1f}), {peak:,.0f} MiB"


def planned(store: Path, count: int) -> None:
    """In a process of its own: a plan of as many cells as there are records."""
    print(*sweeps.plan([record.cell for record in records(count)], store).lines(), sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", default="1000,10000,100000", help="comma-separated numbers of records")
    parser.add_argument("--plan", nargs=2, metavar=("STORE", "COUNT"), help="only that, as this program asks itself")
    options = parser.parse_args()
    if options.plan:
        planned(Path(options.plan[0]), int(options.plan[1]))
        return
    print(
        "| records | ms to add one | plan: s (CPU s), peak | status: s (CPU s), peak |\n| ---: | ---: | ---: | ---: |"
    )
    for count in (int(text) for text in options.records.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder, "records"))
            added = filled(store, count)
            plan = measured([__file__, "--plan", str(store.folder), str(count)])
            status = measured(["-m", "isotune.cli", "status", str(store.folder)])
        print(f"| {count:,} | {added:.1f} | {plan} | {status} |", flush=True)


if __name__ == "__main__":
    main()
