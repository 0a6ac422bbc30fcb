"""How fast is each model at inference: latency at batch 1, throughput at batch 32?

    pytest benchmarks/test_inference.py -k throughput --benchmark-json=out.json

A round is measured by the worker, models in turn; the time is that of one batch.
"""

from __future__ import annotations

import pytest
from conftest import worker_seconds


@pytest.mark.benchmark(timer=worker_seconds)
def test_latency(suite, measure, conventions, mode, model):
    measure("test_latency", suite.measurement("inference-latency", 1, model, conventions, mode))


@pytest.mark.benchmark(timer=worker_seconds)
def test_throughput(suite, measure, conventions, mode, model):
    measure("test_throughput", suite.measurement("inference-throughput", 32, model, conventions, mode))
