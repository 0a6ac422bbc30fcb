"""Two stores, benchmark JSONs and reports, as `isotune compare` and `isotune.compare` take them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from change_factories import MACHINE, MODEL, runs, speed

import isotune
from isotune.errors import UsageError
from isotune.report import Speed
from isotune.runs.records import Record
from isotune.runs.store import Store

STEADY, WORSE = [0.90, 0.91, 0.92, 0.90], [0.85, 0.86, 0.86, 0.84]


def store(place: Path, records: Sequence[Record]) -> Path:
    for record in records:
        Store(place).write(record)
    return place


def benchmark(place: Path, records: Sequence[Record], speeds: Sequence[Speed] = ()) -> Path:
    """As pytest-benchmark writes it."""
    dumped = [record.model_dump(mode="json") for record in records]
    each = [{"name": "fine-tuning", "stats": {"data": [1.0]}, "extra_info": {"isotune": {
        "question": "fine-tuning", "records": dumped}}}]  # fmt: skip
    each += [
        {"name": "speed", "stats": {"data": list(one.seconds)},
         "extra_info": {"isotune": one.model_dump(mode="json", exclude={"seconds"})}}
        for one in speeds
    ]  # fmt: skip
    place.write_text(json.dumps({"machine_info": {}, "benchmarks": each, "version": "5.3.1"}), encoding="utf-8")
    return place


@pytest.fixture
def forms(house: Path) -> dict[str, dict[str, Path]]:
    """Before and after, each as a store, a benchmark's JSON, a report's and its folder."""
    both: dict[str, dict[str, Path]] = {}
    for name, accuracies, rate in (("before", STEADY, 200.0), ("after", WORSE, 150.0)):
        records, speeds = runs(accuracies, architecture="mobilenet_v2"), [speed(rate)]
        file = benchmark(house / f"{name}.json", records, speeds)
        report = isotune.load_runs(file).leaderboard().write(house / f"{name}-report").parent
        both[name] = {
            "store": store(house / name, records), "benchmark": file, "report": report / "leaderboard.json",
            "folder": report,
        }  # fmt: skip
    return both


def test_any_form_compares_with_any_other(forms) -> None:
    for one, before in forms["before"].items():
        for other, after in forms["after"].items():
            compared = isotune.compare(before, after)
            (change,) = compared.accuracy
            assert (change.outcome, change.seeds, change.gap.mean) == ("fell", 4, pytest.approx(-5.5))
            assert [each.outcome for each in compared.speeds] == ([] if "store" in (one, other) else ["fell"])
            assert compared.differing == ()


def test_runs_are_taken_too(forms) -> None:
    before, after = (isotune.load_runs(forms[name]["store"]) for name in ("before", "after"))
    assert len(isotune.compare(before, after).fell()) == 1
    assert not isotune.compare(before.where(lambda record: record.cell.seeds.head < 2), before).fell()


def test_a_report_of_before_rounds_were_kept_says_that_its_speeds_are_not_compared(forms) -> None:
    file = forms["before"]["report"]
    content = json.loads(file.read_text())
    del content["suite"]
    file.write_text(json.dumps(content))
    compared = isotune.compare(file, forms["after"]["benchmark"])
    assert compared.speeds == ()
    assert "its speeds are not compared" in compared.markdown()


def test_a_failed_cell_of_a_report_keeps_its_error(house) -> None:
    board = isotune.load_runs(benchmark(house / "b.json", [*runs([*STEADY[:3], None]), *runs([None], model="timm:a")]))
    file = board.leaderboard().write(house / "report").parent / "leaderboard.json"
    before = benchmark(house / "a.json", [*runs(STEADY), *runs([0.9], model="timm:a")])
    compared = isotune.compare(before, file)
    assert {change.subject.model: change.outcome for change in compared.accuracy} == {MODEL: "fails", "timm:a": "fails"}
    assert all("out of memory" in line for line in compared.fell("accuracy"))


def test_of_a_cell_that_was_run_again_the_last_result_counts(house) -> None:
    again = [record.model_copy(update={"finished": record.finished.replace(year=2027)}) for record in runs(WORSE)]
    before, after = store(house / "before", runs(STEADY)), store(house / "after", [*runs(STEADY), *again])
    assert len(isotune.compare(before, after).fell()) == 1


def test_nothing_is_written_into_a_store(forms) -> None:
    def there() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in forms["before"]["store"].rglob("*") if path.is_file()}

    before = there()
    isotune.compare(forms["before"]["store"], forms["before"]["store"])
    assert there() == before


# -- the command


def test_the_status_says_whether_something_fell(here, forms) -> None:
    before, after = (str(forms[name]["benchmark"]) for name in ("before", "after"))
    status, out, err = here("compare", before, after)
    assert (status, err) == (1, "")
    assert out.splitlines()[-1] == "1 of 1 accuracy fell; 1 of 1 speed fell by more than 10 %"
    assert here("compare", after, before)[0] == 0
    assert here("compare", before, before)[0] == 0
    assert here("compare", before, after, "--fail-on", "nothing")[0] == 0
    slow = str(forms["after"]["benchmark"].parent / "slow.json")
    benchmark(Path(slow), runs(STEADY), [speed(150)])
    for what, expected in (("any", 1), ("accuracy", 0), ("speed", 1)):
        assert here("compare", before, slow, "--fail-on", what)[0] == expected
    assert here("compare", before, slow, "--margin", "40")[0] == 0


def test_the_command_prints_json_or_a_comment(here, forms, house) -> None:
    before, after = (str(forms[name]["store"]) for name in ("before", "after"))
    status, out, _ = here("compare", before, after, "--json")
    assert (status, json.loads(out)["accuracy"][0]["outcome"]) == (1, "fell")
    comment = here("compare", before, after, "--markdown", "-")[1]
    assert comment.startswith("**1 of 1 accuracy fell**\n")
    assert here("compare", before, after, "--markdown", "new/comment.md")[0] == 1
    assert (house / "new/comment.md").read_text(encoding="utf-8") == comment
    status, out, err = here("compare", before, after, "--markdown", "new/comment.md")
    assert (status, out) == (2, "")
    assert "new/comment.md is there" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["nowhere", "before"],
            "there is no nowhere; before takes a folder of records, a benchmark's JSON or a report's",
        ),
        (["before", "nowhere"], "after takes a folder of records"),
        (["before", "empty"], "holds no records"),
        (["before", "cut.json"], "cut.json: not JSON"),
        (["before", "void.json"], "void.json: not JSON"),
        (["before", "list.json"], "neither a benchmark's JSON"),
        (["before", "something.json"], "neither a benchmark's JSON"),
        (["before", "others.json"], "contains no isotune benchmark"),
        (["before", "old.json"], "not a report's JSON of this version"),
        (["before", "elsewhere"], "nothing is on both sides: before has torchvision:mobilenet_v2 offline digits"),
        (["before", "before", "--fail-on", "speeds"], "did you mean 'speed'"),
        (["before", "before", "--margin", "100"], "--margin"),
        (["before", "before", "--markdown", "-", "--json"], "both print"),
        (["before", "before", "--markdown", "before"], "is a folder"),
        (["before"], "Missing argument 'AFTER'"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(here, house, arguments, said) -> None:
    store(house / "before", runs(STEADY))
    store(house / "elsewhere", runs(STEADY, model="timm:a", environment=MACHINE))
    (house / "empty").mkdir()
    files = {
        "cut.json": '{"benchmarks": [', "void.json": "", "list.json": "[1]", "something.json": '{"a": 1}',
        "others.json": '{"benchmarks": []}', "old.json": '{"version": 1, "sections": [], "checkpoints": {}}',
    }  # fmt: skip
    for name, text in files.items():
        (house / name).write_text(text)
    status, out, err = here("compare", *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_a_margin_is_percent() -> None:
    for wrong in (-1, 100, "10", True):
        with pytest.raises(UsageError, match="margin: takes percent"):
            isotune.compare("a", "b", margin=wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="before: takes a path"):
        isotune.compare(3, "b")  # type: ignore[arg-type]
