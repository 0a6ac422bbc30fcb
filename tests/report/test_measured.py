"""Models with what they reached and cost, as a leaderboard has them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from report_factories import default_run, default_speeds, record

import isotune
from isotune.errors import UsageError
from isotune.report import Leaderboard, read_leaderboard
from isotune.report.analysis.measured import SORTS, chosen, rows

REPORTS = Path(__file__).parents[2] / "reports"
TORCHVISION, TIMM, KERAS = "torchvision:mobilenet_v2", "timm:mobilenetv2_100", "keras:MobileNetV2"


@pytest.fixture(scope="module")
def content():
    speeds = [each.model_copy(update={"parameters": 2_223_872}) for each in default_speeds()]
    small = [record("timm:small", 0.7, seed=seed, architecture="small", dataset="digits") for seed in range(2)]
    return Leaderboard([*default_run(), *small], speeds).json()


@pytest.fixture
def models(content):
    return rows(read_leaderboard(content, "leaderboard.json"))


def test_a_row_has_what_the_leaderboard_shows(models, content):
    one = next(each for each in models if each.model == KERAS)
    (section,) = [each for each in content["sections"] if each["dataset"] == "fashion-mnist"]
    (shown,) = [row for row in section["rows"] if row["model"] == KERAS]
    assert (one.dataset, one.protocol, one.size, one.seeds) == ("fashion-mnist", "quick", 96, 5)
    assert (round(one.identical, 6), round(one.native, 6), one.accuracy) == (85.0, 78.9, one.identical)
    assert one.latency == shown["measured"]["latency"]["median"]
    assert one.training == pytest.approx(240, rel=0.05)
    assert one.inference == pytest.approx(720, rel=0.05)
    assert (one.memory, one.parameters, one.lower_bounds) == (600 * 2**20, 2_223_872, ())


def test_what_was_not_measured_is_none_and_comes_last(models):
    small = next(each for each in models if each.model == "timm:small")
    assert (small.latency, small.parameters, small.native) == (None, None, None)
    for sort in SORTS:
        values = [getattr(each, sort) for each in chosen(models, sort=sort) if each.dataset == "fashion-mnist"]
        assert values == sorted(values, reverse=SORTS[sort]), sort


def test_where_a_figure_is_missing_accuracy_ranks(models):
    one = models[0]
    unmeasured = [replace(one, model=f"timm:m{each}", identical=each, inference=None) for each in (70.0, 90.0, 80.0)]
    assert [each.identical for each in chosen(unmeasured, sort="inference")] == [90, 80, 70]


def test_the_best_under_a_limit_is_found(models):
    latencies = {each.model: each.latency for each in models}
    limit = latencies[TIMM] * 1.001
    assert [each.model for each in chosen(models, under_ms=limit)] == [KERAS, TIMM]
    assert [each.model for each in chosen(models, under_ms=limit, sort="latency", adapters=["timm"])] == [TIMM]
    assert {each.model for each in chosen(models, pattern="MOBILENET")} == {TORCHVISION, TIMM, KERAS}
    assert {each.dataset for each in chosen(models, architecture="small")} == {"digits"}
    assert len(chosen(models, under_mib=601)) == 4
    assert chosen(models, under_mib=601, under_ms=limit)[0].model == KERAS


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"under_ms": 1}, "no model is under 1 ms of latency; the nearest is keras:MobileNetV2 with 8.18 ms"),
        ({"under_mib": 1}, "no model is under 1 MiB of memory; the nearest is "),
        ({"sort": "speed"}, "sort 'speed': one of: accuracy"),
        ({"pattern": "resnet"}, "no measured model matches 'resnet'"),
        ({"pattern": "small", "under_ms": 20}, "latency was not measured"),
    ],
)
def test_where_nothing_is_left_the_nearest_is_named(models, asked, said):
    with pytest.raises(UsageError) as caught:
        chosen(models, **asked)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_report_a_file_and_a_benchmark_are_one_source(tmp_path, content):
    (tmp_path / "report").mkdir()
    (tmp_path / "report/leaderboard.json").write_text(json.dumps(content), encoding="utf-8")
    of_folder = isotune.measured_models(tmp_path / "report", sort="latency")
    assert [each.model for each in of_folder if each.latency] == [KERAS, TIMM, TORCHVISION]
    assert list(isotune.measured_models(tmp_path / "report/leaderboard.json", sort="latency")) == list(of_folder)
    assert of_folder.frame().shape == (4, 17)
    assert "<table" in of_folder._repr_html_()
    for wrong, said in ((tmp_path / "none", "there is no"), (3, "source: takes a path")):
        with pytest.raises(UsageError, match=said):
            isotune.measured_models(wrong)
    with pytest.raises(UsageError, match="under_ms: takes a number above 0"):
        isotune.measured_models(tmp_path / "report", under_ms=0)


@pytest.mark.parametrize("spoiled", ['{"sections": 3, "checkpoints": {}}', '{"sections": []}', "[", "{}"])
def test_another_json_is_one_line(tmp_path, here, spoiled):
    (tmp_path / "leaderboard.json").write_text(spoiled, encoding="utf-8")
    status, out, told = here("models", "--measured", str(tmp_path / "leaderboard.json"))
    assert (status, out, len(told.splitlines())) == (2, "", 1), told
    assert "leaderboard.json" in told


def test_the_command_shows_a_table_and_marks_lower_bounds(tmp_path, here, content):
    disturbed = json.loads(json.dumps(content))
    for section in disturbed["sections"]:
        for row in section["rows"]:
            if row["model"] == TIMM and row["measured"]["latency"]:
                row["measured"]["latency"]["cause"] = "others took 40 %"
    (tmp_path / "leaderboard.json").write_text(json.dumps(disturbed), encoding="utf-8")
    status, out, _ = here("models", "--measured", str(tmp_path), "--sort", "latency")
    assert status == 0
    shown = [line.split() for line in out.splitlines() if line.startswith(("timm", "keras", "torchvision"))]
    assert [cells[0] for cells in shown if cells[0] != "timm:small"] == [KERAS, TIMM, TORCHVISION]
    assert next(cells for cells in shown if cells[0] == TIMM)[5].endswith("*")
    assert "fashion-mnist, quick, 96 px" in out
    assert "* others disturbed every round" in out
    status, out, _ = here("models", "mobile", "--measured", str(tmp_path), "--under-ms", "10", "--json")
    assert status == 0
    assert [each["model"] for each in json.loads(out)] == [KERAS]
    status, out, told = here("models", "--under-ms", "20")
    assert (status, out) == (2, "")
    assert "--under-ms is of measured models; add --measured REPORT" in told


def test_reports_of_before_can_be_read():
    assert {each.protocol for each in isotune.measured_models(REPORTS)} >= {"quick"}
