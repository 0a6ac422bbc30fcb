"""A leaderboard that was written before: what its JSON holds, and whether it would lose by being replaced."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from isotune import reading
from isotune.errors import UsageError

if TYPE_CHECKING:
    from isotune.report._schema import Leaderboard

_MOST = 256 * reading.MIB
_SET_UPS = ("identical", "native")


def lost(markdown: Path, data: Path, content: Callable[[], Mapping[str, Any]]) -> list[str]:
    """The runs that a leaderboard shows and what `content` gives, the JSON of another, does not; none without one.

    Of one whose JSON cannot be read that is not known, and its own path stands for its runs.
    """
    if not markdown.exists() and not data.exists():
        return []
    try:
        before = json.loads(reading.content(data, _MOST, str(data)))
        shown = dict.fromkeys(_runs(before))
    except (UsageError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return [f"the runs of {markdown}, whose {data.name} cannot be read"]
    now = set(_runs(content()))
    return [run for run in shown if run not in now]


def _runs(content: Mapping[str, Any]) -> Iterator[str]:
    """Every run by what was asked of it; a run that was made again is the same."""
    for section in content["sections"]:
        of = f"{section['dataset']} {section['protocol']['name']}"
        for price in section.get("prices", ()):  # steps of an evaluation, which knows no seeds; once rows of their own
            base, _, overrides = price["conventions"].partition(",")
            yield f"{_named({**price['row'], 'overrides': overrides})} {of} {base} seed 0"
        for default in section.get("defaults", ()):  # likewise once rows of their own
            named = _named({**default["row"], "overrides": default["what"]})
            yield from (f"{named} {of} identical {_seed(run)}" for run in default["setup"]["runs"])
        for row in section["rows"]:
            for setup in _SET_UPS:
                for run in (row[setup] or {}).get("runs", ()):
                    yield f"{_named(row)} {of} {setup} {_seed(run)}"


def _seed(run: Mapping[str, Any]) -> str:
    return f"seed {'/'.join(map(str, dict.fromkeys(run['seeds'].values())))}"


def _named(row: Mapping[str, str]) -> str:
    return " ".join(filter(None, (row["model"], row["checkpoint"], row["mode"], row["overrides"], row.get("version"))))


def is_leaderboard(content: Any) -> bool:
    """Whether what a JSON file holds is a report's, of whatever version."""
    return isinstance(content, dict) and "sections" in content and "checkpoints" in content


def read_leaderboard(content: Any, where: str) -> Leaderboard:
    """What a report's JSON holds. UsageError: it is of another version, or something in it is wrong."""
    from isotune.report._schema import Leaderboard

    try:
        return Leaderboard.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "file"
        raise UsageError(
            f"{where}: not a report's JSON of this version ({place}: {first['msg']}); write it again: isotune report"
        ) from None
