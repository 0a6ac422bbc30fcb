"""What is in the caches is told, and goes by age and by size; never what somebody uses, nor anything outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from record_factories import cell, record

import isotune
from isotune import cache, caches, data, sealing
from isotune.errors import UsageError
from isotune.runs.claims import Claims
from isotune.runs.drafts import Draft, begun
from isotune.runs.store import Store
from isotune.seeds import Seeds

DAY = 86_400


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and empty ones of the libraries."""
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    for variable in ("TORCH_HOME", "HF_HOME", "KERAS_HOME", "TFDS_DATA_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "cache"


def made(kind: str, name: str, size: int = 1000, days: float = 0) -> Path:
    """A sealed folder of the cache, last used so many days ago."""

    def build(folder: Path) -> None:
        (folder / "content").write_bytes(bytes(size))

    with sealing.made(cache.folder(kind) / name, build) as folder:
        pass
    return aged(folder, days)


def aged(path: Path, days: float) -> Path:
    then = time.time() - days * DAY
    for each in (path, *path.rglob("*")):
        os.utime(each, (then, then), follow_symlinks=False)
    return path


def kind(name: str) -> caches.Kind:
    return next(each for each in isotune.list_cache().kinds if each.name == name)


def test_everything_is_listed_with_its_size_and_last_use(place: Path) -> None:
    made("features", "one", days=3), made("views", "view-two", 5000), made("features", "three")
    (features, images) = kind("features"), kind("images")
    assert [item.path.name for item in features.items] == ["one", "three"]
    assert 5000 < images.bytes == sum(each.stat().st_size for each in (place / "views/view-two").iterdir()) < 7000
    assert abs(time.time() - features.items[0].used - 3 * DAY) < 600
    said = json.loads(json.dumps(isotune.list_cache().json()))
    assert sum(len(each["items"]) for each in said["kinds"]) == 3
    assert any("features" in line and " 2 " in line for line in isotune.list_cache().lines())


def test_an_empty_cache_is_listed_and_pruned(place: Path) -> None:
    assert len(list(isotune.list_cache().lines())) > 5
    assert isotune.prune_cache(older_than="1d", keep=0).removed == []
    assert not place.exists()


def test_what_is_used_is_of_today(place: Path) -> None:
    made("features", "one", days=40)
    with sealing.made(cache.folder("features") / "one", lambda folder: pytest.fail("it is there")):
        pass
    assert isotune.prune_cache(older_than="30d").removed == []


def test_what_is_old_goes_and_what_is_not_stays(place: Path) -> None:
    old, young = made("features", "old", days=31), made("views", "view-young", days=29)
    pruned = isotune.prune_cache(older_than="30d")
    assert [item.path for item in pruned.removed] == [old]
    assert not old.exists()
    sealing.check(young)


def test_the_longest_unused_go_until_it_fits(place: Path) -> None:
    folders = [made("features", f"f{days}", 10_000, days) for days in (5, 1, 3)]
    size = kind("features").bytes
    pruned = isotune.prune_cache(keep=size - 1)
    assert [item.path.name for item in pruned.removed] == ["f5"]
    pruned = isotune.prune_cache(keep=0)
    assert [item.path.name for item in pruned.removed] == ["f3", "f1"]
    assert pruned.left == 0
    assert not any(folder.exists() for folder in folders)


def test_dry_nothing_goes(place: Path) -> None:
    old = made("features", "old", days=31)
    pruned = isotune.prune_cache(older_than="30d", dry_run=True)
    assert [item.path for item in pruned.removed] == [old]
    assert next(iter(pruned.lines())).startswith("would be removed: features/old, ")
    sealing.check(old)


def test_what_another_process_uses_stays_until_that_ends(place: Path) -> None:
    old = made("features", "old", days=31)
    use = f"from pathlib import Path\nfrom isotune.cache import Use\nuse = Use(Path({str(old / sealing.SEAL)!r}))\n"
    command = [sys.executable, "-c", f"{use}print('in use', flush=True)\ninput()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        user.stdout.readline()
        for dry in (True, False):
            pruned = isotune.prune_cache(older_than="30d", dry_run=dry)
            assert ([], [(old, "in use")]) == (pruned.removed, [(item.path, why) for item, why in pruned.kept])
        assert (old / sealing.SEAL).exists()
        user.kill()
    assert [item.path for item in isotune.prune_cache(older_than="30d").removed] == [old]


def test_what_is_being_made_stays(place: Path) -> None:
    old = made("features", "old", days=31)
    with cache.locked(old):
        assert isotune.prune_cache(older_than="30d").removed == []


def test_a_data_set_that_is_open_stays_and_one_that_went_is_prepared_again(house: Path, place: Path, caplog) -> None:
    dataset = data.prepare("digits")
    folder = aged(dataset.folder, 31)
    assert [why for _, why in isotune.prune_cache(older_than="30d").kept] == ["in use"]
    del dataset
    pruned = isotune.prune_cache(older_than="30d")
    assert [(item.path, item.name) for item in pruned.removed] == [(folder, "digits")]
    assert list((place / "datasets").glob("*.json")) == []
    assert data.prepare("digits").folder == folder
    assert caplog.messages == []


def test_whoever_comes_while_it_is_removed_makes_it_again(place: Path, monkeypatch) -> None:
    folder, make = made("features", "one"), sealing._make

    def removed_once(target: Path, build: Callable[[Path], None]) -> None:
        make(target, build)
        monkeypatch.setattr(sealing, "_make", make)
        assert isotune.prune_cache(keep=0).removed

    monkeypatch.setattr(sealing, "_make", removed_once)
    assert made("features", "one") == folder
    sealing.check(folder)


def test_links_are_not_followed(place: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    inside = made("features", "one")
    (inside / "link").symlink_to(outside)
    (place / "features/linked").symlink_to(outside)
    (place / "views").symlink_to(outside)
    (place / "catalogue").mkdir()
    (place / "catalogue/torch-1.json").symlink_to(outside / "mine")
    assert "left alone" in kind("images").about
    isotune.prune_cache(keep=0)
    assert not inside.exists()
    assert (outside / "mine").read_text() == "mine"
    assert (place / "features/linked/mine").exists()


def test_what_killed_processes_left_goes_but_no_ones_work(place: Path) -> None:
    folder = cache.folder("features")
    for name in (".draft-gone", ".replaced-x1", "f.damaged", ".draft-locked", ".draft-young"):
        (folder / name).mkdir()
        (folder / name / "half").write_text("half")
        aged(folder / name, 0 if name == ".draft-young" else 1)
    (folder / "not-ours").write_text("")
    (folder / ".not-ours").write_text("")
    with cache.locked(folder / "locked"):
        pruned = isotune.prune_cache()
    assert sorted(item.path.name for item in pruned.removed) == [".draft-gone", ".replaced-x1", "f.damaged"]
    assert [(item.path.name, why) for item, why in pruned.kept] == [(".draft-locked", "in use")]
    assert {path.name for path in folder.iterdir()} == {".draft-locked", ".draft-young", ".locked.lock", "not-ours",
                                                       ".not-ours"}  # fmt: skip


def test_what_was_fetched_goes_only_where_it_is_named(place: Path, tmp_path: Path) -> None:
    weights = tmp_path / "TORCH_HOME/hub/checkpoints"
    weights.mkdir(parents=True)
    for name in ("old.pth", "new.pth"):
        (weights / name).write_bytes(bytes(100))
    aged(weights / "old.pth", 100)
    source = cache.folder("sources/fashion-mnist")
    (source / "images.gz").write_bytes(bytes(50))
    aged(source, 100)
    assert [item.path.name for item in kind("torch-hub").items] == ["old.pth", "new.pth"]
    assert kind("torch-hub").dear
    assert isotune.prune_cache(older_than="30d", keep=0).removed == []
    pruned = isotune.prune_cache(older_than="30d", only=["torch-hub", "downloads"])
    assert {item.path.name for item in pruned.removed} == {"old.pth", "fashion-mnist"}
    pruned = isotune.prune_cache(only="torch-hub")  # another process may be reading it
    assert [(item.path.name, why) for item, why in pruned.kept] == [("new.pth", "in use")]
    assert [path.name for path in weights.iterdir()] == ["new.pth"]


def drafted(seed: int, days: float = 0, of: str = "store") -> Path:
    """The draft of a cell in a store, last written so many days ago."""
    draft = Draft(Path(of), cell(seeds=Seeds.all(seed)))
    draft._is_first = False
    draft.write(3, 10, {}, lambda: {"trainer": {"w": np.zeros(1000, np.float32)}}, 0.0)
    return aged(draft.path, days)


def test_drafts_are_listed_by_cell_size_and_when_they_were_written(house, place: Path) -> None:
    paths = [drafted(0, days=40), drafted(1)]
    for wrong in ("nowhere", __file__):
        with pytest.raises(UsageError, match="there is no store"):
            isotune.list_cache(store=wrong)
    assert kind("drafts").items == [], "of another store"
    for _ in range(2):  # listing reads them
        (there,) = (each for each in isotune.list_cache(store="store").kinds if each.name == "drafts")
        assert [item.path for item in there.items] == [path.absolute() for path in paths]
        assert there.bytes == sum(path.stat().st_size for path in paths) > 8000
        old = there.items[0]
        assert old.name == f"{cell(seeds=Seeds.all(0))}, after step 3 of 10"
        assert abs(time.time() - old.used - 40 * DAY) < 600


def test_drafts_go_by_age_where_they_are_named_but_none_whose_cell_is_running(house, place: Path) -> None:
    old, running, young = drafted(0, days=40), drafted(1, days=40), drafted(2, days=1)
    assert isotune.prune_cache(older_than="30d", keep=0, store="store").removed == [], "not named"
    with Claims(Path("store")) as claims:
        assert claims.take(cell(seeds=Seeds.all(1)).key)
        for dry in (True, False):
            pruned = isotune.prune_cache(older_than="30d", only="drafts", store="store", dry_run=dry)
            assert [item.path for item in pruned.removed] == [old.absolute()]
            assert [(item.path, why) for item, why in pruned.kept] == [(running.absolute(), "in use")]
    assert [one.path for one in begun(Path("store"))] == sorted([running, young])
    isotune.prune_cache(older_than="30d", only="drafts", store="store")
    assert [one.path for one in begun(Path("store"))] == [young]
    assert not Path("store/.claims").exists()


def test_a_draft_that_was_written_while_it_was_looked_at_stays(house, place: Path) -> None:
    path = drafted(0, days=40)
    there = caches.listed(Path("store"))
    drafted(0)
    pruned = caches.prune(there, older_than=30 * DAY, only=["drafts"])
    assert [why for _, why in pruned.kept] == ["used just now"]
    assert path.exists()


def test_a_draft_of_which_nobody_goes_on_is_a_leftover(house, place: Path) -> None:
    done, again, failed, damaged = (drafted(seed, days=1) for seed in range(4))
    for seed, status in enumerate(("done", "done", "failed")):
        Store(Path("store")).write(record(cell(seeds=Seeds.all(seed)), status=status))
    drafted(1)  # begun after the result, as under other versions
    os.utime(again, (time.time() + 60,) * 2)
    damaged.write_bytes(damaged.read_bytes()[:20])
    pruned = isotune.prune_cache(store="store")
    assert {item.path for item in pruned.removed} == {done.absolute(), damaged.absolute()}
    assert sorted(one.path for one in begun(Path("store"))) == sorted([again, failed])


def test_links_in_a_store_are_left_alone(house, place: Path) -> None:
    outside = drafted(0, days=40, of="outside")
    drafted(1, days=40).parent.joinpath(outside.name).symlink_to(outside.absolute())
    Path("other").mkdir()
    Path("other/.drafts").symlink_to(outside.parent.absolute())
    for store in ("store", "other"):
        isotune.prune_cache(only=["drafts", "leftovers"], store=store)
    assert outside.exists()
    assert Path("store/.drafts", outside.name).is_symlink()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--older-than", "30d"), "--older-than: goes with --prune"),
        (("--dry-run",), "--dry-run: goes with --prune"),
        (("--prune", "--older-than", "soon"), "older_than: 'soon' is no time"),
        (("--prune", "--keep", "10 parsecs"), "keep: '10 parsecs' is no size"),
        (("--prune", "--keep", "-1GB"), "keep: '-1GB' is no size"),
        (("--prune", "--only", "feature"), "did you mean 'features'?"),
        (("--prune", "--only", ""), "--only: is empty"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(here, place: Path, arguments: tuple[str, ...], said: str) -> None:
    status, out, err = here("cache", *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("only", [3, [3], [], {}])
def test_kinds_are_names(place: Path, only: object) -> None:
    with pytest.raises(UsageError, match=r"^only: "):
        isotune.prune_cache(only=only)  # type: ignore[arg-type]


def test_the_command_line_lists_and_prunes(here, place: Path) -> None:
    made("features", "old", days=31), made("features", "young")
    status, out, _ = here("cache", "--json")
    assert status == 0
    assert sum(each["number"] for each in json.loads(out)["kinds"]) == 2
    status, out, _ = here("cache", "--prune", "--older-than", "30d", "--keep", "1GB", "--json")
    assert status == 0
    assert [each["path"] for each in json.loads(out)["removed"]] == [str(place / "features/old")]
    status, out, _ = here("cache", "--prune", "--only", "features")
    assert status == 0
    assert out.splitlines()[-1].endswith("; 0 B left")


def test_the_command_line_names_a_store(here, place: Path) -> None:
    drafted(0, days=40)
    _, out, _ = here("cache", "--store", "store")
    assert any(line.startswith("  drafts ") and " 1 " in line for line in out.splitlines())
    status, out, _ = here("cache", "--prune", "--only", "drafts", "--older-than", "30d", "--store", "store")
    assert (status, len(out.splitlines())) == (0, 2)
    assert "after step 3 of 10" in out
    assert begun(Path("store")) == []
