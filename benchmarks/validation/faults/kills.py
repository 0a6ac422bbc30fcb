"""Kills at random moments: of the command and of its workers, by every signal that ends one."""

from __future__ import annotations

import signal

from trial import Trial, Way

_STATUS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}


def _command(number: signal.Signals) -> Way:
    """The signal goes to the command alone. While Python starts, before isotune listens, it ends the process by itself,
    with the same status to a shell."""

    def harm(trial: Trial) -> bool:
        with trial.started() as run:
            if not run.lasts(trial.moment()):
                return False
            trial.remember()
            run.process.send_signal(number)
            orphans = run.left_over()
            trial.orphans += orphans
            run.ended()
            trial.judge(run, (_STATUS[number], -number))
        return True

    return harm


def _worker(trial: Trial) -> bool:
    with trial.started() as run:
        if not run.lasts(trial.moment()):
            return False
        while not (workers := run.at_work()):
            if not run.lasts(0.05):
                return False
        trial.remember()
        trial.chance.choice(workers).kill()
        run.ended()
        trial.judge(run, (0, 1))
    return True


def _again_and_again(trial: Trial) -> bool:
    """Up to eight kills of one sweep, which is started again when the command was killed, until it ends by itself."""
    kills, ended = trial.chance.randint(4, 8), False
    while kills and not ended:
        with trial.started() as run:
            while kills and not (ended := not run.lasts(trial.chance.uniform(0.1, 0.3 * trial.house.takes))):
                trial.remember()
                kills -= 1
                if (workers := run.at_work()) and trial.chance.random() < 0.6:
                    trial.chance.choice(workers).kill()
                    trial.done["worker"] += 1
                    continue
                run.process.kill()
                trial.done["command"] += 1
                trial.orphans += run.left_over()
                break
            run.ended()
            trial.judge(run, (0, 1, -9))
    return bool(trial.done)


WAYS: dict[str, Way] = {
    "SIGKILL to the command and its workers, again and again": _again_and_again,
    "SIGKILL to the command": _command(signal.SIGKILL),
    "SIGKILL to a worker": _worker,
    "SIGTERM to the command": _command(signal.SIGTERM),
    "Ctrl-C (SIGINT) to the command": _command(signal.SIGINT),
}
