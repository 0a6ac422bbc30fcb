"""Several commands on one store at once, undisturbed and killed."""

from __future__ import annotations

import contextlib

from house import House, Run
from trial import Trial, Way


def _at_once(count: int, *, kill: bool = False) -> Way:
    """So many commands, one of which is killed, or none."""

    def harm(trial: Trial) -> bool:
        with contextlib.ExitStack() as stack:
            runs = [stack.enter_context(trial.started()) for _ in range(count)]
            victim = trial.chance.choice(runs) if kill else None
            if victim is not None:
                if not victim.lasts(trial.moment()):
                    return False
                trial.remember()
                victim.process.kill()
            for run in runs:
                run.ended()
            for run in runs:
                trial.judge(run, (-9,) if run is victim else (0,))
        return True

    return harm


def _stopping_after(trial: Trial) -> bool:
    """One begins nothing after some seconds, while the other goes on."""
    with trial.started("--stop-after", f"{trial.moment():.3f}s") as first, trial.started() as second:
        for run in (first, second):
            run.ended()
        for run in (first, second):
            trial.judge(run, (0,))
    return True


def _watched(trial: Trial) -> bool:
    """A status is asked again and again."""
    house: House = trial.house
    with trial.started() as run:
        while run.lasts(0.1):
            if trial.store.exists():
                with Run(house, house.isotune("status", trial.store)) as status:
                    status.ended()
                    trial.judge(status, (0,))
        trial.judge(run, (0,))
    return True


WAYS: dict[str, Way] = {
    "two commands at once": _at_once(2),
    "four commands at once": _at_once(4),
    "two at once, one killed": _at_once(2, kill=True),
    "two at once, one with --stop-after": _stopping_after,
    "isotune status all the time": _watched,
}
