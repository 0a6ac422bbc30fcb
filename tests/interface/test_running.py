"""isotune.run, load_runs and prepare from Python: what is taken where the command line takes names."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import isotune
from isotune import protocols
from isotune.errors import UsageError
from isotune.interface import _running
from isotune.runs.planning import parse_seeds

pytestmark = pytest.mark.usefixtures("house", "warm")

MODEL = "example:random-features"
DRAW = np.random.default_rng(0)
LABELS = np.arange(40) % 4
IMAGES = (DRAW.integers(0, 64, (40, 12, 12, 3)) + 48 * LABELS[:, None, None, None]).astype(np.uint8)
STAGE = protocols.Stage(
    epochs=2, batch_size=8, optimizer=protocols.SGD(momentum=0.9), schedule=protocols.Schedule(learning_rate=0.01)
)
RECIPE = isotune.Protocol(
    name="small", title="Small", source="a test", input=protocols.Input(size=16), stage=[STAGE]
)  # fmt: skip
QUICK = {"checkpoint": "random:0", "store": "records", "progress": False}


def small(**given):
    """One model on forty images."""
    return isotune.run(MODEL, (IMAGES, LABELS), RECIPE, **{"seeds": 1, "conventions": "identical"} | QUICK | given)


def test_a_matrix_gives_its_runs_as_a_sequence_a_table_and_a_leaderboard():
    runs = isotune.run([MODEL], ["digits"], ["quick-fine-tune"], 2, **QUICK)
    assert (len(runs), len(runs.done), runs.failed) == (4, 4, [])
    assert runs[0].metrics.accuracy > 0.5
    assert "4 done, 0 failed" in repr(runs)
    frame = runs.frame()
    assert frame.shape[0] == 4
    assert set(frame.conventions) == {"identical", "native"}
    assert list(frame.seed_head) == [0, 0, 1, 1]
    assert frame.accuracy.tolist() == [record.metrics.accuracy for record in runs]
    assert runs.predictions(runs[0]).shape == (500,)
    board = runs.leaderboard()
    assert MODEL in board.markdown()
    assert board.html().startswith("<!DOCTYPE html>")
    assert board.json()["cells"] == 4
    assert "<script" not in runs._repr_html_()
    assert "<table" in runs._repr_html_()
    assert "data:image/svg+xml" in runs._repr_html_()
    assert board.write("board") == Path("board/leaderboard.md")
    assert Path("board/leaderboard.md").read_text(encoding="utf-8") == board.markdown()
    assert Path("board/leaderboard.html").read_text(encoding="utf-8") == board.html()
    assert json.loads(Path("board/leaderboard.json").read_text(encoding="utf-8")) == board.json()


def test_the_same_call_runs_nothing_again_and_load_runs_gives_the_same():
    first = small(seeds=2)
    again = small(seeds=[0, 1])
    assert [record.finished for record in again] == [record.finished for record in first]
    loaded = isotune.load_runs("records")
    assert sorted(r.cell.key for r in loaded) == sorted(r.cell.key for r in first)
    assert isotune.load_runs(Path("records")).frame().shape == first.frame().shape
    assert [r.finished for r in small(fresh=True)] != [first[0].finished]


def test_arrays_are_a_data_set_known_by_its_content():
    (one,) = small()
    (split,) = isotune.run(
        MODEL, ((IMAGES[:32], LABELS[:32]), (IMAGES[32:], LABELS[32:])), RECIPE, 1, "identical", **QUICK
    )
    assert one.cell.dataset.startswith("array:")
    assert one.metrics.test_images == split.metrics.test_images == 8
    assert one.cell.dataset != split.cell.dataset
    assert small()[0].cell.key == one.cell.key
    (by_name,) = isotune.run(MODEL, one.cell.dataset, RECIPE, 1, "identical", **QUICK)
    assert by_name.finished == one.finished


def test_several_data_sets_are_a_list_or_a_dictionary_by_name():
    words = np.array(["ant", "bee", "cat", "dog"])[LABELS]
    runs = isotune.run(MODEL, {"first": (IMAGES, words), "second": "digits"}, RECIPE, 1, "identical", **QUICK)
    assert [record.cell.dataset.partition("-")[0] for record in runs] == ["array:first", "digits"]
    runs = isotune.run(MODEL, ["digits", (IMAGES, LABELS)], RECIPE, 1, "identical", **QUICK)
    assert [record.cell.dataset.partition(":")[0] for record in runs] == ["digits", "array"]


def test_a_folder_an_archive_and_a_table_are_data_sets(house):
    for number, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        folder = house / "photos" / f"kind-{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    np.savez(house / "set.npz", x_train=IMAGES[:32], y_train=LABELS[:32], x_test=IMAGES[32:], y_test=LABELS[32:])
    files = sorted((house / "photos").glob("*/*.png"))
    table = pd.DataFrame({"path": files, "label": [file.parent.name for file in files]})
    given = [house / "photos", house / "set.npz", table]
    runs = isotune.run(MODEL, given, RECIPE, 1, "identical", **QUICK)
    assert [record.status for record in runs] == ["done"] * 3, [record.error for record in runs]
    assert [record.cell.dataset.partition(":")[0] for record in runs] == ["imagefolder", "npz", "table"]
    assert [record.metrics.test_images for record in runs] == [8, 8, 8]


def test_a_protocol_may_be_built_here_a_dictionary_or_a_file(house):
    values = RECIPE.model_dump()
    text = """
        name = "small"
        title = "Small"
        source = "a test"
        input = { size = 16 }
        [[stage]]
        epochs = 2
        batch_size = 8
        optimizer = { name = "sgd", momentum = 0.9 }
        schedule = { learning_rate = 0.01 }
    """
    (house / "small.toml").write_text(text)
    parts = {"name": "small", "title": "Small", "source": "a test", "input": {"size": 16}, "stage": [STAGE]}
    for same in (values, tomllib.loads(text), parts, house / "small.toml", "./small.toml"):
        assert protocols.load(same) == RECIPE
    runs = isotune.run(MODEL, (IMAGES, LABELS), [RECIPE, "./small.toml"], 1, "identical", **QUICK)
    assert len({record.cell.key for record in runs}) == 1


def test_a_model_may_be_an_entry_or_a_function_in_a_file(house):
    entries = isotune.models("random", adapters="example")
    assert entries.names == [MODEL]
    assert entries.frame().top1.isna().all()
    assert "random_features" in entries._repr_html_()
    (record,) = isotune.run(entries, (IMAGES, LABELS), RECIPE, 1, "identical", **QUICK)
    assert record.cell.model == MODEL
    from isotune.interface import arguments

    (house / "port.py").write_text("import torch\n\ndef make():\n    return torch.nn.Identity()\n")
    (house / "layers.py").write_text("from keras import layers\n")
    assert arguments.model(house / "port.py") == f"torch:{house / 'port.py'}"
    assert arguments.model(Path("port.py:make")) == "torch:port.py:make"
    assert arguments.model(Path("layers.py")) == "keras:layers.py"
    assert arguments.models([entries[0], MODEL]) == [MODEL, MODEL]


def test_conventions_may_be_a_dictionary_of_overrides():
    runs = small(conventions=["identical", {"native": {"resize": "plain"}}])
    assert [record.cell.conventions for record in runs] == ["identical", "native,resize=plain"]


@pytest.mark.parametrize(
    ("given", "seeds"),
    [(3, [0, 1, 2]), ("3", [0, 1, 2]), (np.int64(2), [0, 1]), ("0,4,7", [0, 4, 7]), ([7, 0], [7, 0]),
     (range(5, 8), [5, 6, 7]), ("5-7", [5, 6, 7]), (np.array([1, 1]), [1])],
)  # fmt: skip
def test_seeds_are_how_many_or_which(given, seeds):
    assert parse_seeds(given) == seeds


@pytest.mark.parametrize("given", [0, -1, True, None, 1.5, [], ["0"], [-1], [True], "a", "", 10**9])
def test_other_seeds_are_refused(given):
    with pytest.raises(UsageError, match=r"how many|too many"):
        parse_seeds(given)


def test_a_failed_run_is_among_the_failed_and_the_others_go_on():
    runs = isotune.run(["faulty:raises", "faulty:works"], (IMAGES, LABELS), RECIPE, 1, "identical", **QUICK)
    (failed,) = runs.failed
    assert failed.error == "ValueError: a model that raises"
    assert len(runs.done) == 1
    frame = runs.frame()
    assert frame.accuracy.isna().tolist() == [True, False]
    assert "a model that raises" in runs.leaderboard().markdown()


def test_prepare_gives_the_data_sets_and_the_checkpoints():
    ready = isotune.prepare(["digits", (IMAGES, LABELS)], MODEL, checkpoint="random:0", size=32, progress=False)
    assert [len(dataset.test) for dataset in ready.datasets.values()] == [797, 8]
    assert ready.checkpoints[MODEL]["architecture"] == "random_features"


def test_a_benchmark_json_gives_the_same_object(house):
    (record,) = small()
    extra = {"isotune": {"question": "fine-tuning", "records": [json.loads(record.model_dump_json())]}}
    (house / "bench.json").write_text(json.dumps({"benchmarks": [{"name": "one", "extra_info": extra}]}))
    runs = isotune.load_runs("bench.json", store="records")
    assert runs[0] == record
    assert len(runs.predictions(record)) == 8


def test_of_a_large_sweep_records_are_counted_and_not_held(monkeypatch):
    monkeypatch.setattr(_running, "_MOST_READ", 1)
    first = small(seeds=2)
    assert (len(first), first.unread) == (0, {"done": 2, "done before": 0, "failed": 0, "failed before": 0})
    again = small(seeds=3)
    assert (len(again), again.unread) == (0, {"done": 3, "done before": 2, "failed": 0, "failed before": 0})
    assert len(isotune.load_runs("records")) == 3
