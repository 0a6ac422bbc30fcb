"""What a numeric mode leaves of the digits."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from isotune.runs import precision, requests
from isotune.runs.stopwatch import Measurement
from isotune.workers.process import WorkerProcess


class Rounded:
    """A model whose parts are known, off by a known share in float32."""

    def __init__(self, mode: str, off: float) -> None:
        self.factor = 1 + (off if mode == "float32" else 0)
        self.seen: list[np.ndarray] = []

    def features(self, images: np.ndarray) -> np.ndarray:
        self.seen.append(images)
        return np.full((len(images), 3), 2.0 * self.factor)

    def gradients(self, images: np.ndarray, _labels: np.ndarray) -> dict[str, np.ndarray]:
        self.seen.append(images)
        return {"a": np.array([3.0 * self.factor]), "b": np.array([4.0]), "loss": np.array(0.5 * self.factor)}


def test_errors_are_relative_to_the_norm_of_float64():
    made = [Rounded(mode, 1e-3) for mode in ("float64", "float32")]

    def built(model: Rounded) -> SimpleNamespace:
        return SimpleNamespace(model=model, initial={"head.kernel": np.zeros((3, 2))}, reset=lambda _head: None)

    exact, rounded = (precision.shown(built(model), batch_size=4, image_size=20, classes=2) for model in made)
    noise = precision.noise(exact, rounded)
    assert noise.features == pytest.approx(1e-3)
    assert noise.loss == pytest.approx(1e-3)
    assert noise.gradients == pytest.approx(3e-3 / 5)
    first, *others = [images for model in made for images in model.seen]
    assert (first.shape, first.dtype) == ((4, 20, 20, 3), np.uint8)
    assert all((images == first).all() for images in others)


def test_float32_is_off_by_its_digits_and_float64_is_not(house):
    worker = WorkerProcess("example")
    try:
        asked = Measurement(
            question="training-step", model="example:random-features", checkpoint="random:0", batch_size=4
        ).model_dump(mode="json")
        noise = worker.ask(requests.noise, measurement=asked)
        again = worker.ask(requests.noise, measurement={**asked, "numeric_mode": "float64"})
    finally:
        worker.stop()
    assert 0 < noise["features"] < 1e-5
    assert again == {"features": 0, "loss": 0, "gradients": 0}
