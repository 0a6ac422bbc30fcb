"""Models that a worker built are kept as far as they are few, or small."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from isotune.comparison.observations import Observations
from isotune.comparison.recorder import Recorder
from isotune.comparison.sides import Inputs, Request, Side
from isotune.models.building import KEPT_MODELS, Builder
from isotune.protocols import Mode, load

SIZE = 32


def build(builder, number, checkpoint="pretrained"):
    return builder.build(
        "example:random-features", checkpoint=checkpoint, conventions=f"native,batchnorm_epsilon={number}e-3",
        recipe={}, classes=2, mode=Mode(), size=SIZE,
    )  # fmt: skip


@pytest.fixture
def worker(house):
    from isotune_example import ExampleAdapter

    class Counting(ExampleAdapter):
        """Remembers under which conventions it built."""

        def __init__(self):
            super().__init__()
            self.built = []

        def build(self, name, **asked):
            self.built.append(asked["conventions"])
            return super().build(name, **asked)

    return SimpleNamespace(adapter=Counting())


@pytest.mark.parametrize(("most", "fits", "kept"), [(KEPT_MODELS, 9, KEPT_MODELS), (4, 9, 4), (4, 3, 3), (4, 1, 2)])
def test_the_latest_models_are_kept_more_than_two_of_them_where_there_is_room(worker, most, fits, kept):
    room = fits * build(Builder(worker), 1).parameters
    builder = Builder(worker, most=most, room=room)
    models = [build(builder, number) for number in (1, 2, 3, 4, 5)]
    worker.adapter.built.clear()
    assert [build(builder, number) for number in (5, 4, 3, 2, 1)[:kept]] == models[::-1][:kept]
    assert worker.adapter.built == []
    build(builder, 5 - kept)
    assert len(worker.adapter.built) == 1


@pytest.mark.parametrize(("room", "drawn"), [(0, 3), (10**9, 1)])
def test_a_checkpoint_that_fits_is_drawn_once(worker, room, drawn):
    builder = Builder(worker, room=room)
    for number in (1, 2, 3):
        build(builder, number, "random:0")
    assert len(worker.adapter.built) == 3 + drawn


def test_sides_that_differ_in_head_and_optimizer_alone_are_one_network_and_each_shows_its_own(worker, tmp_path):
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), np.uint8))
    np.save(tmp_path / "labels.npy", np.arange(4) % 2)
    stage = load("quick-fine-tune").stage[0]
    inputs = Inputs(recipe={}, stage=stage, rates=(0.5, 0.25), classes=2, size=SIZE, seed=0)
    plain = Side(model="example:random-features", checkpoint="pretrained", numeric_mode="float64")
    sides = [plain, plain.under({"head_initialisation": "glorot-uniform", "momentum_form": "rate-inside"}), plain]

    def shown(recorder, side, number):
        request = Request(
            side=side, inputs=inputs, part="drift", images=str(tmp_path / "images.npy"),
            labels=str(tmp_path / "labels.npy"),
        )  # fmt: skip
        recorder.record(request, tmp_path / f"{number}")
        axes = recorder.describe(side, inputs)["axes"]
        losses = [float(loss) for loss in Observations(tmp_path / f"{number}").values()]
        return axes["head_initialisation"], axes["momentum_form"], *losses

    recorder = Recorder(worker)
    together = [shown(recorder, side, number) for number, side in enumerate(sides)]
    assert len(worker.adapter.built) == 1
    assert together[0] == together[2] != together[1]
    assert together == [shown(Recorder(worker), side, 3 + number) for number, side in enumerate(sides)]
