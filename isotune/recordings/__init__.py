"""Recordings of training loops that isotune does not run: what a loop did in some steps, kept, read and judged.

- `watch(model, optimizer, folder, ...)` records: the hooks are the framework's adapter's (entry points of the group
  `isotune.watchers`, by the package that a model's class comes from), what they write is `Writer`'s;
- `Recording(folder)` reads one again;
- `judge(recording)` says by equations what the loop does: `Habits`;
- `compare(a, b)` and `compare_with_protocol(a, recipe)` say where two part, and why: `Comparison`; of two protocols
  `compare_protocols(a, b)`.

A recording is a sealed folder:

    recording.json        version, configuration, tensors
    step-000012/step.json rates, batches, random generators, and files of tensors beside it:
        batchnorm-before, before, gradients, after, outputs, layers (.safetensors)
    steps.json            rate and batch size of every step, as they changed
    statistics.jsonl      every so many steps
    seal.json

It stands on `runs`, `data`, `protocols`, `weights` and `conventions`.
"""

from isotune.recordings._comparing import compare
from isotune.recordings._comparison import Comparison
from isotune.recordings._following import compare_with_protocol
from isotune.recordings._format import Draw, Norm, Optimizer, TensorEntry
from isotune.recordings._reading import PREFIX, Recording, is_recording
from isotune.recordings._recipes import compare_protocols
from isotune.recordings._tensors import Streamed
from isotune.recordings._watching import watch
from isotune.recordings._writing import OpenStep, Writer
from isotune.recordings.habits import Habits, judge

__all__ = [
    "PREFIX", "Comparison", "Draw", "Habits", "Norm", "OpenStep", "Optimizer", "Recording", "Streamed", "TensorEntry",
    "Writer", "compare", "compare_protocols", "compare_with_protocol", "is_recording", "judge", "watch",
]  # fmt: skip
