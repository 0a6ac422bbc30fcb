"""A round that others disturbed is taken again, for so long; how disturbed it stayed is said."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from isotune.runs import stopwatch
from isotune.runs.stopwatch import Measurement, Stopwatch
from isotune.workers.disturbance import Disturbance


@pytest.fixture
def rounds(monkeypatch):
    """Has a stopwatch see these rounds, (seconds, share of the cores that others took), and gives what it says."""
    model = SimpleNamespace(device_memory=lambda: None)
    runner = SimpleNamespace(environment=lambda _built: {})
    waits: list[float] = []

    def given(seen: list[tuple[float, float]], times: int = 1, wait: float = 0.5) -> list[dict]:
        waits.clear()
        taken = iter([SimpleNamespace(seconds=one, seen=Disturbance(others=others)) for one, others in seen])
        monkeypatch.setattr(stopwatch, "_timed", lambda _ready: next(taken))
        monkeypatch.setattr(stopwatch, "wait_for_quiet", lambda most: waits.append(most) or min(most, wait))
        watch = Stopwatch(SimpleNamespace(kept=lambda _kind: runner))
        built = SimpleNamespace(model=model, architecture="a", trained_parameters=7)
        watch._prepare = lambda _asked: stopwatch._Prepared(
            built, lambda: None, 0.1, None, repetitions=2, patience=stopwatch.PATIENCE
        )
        asked = Measurement(question="training-step", model="example:any", batch_size=4)
        return [watch.round(asked) for _ in range(times)]

    return given


def test_a_quiet_round_is_taken_once(rounds):
    (one,) = rounds([(0.4, 0.01)])
    assert (one["seconds"], one["again"], one["disturbance"]["others"]) == (0.2, 0, 0.01)


def test_a_disturbed_round_is_taken_again_until_it_is_quiet(rounds):
    (one,) = rounds([(3.0, 0.5), (2.0, 0.3), (0.4, 0.0)])
    assert (one["seconds"], one["again"], one["disturbance"]["others"]) == (0.2, 2, 0)


def test_the_least_disturbed_is_given_not_the_fastest(rounds):
    (one,) = rounds([(1.0, 0.5), (2.0, 0.2), (0.5, 0.6), (0.6, 0.4), (9.0, 0.0)])
    assert (one["seconds"], one["again"], one["disturbance"]["others"]) == (1.0, stopwatch.AGAIN, 0.2)


def test_patience_ends_for_all_rounds_of_a_measurement(rounds):
    loud = [(1.0, 0.5)] * 100
    taken = rounds(loud, times=8, wait=1.5)
    again = [one["again"] for one in taken]
    assert again[0] == 3
    assert sum(again) <= stopwatch.PATIENCE / (1.5 + 1.0) + 1
    assert again[-1] == 0
    assert all(one["disturbance"]["others"] == 0.5 for one in taken)
