"""Whose turn it is among cells that wait, and when another worker is started."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from isotune.executors.turns import ANOTHER_SECONDS, Turns


class Started:
    """In the place of `Workers`, of libraries that are there already."""

    def __init__(self, *adapters, device=0):
        self.adapters, self.ended, self.device = adapters, False, device

    def __contains__(self, adapter):
        return adapter in self.adapters

    def end(self):
        self.ended = True


@pytest.fixture
def turns():
    def make(*adapters, given=()):
        made = []

        def another(device):
            made.append(Started(device=device))
            return made[-1]

        cells = [SimpleNamespace(adapter=adapter, number=number) for number, adapter in enumerate(adapters)]
        return Turns(cells, another, Started(*given)), made

    return make


def test_one_worker_a_library_does_all_where_cells_are_short(turns):
    asked, made = turns(*["a", "b", "c"] * 4, given=("a", "b", "c"))
    at_work, order = [asked.take(), asked.take()], []
    while at_work:
        cell, workers = at_work.pop(0)
        assert cell.adapter not in [other.adapter for other, _ in at_work]  # one cell at a time in each
        asked.give_back(cell, workers, 0.1)
        order.append(cell.number)
        if (taken := asked.take()) is not None:
            at_work.append(taken)
    assert sorted(order) == list(range(12))
    assert not made


def test_a_library_of_which_most_cells_wait_comes_first(turns):
    asked, _ = turns("a", "b", "b", "b", given=("a", "b"))
    assert asked.take()[0].number == 1


def test_a_library_without_a_worker_comes_before_another_worker_of_one_that_works(turns):
    asked, made = turns("a", "a", "a", "b")
    assert [asked.take()[0].adapter for _ in range(2)] == ["a", "b"]
    assert len(made) == 2


def test_another_worker_of_one_library_is_started_while_it_is_unknown_how_long_cells_take(turns):
    asked, made = turns("a", "a", "a", given=("a",))
    first, second = asked.take(), asked.take()
    assert first[1] is not second[1]
    assert len(made) == 1


@pytest.mark.parametrize(("seconds", "starts"), [(0.1, False), (2 * ANOTHER_SECONDS, True)])
def test_afterwards_it_is_started_where_the_rest_takes_longer_than_starting_it(seconds, starts, turns):
    asked, made = turns("a", "a", "a", given=("a",))
    asked.give_back(*asked.take(), seconds)
    busy = asked.take()
    waiting = threading.Thread(target=asked.take, daemon=True)
    waiting.start()
    waiting.join(timeout=0.2)
    assert (len(made) == 1) == starts
    assert waiting.is_alive() != starts
    asked.give_back(*busy, seconds)
    waiting.join(timeout=10)
    assert not waiting.is_alive()


@pytest.mark.parametrize("given", [True, False])
def test_ended_nobody_waits_and_given_workers_are_ended_only_when_asked(given, turns):
    asked, made = turns("a", "a", "a", "b", given=("a",))
    asked.give_back(*asked.take(), 0.1)
    (_, own), _ = asked.take(), asked.take()
    waiting = threading.Thread(target=asked.take, daemon=True)
    waiting.start()
    asked.end(given=given)
    waiting.join(timeout=10)
    assert not waiting.is_alive()
    assert asked.take() is None
    assert made[0].ended
    assert own.ended == given


def test_each_turn_costs_the_same_however_many_cells_wait(turns):
    asked, _ = turns(*["a", "b"] * 100_000, given=("a", "b"))
    began = time.process_time()
    for number in range(2_000):
        cell, workers = asked.take()
        assert cell.number == number
        asked.give_back(cell, workers, 0.1)
    assert time.process_time() - began < 2, "where every turn looks at all that wait it takes a minute"
