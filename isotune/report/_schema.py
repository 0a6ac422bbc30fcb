"""The schema of `leaderboard.json`: what each field is, in which unit.

Accuracies and their differences are in percent and percentage points, variances of accuracies in percentage points
squared, rates in images/s, latency in milliseconds, other times in seconds, memory in bytes. What is not known, and
what is not a number, is null. `version` rises when a field changes its meaning or goes.
"""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from isotune.protocols import Expected, Protocol, Report
from isotune.report.analysis.benchmark import Speed
from isotune.report.analysis.sections import SetUpName
from isotune.seeds import Seeds


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_known)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)


class Interval(_Part):
    low: Number
    high: Number


class Estimate(_Part):
    """Over seeds; low and high are the 95 % interval (Student's t)."""

    n: int
    mean: Number
    sd: Number
    low: Number
    high: Number


class Timing(_Part):
    """Of the rounds, or of the seeds where the cells' own clock was taken."""

    n: int
    low: Number
    median: Number
    high: Number
    coverage: Number = Field(description="how often such an interval holds the median; below 0.95: a range of few")
    left_out: int = Field(description="timings that were disturbed, where others were not")
    cause: str = Field(description="what disturbed all of them: a speed is a lower bound then; empty: nothing")


Named = dict[Report, Number]


class Run(_Part):
    seeds: Seeds
    accuracy: Number = Field(description="percent; null: the run failed")
    accuracies: Named = Field(
        default_factory=dict, description="percent, by which step's it is; that which counts is one of them"
    )
    mean_per_class: Named = Field(default_factory=dict, description="mean over the classes, likewise")
    last_accuracy: Number = Field(
        None, description="percent, of the weights after the last step, where their average is evaluated"
    )
    centre_accuracy: Number = Field(None, description="percent, three crops: of the centre crop alone")
    best_step: int | None = Field(None, description="of a protocol that selects: after which its metric was best")
    stopped: int | None = Field(None, description="likewise: steps after which early stopping ended the training")
    chosen: dict[str, float] | None = Field(None, description="likewise: hyper-parameters, of a grid")
    trainings: int | None = Field(None, description="likewise: that which counts, and those that only choose")
    choosing: Number = Field(None, description="likewise: seconds of evaluations while training and of the latter")
    l2: Number = Field(description="the strength that a probe chose")
    predictions: str | None = Field(description="SHA-256 of the predictions")


class SetUpResult(_Part):
    conventions: str | None = Field(None, description="as in a cell")
    accuracy: Estimate
    accuracies: dict[Report, Estimate] = Field(
        default_factory=dict, description="by which step's it is; that which counts is one of them"
    )
    mean_per_class: dict[Report, Estimate] = Field(default_factory=dict, description="likewise")
    runs: tuple[Run, ...]
    repeated: bool = Field(
        description="the runs are those of the row's other set-up, which is equal in all that matters"
    )


class Measured(_Part):
    training: Timing | None = Field(description="images/s")
    inference: Timing | None = Field(description="images/s")
    latency: Timing | None = Field(description="ms")
    first_step: Number = Field(description="seconds")
    resident: int | None = Field(description="peak, bytes")
    above_baseline: int | None = Field(description="peak minus what was resident before, bytes")
    device: int | None = Field(description="peak on an accelerator, bytes")
    parameters: int | None = Field(None, description="that are trained, the classifier's left out; null: unknown")


class RowName(_Part):
    model: str
    checkpoint: str
    mode: str
    overrides: str = Field(description="conventions beside identical or native")
    version: str = Field(
        "", description="of the user's files, where another row is of the same names: network, weights, what is beside"
    )


class RowResult(RowName):
    architecture: str
    protocol: Protocol | None = Field(None, description="of an evaluation, in which each model has an input of its own")
    identical: SetUpResult | None
    native: SetUpResult | None
    measured: Measured


class Published(_Part):
    value: Number
    unit: str
    rounding: Number
    runs: int | None
    sd: Number
    low: Number
    high: Number
    metric: str
    model: str
    checkpoint: str
    protocol: str
    measured_by: str
    trust: str
    source: str = Field(description="key in sources.bib")
    citation: str
    location: str
    disputed: str = Field(description="what else was published of the same, and why")


class VerdictResult(_Part):
    row: RowName
    setup: SetUpName
    published: Published
    outcome: Literal["reproduced", "different", "inconclusive"]
    reason: str
    n: int
    margin: float
    effect: Number = Field(description="ours minus published")
    interval90: Interval | None
    interval95: Interval | None
    p_lower: Number = Field(description='one-sided, of "at or below -margin"')
    p_upper: Number = Field(description='one-sided, of "at or above +margin"')
    seeds_needed: int | None = Field(description="more seeds for 90 % power; null: it cannot be estimated")
    images_needed: int | None = Field(None, description="test images in all, likewise; null: images are not short")
    images_available: int | None = Field(None, description="test images that the data set has; null: not known")
    handed_in: Expected | None = Field(None, description="as it was handed in; null: a number of the tables")
    line: str | None = Field(None, description="what was claimed, measured and concluded, of one handed in")


