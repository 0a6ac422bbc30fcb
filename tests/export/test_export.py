"""Each format, read back with the library that reads it; no name in a record leads out of the folder."""

from __future__ import annotations

import sys
import types
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_factories import NOW, cell, measured, record

import isotune
from isotune import protocols
from isotune.errors import UsageError
from isotune.export import FORMATS, export, frame
from isotune.export._writing import file_names_of
from isotune.protocols import Selection
from isotune.report import Speed
from isotune.runs.records import Metrics, Record, Timings
from isotune.runs.selection.selected import Selected
from isotune.runs.store import Store
from isotune.seeds import Seeds

TRAINED = protocols.load("quick-fine-tune")
BENCHMARK = ["digits=owner/digits:all"]
SPEED = Speed(
    question="inference-throughput", model="torch:/home/me/port.py:make", image_size=96, batch_size=32,
    seconds=(0.1, 0.2, 0.4),
)  # fmt: skip


def done(seed: int = 0, accuracy: float = 0.75, **asked: Any) -> Record:
    return record(
        cell(seeds=Seeds.all(seed), protocol=TRAINED, **asked),
        architecture="mobilenet_v2",
        checkpoint_digest="c" * 64,
        metrics=Metrics(
            accuracy=accuracy, test_images=400, train_images=100, loss=0.5, train_loss=(2.0, float("nan"), 1.0)
        ),
        timings=Timings(total=3.0, training=2.0, training_images=300),
        environment={"torch": "2.8.0", "cpu": "Example"},
        finished=NOW + timedelta(seconds=30),
    )


def failed(seed: int = 1) -> Record:
    return record(cell(seeds=Seeds.all(seed)), status="failed", error="out of memory, 3 GiB")


RECORDS = [done(0), done(2, 0.8, conventions="native"), failed()]


def made(to: str, folder: Path, records: list[Record] = RECORDS, **rest: Any) -> list[Path]:
    if to == "eval-results":
        rest.setdefault("benchmarks", BENCHMARK)
    return export(records, [SPEED] if to in ("csv", "parquet") else [], to, folder, **rest)


# -- tables


