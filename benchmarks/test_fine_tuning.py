"""How accurate is each model after the protocol, how much does that vary, and how long does it take?

    pytest benchmarks/test_fine_tuning.py --datasets digits --protocols quick --seeds 5 --benchmark-json=out.json

A round is a seed, so pytest-benchmark's statistics are the run-to-run variance of the time (of a test whose seeds
all failed: the time until they did). The records,
with accuracy and the digest of the predictions of every seed, are in `extra_info["isotune"]`.
"""

from __future__ import annotations

import pytest
from conftest import worker_seconds


@pytest.mark.benchmark(timer=worker_seconds)
def test_fine_tuning(suite, replay, dataset, recipe, conventions, mode, model):
    records = suite.records(dataset, recipe, mode, model, conventions)
    timed = [r.timings.total for r in records if r.status == "done"]
    if not timed:  # the leaderboard names failures too, so they need a place in the JSON
        timed = [(r.finished - r.started).total_seconds() for r in records]
    replay(timed, {"question": "fine-tuning", "records": [record.sealed() for record in records]})
    for record in records:
        assert record.status == "done", f"{record.cell}: {record.error}"
