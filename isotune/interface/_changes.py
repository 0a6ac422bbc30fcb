"""What changed between two sets of runs."""

from __future__ import annotations

from isotune import changes, defaults, reading
from isotune.changes import Changes, Side
from isotune.errors import UsageError
from isotune.interface import arguments
from isotune.interface._runs import Runs, load_runs
from isotune.interface.arguments import PathLike
from isotune.report import is_leaderboard, read_leaderboard

_BOARD = "leaderboard.json"
_MOST = 256 * reading.MIB  # of a JSON


def compare(
    before: Runs | PathLike, after: Runs | PathLike, *, margin: float = 10.0, store: PathLike = defaults.STORE
) -> Changes:
    """Say what changed: after an upgrade, a patch, on another machine. Nothing is run, and nothing is written.

    What was asked is paired: model, checkpoint, data set by its content, protocol, conventions, mode, seed; versions,
    machine, flags and the code of isotune and of your own files are listed where they differ. Accuracies are paired by
    seed (t test, or permutations) or, where nothing is drawn at random, image by image (McNemar's exact test); speeds
    by their rounds, beyond the margin (Mann and Whitney's test). Both are corrected by Holm for all that is compared.
    Speeds of another machine, or that something disturbed, are shown and not judged.

    before, after: a folder of records, the JSON of `pytest benchmarks/ --benchmark-json=FILE`, a report's
        `leaderboard.json` or its folder, or `Runs`. A report holds no predictions, and none of the cells' own timings.
    margin: percent that a speed may change by. store: of a benchmark's JSON, the folder where the predictions of its
        runs lie.
    Errors: UsageError: a side is none of these, or is damaged, or nothing is on both sides.

    What fell since a report was written::

        isotune.compare("my-report/leaderboard.json", ".isotune/records").fell()
    """
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin < 100:
        raise UsageError(f"margin: takes percent, from 0 to below 100, not {margin!r}")
    sides = [_side(value, name, store) for value, name in ((before, "before"), (after, "after"))]
    return changes.changes(*sides, margin=float(margin))


def _side(value: Runs | PathLike, argument: str, store: PathLike) -> Side:
    if isinstance(value, Runs):
        return _of_runs(value, str(value.store or argument))
    place = arguments.path(value, argument)
    if place.is_dir() and (place / _BOARD).is_file():
        place = place / _BOARD
    if place.is_file():
        content = reading.json(place, _MOST)
        if is_leaderboard(content):
            return changes.of_report(str(place), read_leaderboard(content, str(place)))
        if not isinstance(content, dict) or "benchmarks" not in content:
            raise UsageError(
                f"{place}: neither a benchmark's JSON (pytest benchmarks/ --benchmark-json=FILE) nor a report's"
                f" ({_BOARD})"
            )
    elif not place.is_dir():
        raise UsageError(f"there is no {place}; {argument} takes a folder of records, a benchmark's JSON or a report's")
    return _of_runs(load_runs(place, store=store), str(place))


def _of_runs(runs: Runs, name: str) -> Side:
    predictions = None if runs.store is None else runs.predictions
    return changes.of_records(name, runs.records, runs.speeds, predictions, runs.damaged)