@pytest.mark.parametrize(("to", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_tables_come_back_as_they_went(to: str, read: Any, tmp_path: Path) -> None:
    files = made(to, tmp_path)
    assert [file.name for file in files] == [f"runs.{to}", f"speeds.{to}"]
    runs, speeds = map(read, files)
    plain = frame(RECORDS)
    for column in ("model", "accuracy", "loss", "train_images", "training_images_per_second", "seed_order", "key"):
        pd.testing.assert_series_equal(runs[column], plain[column], check_dtype=False)
    assert list(runs.status) == ["done", "done", "failed"]
    assert list(runs.error.fillna("")) == ["", "", "out of memory, 3 GiB"]
    assert list(pd.to_datetime(runs.finished, utc=True)) == [each.finished for each in RECORDS]
    assert list(runs["environment.torch"].fillna("")) == ["2.8.0", "2.8.0", ""]
    assert list(runs.checkpoint_digest.fillna("")) == ["c" * 64, "c" * 64, ""]
    (row,) = speeds.to_dict("records")
    assert (row["milliseconds"], row["images_per_second"], row["rounds"]) == pytest.approx((200, 160, 3))
    assert row["model"] == "torch:port.py:make"


BEST = {"best": 0.7, "last": 0.6}
CHOSEN = Selected(reports="best", accuracy=BEST, mean_per_class=BEST, best_step=20, curve=((10, 0.5), (20, 0.75)))


def choosing() -> Record:
    recipe = TRAINED.model_copy(update={"selection": Selection(held_out=0.1, every=10, reports="best")})
    made = done(accuracy=0.7).model_copy(update={"cell": cell(protocol=recipe)})
    return made.model_copy(update={"metrics": made.metrics.model_copy(update={"selected": CHOSEN})})


def test_every_accuracy_goes_by_its_name(viewer: Any, tmp_path: Path) -> None:
    (row,) = frame([choosing()]).to_dict("records")
    assert (row["reports"], row["accuracy"], row["accuracy.best"], row["accuracy.last"]) == ("best", 0.7, 0.7, 0.6)
    assert (row["mean_per_class.last"], row["best_step"]) == (0.6, 20)
    assert pd.isna(row["accuracy.best-on-test"])
    assert frame([done()])["accuracy.best"].isna().all()
    (file,) = export([choosing()], [], "tensorboard", tmp_path / "tensorboard")
    read = viewer(str(file.parent), size_guidance={"tensors": 0})
    read.Reload()
    assert [event.step for event in read.Tensors("while_training/metric")] == [10, 20]
    assert scalar(read.Tensors("test/accuracy.best")[0]) == pytest.approx(0.7)
    (file,) = export([choosing()], [], "eval-results", tmp_path / "hub", benchmarks=BENCHMARK)
    assert "the accuracy at the step that is best on held-out images" in file.read_text()
    (file,) = made("eval-results", tmp_path / "plain", [done()])
    assert "the accuracy" not in file.read_text()


def test_tables_of_speeds_alone_and_of_runs_alone(tmp_path: Path) -> None:
    assert [file.name for file in export([], [SPEED], "csv", tmp_path / "a")] == ["speeds.csv"]
    assert [file.name for file in export(RECORDS, [], "csv", tmp_path / "b")] == ["runs.csv"]


@settings(max_examples=15)
@given(st.lists(measured, min_size=1, max_size=4))
def test_whatever_records_hold_is_a_table(tmp_path_factory, records: list[Record]) -> None:
    folder = tmp_path_factory.mktemp("tables")
    for to, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        (file,) = export(records, [], to, folder)
        assert len(read(file)) == len(records)


# -- event files


@pytest.fixture
def viewer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """TensorBoard's own reader, which would import TensorFlow where it is installed and it is not told otherwise."""
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", types.ModuleType("notf"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator


def test_a_viewer_reads_scores_losses_and_what_was_asked(viewer: Any, tmp_path: Path) -> None:
    from tensorboard.plugins.hparams import metadata

    files = made("tensorboard", tmp_path)
    assert len({file.parent for file in files}) == 3
    by_status = {}
    for file in files:
        read = viewer(str(file.parent), size_guidance={"tensors": 0})
        read.Reload()
        session = read.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        asked = metadata.parse_session_start_info_plugin_data(session).hparams
        end = metadata.parse_session_end_info_plugin_data(
            read.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
        )
        seed = int(asked["seed_head"].number_value)
        tags = {tag: [(event.step, scalar(event)) for event in read.Tensors(tag)] for tag in read.Tags()["tensors"]}
        by_status[seed] = (end.status, tags, asked["conventions"].string_value)
    status, tags, conventions = by_status[0]
    assert (status, conventions) == (1, "identical")  # STATUS_SUCCESS
    assert tags["test/accuracy"] == [(0, pytest.approx(0.75))]
    assert tags["train/loss"] == [(0, 2.0), (2, 1.0)]  # the second epoch's is not finite
    assert tags["cost/training_images_per_second"] == [(0, 150.0)]
    assert by_status[2][2] == "native"
    assert by_status[1][0] == 2  # STATUS_FAILURE
    assert "test/accuracy" not in by_status[1][1]


def scalar(event: Any) -> float | None:
    from tensorboard.util.tensor_util import make_ndarray

    values = np.ravel(make_ndarray(event.tensor_proto))
    return float(values[0]) if values.size else None


def test_no_framework_is_imported_to_write_events(tmp_path: Path) -> None:
    import subprocess

    script = (
        "import sys, pickle; from pathlib import Path; from isotune.export import export\n"
        "from record_factories import record, cell\n"
        "export([record(cell())], [], 'tensorboard', Path(sys.argv[1]))\n"
        "print([name for name in ('torch', 'tensorflow', 'keras') if name in sys.modules])"
    )
    path = str(Path(__file__).parents[1] / "runs")
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": path},
    )  # fmt: skip
    assert done.stdout.strip() == "[]", done.stderr


# -- a tracking database


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """MLflow's own client on what was written."""
    folder = tmp_path_factory.mktemp("tracking") / "a folder"
    (file,) = made("mlflow", folder)
    assert file == folder / "mlflow.db"
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{file}"), folder


def test_a_tracking_client_finds_experiments_runs_and_their_numbers(tracked: tuple[Any, Path]) -> None:
    client, folder = tracked
    experiments = {each.name: each for each in client.search_experiments() if each.name != "Default"}
    assert set(experiments) == {"digits, quick", "digits, quick-fine-tune"}
    trained = experiments["digits, quick-fine-tune"]
    assert trained.artifact_location == (folder / "artifacts").as_uri()
    found = client.search_runs([trained.experiment_id], "params.conventions = 'identical'")
    (run,) = found
    assert (run.info.status, run.info.run_name) == ("FINISHED", str(RECORDS[0].cell))
    assert run.data.metrics["accuracy"] == 0.75
    assert (run.data.params["seed_head"], run.data.params["mode"]) == ("0", "float32")
    assert run.data.tags["environment.torch"] == "2.8.0"
    assert run.data.tags["key"] == RECORDS[0].cell.key
    history = client.get_metric_history(run.info.run_id, "train_loss")
    assert [(each.step, each.value) for each in history] == [(0, 2.0), (2, 1.0)]
    assert datetime.fromtimestamp(run.info.end_time / 1000, UTC) == RECORDS[0].finished
    (lost,) = client.search_runs([experiments["digits, quick"].experiment_id])
    assert (lost.info.status, lost.data.tags["error"]) == ("FAILED", "out of memory, 3 GiB")


# -- evaluation results


def test_the_hubs_library_reads_the_results_of_each_model(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    yaml = pytest.importorskip("yaml")
    files = made("eval-results", tmp_path, [done(0), done(1, 0.7), done(0, model="keras:MobileNetV2")])
    assert [str(file.relative_to(tmp_path).parent) for file in files] == [
        "keras-mobilenetv2/.eval_results", "timm-mobilenetv2-100/.eval_results"
    ]  # fmt: skip
    (entry,) = hub.parse_eval_result_entries(yaml.safe_load(files[1].read_text(encoding="utf-8")))
    assert (entry.dataset_id, entry.task_id, entry.value, entry.date) == ("owner/digits", "all", 72.5, "2025-01-02")
    for words in ("percent", "protocol quick-fine-tune", "400 test images", "identical conventions", "mean of 2 seeds"):
        assert words in entry.notes
    assert "one seed" in files[0].read_text(encoding="utf-8")


def test_steps_of_preprocessing_are_no_results(tmp_path: Path) -> None:
    own = protocols.load("own-classifier")
    assert own.own_classifier is not None
    parts = [own.own_classifier.model_copy(update={"input": "protocol", "step": step}) for step in ("", "nearest")]
    recipes = [own.model_copy(update={"own_classifier": part}) for part in parts]
    records = [
        record(cell(protocol=recipe), metrics=Metrics(accuracy=accuracy, test_images=4, train_images=0))
        for recipe, accuracy in zip(recipes, (0.75, 0.5), strict=True)
    ]
    (file,) = made("eval-results", tmp_path, records)
    assert "value: 75.0" in file.read_text(encoding="utf-8")
    assert "nothing is drawn at random" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("benchmarks", "said"),
    [
        ([], "say --benchmark digits=OWNER/NAME:TASK"),
        (["digits"], "write DATASET=OWNER/NAME:TASK"),
        (["digits=digits"], "write DATASET=OWNER/NAME:TASK"),
        (["digits=../..:a"], "write DATASET=OWNER/NAME:TASK"),
        (["digits=a/b", "digits=a/c"], "digits has one already, a/b"),
        (["digits=a/b", "digit=a/b"], "did you mean 'digits'"),
    ],
)
def test_which_benchmark_a_data_set_is_must_be_said(benchmarks: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        made("eval-results", tmp_path, benchmarks=benchmarks)
    assert list(tmp_path.iterdir()) == []


# -- files

hostile = st.one_of(
    st.sampled_from(
        ["../../x", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "a\x00b", "CON", "~", "x" * 400, "Ä", "a:B", "a-b"]
    ),
    st.text(max_size=20),
)


@settings(max_examples=60)
@given(st.lists(hostile, min_size=1, max_size=8))
def test_names_are_names_of_files_and_no_two_are_one(words: list[str]) -> None:
    names = file_names_of(words)
    assert set(names) == set(words)
    assert len({name.lower() for name in names.values()}) == len(set(words))
    for name in names.values():
        assert Path(name).name == name
        assert name not in (".", "..")
        assert len(name.encode()) <= 120


@settings(max_examples=15)
@given(st.lists(hostile, min_size=1, max_size=4, unique=True))
def test_nothing_is_written_outside_the_folder(tmp_path_factory, names: list[str]) -> None:
    place = tmp_path_factory.mktemp("outer")
    records = [
        done(0, model=f"timm:{name}", checkpoint=name, dataset="digits", dataset_digest=f"{number}" * 64)
        for number, name in enumerate(names)
    ]
    for to in ("csv", "tensorboard", "eval-results"):
        files = made(to, place / "in", records)
        assert len(files) == (1 if to == "csv" else len(records)) + (to == "csv")
        assert all(file.resolve().is_relative_to(place / "in") for file in files)
    assert [path.name for path in place.iterdir()] == ["in"]
    assert not list((place / "in").glob(".draft-*"))


@pytest.mark.parametrize("to", ["csv", "tensorboard", "eval-results"])
def test_what_is_there_is_replaced_only_when_that_is_asked_for(to: str, tmp_path: Path) -> None:
    first = made(to, tmp_path)
    contents = [file.read_bytes() for file in first]
    with pytest.raises(UsageError, match="there already; name another folder with --out, or --replace"):
        made(to, tmp_path)
    first[0].write_text("mine")
    assert made(to, tmp_path, replace=True) == first
    assert [file.read_bytes() for file in first] == contents
    assert not list(tmp_path.glob(".draft-*"))


def test_a_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for to, package, extra in (
        ("parquet", "pyarrow", "parquet"),
        ("tensorboard", "tensorboard", "tensorboard"),
        ("mlflow", "sqlalchemy", "mlflow"),
        ("eval-results", "huggingface_hub", "hub"),
    ):
        with monkeypatch.context() as without:
            for name in [name for name in sys.modules if name.partition(".")[0] == package]:
                without.delitem(sys.modules, name)
            without.setitem(sys.modules, package, None)
            with pytest.raises(UsageError, match=rf"{package}.*pip install 'isotune\[{extra}\]'"):
                made(to, tmp_path)
    assert list(tmp_path.iterdir()) == []


# -- the command


def test_the_command_names_the_files(here, house) -> None:
    for each in RECORDS:
        Store(house / "records").write(each)
    status, out, err = here("export", "records", "--to", "csv", "--out", "tables")
    assert (status, out, err) == (0, "tables/runs.csv\n", "")
    status, out, err = here("export", "records", "--to", "csv", "--out", "tables")
    assert (status, out) == (2, "")
    assert "--replace" in err
    assert here("export", "records", "--to", "csv", "--out", "tables", "--replace")[0] == 0
    status, out, _ = here("export", "records", "--to", "eval-results", "--out", "hub", "--benchmark", "digits=a/b")
    assert status == 0
    assert len(out.splitlines()) == 2
    runs = isotune.load_runs(house / "records")
    assert [file.name for file in runs.export("parquet", house / "more")] == ["runs.parquet"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "parket"], "did you mean 'parquet'"),
        (["--to", "csv", "--benchmark", "digits=a/b"], "only evaluation results name one"),
        (["--to", "csv", "--out", "file"], "cannot be written"),
        (["--to", "eval-results"], "say --benchmark"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(here, house, arguments, said) -> None:
    Store(house / "records").write(RECORDS[0])
    (house / "file").write_text("")
    status, out, err = here("export", "records", *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_every_format_is_told_in_the_help(here) -> None:
    shown = here("export", "--help")[1]
    assert [name for name in FORMATS if name not in shown] == []
