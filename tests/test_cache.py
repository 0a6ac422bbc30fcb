"""The cache: where it is, and that nothing half-made is ever found in it."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from isotune import cache
from isotune.errors import UsageError


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_environment_variable_names_the_cache(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.root() == place
    monkeypatch.setenv("ISOTUNE_CACHE", "~/elsewhere")
    assert cache.root() == Path.home() / "elsewhere"
    monkeypatch.delenv("ISOTUNE_CACHE")
    assert cache.root().name == "isotune"
    assert cache.root().is_absolute()


def test_a_folder_that_cannot_be_made_is_named(place: Path) -> None:
    place.write_text("a file where the folder should be")
    with pytest.raises(UsageError, match=rf"{place}.*ISOTUNE_CACHE=PATH"):
        cache.folder("features")


def test_a_draft_folder_takes_the_place_of_what_was_there(place: Path) -> None:
    target = cache.folder("things") / "one"
    for content in ("first", "second"):
        with cache.locked(target), cache.draft_folder(target) as draft:
            assert list(draft.iterdir()) == []
            (draft / "file").write_text(content)
        assert (target / "file").read_text() == content
    assert [path.name for path in target.parent.iterdir() if path.is_dir()] == ["one"]


def test_a_failed_draft_leaves_nothing_and_the_old_result_stays(place: Path) -> None:
    target = cache.folder("things") / "one"
    with cache.draft_folder(target) as draft:
        (draft / "file").write_text("good")
    with pytest.raises(FileNotFoundError), cache.draft_folder(target) as draft:
        ((draft / "file").write_text("bad"), (draft / "nowhere").read_text())
    assert (target / "file").read_text() == "good"
    assert [path.name for path in target.parent.iterdir()] == ["one"]


def test_what_a_killed_process_left_is_not_part_of_the_next_draft(place: Path) -> None:
    target = cache.folder("things") / "one"
    left = target.with_name(".draft-one")
    left.mkdir()
    (left / "half").write_text("")
    with cache.draft_folder(target) as draft:
        (draft / "file").write_text("")
    assert [path.name for path in target.iterdir()] == ["file"]


def test_a_draft_file_is_placed_whole_or_not_at_all(place: Path) -> None:
    target = cache.folder("things") / "file.json"
    with cache.draft_file(target) as draft:
        draft.write_text("first")
        assert not target.exists()
    with pytest.raises(FileNotFoundError), cache.draft_file(target) as draft:
        (draft.write_text("sec"), (place / "nowhere").read_text())
    assert target.read_text() == "first"
    assert list(target.parent.iterdir()) == [target]


def _append(path: Path) -> None:
    with cache.locked(path):
        before = path.read_text() if path.exists() else ""
        path.write_text(before + "x")


def test_a_lock_keeps_processes_from_losing_each_others_work(place: Path) -> None:
    target = cache.folder("things") / "file"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(_append, [target] * 20)
    assert target.read_text() == "x" * 20


def test_a_file_that_was_a_draft_may_be_read_as_any_other(place: Path) -> None:
    place.mkdir(exist_ok=True)
    with cache.draft_file(place / "made.txt") as draft:
        draft.write_text("whole")
    (place / "plain.txt").write_text("plain")
    assert (place / "made.txt").stat().st_mode == (place / "plain.txt").stat().st_mode


def test_whoever_waits_for_long_says_for_what(tmp_path, monkeypatch, caplog) -> None:
    """A process that was stopped keeps its lock."""
    monkeypatch.setattr(cache, "PATIENCE", 0.1)
    target = tmp_path / "features"
    with ThreadPool(1) as pool:
        with cache.locked(target):
            waiting = pool.apply_async(lambda: cache.locked(target).__enter__())
            ends = time.monotonic() + 10
            while not caplog.messages:
                assert time.monotonic() < ends
                time.sleep(0.02)
        waiting.get(timeout=10)
    (said,) = caplog.messages
    assert f"waiting for another process that is making {target}; if it was stopped, wake it or end it" in said
