"""Executors: where the cells of a run are computed.

A driver (`isotune.runs.driver`) knows which cells are to be run; an executor runs them and hands in what became of them
at the desk (`isotune.runs.desk`, which has the interface, `Executor`). It is found by its name in the entry point group
`isotune.executors`, so that a third party's is a package:

- `find`: from a `Spec`, "NAME", "NAME:PLACE" or "NAME,option=value", with what is right where it is wrong;
- `handed_over`: the jobs of others that have cells of a store, for its status;
- `local`: `Local`: worker processes on this machine, `workers_for` so many jobs; `turns`: whose cell is next, and in
  which of them; `devices`: the GPUs among which they are shared out;
- `slurm`: `Slurm`: arrays of jobs of a cluster whose nodes see the store; `ray`: `Ray`: actors of one whose nodes
  share nothing.
"""

from isotune.executors._elsewhere import HandedOver, handed_over
from isotune.executors._finding import Spec, WrongOption, find
from isotune.executors.local import Local, workers_for
from isotune.runs.desk import Begun, Desk, Executor

__all__ = [
    "Begun",
    "Desk",
    "Executor",
    "HandedOver",
    "Local",
    "Spec",
    "WrongOption",
    "find",
    "handed_over",
    "workers_for",
]
