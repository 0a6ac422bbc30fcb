"""A section's board (what is reached, how fast, at which cost), and the tables of the whole report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

from isotune.report import wording as f
from isotune.report.analysis.benchmark import Speed
from isotune.report.analysis.sections import Row, Section
from isotune.report.analysis.speeds import milliseconds, rate
from isotune.report.analysis.timing import warning
from isotune.report.wording import Table
from isotune.runs.records import Record

Number = TypeVar("Number", int, float)


def board(section: Section) -> Table:
    """Model by model: accuracy, speed, memory."""
    decimals = f.decimals(section.test_images)
    batch = section.speeds.batch_size
    columns = [
        "model",
        "accuracy %, identical",
        "accuracy %, native",
        "seeds",
        "training images/s",
        f"inference images/s, batch {batch.get('inference-throughput', 0)}",
        f"latency ms, batch {batch.get('inference-latency', 0)}",
        "first step s",
        "peak memory MiB (above start)",
        "device memory MiB",
    ]
    several = len(section.checkpoints) > 1
    rows = []
    for row in section.rows:
        cost = row.measured
        rows.append(
            [
                f.row_name(row, with_checkpoint=several),
                f.accuracy(row.identical.accuracy if row.identical else None, decimals),
                f.accuracy(row.native.accuracy if row.native else None, decimals),
                _seeds(row),
                f.timed(cost.training),
                f.timed(cost.inference),
                f.timed(cost.latency),
                f.significant(cost.first_step),
                f.mebibytes(cost.resident, cost.above_baseline),
                f.mebibytes(cost.device),
            ]
        )
    return Table(columns, rows).filled()


def facts(section: Section) -> str:
    """What all rows of a section share, in a few sentences."""
    protocol, rows = section.protocol, section.rows
    shared = [f"{f.text(protocol.title)}: {protocol.input.size} px"]
    if rows:
        shared += [] if section.evaluated else [f.number(section.train_images, "training image")]
        shared.append(f"{f.number(section.test_images, 'test image')}")
    if len(section.checkpoints) == 1:
        shared.append(f"checkpoint {f.code(section.checkpoints[0])}")
    sentences = [", ".join(shared) + "."]
    if section.evaluated and rows:
        sentences.append(
            "The checkpoints' own classifiers are evaluated: nothing is trained, and another run gives the same again."
        )
    if edited := sorted({f.code(row.model) for row in rows if row.version}):
        sentences.append(f"Files of {f.listing(edited)} changed between runs; each content has a row of its own.")
    if protocol.evaluation.views == "three-crop":
        sentences.append(
            "Every image is evaluated in three crops along its longer side, whose probabilities are averaged."
        )
    if (within := section.of_the_images) is not None:
        decimals = f.decimals(section.test_images)
        sentences.append(
            f"With this many test images the 95 % interval (Wilson) of an accuracy of"
            f" {rows[0].setups[0].accuracy.mean:.{decimals}f} % is {within.low:.{decimals}f} to"
            f" {within.high:.{decimals}f} %, for every row alike."
        )
    if edge := _at_the_edge(section):
        sentences.append(edge)
    if any(row.measured.training for row in rows):
        sentences.append(f"Training speed: {section.speeds.training_source}.")
    costs = [row.measured for row in rows]
    if said := warning(figure for cost in costs for figure in (cost.training, cost.inference, cost.latency)):
        sentences.append(_marked(said))
    return " ".join(sentences)


def _at_the_edge(section: Section) -> str:
    """Which rows' probes chose the weakest or strongest L2 of a sweep: another, not tried, may suit them better."""
    probe = section.protocol.probe
    if probe is None or len(probe.l2) == 1:
        return ""
    chosen = {
        f"{f.row_name(row, with_checkpoint=False)} ({setup.name})"
        for row in section.rows
        for setup in row.setups
        for record in setup.records.values()
        if record.metrics and record.metrics.l2 in (min(probe.l2), max(probe.l2))
    }
    return f"The strongest or weakest L2 of the sweep was chosen for {f.listing(sorted(chosen))}." if chosen else ""


