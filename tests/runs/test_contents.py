"""A cell is another one where what decides its result is, and the same wherever its files stand."""

from __future__ import annotations

import io
import itertools
import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from record_factories import QUICK, cell, record

from isotune import data, names, protocols
from isotune.errors import UsageError
from isotune.executors import Local
from isotune.models import contents
from isotune.progress import untold
from isotune.runs import cell_runner, earlier, planning
from isotune.runs.cell_runner import CellRunner
from isotune.runs.driver import Driver, done
from isotune.runs.planning import Matrix
from isotune.runs.records import Cell, Record
from isotune.runs.store import Store
from isotune.weights import random_weights
from isotune.workers import environment
from isotune.workers.worker import Worker

NETWORK = "import layers\n\ndef make(): return layers.Network()\n"


def key(model: str = "torch:port.py:make", checkpoint: str = "random:0", **changes) -> str:
    asked = cell(
        model=model, network_digest=contents.network_digest(model), checkpoint=checkpoint,
        weights_digest=contents.weights_digest(checkpoint), **changes,
    )  # fmt: skip
    assert Cell.model_validate_json(asked.model_dump_json()).key == asked.key
    return asked.key


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("port.py").write_text(NETWORK)
    Path("layers.py").write_text("class Network: width = 8\n")
    Path("weights.pth").write_bytes(b"one")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "content"),
    [("port.py", NETWORK + "# other\n"), ("layers.py", "class Network: width = 9\n"), ("weights.pth", "two")],
)
def test_an_edited_file_makes_another_cell_and_put_back_the_same(files, file, content) -> None:
    before = key(checkpoint="file:weights.pth")
    former = Path(file).read_text()
    Path(file).write_text(content)
    assert key(checkpoint="file:weights.pth") != before
    Path(file).write_text(former)
    assert key(checkpoint="file:weights.pth") == before


def test_a_module_deep_in_a_package_beside_the_network_counts(files) -> None:
    (files / "parts" / "deep").mkdir(parents=True)
    for name in ("parts/__init__.py", "parts/deep/__init__.py"):
        Path(name).write_text("")
    Path("parts/deep/block.py").write_text("from .. import scale\nfrom . import norm\n")
    Path("parts/deep/norm.py").write_text("EPSILON = 1e-3\n")
    Path("parts/scale.py").write_text("FACTOR = 1\n")
    Path("port.py").write_text("from parts.deep.block import make\n")
    keys = {key()}
    for name in ("parts/__init__.py", "parts/deep/norm.py", "parts/scale.py", "parts/deep/block.py"):
        with Path(name).open("a") as file:
            file.write("# other\n")
        keys.add(key())
    assert len(keys) == 5


def test_files_elsewhere_are_the_same_cell(files, monkeypatch) -> None:
    before = key(checkpoint="file:weights.pth::torchvision:resnet18")
    elsewhere = files / "else where"
    elsewhere.mkdir()
    for name in ("port.py", "layers.py", "weights.pth"):
        shutil.move(files / name, elsewhere / name)
    assert key(f"torch:{elsewhere}/port.py:make", f"file:{elsewhere}/weights.pth::torchvision:resnet18") == before
    monkeypatch.chdir(elsewhere)
    shutil.move("port.py", "other.py")
    shutil.move("weights.pth", "other.pth")
    assert key("torch:./other.py:make", "file:./other.pth::torchvision:resnet18") == before


def test_what_is_beside_the_path_still_counts(files) -> None:
    shutil.copy("weights.pth", "weights.h5")
    keys = [
        key(), key("torch:port.py:build"), key("torch:port.py:make:width=2"), key("keras:port.py:make"),
        key(checkpoint="file:weights.pth"), key(checkpoint="file:weights.h5"),
        key(checkpoint="file:weights.pth::torchvision:resnet18"), key(checkpoint="file:weights.pth::timm:resnet18"),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)


def test_a_network_that_is_no_python_or_imports_what_is_not_there_has_a_digest(files) -> None:
    Path("port.py").write_text("import nothing_there, json.decoder\nfrom . import neither\n")
    first = key()
    Path("port.py").write_text("this is = no python (\n")
    assert key() != first
    with pytest.raises(UsageError, match=r"nowhere\.py"):
        contents.network_digest("torch:nowhere.py:make")


def test_a_protocol_is_known_by_its_values_and_not_by_its_file(files) -> None:
    text = 'name = "own"\ntitle = "Own"\nsource = "test"\nimages = { train = 90 }\nprobe = { l2 = [0.1] }\n'
    for name, content in {
        "one.toml": text,
        "two.toml": "# in other words\n" + text.replace("{ train = 90 }", "{train=90}"),
        "three.toml": text.replace("90", "91"),
        "four.toml": text.replace("0.1", "0.2"),
    }.items():
        Path(name).write_text(content)
    one, two, three, four = (key(protocol=protocols.load(f"./{name}.toml")) for name in ("one", "two", "three", "four"))
    assert one == two
    assert len({one, three, four}) == 3


