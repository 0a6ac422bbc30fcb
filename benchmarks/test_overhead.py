"""What does the adapter cost? Its training step against a bare hand-written loop, in turn.

    pytest benchmarks/test_overhead.py --tier standard --benchmark-json=out.json

A round is 16 steps of one side, in the same process; the figure to read is
`extra_info["adapter_images_per_second_over"]`: the adapter's images/s over the bare side's in the same layout, median
of the rounds' ratios, with what holds it in 95 % of cases under `intervals`. The goal is at least 1.0. More
comparisons are in `benchmarks/validation/performance`. The quick tier leaves it out: it is about isotune, not about
models.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import worker_seconds


@pytest.mark.benchmark(timer=worker_seconds)
@pytest.mark.parametrize("library", ["torchvision", "timm", "keras"])
def test_overhead(request, benchmark, advance_clock, library):
    if request.config.getoption("tier") == "quick":
        pytest.skip("measured in the tiers standard and full")
    script = Path(__file__).with_name("bare_loop.py")
    done = subprocess.run([sys.executable, str(script), library], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    measured = json.loads(done.stdout.splitlines()[-1])
    seconds = measured["seconds"]["adapter"]
    benchmark.extra_info.update(measured)
    benchmark.pedantic(advance_clock(seconds), rounds=len(seconds), iterations=1, warmup_rounds=0)
