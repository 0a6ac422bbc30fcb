"""Sweeps: what is to be run, from a file or from options, and what has become of it.

    sweep.toml ─ read ─> Sweep ─ cells ─> plan: what is done, what is left, what that takes
                                  └─> driver (`isotune.runs`), executor -> records
    store ─ survey ─> status: done, running, failed and why, what it cost, what is left

- `Sweep`, `Exclusion`: matrices one after another, without what is excluded; `read`: from a TOML file, checked whole,
  with the line of what is wrong;
- `survey`: the store's records in brief, 100,000 in seconds;
- `Plan`, `plan`: cells against the store, and published numbers that they would be held against (`Comparison`);
  `Estimate`: time and memory from records that are there;
- `Status`, `status`: of a store, from the files in it alone.
"""

from isotune.sweeps._estimate import Estimate
from isotune.sweeps._planned import Comparison, Plan, plan, remember
from isotune.sweeps._reading import SweepFile, read
from isotune.sweeps._status import Status, status
from isotune.sweeps._survey import Brief, survey
from isotune.sweeps._sweep import Exclusion, Sweep

__all__ = [
    "Brief",
    "Comparison",
    "Estimate",
    "Exclusion",
    "Plan",
    "Status",
    "Sweep",
    "SweepFile",
    "plan",
    "read",
    "remember",
    "status",
    "survey",
]
