"""What changed, in words: for a terminal, and as a comment for a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from isotune.changes._accuracy import AccuracyChange
from isotune.changes._compared import Compared
from isotune.changes._sides import Side, recipe
from isotune.changes._speeds import SpeedChange
from isotune.printable import counted, printable
from isotune.report import wording as f
from isotune.report.analysis.timing import Timing
from isotune.report.wording import Table
from isotune.seeds import Seeds
from isotune.statistics import Estimate

MOST = 100  # rows of a table, and lines, in a comment, which may have 65,536 characters
_ACCURACY = ("model", "data, protocol", "set-up", "before", "after", "difference", "p", "% changed", "")
_SPEED = ("what", "model", "setting", "before", "after", "difference", "p", "")
_LEFT = 3  # columns of words


def headline(changes: Compared) -> str:
    """How many fell and rose, in one line."""
    return "; ".join(filter(None, (_accuracies(changes.accuracy), _speeds(changes.speeds))))


def _accuracies(accuracy: Sequence[AccuracyChange]) -> str:
    if not accuracy:
        return "no accuracy is on both sides"
    fell, rose = sum(each.fell for each in accuracy), sum(each.outcome == "rose" for each in accuracy)
    untested = sum(each.outcome == "not tested" for each in accuracy)
    more = [f"{rose} rose"] if rose else []
    more += [f"{untested} not tested"] if untested else []
    noun = "accuracy" if len(accuracy) == 1 else "accuracies"
    return f"{fell or 'none'} of {len(accuracy):,} {noun} fell" + "".join(f", {part}" for part in more)


def _speeds(speeds: Sequence[SpeedChange]) -> str:
    if not speeds:
        return ""
    fell, rose = sum(each.fell for each in speeds), sum(each.outcome == "rose" for each in speeds)
    judged = sum(each.p is not None for each in speeds)
    more = [f"{rose} rose"] if rose else []
    more += [f"{len(speeds) - judged:,} not judged"] if judged < len(speeds) else []
    return f"{fell or 'none'} of {counted(len(speeds), 'speed')} fell by more than {speeds[0].margin:g} %" + "".join(
        f", {part}" for part in more
    )


def fall(each: AccuracyChange | SpeedChange) -> str:
    """What fell, and by how much, in one line."""
    if isinstance(each, SpeedChange):
        clock = each.clock
        what = f"{clock.what} of {clock.model}, {clock.setting}, {clock.conventions} {clock.mode}"
        return f"{what}: {_figure(each.before)} -> {_figure(each.after)} {clock.unit} ({_percent(each)})"
    what = " ".join(_named(each)[:3])
    if each.failing:
        seed, error = next(iter(each.failing.items()))
        many = f" and {counted(len(each.failing) - 1, 'other seed')}" if len(each.failing) > 1 else ""
        return f"{what}: seed {_seed(seed)}{many} fails now: {error}"
    return f"{what}: {_share(each, each.before)} -> {_share(each, each.after)} % ({_gap(each)} points, p {_p(each.p)})"


def show(changes: Compared) -> None:
    """Print what differs, the tables, and the headline."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Shown

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    for line in _head(changes):
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
    for columns, rows in _tables(changes.accuracy, changes.speeds):
        table = Shown(box=None, header_style="bold", pad_edge=False)
        for place, column in enumerate(columns):
            last = place == len(columns) - 1
            table.add_column(column, justify="left" if place < _LEFT or last else "right", no_wrap=not last)
        for row in rows:
            table.add_row(*(escape(printable(cell)) for cell in row))
        console.print()
        console.print(table, highlight=False)
    console.print()
    for line in (*_foot(changes), headline(changes)):
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def markdown(changes: Compared) -> str:
    """What fell and rose, and the rest in a block that unfolds."""
    moved = [each for each in changes.accuracy if each.fell or each.outcome == "rose"]
    timed = [each for each in changes.speeds if each.outcome in ("fell", "rose")]
    parts = [f"**{f.text(headline(changes))}**", _differing(changes), _table(moved, timed)]
    inner = [_bullets(_head(changes)), _table(changes.accuracy, changes.speeds), _bullets(_foot(changes))]
    block = f"<details><summary>all that was compared</summary>\n\n{_joined(inner)}\n\n</details>"
    return _joined([*parts, block]) + "\n"


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip())


def _bullets(lines: Iterable[str]) -> str:
    every = list(lines)
    more = [f"and {len(every) - MOST:,} more"] if len(every) > MOST else []
    return "\n".join(f"- {f.text(line)}" for line in (*every[:MOST], *more))


