"""What a handful of runs says: means with their uncertainty, verdicts, comparisons, where the variance comes from.

Pure functions over plain numbers; everything is imported from here. Two kinds of uncertainty must not be confused,
and each has its functions:

- across seeds (`estimate`, `summarise`, `paired_difference`, `verdict`, `compare_all`): would the recipe give this
  again with other random draws? It narrows with more seeds.
- across test images (`wilson`, `Draw`): would other images of the same kind give this? It narrows with more images,
  and no number of seeds helps. Models that share their test images share most of it, so that it weighs less on the
  gap between two of them.

Part of the spread over seeds comes from the test set too: `split_variance`.

| question | function |
|---|---|
| what is the accuracy, how sure? | `estimate` (t), `summarise` (t and BCa), `wilson` |
| is the spread over seeds training, or a small test set? | `split_variance` |
| is a published number reproduced? | `verdict` against `Published`, with a `Draw`; `seeds_for`, `power_of` |
| which of several libraries differ? | `compare_all`, `paired_difference`, `outperformance` |
| do two sets of predictions differ? | `mcnemar`, `predictions_changed`; of many sets, `holm` corrects |
| which seed does the accuracy depend on? | `variance_by_source` over `Run`s |
| what is typical of timings, how sure? | `median_interval` |
| is one thing slower than another, beyond a margin? | `compare_rounds` |

Answers are defined where a formula is not. The older functions (`estimate`, `paired_difference`, `wilson`,
`predictions_changed`, `median_interval`, and `compare_rounds` with them) answer NaN: an empty sample is all NaN; one
value has a mean, but NaN for its standard deviation and interval (one seed says nothing about spread); values that
are all equal have an interval of no width, which says that the seeds change nothing, not that nothing is uncertain; a
NaN among the values makes the whole answer NaN instead of vanishing from it. All others answer None, with a `reason` in
one line; and a run that failed, given as NaN, is never left out in silence: those that fail are not a random part.

An interval of a share ends at 0 and 100 %, one of the difference of two at -100 and 100 points, where whoever asks
says what the values are (`PERCENT`, `POINTS`).

How far each interval and test keeps its level is measured: reports/calibration.md, which
`python benchmarks/validation/calibration` writes.
"""

from isotune.statistics._bootstrap import BCA_FROM, Summary, summarise
from isotune.statistics._draws import Draw
from isotune.statistics._estimates import (
    PERCENT,
    POINTS,
    Estimate,
    Interval,
    MedianInterval,
    estimate,
    median_interval,
    paired_difference,
)
from isotune.statistics._images import McNemar, mcnemar, predictions_changed, wilson
from isotune.statistics._outperformance import Outperformance, outperformance
from isotune.statistics._pairs import Pair, compare_all, holm
from isotune.statistics._power import power_of, seeds_for
from isotune.statistics._rounds import Ratio, compare_rounds
from isotune.statistics._sources import Component, Run, VarianceBySource, variance_by_source
from isotune.statistics._split import VarianceSplit, split_variance
from isotune.statistics._verdict import Published, Verdict, verdict

__all__ = [
    "BCA_FROM",
    "PERCENT",
    "POINTS",
    "Component",
    "Draw",
    "Estimate",
    "Interval",
    "McNemar",
    "MedianInterval",
    "Outperformance",
    "Pair",
    "Published",
    "Ratio",
    "Run",
    "Summary",
    "VarianceBySource",
    "VarianceSplit",
    "Verdict",
    "compare_all",
    "compare_rounds",
    "estimate",
    "holm",
    "mcnemar",
    "median_interval",
    "outperformance",
    "paired_difference",
    "power_of",
    "predictions_changed",
    "seeds_for",
    "split_variance",
    "summarise",
    "variance_by_source",
    "verdict",
    "wilson",
]
