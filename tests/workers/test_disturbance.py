"""What else the machine did: arithmetic on what the system counts, and a real busy process."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from isotune.workers import disturbance, noise
from isotune.workers.disturbance import Disturbance, Watch
from isotune.workers.disturbance import _Reading as Reading


@pytest.fixture
def watched(monkeypatch):
    """What a watch of one second on two cores says of readings."""

    def said(**after: float | None) -> Disturbance:
        before = Reading(clock=100.0, own=50.0, busy=500.0, stolen=5.0, waited=1.0, throttled=2.0, switches=7)
        readings = iter([before, before._replace(clock=101.0, **after)])
        monkeypatch.setattr(disturbance, "_read", lambda: next(readings))
        monkeypatch.setattr(disturbance.threads, "bound", lambda: 2)
        with Watch(lambda: {"MHz": 1410.0}) as watch:
            pass
        assert watch.seconds == pytest.approx(1)
        return watch.seen

    return said


def test_programs_that_were_started_and_waited_for_are_no_others():
    with Watch(children=True) as watch:
        before = sum(os.times()[2:4])
        subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"], check=True)
        took = sum(os.times()[2:4]) - before
    own = watch._read().own - watch._before.own
    assert took >= 0.45
    assert own >= took, "their time is on the watch's own account"


def test_what_the_process_took_itself_disturbs_nothing(watched):
    seen = watched(own=51.9, busy=501.91)
    assert (seen.others, seen.disturbed) == (0.005, False)
    assert seen.device == {"MHz": 1410.0}
    assert watched(own=51.9, busy=501.88).others == 0, "the system's clock ticks more coarsely than the process's"


@pytest.mark.parametrize(
    ("after", "cause"),
    [
        ({"own": 51.0, "busy": 501.82}, "other programs used 41 % of the cores"),
        ({"own": 51.0, "busy": 501.0, "stolen": 5.3}, "the hypervisor gave 15 % of the cores to other machines"),
        ({"own": 51.0, "busy": 501.0, "throttled": 2.2}, "the limit of its cgroup stopped it for 20 % of the time"),
        ({"own": 51.9, "busy": 501.98, "waited": 1.2}, "other programs used 4 % of the cores"),  # one core of many
    ],
)
def test_what_others_took_disturbs(watched, after, cause):
    seen = watched(**after)
    assert seen.disturbed
    assert seen.cause == cause


def test_waiting_for_ones_own_threads_is_no_disturbance(watched):
    assert not watched(own=52.0, busy=502.0, waited=1.5).disturbed
    assert watched(own=52.0, busy=502.0, waited=None).waited is None


def test_a_busy_process_on_every_core_is_noticed():
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        time.sleep(0.2)
        with Watch() as watch:
            time.sleep(0.5)
        loud = noise.measure(1.0)
    finally:
        for each in busy:
            each.kill()
            each.wait()
    assert watch.seen.disturbed
    assert watch.seen.others > 0.4, "they take what there is, in turn with other tests"
    assert "other programs used" in watch.seen.cause
    assert loud.disturbance.disturbed
    assert loud.lines["verdict"].startswith("disturbed: other programs used")


def test_waiting_for_quiet_ends(monkeypatch):
    calm, loud = Disturbance(others=0.01), Disturbance(others=0.6)
    seen = iter([loud, loud, calm])
    monkeypatch.setattr(disturbance.Watch, "__exit__", lambda watch, *_: setattr(watch, "seen", next(seen)))
    assert 0.7 < disturbance.wait_for_quiet(60) < 20
    monkeypatch.setattr(disturbance.Watch, "__exit__", lambda watch, *_: setattr(watch, "seen", loud))
    assert 0.3 <= disturbance.wait_for_quiet(0.3) < 10


def test_two_spans_together_are_weighed_by_their_length() -> None:
    earlier = Disturbance(others=0.4, waited=0.1, switches=3, megahertz=1000)
    later = Disturbance(others=0.0, stolen=0.2, waited=None, switches=4, megahertz=2000)
    both = later.after(earlier, 3.0, 1.0)
    assert (both.others, both.stolen, both.waited, both.switches, both.megahertz) == (0.1, 0.15, None, 7, 2000)