def _differing(changes: Compared) -> str:
    """What a reader looks for first: versions, machine, code; flags and the rest are in the block."""
    named = [str(each) for each in changes.differing if each.kind in ("version", "machine", "code", "file")]
    return f"Changed: {f.text('; '.join(named))}" if named else ""


def _table(accuracy: Sequence[AccuracyChange], speeds: Sequence[SpeedChange]) -> str:
    parts = []
    for columns, rows in _tables(accuracy, speeds):
        shown = [[*map(_cell, row)] for row in rows[:MOST]]
        parts.append(Table(list(columns), shown, _LEFT).markdown())
        if len(rows) > MOST:
            parts.append(f"and {len(rows) - MOST:,} more")
    return _joined(parts)


def _tables(
    accuracy: Sequence[AccuracyChange], speeds: Sequence[SpeedChange]
) -> Iterator[tuple[tuple[str, ...], list[list[str]]]]:
    """Columns and rows, as plain text; without those that have no row."""
    if accuracy:
        yield _ACCURACY, [_accuracy_row(each) for each in accuracy]
    if speeds:
        yield _SPEED, [_speed_row(each) for each in speeds]


def _cell(text: str) -> str:
    return f.text(text) or " "  # a cell may be empty


def _head(changes: Compared) -> Iterator[str]:
    for name, side in (("before", changes.before), ("after", changes.after)):
        yield f"{name}: {side.name} ({counted(side.cells, 'cell')}{_also(side)})"
    for each in changes.differing:
        yield f"{each.kind}: {each}"
    if not changes.differing:
        yield "no version, flag or machine differs, as far as it is recorded"


def _also(side: Side) -> str:
    return f", {counted(len(side.clocks), 'speed')}" if side.clocks else ""


def _foot(changes: Compared) -> Iterator[str]:
    for name, only in (("before", changes.only_before), ("after", changes.only_after)):
        for each in only:
            yield f"only {name}: {each}"
    for name, side in (("before", changes.before), ("after", changes.after)):
        for line in side.left_out:
            yield f"left out {name}: {line}"
    if changes.repeated:
        yield f"not shown: {counted(changes.repeated, 'set-up')} that repeat the runs of another"
    causes = dict.fromkeys(each.reason for each in changes.speeds if each.reason)
    for reason in causes:
        yield f"speeds not judged: {reason}"


def _named(each: AccuracyChange) -> tuple[str, str, str]:
    subject = each.subject
    setup = " ".join(filter(None, (subject.conventions, "" if subject.mode == "float32" else subject.mode)))
    return f"{subject.model} {subject.checkpoint}", f"{each.named.dataset}, {recipe(each.named.protocol)}", setup


def _accuracy_row(each: AccuracyChange) -> list[str]:
    decimals = f.decimals(each.named.test_images)
    return [
        *_named(each),
        _share(each, each.before),
        _share(each, each.after),
        f.gap(each.gap, decimals),
        _p(each.p),
        f.changed(each.changed, decimals),
        _outcome(each),
    ]


def _outcome(each: AccuracyChange) -> str:
    if each.failing:
        return fall(each).rpartition(f"{_named(each)[2]}: ")[2]
    if each.outcome == "not tested":
        return f"not tested: {each.reason}"
    if each.outcome == "not distinguishable":
        how = "on these images" if each.decided_by == "images" else f"with {counted(each.seeds, 'seed')}"
        return f"not distinguishable {how}"
    return each.outcome


def _share(each: AccuracyChange, estimate: Estimate) -> str:
    return f.accuracy(estimate, f.decimals(each.named.test_images))


def _gap(each: AccuracyChange) -> str:
    return f.gap(each.gap, f.decimals(each.named.test_images))


def _p(value: float | None) -> str:
    return f.probability(value)


def _seed(streams: tuple[int, ...]) -> str:
    return str(Seeds.from_streams(streams))


def _speed_row(each: SpeedChange) -> list[str]:
    clock = each.clock
    setting = " ".join(filter(None, (clock.setting, clock.conventions, "" if clock.mode == "float32" else clock.mode)))
    unit = f" {clock.unit}"
    return [
        clock.what,
        clock.model,
        setting,
        _figure(each.before) + unit,
        _figure(each.after) + unit,
        _percent(each),
        _p(each.p),
        f"not judged: {each.reason}" if each.outcome == "not judged" else each.outcome,
    ]


def _figure(timing: Timing) -> str:
    return f.middle(timing) + (" *" if timing.cause else "")


def _percent(each: SpeedChange) -> str:
    """ "-14 % (-20 to -9)": how much faster, between the ends that both intervals allow."""
    low, high = 100 * (each.ratio.low - 1), 100 * (each.ratio.high - 1)
    return f"{each.percent:+z.0f} % ({low:+z.0f} to {high:+z.0f})"
