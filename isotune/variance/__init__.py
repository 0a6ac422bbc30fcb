"""Variance by source: a crossed design over the seed streams, run and judged.

- `design(protocol, spec, levels, repeats)`: the streams that the protocol draws from, and how many seeds each gets;
- `plan(...)`: a `Study`, whose runs are cells; `outlook` says how many are missing and how long they may take;
- `run(study, folder)`: carries it out, resumable; `judge(study, folder)`: a `Finding` of every model;
- `describe(...)`, `show(...)`, `sentences(...)`, `sources(...)`, `as_json(...)`, `write(...)`: the plan, a table,
  sentences, the figures behind them, JSON, a report with its figure.

A cell knows no repeat, so every repeat of the first seeds has a store of its own: `FOLDER/repeat-0` holds the crossed
runs, `repeat-1` and so on what fresh worker processes gave for the same cells.

Modules: `_design`, `_study`, `_judging`, `_sentences`, `_report`, `_figures`. matplotlib is imported when a report is
written, not before.
"""

from isotune.variance._design import Design, Study, design, plan
from isotune.variance._judging import Finding, judge
from isotune.variance._report import as_json, describe, sentences, show, sources, write
from isotune.variance._study import Outlook, outlook, run

__all__ = [
    "Design",
    "Finding",
    "Outlook",
    "Study",
    "as_json",
    "describe",
    "design",
    "judge",
    "outlook",
    "plan",
    "run",
    "sentences",
    "show",
    "sources",
    "write",
]
