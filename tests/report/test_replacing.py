"""A leaderboard takes the place of another only where nothing is lost."""

from __future__ import annotations

from report_factories import record

from isotune.report import Leaderboard
from isotune.runs.planning import parse_seeds
from isotune.runs.store import Store


def test_a_leaderboard_of_other_records_is_not_replaced_unless_told(here, house):
    for name, seeds in (("one", "0,1"), ("two", "1"), ("three", "0-2")):
        store = Store(house / name)
        for seed in parse_seeds(seeds):
            store.write(record(accuracy=0.9, seed=seed))
    board = house / "isotune-report/leaderboard.md"
    assert here("report", "one") == (0, "isotune-report/leaderboard.md\n", "")
    first = board.read_text(encoding="utf-8")
    status, out, said = here("report", "two")
    assert (status, out) == (2, "")
    assert "torchvision:mobilenet_v2 offline float32 fashion-mnist quick identical seed 1; name another folder" in said
    assert board.read_text(encoding="utf-8") == first
    assert here("report", "three")[0] == 0  # has all of them, and more
    assert here("report", "two", "--replace")[0] == 0
    (house / "isotune-report/leaderboard.json").write_text("[", encoding="utf-8")
    assert "cannot be read" in here("report", "two")[2]


def test_a_figure_that_no_leaderboard_shows_any_more_is_removed(tmp_path):
    figures = tmp_path / "figures"
    Leaderboard([record(accuracy=0.9, dataset=name) for name in ("fashion-mnist", "cifar10")]).write(tmp_path)
    (figures / "mine.svg").write_text("mine")
    before = {path.name for path in figures.iterdir()}
    Leaderboard([record(accuracy=0.9, dataset="cifar10")]).write(tmp_path)
    after = {path.name for path in figures.iterdir()}
    assert "mine.svg" in after
    assert after < before
    assert not any(name.startswith("fashion-mnist") for name in after)
