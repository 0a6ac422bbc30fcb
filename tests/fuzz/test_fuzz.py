"""A few thousand spoiled files of every kind that needs no framework: read, or refused in one clear line.

`benchmarks/validation/fuzzing` tries more, of all kinds, in processes with limits.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest
from fuzzing.cases import READ, REFUSED, Cases, judged
from fuzzing.kinds import KINDS

SEED = "of the tests"
CASES = 130  # of each kind
SLOW = {"folder of images": 30, "dump": 30}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    caplog.set_level(logging.CRITICAL, "isotune")  # that a damaged file is set aside


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.framework], ids=lambda kind: kind.name)
def test_what_is_spoiled_is_read_or_refused_in_one_clear_line(tmp_path: Path, kind) -> None:
    cases, ends = Cases(kind, tmp_path / "cases"), set()
    for number in range(SLOW.get(kind.name, CASES)):
        began = time.process_time()
        end, words = cases.tried(f"{SEED} {kind.name} {number}")
        assert end in (READ, REFUSED), f"case {number}: {end}: {words}"
        assert time.process_time() - began < 5, f"case {number}"
        ends.add(end)
    assert REFUSED in ends


@pytest.mark.parametrize(
    "words", ["", "a\nb", "a" * 1001, "load it unsafely using allow_pickle", "\x1b[31m", "<_io.BytesIO object at 0x1>"]
)
def test_words_that_are_no_clear_line_are_seen(words: str) -> None:
    assert judged(words) != REFUSED
    assert judged("a.png: a device, not a file") == REFUSED
