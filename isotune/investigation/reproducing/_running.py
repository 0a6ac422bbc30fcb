"""A script, run in a process of its own: whether it fails as it says."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from isotune.errors import UsageError

SECONDS = 300  # of a machine with much other work; alone it takes a few


class NotReproduced(UsageError):
    """There is no script: why, in a few words."""


def run(text: str, seconds: float = SECONDS) -> str:
    """What the script prints, both values in it. NotReproduced: it does not end, or not by its own assertion."""
    with tempfile.TemporaryDirectory(prefix="isotune-reproducer-") as folder:
        file = Path(folder) / "reproducer.py"
        file.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run(
                [sys.executable, str(file)], capture_output=True, text=True, check=False, timeout=seconds, cwd=folder
            )
        except subprocess.TimeoutExpired:
            raise NotReproduced(f"the script does not end within {seconds:.0f} s") from None
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    if done.returncode == 0:
        raise NotReproduced("in a process of its own both sides give the same")
    if done.returncode != 1 or not last.startswith("AssertionError: "):
        raise NotReproduced(f"the script fails otherwise than it says: {last[:200]}")
    return "\n".join([*done.stdout.strip().splitlines()[-1:], last])
