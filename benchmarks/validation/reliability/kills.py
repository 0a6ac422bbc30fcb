"""Kills at random moments: of the command and of its workers, by every signal that ends one.

A sweep is started again and again on one store until it is complete, and something of it is killed each time. What was
in the store before a kill must be there after it, once; two seconds later no process may be left; and the complete
store must show what an undisturbed one shows, bit for bit.
"""

from __future__ import annotations

import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import sweep

from isotune.runs.store import Store

WAYS = ("SIGKILL to the command", "SIGKILL to a worker", "SIGTERM to the command", "SIGINT to the command")
STATUS = {"SIGTERM to the command": 143, "SIGINT to the command": 130}
SECONDS = 2.0  # in which nothing may be left


@dataclass
class Kills:
    """What became of them."""

    done: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    damaged: int = 0
    orphans: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    other_status: list[str] = field(default_factory=list)
    early: int = 0  # the signal came while Python started, before isotune listened: it ends the process by itself
    sweeps: int = 0
    equal: int = 0

    @property
    def sound(self) -> bool:
        troubles = (self.lost, self.doubled, self.damaged, self.orphans, self.tracebacks, self.other_status)
        return not any(troubles) and self.equal == self.sweeps


def kills(count: int, seed: int) -> Kills:
    """So many kills, of which the sweeps that they fall on are finished afterwards."""
    chance, seen = random.Random(seed), Kills()
    with tempfile.TemporaryDirectory(prefix="isotune-kills-") as folder:
        house = Path(folder)
        sweep.done(house, sweep.sweep(house, house / "first"))  # fills the cache
        began = time.monotonic()
        ended = sweep.done(house, sweep.sweep(house, house / "undisturbed"))
        assert ended.returncode == 0, ended.stderr
        takes, wanted = time.monotonic() - began, sweep.table(house / "undisturbed")
        while seen.done.total() < count:
            store = house / f"store-{seen.sweeps}"
            while seen.done.total() < count and _killed(house, store, chance, takes, seen):
                pass
            for _ in range(3):  # a worker that was killed leaves a failed cell, which the next run does
                if sweep.done(house, sweep.sweep(house, store)).returncode == 0:
                    break
            seen.sweeps += 1
            seen.equal += sweep.table(store) == wanted
            print(f"{seen.done.total()} of {count} kills, {seen.sweeps} sweeps", flush=True)
    return seen


def _killed(house: Path, store: Path, chance: random.Random, takes: float, seen: Kills) -> bool:
    """Start the sweep and kill something of it. False: it ended before."""
    way = WAYS[seen.done.total() % len(WAYS)]
    before = _kept(store)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job would hand down ignored
    running = subprocess.Popen(
        sweep.sweep(house, store, jobs=chance.choice((1, 2))), cwd=house, env=sweep.environment(house), text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    command, workers = psutil.Process(running.pid), set()
    until = time.monotonic() + chance.uniform(0.3, takes)
    while time.monotonic() < until or (way == "SIGKILL to a worker" and not workers):
        if running.poll() is not None:
            return False
        workers |= set(command.children(recursive=True))
        time.sleep(0.02)
    victims = [worker for worker in workers if worker.is_running()] if way == "SIGKILL to a worker" else [command]
    if not victims:
        running.communicate()
        return False
    victim = chance.choice(sorted(victims, key=lambda process: process.pid))
    kept = before | _kept(store)
    victim.send_signal(getattr(signal, way.partition(" ")[0]))
    if way == "SIGKILL to a worker":
        _, told = running.communicate(timeout=600)
        workers = set()
    else:
        until = time.monotonic() + SECONDS
        while (alive := [each for each in (command, *workers) if _runs(each)]) and time.monotonic() < until:
            running.poll()
            time.sleep(0.02)
        seen.orphans += [f"{way}: {' '.join(process.cmdline()[-6:])}" for process in alive]
        for process in alive:
            process.kill()
        _, told = running.communicate()
        if way in STATUS and running.returncode == 128 - STATUS[way]:
            seen.early += 1
        elif running.returncode != STATUS.get(way, -signal.SIGKILL):
            seen.other_status.append(f"{way}: {running.returncode}")
    seen.done[way] += 1
    if "Traceback" in told:
        seen.tracebacks.append(f"{way}: {told[-500:]}")
    after = Store(store)
    results = [(record.cell.key, record.started) for record in after.all() if record.status == "done"]
    seen.lost += len(kept - set(results))
    seen.doubled += len(results) - len({key for key, _ in results})
    seen.damaged += len(after.damaged)
    return True


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _kept(store: Path) -> set[tuple[str, object]]:
    return {(record.cell.key, record.started) for record in Store(store).all() if record.status == "done"}
