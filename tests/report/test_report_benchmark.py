"""Reading pytest-benchmark JSON: what the suite wrote comes back, anything else is one clear line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from report_factories import default_run, default_speeds, record, speed

from isotune.errors import UsageError
from isotune.report import Speed, read_benchmark
from isotune.runs.records import Record


def fine_tuning(records: list[Record], name: str = "test_fine_tuning[x]") -> dict[str, Any]:
    dumped = [record.model_dump(mode="json") for record in records]
    return {
        "name": name,
        "stats": {"data": [1.0] * len(records)},
        "extra_info": {"isotune": {"question": "fine-tuning", "records": dumped}},
    }


def timing(value: Speed) -> dict[str, Any]:
    extra = value.model_dump(mode="json", exclude={"seconds"})
    return {"name": "test_speed[x]", "stats": {"data": list(value.seconds)}, "extra_info": {"isotune": extra}}


def written(tmp_path: Path, *benchmarks: Any) -> Path:
    path = tmp_path / "out.json"
    path.write_text(json.dumps({"machine_info": {}, "benchmarks": list(benchmarks), "version": "5.3.1"}))
    return path


def test_records_and_speeds_come_back_as_they_went(tmp_path: Path) -> None:
    records, speeds = default_run(), default_speeds()
    path = written(tmp_path, fine_tuning(records[:5]), *map(timing, speeds), fine_tuning(records[5:]))
    assert read_benchmark(path) == (records, speeds)


def test_a_run_of_pytest_benchmark_itself_is_read(tmp_path: Path) -> None:
    extra = speed().model_dump(mode="json", exclude={"seconds"})
    (tmp_path / "test_speed.py").write_text(
        "def test_step(benchmark):\n"
        f"    benchmark.extra_info['isotune'] = {extra!r}\n"
        "    benchmark.pedantic(sum, args=([1, 2],), rounds=7)\n"
    )
    command = [sys.executable, "-m", "pytest", "--benchmark-json=out.json", "-p", "no:cacheprovider", "-q"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    records, speeds = read_benchmark(tmp_path / "out.json")
    assert not records
    assert [(speed.model, len(speed.seconds)) for speed in speeds] == [("torchvision:mobilenet_v2", 7)]


def test_benchmarks_of_other_suites_are_passed_over(tmp_path: Path) -> None:
    foreign = {"name": "test_sort", "stats": {"data": [1.0]}, "extra_info": {"size": 3}}
    assert read_benchmark(written(tmp_path, foreign, fine_tuning([record()]))) == ([record()], [])


def broken(**changes: Any) -> dict[str, Any]:
    benchmark = timing(speed())
    benchmark["extra_info"]["isotune"] |= changes
    return benchmark


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (broken(question="training-stepp"), "did you mean 'training-step'"),
        (broken(question=["fine-tuning"]), "is unknown"),
        (broken(batch_size=0), "batch_size: Input should be greater than 0"),
        (broken(model=None), "model: Input should be a valid string"),
        (broken(colour="red"), "colour: Extra inputs are not permitted"),
        (timing(speed()) | {"stats": None}, "seconds: "),
        (timing(speed()) | {"stats": {"data": [0.1, float("nan")]}}, "seconds.1: "),
        (timing(speed()) | {"stats": {"data": [float("inf")]}}, "seconds.0: "),
        (timing(speed()) | {"stats": {"data": []}}, "seconds: "),
        (fine_tuning([record()]) | {"extra_info": {"isotune": 3}}, "question None is unknown"),
        (fine_tuning([record()]) | {"extra_info": {"isotune": {"question": "fine-tuning"}}}, "records: Field required"),
    ],
)
def test_what_is_malformed_is_named_in_one_line(tmp_path: Path, stored: dict[str, Any], words: str) -> None:
    path = written(tmp_path, fine_tuning([record()]), stored)
    with pytest.raises(UsageError) as error:
        read_benchmark(path)
    assert words in str(error.value)
    assert str(error.value).startswith(f"{path}: benchmark test_")
    assert "\n" not in str(error.value)


def test_a_broken_record_is_named_by_its_field(tmp_path: Path) -> None:
    benchmark = fine_tuning([record(), record(seed=1)])
    benchmark["extra_info"]["isotune"]["records"][1]["metrics"]["accuracy"] = 1.5
    with pytest.raises(UsageError, match=r"records\.1\.metrics\.accuracy: Input should be less than or equal to 1"):
        read_benchmark(written(tmp_path, benchmark))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", "{}", '{"benchmarks": 3}', '{"benchmarks": []}', '{"benchmarks": [3]}', "[" * 10**5]
)
def test_foreign_files_are_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "out.json"
    path.write_text(content)
    with pytest.raises(UsageError) as error:
        read_benchmark(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b'{"a": "\xe9"}')
    for path in (tmp_path / "absent.json", tmp_path, tmp_path / "latin.json"):
        with pytest.raises(UsageError, match=path.name):
            read_benchmark(path)
