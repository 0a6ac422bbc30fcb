"""Seed streams: each is drawn from by its own seed alone, and one that is not said is what it was before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from isotune import data
from isotune.data.augmentation import Augmenter
from isotune.protocols import Augmentation, Images, Input
from isotune.runs.training import dropout_mask
from isotune.seeds import FORMER, STREAMS, Seeds, apart

seeds = st.builds(
    Seeds, **dict.fromkeys(("head", "order", "augmentation"), st.integers(0, 3)),
    **dict.fromkeys(FORMER, st.none() | st.integers(0, 3)),
)  # fmt: skip


@given(seeds)
def test_there_is_one_way_to_write_each_run(given_seeds: Seeds) -> None:
    said = given_seeds.model_dump(mode="json")
    assert Seeds.from_streams(given_seeds.streams) == Seeds.model_validate(said) == given_seeds
    assert set(said) - set(FORMER) == {"head", "order", "augmentation"}
    for stream, former in FORMER.items():
        assert said.get(stream, said[former]) == given_seeds.of(stream)
        assert said.get(stream) != said[former]


def test_one_seed_for_all_is_written_as_it_always_was() -> None:
    assert Seeds.all(3).model_dump(mode="json") == {"head": 3, "order": 3, "augmentation": 3}
    assert (str(Seeds.all(3)), str(Seeds(head=0, order=1, augmentation=0))) == ("3", "0/1/0")
    assert str(Seeds(head=3, order=3, augmentation=3, mixing=1, dropout=3)) == "3 mixing 1"
    with pytest.raises(ValidationError):
        Seeds(head=0, order=0, augmentation=0, mixing=-1)


def test_only_streams_that_were_drawn_apart_are_told_apart() -> None:
    crossed = [Seeds(head=0, order=order, augmentation=0, mixing=mixing) for order in (0, 1) for mixing in (0, 1)]
    assert [list(each) for each in apart(crossed)] == [["head", "order", "augmentation", "mixing"]] * 4
    assert [each["mixing"] for each in apart(crossed)] == [0, 1, 0, 1]
    assert apart([Seeds.all(2)]) == [{"head": 2, "order": 2, "augmentation": 2}]


TECHNIQUES = {
    "augmentation": Augmentation(horizontal_flip=0.5),
    "policy": Augmentation(policy=({"name": "rand-augment", "magnitude": 20},)),
    "erasing": Augmentation(random_erasing={"probability": 0.9, "fill": "noise"}),
    "mixing": Augmentation(mixing={"mixup": 0.8, "partner": "shuffled"}),
}


@pytest.mark.parametrize("stream", TECHNIQUES)
def test_what_a_technique_draws_depends_on_its_stream_alone(
    stream: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path_factory.getbasetemp() / "seeds"))
    digits = data.prepare("digits")
    source = Augmenter(digits, Images(train=20), Input(size=16), TECHNIQUES[stream])

    def drawn(of: Seeds) -> tuple[np.ndarray, np.ndarray]:
        return source.batch(1, np.arange(20), of)

    before, targets = drawn(Seeds.all(0))
    for other in STREAMS:
        images, others = drawn(Seeds(**dict.fromkeys(STREAMS, 0) | {other: 1}))
        assert np.array_equal(images, before) == (other != stream)
        assert np.array_equal(others, targets) or other == stream == "mixing"
    along = drawn(Seeds(**{"head": 0, "order": 0, "augmentation": 0} | {FORMER.get(stream, stream): 5}))[0]
    assert np.array_equal(along, drawn(Seeds.all(5))[0])  # as before it had a stream of its own


def test_masks_depend_on_the_dropout_stream_alone() -> None:
    def mask(**own: int) -> np.ndarray:
        drawn = dropout_mask(Seeds(**{"head": 0, "order": 0, "augmentation": 0} | own), 0, 7, (20, 30), 0.2)
        assert drawn is not None
        return drawn

    np.testing.assert_array_equal(mask(), mask(head=1, augmentation=1, mixing=1))
    np.testing.assert_array_equal(mask(order=1), mask(dropout=1))
    np.testing.assert_array_equal(mask(), mask(order=1, dropout=0))
    assert (mask() != mask(dropout=1)).any()


def test_the_masks_of_a_seed_are_those_of_before_they_had_a_stream() -> None:
    np.testing.assert_array_equal(
        dropout_mask(Seeds.all(4), 1, 2, (2, 3), 0.5),
        (np.random.default_rng([4, 1, 2, 0xD409]).random((2, 3)) >= 0.5).astype(np.float32) * 2,
    )
