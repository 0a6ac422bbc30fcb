"""How fast is one fine-tuning step (batch 32, SGD with Nesterov momentum, all layers)?

    pytest benchmarks/test_training_step.py --benchmark-json=out.json

A round is measured by the worker, models in turn; the first step, compilation included, is kept apart in
`extra_info["isotune"]["first_step"]`.
"""

from __future__ import annotations

import pytest
from conftest import worker_seconds


@pytest.mark.benchmark(timer=worker_seconds)
def test_training_step(suite, measure, conventions, mode, model):
    measure("test_training_step", suite.measurement("training-step", 32, model, conventions, mode))