def _seeds(row: Row) -> str:
    """ "5", or "5 / 3" when identical and native ran with different numbers of seeds; nothing of an evaluation."""
    if row.evaluated:
        return f.NOTHING
    counts = [str(len(setup.records)) for setup in row.setups]
    return counts[0] if len(set(counts)) == 1 else " / ".join(counts)


def speed_table(speeds: Sequence[Speed]) -> Table | None:
    """Every speed, whatever protocol it belongs to: one row for each model, mode, conventions, size and batch."""
    groups: dict[tuple[str, int, int, str, str, str], list[Speed]] = defaultdict(list)
    for s in speeds:
        groups[s.question, s.image_size, s.batch_size, s.model, s.mode, s.conventions].append(s)
    rows = []
    for (question, size, batch, model, mode, conventions), group in sorted(groups.items()):
        rates, times = rate(group), milliseconds(group)
        assert rates is not None, "a speed has a round at least"
        rows.append(
            [
                f.code(model),
                question.replace("-", " "),
                f.text(mode),
                f.text(conventions),
                f"{size}",
                f"{batch}",
                f.timed(rates),
                f.timed(times),
                f"{rates.n}" + (f" of {rates.n + rates.left_out}" if rates.left_out else ""),
                f.significant(_largest([s.first_step for s in group])),
                f.mebibytes(_largest([s.resident for s in group])),
                f.mebibytes(_largest([s.device for s in group])),
            ]
        )
    columns = [
        "model",
        "question",
        "mode",
        "conventions",
        "px",
        "batch",
        "images/s",
        "ms a batch",
        "rounds",
        "first step s",
        "peak memory MiB",
        "device memory MiB",
    ]
    return Table(columns, rows, left=4).filled() if rows else None


def noise_table(speeds: Sequence[Speed]) -> Table | None:
    """What each mode leaves of the digits: relative errors of one training step."""
    rows = [
        [
            f.code(s.model), f.text(s.mode), f.text(s.conventions), f"{s.image_size}", f"{s.batch_size}",
            *(f"{value:.0e}".replace("e-0", "e-") for value in (s.noise.features, s.noise.loss, s.noise.gradients)),
        ]
        for s in sorted(speeds, key=lambda s: (s.image_size, s.batch_size, s.model, s.mode, s.conventions))
        if s.noise and not s.same_as
    ]  # fmt: skip
    columns = ["model", "mode", "conventions", "px", "batch", "features", "loss", "gradients"]
    return Table(columns, rows, left=3) if rows else None


def disturbed(speeds: Sequence[Speed]) -> str:
    """What the mark below the table of speeds means; empty where none is marked."""
    said = warning(rate([speed]) for speed in speeds)
    return _marked(said) if said else ""


def _marked(said: str) -> str:
    return rf"\* {said}"


def _largest(values: Sequence[Number | None]) -> Number | None:
    return max((value for value in values if value is not None), default=None)


def failed_table(records: Sequence[Record]) -> Table | None:
    """Failed cells, the seeds of one reason in one row."""
    seeds: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for record in records:
        cell = record.cell
        error = f.text(record.error or "no reason was recorded")
        key = (f.code(cell.model), f.text(cell.dataset), f.text(cell.protocol.name))
        drawn = cell.protocol.own_classifier is None
        of_key = seeds[*key, f.text(cell.conventions), f.text(cell.mode), error]
        of_key += [str(cell.seeds)] if drawn else []
    rows = [[*key[:-1], _shortened(failed_seeds) or f.NOTHING, key[-1]] for key, failed_seeds in seeds.items()]
    columns = ["model", "data set", "protocol", "conventions", "mode", "seeds", "error"]
    return Table(columns, rows, left=len(columns)).filled() if rows else None


def _shortened(seeds: Sequence[str], most: int = 10) -> str:
    return ", ".join(seeds[:most]) + (f" and {len(seeds) - most} more" if len(seeds) > most else "")
