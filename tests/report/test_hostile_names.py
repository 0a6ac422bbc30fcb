"""Names with control characters and newlines: escaped in every file of a report, none of which breaks."""

from __future__ import annotations

from xml.etree import ElementTree

from report_factories import QUICK, record

from isotune.printable import one_line, printable
from isotune.report import Leaderboard

EVIL = "a\x1b[2J\x00\nb\u202e|<x>"


def test_a_report_on_hostile_names_holds_no_control_character_and_its_figures_are_xml(tmp_path):
    recipe = QUICK.model_copy(update={"title": EVIL, "source": EVIL})
    named = {"dataset": f"imagefolder:{EVIL}", "checkpoint": f"file:{EVIL}", "protocol": recipe}
    records = [record(accuracy=0.8 + 0.01 * seed, seed=seed, **named) for seed in range(3)]
    records.append(record(model=f"timm:{EVIL}", error=EVIL, **named))
    records.append(record(model=f"timm:{EVIL}x", **named))
    Leaderboard(records, command=EVIL).write(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".md", ".html", ".json", ".svg"}
    for path in files:
        text = path.read_text(encoding="utf-8")
        hidden = {character for character in text if not character.isprintable()}
        # JSON escapes what a terminal obeys by itself, and keeps the rest as it is: it is data
        assert hidden <= ({"\n", "\u202e"} if path.suffix == ".json" else {"\n", "\t"}), path
        if path.suffix == ".svg":
            ElementTree.fromstring(text)
    tables = [
        line for line in (tmp_path / "leaderboard.md").read_text(encoding="utf-8").splitlines() if line[:1] == "|"
    ]
    assert not [line for line in tables if not line.endswith("|")]


def test_what_prints_stays_and_a_long_text_loses_its_middle():
    assert printable("Mühle, 10 %") == "Mühle, 10 %"
    assert printable(EVIL) == r"a\x1b[2J\x00\nb\u202e|<x>"
    shown = one_line("wrong " + "x" * 5000 + " right", most=100)
    assert len(shown) == 100
    assert shown.startswith("wrong x")
    assert shown.endswith("x right")
