"""What the allocator keeps of freed memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from isotune.workers import memory

FAULTS = """
import resource, sys
import numpy as np
from isotune.workers import memory
if sys.argv[1] == "kept":
    memory.keep_freed()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    several = [np.ones(1 << 20) for _ in range(4)]  # 8 MiB each, as a step's activations are: all freed at its end
    np.ones(5 << 19)
work()
before = faults()
for _ in range(10):
    work()
print(faults() - before, memory.FLAGS[0] in __import__("os").environ)
"""


def faults(side: str, **settings: str) -> tuple[int, bool]:
    plain = {name: value for name, value in os.environ.items() if name not in memory.FLAGS}
    command = [sys.executable, "-c", FAULTS, side]
    done = subprocess.run(command, env=plain | settings, capture_output=True, text=True, check=True)
    count, said = done.stdout.split()
    return int(count), said == "True"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_what_a_step_frees_is_not_given_back_to_the_kernel() -> None:
    own, _ = faults("own")
    kept, said = faults("kept")
    assert said, "it stands in the environment, and so in the record"
    assert kept < 0.05 * own


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_what_the_user_has_settled_stays() -> None:
    assert not faults("kept", GLIBC_TUNABLES="glibc.malloc.trim_threshold=131072")[1]