class ContextNumber(_Part):
    row: RowName = Field(description="that it is nearest to")
    published: Published
    deviations: tuple[str, ...]


class ImageTest(_Part):
    """Exact McNemar test of two runs of one seed."""

    seeds: Seeds
    only_first: int = Field(description="images that only the first gets right")
    only_second: int
    p: float


class DifferenceResult(_Part):
    """second - first, paired by seed."""

    first: RowName
    second: RowName
    first_setup: SetUpName
    second_setup: SetUpName
    gap: Estimate = Field(description="over the seeds that both have done")
    seeds: int = Field(description="common seeds, failed runs included")
    unpaired: int = Field(description="seeds that only one of them ran")
    p_t: Number
    p_permutation: Number
    p_t_holm: Number
    p_permutation_holm: Number
    better: Number = Field(description="P(second > first)")
    better_interval: Interval | None
    better_conclusion: str
    changed: Number = Field(description="percent of the test images that were given a different class, mean over seeds")
    changed_is_bound: bool | None = Field(description="predictions are not available: at least this share changed")
    by_images: tuple[ImageTest, ...]
    decided_by: Literal["seeds", "images"]
    p: Number = Field(description="the decisive one, after Holm's correction")
    holds: bool
    conclusion: str


class PriceResult(_Part):
    """One step of an evaluation, against the evaluation itself."""

    row: RowName
    what: str = Field(description="is done otherwise")
    protocol: Protocol
    conventions: str
    seeds: Seeds
    accuracy: Number = Field(description="percent")
    same: bool = Field(description="equal to the evaluation itself in all that matters to this network")
    points: Number = Field(description="the step less the evaluation itself")
    changed: Number = Field(description="percent of the test images that were given a different class")
    changed_is_bound: bool | None = Field(description="predictions are not available: at least this share changed")
    only_before: int | None = Field(description="images that only the evaluation itself gets right")
    only_now: int | None = Field(description="images that only the step gets right")
    p: Number = Field(description="McNemar's exact test")
    p_holm: Number = Field(description="after Holm's correction for the steps of this row")
    holds: bool
    predictions: str | None = Field(description="SHA-256 of the predictions")


class DefaultResult(_Part):
    """One default of a library's by itself: runs that are identical but for it, less the identical runs."""

    row: RowName
    what: str = Field(description="the axis with its value, stride2_padding=same")
    in_place_of: str = Field("", description="the axis's value in the identical runs")
    setup: SetUpResult = Field(description="its runs")
    gap: Estimate = Field(description="points, paired by seed")
    changed: Number = Field(description="percent of the test images that were given a different class")
    changed_is_bound: bool | None = Field(description="predictions are not available: at least this share changed")
    decided_by: Literal["seeds", "images"]
    p_holm: Number = Field(description="after Holm's correction for the defaults of this row")
    holds: bool


class Source(_Part):
    """Variance by one source; the streams' components may be negative, which means that none was found."""

    streams: tuple[str, ...]
    name: str
    variance: Number
    interval: Interval
    with_noise: bool
    share: Number


class SpreadResult(_Part):
    row: RowName
    setup: SetUpName
    seeds: int
    sd: Number
    observed: Number = Field(description="variance; null: predictions or labels are not available")
    test_set: Number
    training: Number
    design: str | None = Field(description="of the seed streams; null: they were not drawn apart")
    reason: str
    streams: tuple[Source, ...]


class Failure(_Part):
    model: str
    checkpoint: str
    mode: str
    conventions: str
    seeds: Seeds
    error: str | None


class SectionResult(_Part):
    title: str
    slug: str
    sentence: str = Field(description="markdown")
    dataset: str
    dataset_digest: str
    protocol: Protocol
    train_images: int
    test_images: int
    wilson: Interval | None = Field(
        description="95 % interval of the first row's accuracy on this many test images; null where none is drawn"
    )
    rows: tuple[RowResult, ...]
    verdicts: tuple[VerdictResult, ...]
    context: tuple[ContextNumber, ...]
    context_further_off: int
    differences: tuple[DifferenceResult, ...]
    differences_left_out: int = Field(description="rows that were not compared, because there are too many")
    prices: tuple[PriceResult, ...] = Field((), description="of an evaluation's steps")
    defaults: tuple[DefaultResult, ...] = Field((), description="of a library's, each by itself, where they were run")
    spread: tuple[SpreadResult, ...]
    failed: tuple[Failure, ...]


class Leaderboard(_Part):
    version: Literal[3] = 3
    command: str | None
    cells: int
    failed: int
    sections: tuple[SectionResult, ...]
    speeds: tuple[Speed, ...] = Field(description="speeds that are shown beside no accuracy")
    suite: tuple[Speed, ...] | None = Field(
        None, description="every speed of the suite, with its rounds; null: written before they were kept"
    )
    environments: dict[str, dict[str, tuple[str, ...]]] = Field(description="setting: value: adapters that had it")
    checkpoints: dict[str, dict[str, tuple[str, ...]]] = Field(description="checkpoint: SHA-256: models that had it")
    left_out: tuple[str, ...] = Field((), description="earlier results of cells that were run again; what is damaged")
