"""Three libraries, five seeds, two protocols: as one command, cell by cell, and written by hand.

The images are scikit-learn's digits as JPEG files of 160 pixels: 1,000 for training and 797 for testing of the probe
(96 pixels, six strengths), 512 and 500 of the fine-tuning (`quick-fine-tune`, 48 steps at 32 pixels). Every side starts
with nothing but the checkpoint: isotune's cache is empty. Cell by cell one command follows the other, on one store and
one cache; two seeds are run, and the second stands for all after it. By hand (`benchmarks/by_hand.py`) a script is
started for each, and the mean of the two seeds stands for all.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import end_to_end
from figures import figure

from isotune import cache

LIBRARIES = tuple(end_to_end.MODELS)
PROBE, TUNE = str(end_to_end.HERE / "probe.toml"), "quick-fine-tune"
BY_HAND = {
    "probe": ("probe", "--size", "96"),
    "tune": ("tune", "--size", "32", "--batch", "32", "--epochs", "3"),
}
SEEDS, ALONE, JOBS = 5, 2, 2


def measure(place: Path, *, quick: bool) -> dict[str, Any]:
    seeds = 2 if quick else SEEDS
    images = {"probe": _images(place / "probe", 1000, 797), "tune": _images(place / "tune", 512, 500)}
    models = [f"{library}:{name}" for library, name in end_to_end.MODELS.items()]
    weights = {library: _weights(place, library) for library in LIBRARIES}
    common = ("--datasets", f"imagefolder:{images['probe']}", "--conventions", "native")

    def run(store: str, models: str, protocols: str, seeds: str, *further: str) -> float:
        what = ("--models", models, "--protocols", protocols, "--seeds", seeds, "--store", str(place / store))
        return _seconds(_isotune("run", *common, *what, *further), ISOTUNE_CACHE=str(place / f"cache-{store}"))

    for store in ("whole", "alone"):
        _cache(place / f"cache-{store}")
    whole = run("whole", ",".join(models), f"{PROBE},{TUNE}", str(seeds), "--jobs", str(JOBS))
    cells = [(model, protocol) for model in models for protocol in (PROBE, TUNE)]
    alone = [sum(run("alone", *cell, f"{seed},") for cell in cells) for seed in range(ALONE)]
    by_hand = {library: [_by_hand(library, images, weights) for _ in range(ALONE)] for library in LIBRARIES}
    theirs = {library: seeds * sum(rounds) / ALONE for library, rounds in by_hand.items()}
    ours = {library: sum(_took(place / "whole", library)) for library in LIBRARIES}
    one_by_one = alone[0] + (seeds - 1) * alone[1]
    count = len(cells) * seeds
    computed = sum(not each for each in _cached(place / "whole"))
    share = {library: whole * ours[library] / sum(ours.values()) for library in LIBRARIES}
    return {
        "title": "Three libraries, five seeds, two protocols",
        "figures": [
            figure(f"{count} cells, one command", whole, "s"),
            figure(f"{count} cells, one command against cell by cell", one_by_one / whole, "times", least=5),
            figure(f"{count} cells, one command against scripts by hand", sum(theirs.values()) / whole, "times",
                   least=2.5),
            *(figure(f"the same, {library}'s part", theirs[library] / share[library], "times", least=2.5)
              for library in LIBRARIES),
            figure("feature sets computed", computed, "", most=len(LIBRARIES)),
        ],
        "lines": [
            f"{count} cells of MobileNetV2 in {', '.join(LIBRARIES)}: `isotune run --jobs {JOBS}` takes {whole:.1f} s,"
            f" the same cells started one by one {one_by_one:.1f} s ({alone[0]:.1f} s with the first seed,"
            f" {alone[1]:.1f} s with a further one), scripts by hand {sum(theirs.values()):.1f} s. A library's part of"
            " the one command is that of the time its cells took. The first seed computes features, and all others read"
            " them; by hand every seed computes them.",
        ],
        "by_hand": by_hand, "alone": alone, "whole": whole,
    }  # fmt: skip


def _images(place: Path, train: int, test: int) -> Path:
    return end_to_end.folder_of_images(place, None, train=train, test=test)


def _cache(place: Path) -> None:
    """With what is made once for each version of a package."""
    for kept in ("checkpoints", "catalogue"):
        if (cache.root() / kept).is_dir():
            shutil.copytree(cache.root() / kept, place / kept)


def _weights(place: Path, library: str) -> Path:
    model, file = f"{library}:{end_to_end.MODELS[library]}", place / f"{library}.{end_to_end.SUFFIX[library]}"
    as_is = ("--checkpoint", "offline", "--no-classifier", "--size", "96x96")
    _seconds(_isotune("transfer", model, model, *as_is, "-o", str(file)))
    return file


def _by_hand(library: str, images: dict[str, Path], weights: dict[str, Path]) -> float:
    """Seconds of one seed of both protocols."""
    return sum(
        _seconds([sys.executable, str(end_to_end.BY_HAND), library, task, str(images[name]), str(weights[library]),
                  *options])
        for name, (task, *options) in BY_HAND.items()
    )  # fmt: skip


def _isotune(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "isotune.cli", *arguments]


def _seconds(command: list[str], **settings: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | settings)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
    return time.perf_counter() - began


def _records(store: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(store.glob("*/record.json"))]


def _took(store: Path, library: str) -> list[float]:
    return [r["timings"]["total"] for r in _records(store) if r["cell"]["model"].startswith(f"{library}:")]


def _cached(store: Path) -> list[bool]:
    """Of every probe whether its features came from the cache."""
    return [r["timings"]["features_cached"] for r in _records(store) if r["cell"]["protocol"].get("probe")]
