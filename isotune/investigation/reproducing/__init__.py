"""A reproducer to paste: the least that still fails, as a script that needs the two libraries and NumPy alone.

- `reproduce(findings, inputs)`: a `Reproducer`, or why there is none (`NotReproduced`).

Of a layer that fails by itself, the operations from the layers before it on are cut down to those in which the two
libraries part, then to few channels and few pixels; arrays are short seeded draws. What the recipe says (an optimizer,
a loss, an input scaling) is a few lines of either library. Of gradients it is the operations behind the last layer
whose gradient fails, and what both give to their input; of BatchNorm's buffers, if no such lines show it, the layer in
training. Whatever is written was run before, in a process of its own, and failed as it says.

Modules: `_choosing` (which rung), `_pieces` (runs of operations), `_asking` (both sides' workers), `_cutting` (to fewer
operations, channels and pixels), `_script` (from pieces to text), `_running`, `_reproducing` (all of it in order).
"""

from isotune.investigation.reproducing._reproducing import Reproducer, reproduce

__all__ = ["Reproducer", "reproduce"]
