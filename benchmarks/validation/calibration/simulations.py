"""The simulations behind reports/calibration.md: one function a table, all through isotune.statistics itself.

Those of variance are in variance.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from calibration.tables import NORMAL, SETTINGS, Setting, Share, Table, share
from isotune import statistics as s

COVERS = (0.93, 0.97)  # what a 95 % interval may show
SIZES = (3, 5, 10, 20, 30)  # runs


def t_intervals(runs: int, settings: Sequence[Setting] = SETTINGS, sizes: Sequence[int] = SIZES) -> Table:
    table = Table(
        "The t interval over runs",
        "Coverage of the mean by `estimate`, percent.",
        "accuracies",
    )
    for setting in settings:
        for n in sizes:
            random = np.random.default_rng(n)
            estimates = map(s.estimate, setting.draw(random, runs, n))
            hits = [told.low <= setting.expected <= told.high for told in estimates]
            table.cells[setting.name, f"{n} runs"] = share(hits, None if setting.outliers else COVERS)
    return table


def bca_intervals(runs: int, settings: Sequence[Setting], sizes: Sequence[int], resamples: int = 1999) -> Table:
    table = Table(
        "The BCa bootstrap interval over runs",
        f"Coverage of the mean by `summarise`, percent. It is offered from {s.BCA_FROM} runs, at Hesterberg's expanded "
        "level; the column of its plain form is why.",
        "accuracies",
    )
    for setting in settings:
        for n in sizes:
            random = np.random.default_rng(n)
            sample = setting.draw(random, runs, n)
            if n >= s.BCA_FROM:
                intervals = (s.summarise(row, resamples=resamples).bca for row in sample)
                hits = [told is not None and setting.expected in told for told in intervals]
                table.cells[setting.name, f"{n} runs"] = share(hits, None if setting.outliers else COVERS)
        for n in (3, 10, 30) if setting is NORMAL else ():
            rows = setting.draw(np.random.default_rng(n), runs, n)
            resampling = np.random.default_rng(0)
            hits = []
            for part in np.array_split(rows, max(runs // 200, 1)):
                told = stats.bootstrap(
                    (part,), np.mean, method="BCa", axis=-1, n_resamples=999, random_state=resampling
                ).confidence_interval
                hits += list((told.low <= setting.expected) & (setting.expected <= told.high))
            table.cells[f"{setting.name}, plain BCa", f"{n} runs"] = share(hits)
    return table


def wilson_intervals(images: Sequence[int] = (100, 1000, 10_000)) -> Table:
    table = Table(
        "Wilson's interval over test images",
        "Coverage of the true accuracy by `wilson`, percent, summed over all outcomes, not simulated; the mean over "
        "accuracies within half a point, as coverage jumps from one accuracy to the next.",
        "true accuracy",
    )
    for percent in (50, 75, 90, 95, 98, 99.5):
        for n in images:
            nearby = np.linspace(max(percent - 0.5, 0), min(percent + 0.5, 99.9), 11) / 100
            right = np.arange(n + 1)[stats.binom.pmf(np.arange(n + 1)[None], n, nearby[:, None]).max(0) > 1e-7]
            low, high = np.array([s.wilson(k / n, n) for k in right]).T
            within = (low <= nearby[:, None]) & (nearby[:, None] <= high)
            covered = (within * stats.binom.pmf(right, n, nearby[:, None])).sum(axis=1).mean()
            table.cells[f"{percent:g} %", f"{n:,} images"] = Share(float(covered), 0, COVERS)
    return table


def pairs(runs: int, settings: Sequence[Setting] = SETTINGS, sizes: Sequence[int] = SIZES) -> Table:
    table = Table(
        "Two models of equal accuracy, paired by seed",
        "Coverage of the true difference, 0, by `paired_difference`, percent. Half of the training variance is the "
        "seed's, shared by both.",
        "accuracies",
    )
    for setting in settings:
        for n in sizes:
            random = np.random.default_rng(n)
            shared = random.normal(size=(runs, n))
            both = [setting.draw(random, runs, n, shared=shared) for _ in range(2)]
            differences = (
                s.paired_difference(dict(enumerate(a)), dict(enumerate(b))) for a, b in zip(*both, strict=True)
            )
            hits = [told.low <= 1e-12 and told.high >= -1e-12 for told in differences]
            table.cells[setting.name, f"{n} runs"] = share(hits, COVERS)
    return table


def families(runs: int, settings: Sequence[Setting], sizes: Sequence[int] = (3, 5, 10)) -> Table:
    table = Table(
        "Four equal models, all six pairs",
        "How often `compare_all` finds any pair distinguishable, percent, and how often it would without Holm's "
        "correction. Claimed: at most 5.",
        "accuracies",
    )
    for setting in settings:
        for n in sizes:
            random = np.random.default_rng(n)
            corrected, plain = [], []
            for _ in range(runs):
                shared = random.normal(size=n)
                models = {name: dict(enumerate(setting.draw(random, n, shared=shared))) for name in "abcd"}
                compared = s.compare_all(models, resamples=99)
                corrected.append(any(pair.distinguishable for pair in compared))
                plain.append(any(pair.p_t is not None and pair.p_t < 0.05 for pair in compared))
            table.cells[setting.name, f"{n} runs"] = share(corrected, (0, 0.05))
            table.cells[setting.name, f"{n} runs, uncorrected"] = share(plain)
    return table


def _verdicts(setting: Setting, n: int, effect: float, runs: int, theirs: tuple[int, float] | None) -> list[s.Verdict]:
    """Against a published number that our mean exceeds by `effect`; theirs: runs of it, and their sd over ours."""
    random = np.random.default_rng(n)
    margin = s.Published(setting.expected, rounding=0.1).margin
    verdicts = []
    for values in setting.draw(random, runs, n):
        published = s.Published(setting.expected - effect, rounding=0.1)
        if theirs:
            drawn = setting.expected - effect + theirs[1] * (setting.draw(random, theirs[0]) - setting.expected)
            published = s.Published(float(drawn.mean()), theirs[0], float(drawn.std(ddof=1)), rounding=0.1)
        verdicts.append(s.verdict(values, published, margin, images=setting.images or None))
    return verdicts


def false_reproduced(runs: int, settings: Sequence[Setting] = SETTINGS, sizes: Sequence[int] = SIZES) -> Table:
    table = Table(
        "False `reproduced`",
        "How often `verdict` says so when the true difference is just the margin (1.05 points), percent; the worse of "
        "above and below. Claimed: at most 5. Where the spread is large against the margin it is never said.",
        "accuracies",
    )
    for setting in settings:
        for n in sizes:
            both = [_verdicts(setting, n, effect, runs, None) for effect in (1.05, -1.05)]
            rates = [float(np.mean([v.outcome == "reproduced" for v in side])) for side in both]
            table.cells[setting.name, f"{n} runs"] = Share(max(rates), runs, None if setting.outliers else (0, 0.05))
    return table


def false_reproduced_published(runs: int, sizes: Sequence[int] = (3, 5, 10, 30)) -> Table:
    setting = Setting(95, 1000)
    table = Table(
        "False `reproduced` against a published mean with its own spread",
        f"As above, for {setting.name}; rows are the published runs. Claimed: at most 5. (Welch's degrees of freedom "
        "instead of Cochran and Cox's critical value would give up to 6.5 in the first row.)",
        "published",
    )
    for theirs, ratio in ((3, 1.0), (10, 1.0), (5, 0.5), (5, 2.0)):
        for n in sizes:
            verdicts = _verdicts(setting, n, 1.05, runs, (theirs, ratio))
            hits = share([v.outcome == "reproduced" for v in verdicts], (0, 0.05))
            table.cells[f"{theirs} runs, sd {ratio:g} of ours", f"{n} runs"] = hits
    return table


def false_different(runs: int, sizes: Sequence[int] = SIZES) -> Table:
    setting = Setting(95, 10_000)
    table = Table(
        "False `different`, and the rule not taken",
        f"How often a true difference of so many points, none of them beyond the margin of 1.05, is called different, "
        f"percent, for {setting.name}. Claimed of `verdict`: at most 2.5. The usual rule, the 95 % interval excludes "
        "0 and the observed difference exceeds the margin, calls a difference of just the margin different half the "
        "time.",
        "true difference, rule",
    )
    for effect in (0.0, 0.9, 1.05):
        for n in sizes:
            verdicts = _verdicts(setting, n, effect, runs, None)
            usual = [v.nonzero and v.effect is not None and abs(v.effect) > v.margin for v in verdicts]
            ours = share([v.outcome == "different" for v in verdicts], (0, 0.025))
            table.cells[f"{effect:g}, `verdict`", f"{n} runs"] = ours
            table.cells[f"{effect:g}, usual rule", f"{n} runs"] = share(usual)
    return table


def looks(runs: int) -> Table:
    table = Table(
        "More looks than one",
        "False `reproduced` at the margin, percent, normal runs, when runs are added until there is a conclusion. "
        "Nothing is claimed: the 5 % are those of one look.",
        "sd, margins",
    )
    plans = {
        "3 runs": (3,),
        "3 runs, and 10 if inconclusive": (3, 10),
        "3 to 30 runs, a look after each": tuple(range(3, 31)),
    }
    for sd in (0.3, 0.6, 1.0):
        rows = np.random.default_rng(3).normal(1.0, sd, size=(runs, 30))
        for name, plan in plans.items():
            outcomes = ((s.verdict(row[:n], s.Published(0.0), 1.0).outcome for n in plan) for row in rows)
            concluded = [next((told for told in of_row if told != "inconclusive"), "") for of_row in outcomes]
            table.cells[f"{sd:g}", name] = share([told == "reproduced" for told in concluded])
    return table


def power(runs: int, sizes: Sequence[int] = (3, 4, 5, 6, 8, 10, 15, 20, 30)) -> Table:
    table = Table(
        "Power",
        "How often normal runs get the verdict they deserve, percent: simulated, and by `power_of`. Claimed: equal. "
        "The sd is given in margins; a true difference of 2 margins deserves `different`, 0 and 0.5 `reproduced`.",
        "sd, true difference",
    )
    for sd, effect in ((0.3, 0.0), (0.6, 0.0), (1.0, 0.0), (0.3, 0.5), (0.6, 2.0)):
        for n in sizes:
            values = np.random.default_rng(n).normal(effect, sd, size=(runs, n))
            deserved = "different" if effect > 1 else "reproduced"
            exact = s.power_of(1.0, sd, n, effect)
            hits = [s.verdict(row, s.Published(0.0), 1.0).outcome == deserved for row in values]
            table.cells[f"{sd:g}, {effect:g}, simulated", f"{n} runs"] = share(hits, (exact, exact))
            table.cells[f"{sd:g}, {effect:g}, computed", f"{n} runs"] = Share(exact, 0)
    return table


def wins() -> Table:
    table = Table(
        "The probability of outperforming",
        "Coverage of the true P(A > B) by `outperformance`, percent, summed over all outcomes, not simulated. Below "
        "29 pairs the interval is exact and so covers more than 95; from 29 it is the percentile bootstrap. Last: how "
        "often equal models (P = 0.5) are told apart, in one direction. Claimed: coverage of at least 93, false claims "
        "of at most 3.5.",
        "pairs",
    )
    for n in (3, 5, 10, 20, 29, 30, 50):
        answers = []
        for won in range(n + 1):
            first = {seed: float(seed < won) for seed in range(n)}
            answers.append(s.outperformance(first, dict.fromkeys(range(n), 0.5), resamples=4999))
        for true in (0.5, 0.6, 0.75, 0.9):
            chance = stats.binom.pmf(np.arange(n + 1), n, true)
            covered = float(
                sum(p for p, told in zip(chance, answers, strict=True) if told.interval and true in told.interval)
            )
            table.cells[f"{n}", f"P = {true:g}"] = Share(min(covered, 1.0), 0, (0.93, 1.0))
        chance = stats.binom.pmf(np.arange(n + 1), n, 0.5)
        claimed = sum(
            p for p, told in zip(chance, answers, strict=True) if told.conclusion in ("significant", "meaningful")
        )
        table.cells[f"{n}", "told apart at 0.5"] = Share(float(claimed), 0, (0, 0.035))
    return table
