"""The random layers of Keras: the same images within a grey level, the same laws."""

from __future__ import annotations

import numpy as np
import pytest
from keras_processes import process_of

from isotune.data import policies
from isotune.data.operations import applied
from isotune.protocols import RandomContrast, RandomFlip, RandomRotation, RandomTranslation

pytestmark = pytest.mark.xdist_group("keras")
STREAM = np.random.default_rng(3)
NOISE = STREAM.integers(0, 256, (37, 52, 3), dtype=np.uint8)
IMAGE = (0.3 * NOISE + 2.5 * np.arange(52)[:, None] + np.arange(37)[:, None, None]).astype(np.uint8)
LAYERS = {
    "random-rotation": (RandomRotation(turn=0.15), "turn"),
    "random-translation": (RandomTranslation(height=0.2, width=0.1), "shift"),
    "random-flip": (RandomFlip(axes="both"), "half-turn"),
    "random-contrast": (RandomContrast(factor=(1.0, 1.3)), "channel-contrast"),
}


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    pytest.importorskip("importlib.metadata").version("tensorflow")
    folder = tmp_path_factory.mktemp("random-layers")
    np.save(folder / "image.npy", IMAGE)
    process_of("tensorflow").run("images/random_layers.py", folder / "image.npy", folder / "out.npz")
    with np.load(folder / "out.npz") as results:
        return {name: results[name] for name in results.files}


@pytest.mark.parametrize("name", LAYERS)
def test_an_operation_is_that_of_keras_within_a_grey_level(name: str, keras: dict[str, np.ndarray]) -> None:
    operation = LAYERS[name][1]
    seen = set()
    for wanted, drawn in zip(keras[f"{name}.images"], keras[f"{name}.drawn"].reshape(8, -1), strict=True):
        done = [] if operation == "half-turn" and not drawn[0] else [(operation, *map(float, drawn))]
        found = applied(IMAGE, done)
        assert found.dtype == np.uint8
        assert np.abs(found - wanted).max() <= 0.51
        assert abs((found - wanted).mean()) < 0.02  # rounded, not cut off
        seen.add(found.tobytes())
    assert len(seen) > 1


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_drawn_has_the_law_of_keras(name: str, keras: dict[str, np.ndarray]) -> None:
    policy, operation = LAYERS[name]
    wanted = keras[f"{name}.law"].reshape(3000, -1).astype(float)
    drawn = [policies.drawn(policy, 40, 50, STREAM) for _ in range(3000)]
    assert {each[0][0] for each in drawn if each} == {operation}
    found = np.array([each[0][1:] if each else (0.0,) for each in drawn])
    assert found.shape == wanted.shape
    error = 4 * wanted.std(axis=0) * (2 / 3000) ** 0.5
    assert (np.abs(found.mean(axis=0) - wanted.mean(axis=0)) < error).all()
    np.testing.assert_allclose(found.std(axis=0), wanted.std(axis=0), rtol=0.05)
    if name != "random-flip":
        np.testing.assert_allclose(np.abs(found).max(axis=0), np.abs(wanted).max(axis=0), rtol=0.02)


def test_keras_flips_both_ways_or_neither_and_its_contrast_only_rises(keras: dict[str, np.ndarray]) -> None:
    """RandomFlip's default draws once for both axes; RandomContrast(f) says 1 - f to 1 + f and draws from 1."""
    flipped = {IMAGE.tobytes(), IMAGE[::-1, ::-1].tobytes()}
    assert {each.astype(np.uint8).tobytes() for each in keras["random-flip.images"]} == flipped
    assert keras["random-contrast.law"].min() >= 1
