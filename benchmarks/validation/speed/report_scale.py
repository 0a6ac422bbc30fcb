"""How long does a report over many records take, and how much memory?

    python benchmarks/validation/speed/report_scale.py

Synthetic records of three libraries, two data sets, two protocols, both set-ups and ten seeds, one run in a hundred
failed, are put into a store on disk without predictions; what grows with their number is the models. `isotune report`
then runs over each store in a process of its own: start-up, reading, tables, figures, JSON and page are all in it.
Prints a markdown table: records, seconds, seconds of CPU (what they would be on an idle machine), peak resident memory.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, product
from pathlib import Path

import numpy as np

from isotune import protocols
from isotune.runs.records import Cell, Memory, Metrics, Record, Timings
from isotune.runs.store import Store
from isotune.seeds import Seeds

LIBRARIES = ("torchvision", "timm", "keras")
DATASETS = ("fashion-mnist", "cifar10")  # published numbers of both are in reference_results
PROTOCOLS = ("linear-probe", "fine-tune-sgd")
SEEDS, IMAGES = 10, 10_000
START = datetime(2026, 1, 1, tzinfo=UTC)


def records(count: int) -> Iterator[Record]:
    """`count` records, the same each time; every architecture has the same number in each library."""
    stream = np.random.default_rng(0)
    recipes = [protocols.load(name) for name in PROTOCOLS]
    architectures = -(-count // (len(LIBRARIES) * len(DATASETS) * len(PROTOCOLS) * 2 * SEEDS))
    asked = product(range(architectures), DATASETS, recipes, LIBRARIES, ("identical", "native"), range(SEEDS))
    for architecture, dataset, recipe, library, conventions, seed in islice(asked, count):
        accuracy = round(0.6 + 0.3 * (architecture + 1) / architectures + stream.normal(0, 0.004), 4)
        failed = stream.random() < 0.01
        yield Record(
            cell=Cell(
                model=f"{library}:model_{architecture}",
                checkpoint="pretrained",
                dataset=dataset,
                dataset_digest=f"{DATASETS.index(dataset):064x}",
                protocol=recipe,
                conventions=conventions,
                seeds=Seeds.all(seed),
            ),
            status="failed" if failed else "done",
            error="the loss is not finite" if failed else None,
            architecture=f"architecture_{architecture}",
            checkpoint_digest=f"{architecture:064x}",
            metrics=None if failed else Metrics(accuracy=min(accuracy, 1), test_images=IMAGES, train_images=50_000),
            predictions_digest=None if failed else f"{stream.integers(2**62):064x}",
            timings=Timings(total=60, training=50, training_images=10_000, features=20, features_images=10_000),
            memory=Memory(resident=900 * 2**20, baseline=500 * 2**20),
            environment={"library": library, "cpu": "synthetic"},
            started=START,
            finished=START + timedelta(minutes=1),
        )


def measure(store: Path, out: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak resident MiB of one `isotune report`."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "isotune.cli", "report", str(store), "--out", str(out)]
    process = os.posix_spawn(
        sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(f"isotune report ended with status {os.waitstatus_to_exitcode(status)}")
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, KiB elsewhere
    return seconds, usage.ru_utime + usage.ru_stime, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", default="1000,10000,100000", help="comma-separated numbers of records")
    counts = [int(text) for text in parser.parse_args().records.split(",")]
    print("| records | seconds | CPU seconds | peak memory MiB |\n| ---: | ---: | ---: | ---: |")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder, "records"))
            for record in records(count):
                store.write(record)
            seconds, cpu, peak = measure(store.folder, Path(folder, "out"))
        print(f"| {count:,} | {seconds:.1f} | {cpu:.1f} | {peak:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
