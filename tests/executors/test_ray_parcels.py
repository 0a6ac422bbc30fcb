"""What a cell reads reaches a node that shares no folder, whole or not at all, and the cell is the same there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isotune import data, protocols
from isotune.errors import UsageError
from isotune.executors.ray import _drafts, _parcels
from isotune.executors.ray._parcels import Parcels, as_here, lacking, unpack
from isotune.models import contents
from isotune.runs import planning
from isotune.runs.claims import Claims
from isotune.runs.desk import Desk
from isotune.runs.drafts import Draft
from isotune.runs.planning import Matrix
from isotune.runs.records import Cell
from isotune.runs.store import Store
from isotune.weights import random_weights

QUICK = protocols.load("quick")
NETWORK = "import beside\nimport here\n\ndef make():\n    return beside.make(here.WIDTH)\n"


@pytest.fixture
def other(monkeypatch, tmp_path_factory):
    """A node: another cache, another folder. Calling it goes there."""
    place = tmp_path_factory.mktemp("node")

    def go() -> Path:
        monkeypatch.setenv("ISOTUNE_CACHE", str(place / "cache"))
        monkeypatch.chdir(place)
        return place

    return go


def cell(model: str = "example:random-features", checkpoint: str = "random:0") -> Cell:
    matrix = Matrix([model], ("digits",), (QUICK,), ("identical",), (0,), checkpoint)
    (planned,) = planning.cells(matrix, {"digits": data.prepare("digits")})
    return planned


def delivered(parcels: Parcels, order: dict) -> None:
    """As a seat and the driver do it."""
    for digest in lacking(order["needs"]):
        unpack(parcels.sent(digest), lambda reference: reference)
    assert lacking(order["needs"]) == []


def test_a_data_set_arrives_as_what_it_was(house, other) -> None:
    planned = cell()
    parcels = Parcels(lambda array: array)
    order = parcels.order(planned)
    assert lacking(order["needs"]) == [], "it is here"
    parcels.sent(planned.dataset_digest)
    other()
    assert lacking(order["needs"]) == [planned.dataset_digest]
    delivered(parcels, order)
    assert data.load("digits", planned.dataset_digest, verify=True).digest == planned.dataset_digest
    here, folder = as_here(order)
    assert (here, folder) == (planned, None)


def test_what_is_damaged_on_its_way_is_refused_and_leaves_nothing(house, other) -> None:
    planned = cell()
    parcels = Parcels(lambda array: array)
    order = parcels.order(planned)
    sent = parcels.sent(planned.dataset_digest)
    name = max(sent["files"], key=lambda each: sent["files"][each]["chunks"][0].size)
    flipped = np.array(sent["files"][name]["chunks"][0])
    flipped[len(flipped) // 2] ^= 1
    sent["files"][name]["chunks"][0] = flipped
    place = other()
    with pytest.raises(UsageError, match="was damaged on its way"):
        unpack(sent, lambda reference: reference)
    assert lacking(order["needs"]) == [planned.dataset_digest]
    assert not [path for path in place.rglob("*") if path.is_file() and path.suffix == ".npy"]


def test_a_cache_that_was_damaged_on_the_node_is_filled_again(house, other) -> None:
    planned = cell()
    parcels = Parcels(lambda array: array)
    order = parcels.order(planned)
    parcels.sent(planned.dataset_digest)
    place = other()
    delivered(parcels, order)
    (labels,) = place.rglob("test.labels.npy")
    labels.write_bytes(labels.read_bytes()[:-1])
    assert lacking(order["needs"]) == [planned.dataset_digest]
    delivered(parcels, order)


def test_a_checkpoint_of_ones_own_keeps_its_cells_key(house, other, monkeypatch) -> None:
    monkeypatch.setattr(_parcels, "CHUNK", 1000)
    weights = random_weights({"000.dense.kernel": (192, 256), "000.dense.bias": (256,)}, 0)
    weights.write(Path("own.safetensors"))
    planned = cell(checkpoint="file:own.safetensors::example:random-features")
    parcels = Parcels(lambda array: array)
    order = parcels.order(planned)
    assert len(parcels.sent(planned.weights_digest)["files"]["own.safetensors"]["chunks"]) > 100
    parcels.sent(planned.dataset_digest)
    other()
    delivered(parcels, order)
    here, _ = as_here(order)
    assert here.key == planned.key
    assert contents.weights_digest(here.checkpoint) == planned.weights_digest
    assert here.checkpoint.endswith("own.safetensors::example:random-features")


def test_what_stands_beside_a_checkpoint_travels_with_it(house, other) -> None:
    random_weights({"000.dense.kernel": (192, 256)}, 0).write(Path("own.safetensors"))
    Path("config.json").write_text('{"mean": 0.5, "std": 0.5}')
    planned = cell(checkpoint="file:own.safetensors")
    assert planned.beside_digest == contents.beside_digest("file:own.safetensors") is not None
    parcels = Parcels(lambda array: array)
    order = parcels.order(planned)
    assert set(parcels.sent(order["weights"]["digest"])["files"]) == {"own.safetensors", "config.json"}
    parcels.sent(planned.dataset_digest)
    other()
    delivered(parcels, order)
    here, _ = as_here(order)
    assert here.key == planned.key
    assert contents.files("x", here.checkpoint)[3:] == (planned.weights_digest, planned.beside_digest)


def test_a_checkpoint_that_changed_meanwhile_is_not_sent(house) -> None:
    random_weights({"000.dense.kernel": (192, 256)}, 0).write(Path("own.safetensors"))
    planned = cell(checkpoint="file:own.safetensors")
    parcels = Parcels(lambda array: array)
    parcels.order(planned)
    Path("own.safetensors").write_bytes(b"other")
    with pytest.raises(UsageError, match=r"own\.safetensors was changed meanwhile; start the run again"):
        parcels.sent(planned.weights_digest)


@given(
    place=st.lists(st.sampled_from("ab"), max_size=3),
    started=st.lists(st.sampled_from("ab"), max_size=3),
    absolute=st.booleans(),
)
@settings(max_examples=25)
def test_a_network_of_ones_own_finds_its_modules_and_keeps_its_cells_key(
    place, started, absolute, packages, shared_cache, tmp_path_factory
) -> None:
    """Wherever it stands, and wherever the run was started."""
    before, root = Path.cwd(), tmp_path_factory.mktemp("home")
    file, here = root.joinpath(*place, "net.py"), root.joinpath(*started)
    for folder in (file.parent, here):
        folder.mkdir(parents=True, exist_ok=True)
    file.write_text(NETWORK)
    (file.parent / "beside.py").write_text("from .other import make\n")
    (file.parent / "other.py").write_text("def make(width): ...\n")
    (here / "here.py").write_text("WIDTH = 3\n")
    (here / "unrelated.py").write_text("")
    try:
        os.chdir(here)
        model = f"torch:{file if absolute else os.path.relpath(file)}:make:width=2"
        digest = contents.network_digest(model)
        template = Cell(
            model=model, network_digest=digest, checkpoint="random:0", dataset="digits", dataset_digest="0" * 64,
            protocol=QUICK, seeds={"head": 0, "order": 0, "augmentation": 0},
        )  # fmt: skip
        parcel, renamed, folder = _parcels._network(model, here)
        assert {Path(name).name for name in parcel.files} == {"net.py", "beside.py", "other.py", "here.py"}
        node = tmp_path_factory.mktemp("node")
        for name, source in parcel.files.items():
            (node / name).parent.mkdir(parents=True, exist_ok=True)
            (node / name).write_bytes(source)
        (node / folder).mkdir(parents=True, exist_ok=True)
        os.chdir(node / folder)
        there = template.model_copy(update={"model": renamed})
        assert contents.network_digest(renamed) == digest
        assert there.key == template.key
    finally:
        os.chdir(before)


def test_a_draft_goes_home_when_it_is_newer_and_comes_along_with_its_cell(house, other) -> None:
    planned = cell()
    store = Store(house / "records")
    store.check()
    desk = Desk(store, Claims(store.folder))
    there = _drafts.Kept(Draft(house / "there", planned))
    there.place([], np.asarray)
    assert (there.there, there.newer()) == (False, None)
    draft = house / "there/.drafts" / f"{planned.key}.safetensors"
    draft.parent.mkdir(parents=True)
    draft.write_bytes(b"half of it")
    with desk.begin(planned) as begun:
        assert _drafts.handed(begun, bytes) == []
        _drafts.taken(begun, {"draft": there.newer(), "key": planned.key})
        assert there.newer() is None, "it is home"
        assert begun.draft.path.read_bytes() == b"half of it"
        handed = _drafts.handed(begun, np.array)
        next_ = _drafts.Kept(Draft(house / "elsewhere", planned))
        next_.place(handed, np.asarray)
        assert (house / "elsewhere/.drafts" / draft.name).read_bytes() == b"half of it"
        assert next_.newer() is None, "it came from there"
        Path(begun.ticket["path"]).write_text("{}")  # another process took the cell over
        _drafts.taken(begun, {"draft": np.frombuffer(b"other", np.uint8), "key": planned.key})
        assert begun.draft.path.read_bytes() == b"half of it"
