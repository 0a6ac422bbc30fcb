"""Published numbers with their sources, as tables, and what they say about a run.

    matching(cell)          which published numbers match a cell, which are near, and in what they deviate
    references(...)         the rows themselves: references(dataset="cifar10", metric="top-1")
    published_top1(...)     ImageNet top-1 of one checkpoint
    published_spread(...)   how much runs of one experiment differed
    contradictions()        numbers of one checkpoint that cannot all be right, and why, as far as it is known
    cite(key)               a source in one line; cited(row): that of a number
    handed_in(...)          a number that a user hands in, as a row like those of the tables
    kin(model, checkpoint)  which checkpoints of other libraries are the same weights
    check()                 everything that must hold of the tables; `isotune doctor --references` prints it

Those are the door, with the dataclasses that they return; modules that begin with `_` are this folder's own. No
framework is imported here, and pandas only by `frame()`.

**Files.** `imagenet.csv`: ImageNet top-1 and top-5 as torchvision, timm and Keras publish them.
`imagenet_remeasured.csv`: the same checkpoints, or those they were converted from, measured by others.
`imagenet_variants.csv`: ReaL, V2, Sketch, A and R; of timm's checkpoints those that share weights or, by default,
an architecture with torchvision or Keras. `transfer.csv`, `transfer_vtab.csv`, `tutorials.csv`: fine-tuned and probed.
`spread.csv`: published for their run-to-run spread. `speed.csv`: images a second of the architectures that libraries
share, one input size each. All of them have the columns below.

| column | |
|---|---|
| adapter | torchvision, timm, keras; empty: code that isotune has no adapter for |
| model | the library's name, options after it: `MobileNet:alpha=0.25` |
| checkpoint | the library's name; where the source has none, what it was trained on: `imagenet-1k`, `none` |
| architecture | isotune's name of it; empty: the model's |
| default | yes: the library's `pretrained` means this checkpoint |
| dataset, split | what it was evaluated on; isotune's name of the data set where there is one |
| train | images trained on: all (that are not in the split), 1000, `5 per class`, `30 %`; empty: nothing is trained |
| metric | top-1 and others: `METRICS` |
| value, unit | as printed; percent is 0 to 100 |
| rounding | one unit of the last digit printed, in the value's unit |
| runs | empty: not stated |
| statistic | what the value is of the runs: single, mean, median, range, not-stated |
| spread, spread_kind | over the runs, in the value's unit: none; sd; standard-error; range, written `52.5..60.2` |
| protocol | explained in `protocols.csv`; isotune's name where isotune has the protocol |
| selection | the epoch reported: last, best (on the images reported), `best of 25`, `best held out`, |
| | `mean of last 5`, `epoch 22`; empty: not stated |
| size_px, crop | side of the network's input; its share of the resized side, of which the centre is cut |
| resize | what is resized: shorter-side, squash (both sides), none; empty: not stated |
| interpolation | of the resize |
| evaluation | what else is known, `key=value; key=value`: `SETTINGS` |
| measured_by | who ran it |
| trust | high, medium, low: below |
| source, location | key in `sources.bib`; where in the source |
| note | |

**Trust.** high: the author's or maker's own table, log or package, and what was run is written down. medium: the recipe
or the evaluation is partly open, or somebody else measured it again. low: reported and checked by nobody, quoted from
elsewhere, or ambiguous.

`protocols.csv` says what each protocol trains, and `accounted` which of the deviations that isotune's protocol of that
name lists are columns here (the metric, the epoch), so that they are not counted twice. `contradictions.csv` says why
numbers of one checkpoint disagree: patterns of models, and in `others` models of other libraries with the same weights.
`lineage.csv` says who shares weights with whom, and has columns of its own (`_lineage.py`).

**Adding a number** is a row and, where the source is new, a citation; a protocol that is new needs a line in
`protocols.csv`. A number holds only under its own evaluation: leave open what the source does not state.
"""

from isotune.reference_results._checking import Checked, check
from isotune.reference_results._citations import Citation, citations, cite, cited
from isotune.reference_results._conditions import Conditions, conditions
from isotune.reference_results._contradictions import Contradiction, contradictions
from isotune.reference_results._handed_in import handed_in
from isotune.reference_results._installed import against_torchvision, compared_with_installed, installed_torchvision
from isotune.reference_results._lineage import RELATIONS, Kinship, kin, kinships
from isotune.reference_results._matching import Deviation, Matches, Near, deviations, matching
from isotune.reference_results._schema import COLUMNS, METRICS, SETTINGS, Reference
from isotune.reference_results._spread import Spread, published_spread
from isotune.reference_results._tables import (
    Explanation,
    Recipe,
    architecture,
    frame,
    published_top1,
    recipes,
    references,
)

__all__ = [
    "COLUMNS",
    "METRICS",
    "RELATIONS",
    "SETTINGS",
    "Checked",
    "Citation",
    "Conditions",
    "Contradiction",
    "Deviation",
    "Explanation",
    "Kinship",
    "Matches",
    "Near",
    "Recipe",
    "Reference",
    "Spread",
    "against_torchvision",
    "architecture",
    "check",
    "citations",
    "cite",
    "cited",
    "compared_with_installed",
    "conditions",
    "contradictions",
    "deviations",
    "frame",
    "handed_in",
    "installed_torchvision",
    "kin",
    "kinships",
    "matching",
    "published_spread",
    "published_top1",
    "recipes",
    "references",
]
