"""Drafts on disk: whole or not used, of this cell and this environment, and the claim's holder's alone."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from record_factories import cell

from isotune.errors import UsageError
from isotune.runs import drafts
from isotune.runs.claims import Claims
from isotune.runs.drafts import Draft, LeftOff, begun
from isotune.runs.store import Store
from isotune.seeds import Seeds

HERE = {"torch": "2.9", "threads": "2", "memory": "8 GiB"}
SAID = {"stage": 0, "step": 3}
PARTS = {"trainer": {"network/0": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(3)}}
same_folder = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def draft(folder, of=None, environment=None, **how) -> Draft:
    return Draft(folder, of or cell(), **how).under(environment or HERE)


def write(one: Draft, done=3, parts=None, left=0.0) -> None:
    one._is_first = False  # else even a small one waits for some microseconds
    one.write(done, 10, SAID, lambda: parts or PARTS, left)


ANY = arrays_of.arrays(
    st.sampled_from([np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_, np.float16]),
    arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


@same_folder
@given(st.dictionaries(st.text("abc/. é", min_size=1, max_size=8), ANY, max_size=4))
def test_what_is_written_is_read(tmp_path, arrays) -> None:
    write(draft(tmp_path), parts={"trainer": arrays})
    kept = draft(tmp_path).read(10)
    assert kept.said == SAID
    there = kept.parts.get("trainer", {})
    assert sorted(there) == sorted(arrays)
    for name, array in arrays.items():
        assert (there[name].dtype, there[name].shape) == (array.dtype, array.shape)
        assert there[name].tobytes() == array.tobytes()


@same_folder
@given(st.data())
def test_one_that_is_damaged_is_not_used_and_that_is_said(tmp_path, caplog, data) -> None:
    one = draft(tmp_path)
    write(one)
    whole = one.path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    flipped = bytes([*whole[:place], whole[place] ^ (1 << data.draw(st.integers(0, 7))), *whole[place + 1 :]])
    one.path.write_bytes(whole[:place] if cut else flipped)
    caplog.clear()
    if (kept := one.read(10)) is not None:  # a bit that says nothing, such as a space's of JSON
        assert kept.said == SAID
        np.testing.assert_array_equal(kept.parts["trainer"]["network/0"], PARTS["trainer"]["network/0"])
    else:
        assert "starts from its beginning" in caplog.text


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"torch": "2.10"}, "torch was 2.9, and is 2.10"),
        ({"threads": "4"}, "threads was 2, and is 4"),
        ({"cuda": "13"}, "cuda was not there, and is 13"),
    ],
)
def test_one_of_another_environment_is_not_used(tmp_path, caplog, changes, why) -> None:
    write(draft(tmp_path))
    assert draft(tmp_path, environment=HERE | changes).read(10) is None
    assert why in caplog.text
    assert draft(tmp_path, environment=HERE | {"memory": "16 GiB"}).read(10) is not None


def test_one_of_another_cell_or_length_is_not_used(tmp_path, caplog) -> None:
    other = cell(seeds=Seeds.all(7))
    write(draft(tmp_path, other))
    assert draft(tmp_path).read(10) is None, "its key is another"
    assert not caplog.text
    (tmp_path / drafts.FOLDER / f"{other.key}.safetensors").rename(draft(tmp_path).path)
    assert draft(tmp_path).read(10) is None
    assert "it is that of another cell" in caplog.text
    write(draft(tmp_path))
    assert draft(tmp_path).read(11) is None
    assert "it is of 10 steps, and there are 11" in caplog.text


def test_one_of_another_version_or_kind_is_not_used(tmp_path, caplog, monkeypatch) -> None:
    monkeypatch.setattr(drafts, "_KIND", "draft 0")
    write(draft(tmp_path))
    monkeypatch.undo()
    assert draft(tmp_path).read(10) is None
    assert "no draft of this version" in caplog.text
    draft(tmp_path).path.unlink()
    os.mkfifo(draft(tmp_path).path)
    assert draft(tmp_path).read(10) is None
    assert "a named pipe" in caplog.text


def test_there_is_none_of_what_is_short_and_it_costs_a_hundredth(tmp_path, monkeypatch) -> None:
    now = 0.0
    monkeypatch.setattr(drafts.time, "monotonic", lambda: now)
    one = draft(tmp_path)
    now = 59.0
    assert not one.due(1e6)
    now = 60.0
    assert one.due(0.0)

    def slow():
        nonlocal now
        now += 5
        return PARTS

    one._is_first = False
    one.write(3, 10, SAID, slow, 0.0)
    now = 564.0
    assert not one.due(0.0), "500 seconds after one that took 5"
    now = 565.0
    assert one.due(0.0)


def test_the_first_of_a_large_network_waits_until_it_is_cheap(tmp_path, monkeypatch) -> None:
    now = 0.0
    monkeypatch.setattr(drafts.time, "monotonic", lambda: now)
    monkeypatch.setattr(drafts, "_RATE", 10.0)
    one, parts = draft(tmp_path), {"trainer": {"large": np.zeros(20, np.uint8)}}
    now = 61.0
    one.write(3, 10, SAID, lambda: parts, 0.0)
    assert begun(tmp_path) == []
    now = 199.0
    assert not one.due(0.0), "20 bytes take 2 seconds"
    now = 200.0
    assert one.due(0.0)
    one.write(3, 10, SAID, lambda: parts, 0.0)
    assert len(begun(tmp_path)) == 1
    now = 260.0
    assert one.due(0.0), "it took no time"


def test_the_user_says_how_often(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(drafts.VARIABLE, "0")
    assert not draft(tmp_path, seconds=-1).due(1e9), "never, then"
    monkeypatch.setenv(drafts.VARIABLE, "1e-9")
    assert draft(tmp_path).due(0.0)
    for wrong in ("often", "-1", "nan"):
        monkeypatch.setenv(drafts.VARIABLE, wrong)
        with pytest.raises(UsageError, match=f"ISOTUNE_DRAFTS={wrong}: give seconds"):
            draft(tmp_path)


def test_when_the_time_is_over_what_takes_longer_is_left_off(tmp_path) -> None:
    one = draft(tmp_path, seconds=-1)
    assert not one.due(left=59.0), "that is ended"
    assert one.due(left=3600.0)
    with pytest.raises(LeftOff):
        write(one, left=3600.0)
    assert draft(tmp_path).read(10) is not None
    assert not draft(tmp_path, seconds=3600).due(left=1e6)


def test_the_claims_holder_alone_writes_and_removes_it(tmp_path) -> None:
    claims, of = Claims(tmp_path), cell()
    with claims:
        assert claims.take(of.key)
        ticket = claims.ticket(of.key)
        write(draft(tmp_path, claim=ticket), done=3)
    with pytest.raises(LeftOff):
        write(draft(tmp_path, claim=ticket), done=4)
    draft(tmp_path, claim=ticket).remove()
    assert [one.done for one in begun(tmp_path)] == [3]
    draft(tmp_path).remove()
    assert not (tmp_path / drafts.FOLDER).exists()


def test_a_training_goes_on_where_none_can_be_written(tmp_path, caplog) -> None:
    place = tmp_path / "store"
    place.write_text("a file")
    one = draft(place, seconds=-1)
    write(one, left=3600.0)
    assert "goes on without a draft: [Errno 20] Not a directory" in caplog.text
    assert not one.due(left=3600.0), "and is not asked again"

    def fails():
        raise TypeError("Got unsupported ScalarType BFloat16")

    draft(tmp_path).write(3, 10, SAID, fails, 0.0)
    assert "goes on without a draft: Got unsupported" in caplog.text


def test_a_disk_that_is_full_leaves_the_former_one(tmp_path, monkeypatch, caplog) -> None:
    one = draft(tmp_path)
    write(one)

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("isotune.cache.settle", full)
    write(one, done=4)
    assert "No space left" in caplog.text
    assert [path.name for path in one.path.parent.iterdir()] == [one.path.name], "and nothing half"
    assert [each.done for each in begun(tmp_path)] == [3]


def test_they_are_listed_in_brief_and_what_killed_writers_left_is_removed(tmp_path) -> None:
    write(draft(tmp_path))
    (tmp_path / drafts.FOLDER / "0.safetensors").write_bytes(b"half")
    left = tmp_path / drafts.FOLDER / ".draft-x.safetensors"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    damaged, one = begun(tmp_path)
    assert (damaged.key, damaged.cell, damaged.total) == ("0", "", 0)
    assert (one.key, one.cell, one.line) == (cell().key, str(cell()), "3 of 10")
    assert one.size == one.path.stat().st_size
    Store(tmp_path).check()
    assert not left.exists()
    assert one.path.exists()
    assert list(Store(tmp_path)) == [], "no record"


def test_a_fresh_run_has_none(tmp_path, caplog) -> None:
    caplog.set_level(logging.WARNING)
    write(draft(tmp_path))
    assert draft(tmp_path, fresh=True).read(10) is None
    assert begun(tmp_path) == []
    assert not caplog.text
