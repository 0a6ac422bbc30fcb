"""Another process is told to be gone only where that is known."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from isotune.workers import identity
from isotune.workers.identity import is_alive, is_gone, machine, myself


def test_this_process_is_alive_and_an_earlier_one_of_its_number_gone() -> None:
    assert is_alive(myself())
    assert not is_gone(myself())
    assert is_gone(myself() | {"born": "long ago"})


def test_one_that_was_killed_is_gone_before_its_parent_has_looked() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as process:
        who = myself() | {"process": process.pid, "born": identity._born(process.pid)}
        assert is_alive(who)
        process.kill()
        ends = time.monotonic() + 10
        while not is_gone(who):
            assert time.monotonic() < ends
            time.sleep(0.01)
        assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("field", ["another machine", "another name", "no number"])
def test_of_another_machine_nothing_is_known(field: str) -> None:
    """Also where a container, or a copy of a running system, has all but one thing in common with this one."""
    who = myself() | {"born": "long ago"}
    who["machine"] = {"another machine": machine() + "0", "another name": f"x{machine()}", "no number": machine()}[
        field
    ]
    who |= {"process": "1"} if field == "no number" else {}
    assert not is_gone(who)
    assert not is_alive(who)


def test_the_name_and_the_spaces_of_a_container_are_part_of_a_machine() -> None:
    name, boot, *spaces = machine().split(" ")
    assert name == platform.node()
    assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert str(Path("/proc/self/ns/pid").stat().st_ino) in spaces


def test_one_that_is_hidden_from_this_user_is_not_gone(monkeypatch) -> None:
    read = Path.read_text

    def hidden(path: Path, **options: object) -> str:
        if path == Path(f"/proc/{os.getppid()}/stat"):
            raise FileNotFoundError
        return read(path, **options)

    monkeypatch.setattr(Path, "read_text", hidden)
    assert not is_gone(myself() | {"process": os.getppid(), "born": "1"})
