"""A house in which a sweep is run and harmed: a folder with the sweep's file, a cache of its own, and stores.

The sweep has 60 cells, or fewer: two libraries, real weights, a probe and a short fine-tuning of 15 seeds each, at 32
pixels.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from isotune.runs.store import Store

MODELS = ("torchvision:mobilenet_v2", "timm:mobilenetv2_100")
SEEDS = 15
SECONDS = 2.0  # in which nothing may be left of what was ended
_SWEEP = f"""
models = {json.dumps(MODELS)}
protocols = ["./probe.toml", "./tune.toml"]
conventions = ["identical"]
seeds = {{0}}
"""
_RECIPE = """
name = "{0}"
title = "A {0} of few images"
source = "-"
input = {{ size = 32 }}
images = {{ train = 20, test = 30 }}
"""
_PROBE = "probe = { l2 = [0.01] }\n"
_TUNE = 'stage = [{ epochs = 1, batch_size = 8, optimizer = { name = "sgd" }, schedule = { learning_rate = 0.01 } }]\n'


@dataclass
class House:
    """folder: of everything. cache: where commands find and leave what can be made again. cells: of the sweep. takes:
    seconds, when it is undisturbed. wanted: the table that it gives then."""

    folder: Path
    cache: Path
    cells: int
    takes: float = 0.0
    wanted: str = ""

    @classmethod
    def at(cls, folder: Path, seeds: int = SEEDS) -> House:
        """One in which a sweep was run undisturbed, from a cache that was filled before, as those are that are harmed:
        by a first run, or with an earlier house in this folder."""
        (folder / "sweep.toml").write_text(_SWEEP.format(seeds), encoding="utf-8")
        (folder / "probe.toml").write_text(_RECIPE.format("probe") + _PROBE, encoding="utf-8")
        (folder / "tune.toml").write_text(_RECIPE.format("tune") + _TUNE, encoding="utf-8")
        house = cls(folder, folder / "cache", 4 * seeds)
        for store in ("undisturbed",) if house.cache.exists() else ("filling", "undisturbed"):
            shutil.rmtree(folder / store, ignore_errors=True)
            began = time.monotonic()
            ended = house.done(house.sweep(folder / store))
            assert ended.returncode == 0, ended.stdout
            house.takes = time.monotonic() - began
        house.wanted = table(folder / "undisturbed")
        assert len(json.loads(house.wanted)) == house.cells
        return house

    def isotune(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "isotune.cli", *map(str, arguments)]

    def sweep(self, store: Path, *options: object) -> list[str]:
        """The command of the sweep."""
        return self.isotune("run", "sweep.toml", "--store", store, "--retry-failed", *options)

    @property
    def environment(self) -> dict[str, str]:
        """One thread whatever the number of workers, so that every run sums in the same order; and drafts of the
        fine-tunings, short as they are, after every step."""
        return os.environ | {
            "ISOTUNE_CACHE": str(self.cache), "ISOTUNE_DRAFTS": "0.001", "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
        }  # fmt: skip

    def done(self, command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """What a command said, on both streams, and how it ended; it may take ten minutes."""
        return subprocess.run(
            command, cwd=self.folder, env=self.environment | environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, timeout=600,
        )  # fmt: skip


class Run:
    """A command that was started, with all processes that it was seen to start; a context that leaves none."""

    def __init__(
        self, house: House, command: list[str], environment: Mapping[str, str] | None = None, **options: object
    ) -> None:
        self.process = subprocess.Popen(
            command, cwd=house.folder, env=house.environment | dict(environment or {}), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
            **options,  # type: ignore[call-overload]
        )  # fmt: skip
        self._lines: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.command, self.workers = psutil.Process(self.process.pid), set[psutil.Process]()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self.command, *self.workers):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        self._listener.join(timeout=5)

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as said:
            self._lines.extend(said)

    def lasts(self, seconds: float) -> bool:
        """Look on for so long. False: it ended before."""
        until = time.monotonic() + seconds
        while self.process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.workers |= set(self.command.children(recursive=True))
            if time.monotonic() > until:
                return True
            time.sleep(0.05)
        return False

    def at_work(self) -> list[psutil.Process]:
        """Its workers that run now, the first one first."""
        return sorted(filter(runs, self.workers), key=lambda process: process.pid)

    def ended(self, timeout: float = 900) -> int:
        """Its status, once it has ended."""
        self.lasts(timeout)
        return self.process.wait(timeout=1)

    def left_over(self) -> list[str]:
        """Processes that are there when it has ended, after two seconds; they are ended then."""
        until = time.monotonic() + SECONDS
        while (alive := [each for each in (self.command, *self.workers) if runs(each)]) and time.monotonic() < until:
            self.process.poll()
            time.sleep(0.02)
        lines = []
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                lines.append(" ".join(process.cmdline()[-6:]))
                process.kill()
        return lines

    @property
    def said(self) -> str:
        """On both streams, of a command that has ended."""
        self._listener.join(timeout=5)
        return "".join(self._lines)


def runs(process: psutil.Process) -> bool:
    """Whether it is there, stopped or not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def done_in(store: Path) -> Counter[tuple[str, object]]:
    """Results that are done, by the cell's key and the time at which each was started."""
    return Counter((record.cell.key, record.started) for record in Store(store).all() if record.status == "done")


def table(store: Path) -> str:
    """What a report would show of a store, to the bit: accuracy, losses and predictions of every cell that is done."""
    rows = {}
    for record in Store(store).all():
        if record.status == "done" and (made := record.metrics) is not None:
            rows[record.cell.key] = [made.accuracy, made.loss, made.train_loss, made.l2, record.predictions_digest]
    return json.dumps(rows, sort_keys=True)


@contextlib.contextmanager
def mounted(place: Path, size: str) -> Iterator[Path]:
    """A small file system in memory; this takes a superuser."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "isotune-faults", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def remount(place: Path, options: str) -> bool:
    """Whether a mounted file system could be given other options; it cannot be read-only while a file is written."""
    command = ["mount", "-o", f"remount,{options}", place]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