def test_a_folder_of_images_elsewhere_is_the_same_data_and_another_image_another(house) -> None:
    def planned(place: str) -> str:
        images = data.prepare(name := f"npz:{place}")
        matrix = Matrix(["example:random-features"], (name,), (QUICK,), ("identical",), (0,), "random:0")
        (only,) = planning.cells(matrix, {name: images})
        return only.key

    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.integers(256, size=(40, 8, 8, 3), dtype=np.uint8), "y_train": np.arange(40) % 4}
    arrays |= {"x_test": arrays["x_train"][:8], "y_test": arrays["y_train"][:8]}
    arrays["x_train"] = arrays["x_train"].copy()
    np.savez("one.npz", **arrays)
    (house / "elsewhere").mkdir()
    shutil.copy("one.npz", "elsewhere/two.npz")
    arrays["x_train"][0, 0, 0, 0] ^= 1
    np.savez("three.npz", **arrays)
    assert planned("one.npz") == planned("elsewhere/two.npz") != planned("three.npz")


def test_a_record_is_the_answer_to_what_is_asked_now(tmp_path) -> None:
    store = Store(tmp_path)
    there, here = (cell(model=f"torch:{place}:make", network_digest="1" * 64) for place in ("/old/a.py", "b.py"))
    store.write(record(there), np.arange(3))
    assert store.read(here) == record(here)
    assert store.predictions(store.read(here)).tolist() == [0, 1, 2]
    assert store.read(cell(model="torch:b.py:make", network_digest="2" * 64)) is None
    assert store.all() == [record(there)]


@pytest.mark.parametrize(
    ("asked", "answers"),
    [
        ({"dataset": "npz:/photos/b.npz"}, True),
        ({"model": "torch:port.py:make", "network_digest": "1" * 64}, False),
        ({"checkpoint": "file:w.pth", "weights_digest": "1" * 64}, False),
    ],
)
def test_a_record_of_version_3_answers_for_a_folder_but_for_no_file(tmp_path, asked, answers) -> None:
    """Nobody knows what the file was then."""
    store, now = Store(tmp_path), cell(**asked)
    then = json.loads(record(now).model_dump_json()) | {"version": 3}
    del then["cell"]["network_digest"], then["cell"]["weights_digest"], then["cell"]["beside_digest"]
    place = tmp_path / earlier.digest(then["cell"])
    place.mkdir()
    (place / "record.json").write_text(json.dumps(then))
    assert (store.read(now) is not None) == answers
    assert (len(store.all()), store.damaged) == (1, []), "it is read all the same"


def test_a_checkpoint_that_changes_after_planning_fails_its_cell(house) -> None:
    random_weights({"000.dense.kernel": (192, 256), "000.dense.bias": (256,)}, 0).write(Path("own.safetensors"))
    matrix = Matrix(["example:random-features"], ("digits",), (QUICK,), ("identical",), (0,), "file:own.safetensors")
    (planned,) = planning.cells(matrix, {"digits": data.prepare("digits")})
    Path("own.safetensors").write_bytes(Path("own.safetensors").read_bytes() + b" ")
    (failed,) = Driver(Store(house / "records"), Local()).run([planned])
    assert "file:own.safetensors was changed after this cell was planned" in failed.error


@pytest.mark.parametrize("name", [environment.CODE, environment.CORE])
def test_a_record_of_other_code_of_the_adapter_or_of_isotune_does_not_count(house, monkeypatch, name) -> None:
    matrix = Matrix(["example:random-features"], ("digits",), (QUICK,), ("identical",), (0,), "random:0")
    (planned,) = planning.cells(matrix, {"digits": data.prepare("digits")})
    store = Store(house / "records")
    (record,) = Driver(store, Local()).run([planned])
    assert len(record.environment[name]) == 12
    assert {"scipy", "pillow", "numpy", "isotune"} <= set(record.environment)
    assert done(store, planned) == record
    now = environment.codes(planned.adapter) | {name: "other code"}
    monkeypatch.setattr(environment, "codes", lambda adapter: now)
    assert done(store, planned) is None


@pytest.fixture
def small() -> Cell:
    """One that is run in this process, in no time."""
    text = """
    name = "small"
    title = "Small"
    source = "this test"
    input = { size = 16 }
    images = { train = 40, test = 20 }
    probe = { l2 = [0.1] }
    """
    recipe = protocols.parse(text, "small.toml")
    matrix = Matrix(["example:random-features"], ("digits",), (recipe,), ("identical",), (0,), "random:0")
    (planned,) = planning.cells(matrix, {"digits": data.prepare("digits")})
    return planned


def computed(asked: Cell) -> Record:
    worker = Worker(names.load_adapter(names.parse("example:any")), io.StringIO())
    return CellRunner(worker).run(asked, untold)[0]


def test_other_code_has_features_of_its_own(house, small, monkeypatch) -> None:
    """What an earlier version of an adapter computed is no answer of today's."""
    for digest, cached in (("one", False), ("one", True), ("two", False)):
        now = {environment.CODE: f"{digest} of {house}"}
        monkeypatch.setattr(cell_runner, "codes", lambda adapter, now=now: now)
        assert computed(small).timings.features_cached == cached


def test_what_a_cell_took_is_no_matter_of_the_clock(house, small, monkeypatch) -> None:
    class Jumping(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(zone) + timedelta(days=next(days))

    days = itertools.count()
    monkeypatch.setattr(cell_runner, "datetime", Jumping)
    record = computed(small)
    assert timedelta() < record.finished - record.started < timedelta(hours=1)
