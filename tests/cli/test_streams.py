"""Standard streams that are closed, full, or read by nobody: no traceback, and a status that says what happened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")

LISTING = ("run", "--conventions", "help")  # of many lines, and no framework is asked


@pytest.fixture
def shell(house):
    """Runs the command line under a shell's redirections: (status, stdout, stderr)."""

    def run(redirected: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
        done = subprocess.run(
            ["bash", "-c", f'"$@" {redirected}', "bash", sys.executable, "-m", "isotune.cli", *arguments],
            capture_output=True, text=True, check=False, cwd=house, env=os.environ | environment,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_a_full_output_is_one_line_and_status_2(shell):
    for arguments in (LISTING, ("--help",), ()):
        status, _, said = shell(">/dev/full", *arguments)
        assert status == 2
        assert said.startswith("isotune: standard output cannot be written (No space left on device)"), said
        assert len(said.splitlines()) == 1


def test_nobody_reading_any_more_ends_it_quietly(house):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "isotune.cli", *LISTING]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, cwd=house)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_closed_stream_is_as_good_as_none(shell):
    status, out, said = shell(">&-", *LISTING)
    assert (status, out, said) == (0, "", "")
    status, out, said = shell("2>&-", *LISTING)
    assert status == 0
    assert "batchnorm_epsilon" in out
    assert shell("<&- >&- 2>&-", "run", "--seeds", "many") == (2, "", "")


def test_what_cannot_be_said_on_a_full_stderr_is_not_said(shell):
    if FULL.exists():
        assert shell("2>/dev/full", "run", "--seeds", "many") == (2, "", "")


def test_what_an_encoding_does_not_have_is_written_as_its_number(shell):
    status, _, said = shell("", "run", "--seeds", "drei±", PYTHONIOENCODING="ascii")
    assert status == 2
    assert r"drei\xb1" in said


def test_a_message_is_one_line_of_what_prints_however_long(here):
    for hostile in ("a\nb", "a\x1b[2Jb", "a\u202eb", "a" * 100_000, "\udcff"):
        status, out, said = here("run", "--models", hostile)
        assert (status, out) == (2, "")
        (line,) = said.splitlines()
        assert line.isprintable()
        assert len(line) < 1000
