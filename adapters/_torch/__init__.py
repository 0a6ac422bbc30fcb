"""What the adapters of torch's libraries share.

`adapter` is their common adapter, `model` and `trainer` what it builds, `updater` the trainer's step. `conventions`
goes over `axes`, a module for each group of convention axes, and `remedies` gathers the lines that a report prints.
`layers` finds a network's canonical layers in the order that `dataflow` sees them run; `files` reads and writes
checkpoints. `device` and `numeric` set torch up, `onednn` steps around a slow path of it. Importing `adapter`,
`remedies` or `axes` imports no framework.
"""
