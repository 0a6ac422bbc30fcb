"""Planning: cells in turns, and wrong names before anything runs."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_factories import QUICK

from isotune import data, protocols
from isotune.errors import UsageError
from isotune.executors import Local
from isotune.runs.driver import Driver
from isotune.runs.planning import Matrix, cells, check_cells, parse_seeds, plan, replaced
from isotune.runs.store import Store
from isotune.workers.process import Workers


@pytest.fixture
def planned(house):
    def make(**values):
        matrix = Matrix(**{"models": ["example:random-features"], "checkpoint": "random:0"} | values)
        with Workers() as workers:
            return plan(matrix, {name: data.prepare(name) for name in matrix.datasets}, workers)

    return make


def test_models_take_turns_within_conventions_within_seeds(planned):
    cells = planned(models=["example:random-features", "faulty:works"], seeds=[3, 5], protocols=["quick"])
    assert [(cell.seeds.head, cell.conventions, cell.adapter) for cell in cells] == [
        (seed, spec, adapter)
        for seed in (3, 5)
        for spec in ("identical", "native")
        for adapter in ("example", "faulty")
    ]
    assert len({cell.key for cell in cells}) == len(cells)


def test_a_protocol_that_can_train_none_of_its_models_is_refused_before_anything_runs(planned):
    def recipe(**stage):
        short = protocols.load("vtab-short")
        return short.model_copy(update={"stage": (short.stage[0].model_copy(update=stage),)})

    for stage, said in (
        ({"trained": "from:050.conv"}, "vtab-short: example:random-features: stage.0: trained = .*no such layer"),
        ({"stochastic_depth": protocols.StochasticDepth(rate=0.1)}, "trains without stochastic depth"),
    ):
        with pytest.raises(UsageError, match=said):
            planned(protocols=[recipe(**stage)], seeds=[0])
    other = "torchvision:mobilenet_v2:width_mult=0.35"  # which has such a layer: the cells of the first fail alone
    both = ["example:random-features", other]
    assert planned(models=both, protocols=[recipe(trained="from:050.conv")], seeds=[0], conventions=["identical"])


def test_one_thing_spelled_in_two_ways_is_one_cell(planned):
    specs = ["native,loss=logits,decode=pillow", "native, decode=pillow, loss=logits"]
    one, two = planned(conventions=specs, seeds=[0])
    assert one.key == two.key
    names = ["example:random-features:width=8", "example:random-features:width=8"]
    assert len(planned(models=names, conventions=["identical"], seeds=[0])) == 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"models": ["example:random-feature"]}, "did you mean 'random-features'"),
        ({"models": ["exmple:random-features"]}, "did you mean 'example'"),
        ({"protocols": ["qick"]}, "did you mean 'quick'"),
        ({"conventions": ["identicl"]}, "did you mean 'identical'"),
        ({"conventions": ["native,strde2_padding=end"]}, "did you mean 'stride2_padding'"),
        ({"checkpoint": "random:x"}, "random needs a seed"),
        ({"checkpoint": "file:nowhere.pt"}, "there is no file nowhere.pt"),
        ({"checkpoint": "offline:1"}, "takes no argument"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(planned, values, said):
    with pytest.raises(UsageError, match=said):
        planned(**values)


def test_fewer_images_than_classes_are_refused_with_what_would_be_valid(planned, house):
    (house / "few.toml").write_text(
        'name = "few"\ntitle = "Few"\nsource = "test"\nimages = { train = 9 }\nprobe = { l2 = [0.1] }\n',
        encoding="utf-8",
    )
    with pytest.raises(UsageError, match=r"few: images.train = 9 is fewer than the 10 classes of digits"):
        planned(protocols=["./few.toml"])


def test_seeds_are_a_number_a_list_or_a_range():
    assert parse_seeds("3") == [0, 1, 2]
    assert parse_seeds("0,4,7") == [0, 4, 7]
    assert parse_seeds("5-9") == [5, 6, 7, 8, 9]
    assert parse_seeds("1,1,2-3") == [1, 2, 3]
    assert parse_seeds("7,") == [7]


@given(st.text(alphabet="0123456789,- x", max_size=8))
def test_seeds_are_refused_in_one_line_or_understood(text):
    with contextlib.suppress(UsageError):
        seeds = parse_seeds(text)
        assert seeds
        assert all(seed >= 0 for seed in seeds)
        assert len(set(seeds)) == len(seeds)


def test_other_weights_under_a_checkpoints_name_are_told(house, warm) -> None:
    matrix = Matrix(["example:random-features"], ("digits",), (QUICK,), ("identical", "native"), (0, 1), "random:0")
    planned, store = cells(matrix, {"digits": data.prepare("digits")}), Store(house / "records")
    with Workers() as workers:
        loaded = check_cells(planned, workers)
        assert list(replaced(planned, loaded, store)) == []
        (first,) = Driver(store, Local(workers=workers)).run(planned[:1])
        assert list(replaced(planned, loaded, store)) == [], "a cell loads what the check loaded"
    (asked,) = loaded
    (line,) = replaced(planned, {asked: "0" * 64}, store)
    assert "checkpoint 'random:0' of example:random-features has other weights now than on 20" in line
    assert first.checkpoint_digest == loaded[asked]
