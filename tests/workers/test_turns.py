"""A worker answers one question at a time, and first those that somebody waits for."""

from __future__ import annotations

import time
from threading import Event, Thread

import pytest

from isotune.workers.turns import Turns


def _until(holds):
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_who_waits_has_a_turn_before_what_is_asked_ahead():
    turns, asked, answered = Turns(), [], Event()

    def ahead(number):
        with turns.ahead():
            asked.append(number)
            answered.wait(10)

    first = Thread(target=ahead, args=[1])
    first.start()
    _until(lambda: asked == [1])
    second = Thread(target=ahead, args=[2])
    second.start()

    def now():
        with turns.now():
            asked.append("now")

    waits = Thread(target=now)
    waits.start()
    _until(lambda: turns._waiting == 1)
    assert asked == [1]  # one at a time
    answered.set()
    for thread in (first, second, waits):
        thread.join(10)
    assert asked == [1, "now", 2]


def test_a_question_that_fails_ends_its_turn():
    turns = Turns()
    for turn in (turns.now, turns.ahead, turns.now):
        with pytest.raises(ValueError, match="no answer"), turn():
            raise ValueError("no answer")
