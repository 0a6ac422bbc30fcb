"""What tests of reports on evaluations share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation_factories import CLASSES, IMAGES, Kept

from isotune import data
from isotune.runs.records import Record
from isotune.runs.store import Store


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    stream = np.random.default_rng(0)
    labels = np.arange(IMAGES) % CLASSES
    coarse = stream.integers(0, 256, (IMAGES, 5, 5, 3), dtype=np.uint8)
    pixels = coarse.repeat(16, axis=1).repeat(16, axis=2)
    np.savez(tmp_path / "some.npz", x_train=pixels[:6], y_train=labels[:6], x_test=pixels, y_test=labels)
    return Kept(data.prepare(f"npz:{tmp_path / 'some.npz'}"), Store(tmp_path / "records"))


@pytest.fixture
def steps(kept: Kept) -> list[Record]:
    """One model with five steps: two that cost, one that does not, one that is the same, and its native set-up."""
    return [
        kept.evaluated(30),
        kept.evaluated(60, conventions="identical,stride2_padding=same", start=10),
        kept.evaluated(31, conventions="identical,resize=plain", start=1),
        kept.evaluated(30, conventions="identical,input_scaling=mean-std", same_as="identical"),
        kept.evaluated(90, step="squash"),
        kept.evaluated(40, conventions="native", start=25),
    ]
