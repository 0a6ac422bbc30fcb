"""Processes that stand still: stopped for longer than a lease, while another command goes on with the sweep; and woken
then."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterable

import psutil
from house import Run
from trial import Trial, Way

from isotune.runs.claims import LEASE


def _send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _stopped(who: str) -> Way:
    """Stop the command, its workers, or both; a second command does what it can for more than a lease, and the first is
    woken. Of a worker that stands still the command lives, and keeps its cell."""

    def harm(trial: Trial) -> bool:
        with trial.started() as run:
            if not run.lasts(trial.moment()):
                return False
            workers = run.at_work()
            if "worker" in who and not workers:
                return False
            stopped = [*([run.command] if "command" in who else []), *(workers if "worker" in who else [])]
            _send(stopped, signal.SIGSTOP)
            trial.remember()
            with trial.started() as other:
                _looked_on(run, other, LEASE + 15, ends="command" in who)
                _send(stopped, signal.SIGCONT)
                run.ended()
                other.ended()
                for each in (run, other):
                    trial.judge(each, (0, 1))
        return True

    return harm


def _looked_on(run: Run, other: Run, seconds: float, *, ends: bool) -> None:
    """Wait so long; ends: or until the other command has ended, if that takes longer."""
    until = time.monotonic() + seconds
    while time.monotonic() < until or (ends and other.process.poll() is None and time.monotonic() < until + 300):
        run.lasts(0.2)
        other.lasts(0.2)
        time.sleep(0.2)


def _killed_while_a_worker_stands_still(trial: Trial) -> bool:
    with trial.started() as run:
        if not run.lasts(trial.moment()) or not run.at_work():
            return False
        _send(run.at_work(), signal.SIGSTOP)
        trial.remember()
        run.process.kill()
        trial.orphans += run.left_over()
        run.ended()
        trial.judge(run, (-9,))
    return True


WAYS: dict[str, Way] = {
    "SIGSTOP to the command, another takes over, SIGCONT": _stopped("command"),
    "SIGSTOP to its workers, another goes on, SIGCONT": _stopped("worker"),
    "SIGSTOP to command and workers, another takes over, SIGCONT": _stopped("command and worker"),
    "SIGSTOP to the workers, SIGKILL to the command": _killed_while_a_worker_stands_still,
}
