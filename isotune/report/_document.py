"""Writing `leaderboard.json`: all that the leaderboard shows, unrounded, for programs (`_schema`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any, Literal

from isotune.protocols import Report
from isotune.reference_results import Reference, cited
from isotune.report import _schema as json
from isotune.report._conclusions import conclusion
from isotune.report._handed_in import line
from isotune.report.analysis.answers import Changed
from isotune.report.analysis.benchmark import Speed
from isotune.report.analysis.differences import Difference
from isotune.report.analysis.judging import Finding, other_speeds
from isotune.report.analysis.prices import DefaultCost, Price
from isotune.report.analysis.published import Context, Judged
from isotune.report.analysis.sections import Row, SetUp
from isotune.report.analysis.variance import Spread, stream
from isotune.runs.records import Record
from isotune.seeds import Seeds
from isotune.statistics import PERCENT, Component, VarianceSplit, estimate


def write(
    path: Path,
    findings: Sequence[Finding],
    records: Sequence[Record],
    speeds: Sequence[Speed],
    command: str | None,
    left_out: Sequence[str] = (),
) -> None:
    content = document(findings, records, speeds, command).model_copy(update={"left_out": tuple(left_out)})
    path.write_text(content.model_dump_json(indent=1) + "\n", encoding="utf-8")


def document(
    findings: Sequence[Finding], records: Sequence[Record], speeds: Sequence[Speed], command: str | None
) -> json.Leaderboard:
    environments: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    checkpoints: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for adapter, environment in [(r.cell.adapter, r.environment) for r in records] + [
        (speed.model.partition(":")[0], speed.environment) for speed in speeds
    ]:
        for setting, value in environment.items():
            environments[setting][value].add(adapter)
    for record in records:
        if record.checkpoint_digest:
            checkpoints[record.cell.checkpoint][record.checkpoint_digest].add(record.cell.model)
    return json.Leaderboard(
        command=command,
        cells=len(records),
        failed=sum(len(finding.section.failed) for finding in findings),
        sections=tuple(map(_section, findings)),
        speeds=tuple(other_speeds(findings, speeds)),
        suite=tuple(speeds),
        environments=_sorted(environments),
        checkpoints=_sorted(checkpoints),
    )


def _sorted(nested: dict[str, dict[str, set[str]]]) -> dict[str, dict[str, tuple[str, ...]]]:
    return {
        key: {value: tuple(sorted(names)) for value, names in sorted(values.items())}
        for key, values in sorted(nested.items())
    }


def _section(finding: Finding) -> json.SectionResult:
    section = finding.section
    within = section.of_the_images
    return json.SectionResult(
        title=section.title,
        slug=section.slug,
        sentence=finding.sentence,
        dataset=section.dataset,
        dataset_digest=section.dataset_digest,
        protocol=section.protocol,
        train_images=section.train_images,
        test_images=section.test_images,
        wilson=json.Interval.model_validate(within) if within else None,
        rows=tuple(map(_row, section.rows)),
        verdicts=tuple(map(_verdict, finding.published.verdicts)),
        context=tuple(map(_context, finding.published.context)),
        context_further_off=finding.published.more,
        differences=tuple(map(_difference, finding.differences.compared)),
        differences_left_out=finding.differences.left_out,
        prices=tuple(map(_price, finding.prices)),
        defaults=tuple(map(_default, finding.defaults)),
        spread=tuple(map(_spread, finding.spreads)),
        failed=tuple(map(_failure, section.failed)),
    )


def _row(row: Row) -> json.RowResult:
    return json.RowResult(
        **_named(row),
        architecture=row.architecture,
        protocol=row.setups[0].first.cell.protocol if row.evaluated else None,
        identical=_setup(row.identical),
        native=_setup(row.native),
        measured=json.Measured.model_validate(row.measured),
    )


def _named(row: Row) -> dict[str, str]:
    return {name: getattr(row, name) for name in json.RowName.model_fields}


def _name(row: Row) -> json.RowName:
    return json.RowName(**_named(row))


def _setup(setup: SetUp | None) -> json.SetUpResult | None:
    if setup is None:
        return None
    failed = [
        json.Run(seeds=Seeds.from_streams(seed), accuracy=nan, l2=None, predictions=None) for seed in setup.failed
    ]
    accuracy = json.Estimate.model_validate(setup.accuracy)
    return json.SetUpResult(
        conventions=setup.first.cell.conventions, accuracy=accuracy,
        accuracies=_over_seeds(setup, "accuracy"), mean_per_class=_over_seeds(setup, "mean_per_class"),
        runs=(*(_run(setup.by_seed[seed], record) for seed, record in setup.records.items()), *failed),
        repeated=setup.repeated,
    )  # fmt: skip


def _run(accuracy: float, record: Record) -> json.Run:
    """accuracy: percent."""
    metrics, timings = record.metrics, record.timings
    assert metrics is not None
    chosen = metrics.selected
    return json.Run(
        seeds=record.cell.seeds, accuracy=accuracy, l2=metrics.l2, predictions=record.predictions_digest,
        accuracies=_percent(metrics.by_name("accuracy")), mean_per_class=_percent(metrics.by_name("mean_per_class")),
        last_accuracy=_times_100(metrics.last_accuracy), centre_accuracy=_times_100(metrics.centre_accuracy),
        best_step=chosen.best_step if chosen else None, stopped=chosen.stopped if chosen else None,
        chosen=chosen.chosen if chosen else None, trainings=timings.trainings if timings else None,
        choosing=timings.choosing if timings else None,
    )  # fmt: skip


def _over_seeds(setup: SetUp, metric: Literal["accuracy", "mean_per_class"]) -> dict[Report, json.Estimate]:
    by_run = [_percent(record.metrics.by_name(metric)) for record in setup.records.values() if record.metrics]
    names = dict.fromkeys(name for run in by_run for name in run)
    return {
        name: json.Estimate.model_validate(estimate([run[name] for run in by_run if name in run], within=PERCENT))
        for name in names
    }


def _percent(shares: Mapping[Report, float]) -> dict[Report, float]:
    return {name: 100 * share for name, share in shares.items()}


def _times_100(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _published(reference: Reference, disputed: str) -> json.Published:
    same = ("value", "unit", "rounding", "runs", "sd", "low", "high", "metric", "checkpoint", "protocol", "measured_by",
            "trust", "source", "location")  # fmt: skip
    copied: dict[str, Any] = {name: getattr(reference, name) for name in same}
    return json.Published(**copied, model=reference.name, citation=cited(reference), disputed=disputed)


def _verdict(each: Judged) -> json.VerdictResult:
    same = (
        "outcome",
        "reason",
        "n",
        "margin",
        "effect",
        "interval90",
        "interval95",
        "p_lower",
        "p_upper",
        "seeds_needed",
        "images_needed",
    )
    copied: dict[str, Any] = {name: getattr(each.verdict, name) for name in same}
    return json.VerdictResult.model_validate(
        {
            "row": _name(each.row),
            "setup": each.setup.name,
            "published": _published(each.reference, each.disputed),
            "images_available": each.available,
            "handed_in": each.reference.expected,
            "line": line(each) if each.reference.expected else None,
            **copied,
        }
    )


def _context(each: Context) -> json.ContextNumber:
    return json.ContextNumber(
        row=_name(each.row),
        published=_published(each.near.reference, each.disputed),
        deviations=tuple(map(str, each.near.deviations)),
    )


def _difference(each: Difference) -> json.DifferenceResult:
    pair, better = each.pair, each.pair.outperformance
    return json.DifferenceResult.model_validate(
        {
            "first": _name(each.first),
            "second": _name(each.second),
            "first_setup": each.first_setup.name,
            "second_setup": each.second_setup.name,
            "gap": each.gap,
            "seeds": pair.n,
            "unpaired": pair.unpaired,
            **{name: getattr(pair, name) for name in ("p_t", "p_permutation", "p_t_holm", "p_permutation_holm")},
            "better": better.probability,
            "better_interval": better.interval,
            "better_conclusion": better.conclusion,
            **_changed(each.changed),
            "by_images": tuple(
                json.ImageTest(
                    seeds=Seeds.from_streams(seed), only_first=m.only_first, only_second=m.only_second, p=m.p
                )
                for seed, m in each.by_images.items()
            ),
            "decided_by": each.decided_by,
            "p": each.p,
            "holds": each.holds,
            "conclusion": conclusion(each).strip("*"),
        }
    )


def _changed(changed: Changed | None) -> dict[str, Any]:
    return {
        "changed": changed.share if changed else None, "changed_is_bound": changed.at_least if changed else None
    }  # fmt: skip


def _default(each: DefaultCost) -> json.DefaultResult:
    difference = each.difference
    return json.DefaultResult.model_validate(
        {
            "row": _name(each.row),
            "what": each.default.what,
            "in_place_of": each.in_place_of,
            "setup": _setup(each.default.setup),
            "gap": difference.gap,
            **_changed(difference.changed),
            "decided_by": difference.decided_by,
            "p_holm": difference.p,
            "holds": difference.holds,
        }
    )


def _price(each: Price) -> json.PriceResult:
    record = each.record
    return json.PriceResult(
        row=_name(each.row),
        what=each.what,
        protocol=record.cell.protocol,
        conventions=record.cell.conventions,
        seeds=record.cell.seeds,
        accuracy=each.accuracy,
        same=each.same,
        points=each.points,
        **_changed(each.changed),
        only_before=each.test.only_first if each.test else None,
        only_now=each.test.only_second if each.test else None,
        p=each.test.p if each.test else None,
        p_holm=each.p,
        holds=each.holds,
        predictions=record.predictions_digest,
    )


def _spread(each: Spread) -> json.SpreadResult:
    split = each.split or VarianceSplit(0, 0, None, None, None, "")
    return json.SpreadResult(
        row=_name(each.row),
        setup=each.setup.name,
        seeds=len(each.setup.records),
        sd=each.setup.accuracy.sd,
        observed=_points(split.observed),
        test_set=_points(split.test_set),
        training=_points(split.training),
        design=each.streams.design if each.streams else None,
        reason=each.streams.reason if each.streams else split.reason,
        streams=tuple(map(_component, each.parts)),
    )


def _points(variance: float | None) -> float | None:
    """Of accuracies in 0..1 -> percentage points squared."""
    return None if variance is None else 1e4 * variance


def _component(part: Component) -> json.Source:
    return json.Source(
        streams=part.streams,
        name=stream(part),
        variance=part.variance,
        interval=json.Interval.model_validate(part.interval),
        with_noise=part.with_noise,
        share=part.share,
    )


def _failure(record: Record) -> json.Failure:
    cell = record.cell
    return json.Failure(model=cell.model, checkpoint=cell.checkpoint, mode=cell.mode, conventions=cell.conventions,
                        seeds=cell.seeds, error=record.error)  # fmt: skip
