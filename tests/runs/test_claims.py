"""Claims: of processes on one store one alone has a cell, and who died loses it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
import threading
import time
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from isotune.runs import claims
from isotune.runs.claims import Claims, is_held, running
from isotune.workers.identity import machine

KEY = "0" * 32
ELSEWHERE = {"token": "theirs", "cell": "a cell", "host": "other", "machine": "other", "process": 1, "born": "2"}


@pytest.fixture
def others(tmp_path):
    """The claim of a process of another machine, of which only signs of life can be seen."""
    (tmp_path / claims.FOLDER).mkdir()
    path = tmp_path / claims.FOLDER / f"{KEY}.1"
    path.write_text(json.dumps(ELSEWHERE | {"since": "2026-01-02T03:04:05+00:00"}))
    return path


def test_a_cell_is_one_process_alone_until_it_is_given_back(tmp_path) -> None:
    one, two = Claims(tmp_path), Claims(tmp_path)
    assert one.take(KEY)
    assert not two.take(KEY)
    assert two.take("1" * 32)
    one.give_back(KEY)
    assert two.take(KEY)
    with two:
        pass
    assert not (tmp_path / claims.FOLDER).exists()
    assert one.take(KEY)


def test_of_many_that_ask_at_once_one_has_it(tmp_path) -> None:
    for attempt in range(20):
        with ThreadPool(8) as pool:
            taken = pool.map(lambda _, key=f"{attempt:032}": Claims(tmp_path).take(key), range(8))
        assert taken.count(True) == 1


def test_of_many_that_take_over_at_once_one_has_it(tmp_path) -> None:
    (tmp_path / claims.FOLDER).mkdir()
    for attempt in range(20):
        key = f"{attempt:032}"
        gone = ELSEWHERE | {"machine": machine(), "process": 1, "born": "long ago"}
        (tmp_path / claims.FOLDER / f"{key}.1").write_text(json.dumps(gone))
        with ThreadPool(8) as pool:
            taken = pool.map(lambda _, key=key: Claims(tmp_path).take(key), range(8))
        assert taken.count(True) == 1


def test_where_one_was_killed_in_the_middle_of_giving_back_another_takes_it(tmp_path, others) -> None:
    """The lowest numbers may be gone, and the highest counts: of one who is alive, and of one who is not."""
    third = others.rename(others.with_name(f"{KEY}.3"))
    mine = Claims(tmp_path, lease=0.2)
    assert not mine.take(KEY)
    assert mine.free([KEY]) == set()
    assert [path.name for path in third.parent.iterdir()] == [third.name], "nothing was left in the gaps"
    time.sleep(0.3)
    assert mine.free([KEY, "1" * 32]) == {KEY, "1" * 32}
    assert mine.take(KEY)
    assert not Claims(tmp_path, lease=0.2).take(KEY)
    with mine:
        pass
    assert not (tmp_path / claims.FOLDER).exists()


def test_who_takes_and_gives_back_all_the_time_has_it_alone(tmp_path) -> None:
    (tmp_path / claims.FOLDER).mkdir()
    gone = ELSEWHERE | {"machine": machine(), "process": 1, "born": "long ago"}
    holders, most = [], []

    def often(_: int) -> int:
        mine, times = Claims(tmp_path), 0
        for attempt in range(60):
            if attempt == 20:  # and one more that died
                (tmp_path / claims.FOLDER).mkdir(exist_ok=True)
                with contextlib.suppress(OSError), (tmp_path / claims.FOLDER / f"{KEY}.1").open("x") as file:
                    json.dump(gone, file)
            if mine.take(KEY):
                holders.append(mine)
                most.append(len(holders))
                holders.remove(mine)
                mine.give_back(KEY)
                times += 1
        return times

    with ThreadPool(8) as pool:
        assert sum(pool.map(often, range(8))) > 0
    assert max(most) == 1


def test_a_claim_for_which_there_is_no_room_is_not_left_behind(tmp_path, monkeypatch) -> None:
    mine = Claims(tmp_path)
    monkeypatch.setattr(claims.json, "dump", full)
    with pytest.raises(OSError, match="No space left"):
        mine.take(KEY)
    assert not list((tmp_path / claims.FOLDER).iterdir())


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_who_is_alive_keeps_it_and_who_stands_still_loses_it_after_a_lease(tmp_path, others) -> None:
    beating = threading.Event()

    def beat() -> None:
        while not beating.wait(0.05):
            os.utime(others)

    threading.Thread(target=beat, daemon=True).start()
    waiting, ends = Claims(tmp_path, lease=0.5), time.monotonic() + 1.5
    while time.monotonic() < ends:
        assert not waiting.take(KEY)
        time.sleep(0.05)
    beating.set()
    stopped = time.monotonic()
    while not waiting.take(KEY):
        time.sleep(0.02)
    assert 0.3 < time.monotonic() - stopped < 5


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_no_clock_takes_a_claim_away(tmp_path, others, monkeypatch, jump) -> None:
    os.utime(others, (time.time() + jump,) * 2)
    monkeypatch.setattr(time, "time", lambda now=time.time: now() - jump)
    assert not Claims(tmp_path, lease=0.5).take(KEY)


def test_a_process_of_this_machine_that_was_killed_loses_it_at_once(tmp_path) -> None:
    program = (
        "import sys, pathlib; from isotune.runs.claims import Claims\n"
        f"print(Claims(pathlib.Path({str(tmp_path)!r})).take({KEY!r}), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout.readline() == "True\n"
        mine = Claims(tmp_path)
        assert not mine.take(KEY)
        (one,) = running(tmp_path)
        assert (one.process, one.lost) == (process.pid, False)
        process.kill()
        process.wait()
        assert running(tmp_path)[0].lost
        assert mine.free([KEY]) == {KEY}
        assert mine.take(KEY)


def test_a_holder_that_was_stopped_learns_that_another_took_over(tmp_path, others) -> None:
    ticket = {"path": str(others), "token": "theirs"}
    assert is_held(ticket)
    mine = Claims(tmp_path, lease=0.1)
    assert not mine.take(KEY)
    time.sleep(0.2)
    assert mine.take(KEY)
    assert not is_held(ticket)
    assert is_held(mine.ticket(KEY))
    assert not Claims(tmp_path).take(KEY), "the number that followed is held"
    assert [one.host for one in running(tmp_path)] != ["other"]
    with mine:
        pass
    assert not (tmp_path / claims.FOLDER).exists()


def test_a_claim_that_is_being_written_or_damaged_is_a_claim(tmp_path, others) -> None:
    for content in ("", "{", "[1]", '{"process": "x"}'):
        others.write_text(content)
        assert not Claims(tmp_path).take(KEY)
        running(tmp_path)


def test_claims_are_renewed(tmp_path) -> None:
    with Claims(tmp_path, renewal=0.05) as mine:
        assert mine.take(KEY)
        path = Path(mine.ticket(KEY)["path"])
        os.utime(path, (0, 0))
        ends = time.monotonic() + 5
        while path.stat().st_mtime == 0:
            assert time.monotonic() < ends
            time.sleep(0.02)


def test_what_runs_is_told_with_who_and_since_when(tmp_path, others) -> None:
    (one,) = running(tmp_path)
    assert (one.cell, one.host, one.process, one.since.year, one.lost) == ("a cell", "other", 1, 2026, False)
    assert one.quiet < 60
    assert running(tmp_path / "nowhere") == []
    others.write_text(json.dumps(ELSEWHERE | {"since": "2026-01-02T03:04:05"}))
    (same,) = running(tmp_path)
    assert same.since == one.since, "of a time without a zone, which can be told"


def test_claims_that_nobody_wants_any_more_are_removed_after_a_day(tmp_path, others) -> None:
    claims.tidy(tmp_path, time.time())
    assert others.exists()
    claims.tidy(tmp_path, time.time() + 90_000)
    assert not others.exists()


def test_of_this_machine_the_dead_are_forgotten_at_once_and_the_living_never(tmp_path) -> None:
    mine = Claims(tmp_path)
    assert mine.take(KEY)
    dead = json.dumps(ELSEWHERE | {"machine": machine(), "process": os.getpid(), "born": "before"})
    for number in range(1, 3001):
        (tmp_path / claims.FOLDER / f"{number:032x}.1").write_text(dead)
    began = time.monotonic()
    claims.tidy(tmp_path, time.time() + 1e9)
    assert time.monotonic() - began < 10
    assert [path.name for path in (tmp_path / claims.FOLDER).iterdir()] == [f"{KEY}.1"]
    assert is_held(mine.ticket(KEY))
