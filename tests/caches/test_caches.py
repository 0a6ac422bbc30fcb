"""What is in the caches is told, and goes by age and by size; never what somebody uses, nor anything outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import isotune
from isotune import cache, caches, data, sealing
from isotune.errors import UsageError

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
    assert kind("torch-hub").fetched
    assert isotune.prune_cache(older_than="30d", keep=0).removed == []
    pruned = isotune.prune_cache(older_than="30d", only=["torch-hub", "downloads"])
    assert {item.path.name for item in pruned.removed} == {"old.pth", "fashion-mnist"}
    pruned = isotune.prune_cache(only="torch-hub")  # another process may be reading it
    assert [(item.path.name, why) for item, why in pruned.kept] == [("new.pth", "in use")]
    assert [path.name for path in weights.iterdir()] == ["new.pth"]


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
