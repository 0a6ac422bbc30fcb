"""Write "How to read this" of the committed leaderboards again, and reports that are made of a JSON beside them, after
a change of their words or of what they explain.

    python reports/renew.py

The section is made of the report's own text (`isotune.report._reading`). Of reports from before leaderboard.json had
its version 3 it says what their speeds have in brackets, which is no longer computed.
"""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

from isotune.report._reading import renewed

HERE = Path(__file__).parent
_BRACKETS = re.compile(r"(?m)^- \*\*\(a to b\)\*\* after a speed .*$")
_QUARTILES = "- **(a to b)** after a speed are quartiles. Speeds compare within one machine and one report only."


def renewed_report(leaderboard: Path) -> str:
    """A leaderboard as it should be: the same but for that section."""
    text = renewed(leaderboard.read_text(encoding="utf-8"))
    data = leaderboard.with_suffix(".json")
    version = json.loads(data.read_text(encoding="utf-8"))["version"] if data.exists() else 0
    return text if version >= 3 else _BRACKETS.sub(_QUARTILES, text)


def renewed_augmentation(data: Path) -> str:
    """augmentation.md, of augmentation.json."""
    room = HERE.parent / "benchmarks" / "validation" / "augmentation"
    sys.path.insert(0, str(room))
    text: str = runpy.run_path(str(room / "report.py"))["report"](json.loads(data.read_text(encoding="utf-8")))
    return text


if __name__ == "__main__":
    measured = HERE / "augmentation.json"
    measured.with_suffix(".md").write_text(renewed_augmentation(measured), encoding="utf-8")
    print(measured.with_suffix(".md"))
    for path in sorted(HERE.rglob("leaderboard.md")):
        path.write_text(renewed_report(path), encoding="utf-8")
        print(path)
