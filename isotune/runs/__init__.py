"""Runs: from a matrix of names to a record on disk for every cell.

    matrix -> cells (`planning`) -> driver -> executor -> worker process -> cell runner -> record (`records`)

In the calling process, which imports no framework:

- `planning`: `Matrix`, `plan`: every name checked, every cell known before anything runs; `parse_seeds`;
- `driver`: `Driver`: which cells are to be run, and their records as they end; `desk`: `Desk`, where an executor
  (`isotune.executors`) gets cells and hands in what became of them, and `Executor`, its interface;
- `records`: `Cell`, `Record`; `store`: the `Store` that keeps them, a folder a cell; `earlier`: as they were before;
- `claims`: who runs a cell now; `drafts`: how far a fine-tuning is, and what it goes on from;
- `preprocessing_costs`: what each step of preprocessing costs, from the records of evaluations.

In the worker (`isotune.workers`):

- `requests`: what it is asked: run a cell, measure a speed, build a model once;
- `cell_runner`: one cell: model, data, protocol -> record and predictions; it keeps what it built;
- `training` (stages), `probe` (logistic regression on frozen features), `own_classifier` (nothing is trained);
- `scores`: what logits are worth;
- `stopwatch`: speed, round by round.

Nothing here knows of reports.
"""
