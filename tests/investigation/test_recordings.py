"""Both sides are asked at the same time, and not where their networks are large."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from isotune.comparison import requests
from isotune.comparison.sides import ONE_AT_A_TIME, Side
from isotune.errors import UsageError
from isotune.investigation._recordings import Recordings
from isotune.investigation._sides import inputs
from isotune.protocols import load

SIDES = {"left": Side(model="a:m", checkpoint="random:0"), "right": Side(model="b:m", checkpoint="random:0")}
STAGE = inputs(load("quick-fine-tune"), SimpleNamespace(train=range(64), classes=("one", "two")), 2, 0)


class Answering:
    """In the place of a worker: counts how many answer at the same time."""

    at_work, most = 0, 0
    lock = threading.Lock()
    together: threading.Barrier | None = None

    def __init__(self, parameters, error=None):
        self.parameters, self.error = parameters, error

    def ask(self, do, **request):
        if do is requests.describe:
            return {"axes": {}, "layers": {}, "environment": {}, "parameters": self.parameters}
        cls = type(self)
        with cls.lock:
            cls.at_work += 1
            cls.most = max(cls.most, cls.at_work)
        if cls.together is not None:
            cls.together.wait(timeout=10)
        with cls.lock:
            cls.at_work -= 1
        if self.error:
            raise self.error
        return None

    def end(self):
        """Nothing runs."""


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    def make(parameters, **errors):
        monkeypatch.setattr(Answering, "at_work", 0)
        monkeypatch.setattr(Answering, "most", 0)
        workers = {which: Answering(parameters, errors.get(which)) for which in SIDES}
        batch = SimpleNamespace(labels=lambda: np.zeros(2, np.int64))
        made = Recordings(SIDES, STAGE, batch, workers, tmp_path)
        made.describe()
        return made

    return make


def _both(made):
    return made.both(*((side, "logits", "images.npy", {}) for side in SIDES.values()))


def test_both_sides_are_recorded_at_the_same_time_and_once(recordings, monkeypatch):
    made = recordings(1000)
    monkeypatch.setattr(Answering, "together", threading.Barrier(2))
    ours, theirs = _both(made)
    assert Answering.most == 2
    assert ours.name.endswith("-left")
    assert theirs.name.endswith("-right")
    assert _both(made) == (ours, theirs)  # kept: nobody waits at the barrier


def test_large_networks_are_recorded_one_after_the_other(recordings, monkeypatch):
    monkeypatch.setattr(Answering, "together", None)
    _both(recordings(ONE_AT_A_TIME + 1))
    assert Answering.most == 1


def test_library_models_of_two_architectures_are_refused_where_their_layers_are_not_the_same(tmp_path):
    conv, norm = {"name": "000.conv", "shape": [3, 3, 3, 8]}, {"name": "001.norm", "shape": [8], "inputs": ["000.conv"]}
    more = {"name": "002.norm", "shape": [8], "inputs": ["001.norm"]}

    def described(architecture, *places):
        answer = {"axes": {}, "layers": {}, "architecture": architecture, "places": places}
        return SimpleNamespace(ask=lambda *_, **__: answer)

    def described_by(left, right):
        made = Recordings(SIDES, STAGE, None, {"left": left, "right": right}, tmp_path)
        made.describe()
        return made

    described_by(described("one", conv, norm), described("another", conv, norm))  # two names of one network
    assert described_by(described("one", conv, norm), described("one", conv, norm, more)).pairing.only_right
    with pytest.raises(UsageError, match="a:m and b:m: they are two architectures, one and another: of 2 layers"):
        described_by(described("one", conv, norm), described("another", conv, norm, more))


def test_the_side_that_failed_says_why_and_what_the_other_showed_is_kept(recordings, monkeypatch):
    monkeypatch.setattr(Answering, "together", threading.Barrier(2))  # both are at work when one fails
    made = recordings(1000, left=UsageError("the left cannot"))
    with pytest.raises(UsageError, match="the left cannot"):
        _both(made)
    assert made.took("right", "logits")


def test_what_was_asked_ahead_is_not_asked_again(recordings, monkeypatch):
    monkeypatch.setattr(Answering, "together", None)
    made = recordings(1000)
    side = SIDES["right"]
    made.ahead("right", [(side, "logits", "images.npy", {}), (side, "drift", "images.npy", {})])
    folder = made.of("right", side, "drift", "images.npy")
    for thread in made._ahead:
        thread.join(10)
    assert made.of("right", side, "drift", "images.npy") == folder
    assert len(made.kept()) == 2


def test_what_fails_ahead_is_left_for_whoever_needs_it(recordings, monkeypatch):
    monkeypatch.setattr(Answering, "together", None)
    made = recordings(1000, right=UsageError("the right cannot"))
    made.ahead("right", [(SIDES["right"], "logits", "images.npy", {})])
    made.close()
    with pytest.raises(UsageError, match="the right cannot"):
        made.of("right", SIDES["right"], "logits", "images.npy")


def test_large_networks_and_those_that_are_closed_are_asked_nothing_ahead(recordings, monkeypatch):
    monkeypatch.setattr(Answering, "together", None)
    for made in (recordings(ONE_AT_A_TIME + 1), recordings(1000)):
        if not made._large:
            made.close()
        made.ahead("left", [(SIDES["left"], "logits", "images.npy", {})])
        assert not made._ahead
