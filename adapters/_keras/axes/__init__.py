"""The convention axes, a module for each group of them, under the same name for every framework.

Each realises its axes, reads them off a network where they are the network's (`realise`, `describe`), and holds the
lines that a user of the library would write (`REMEDIES`). These modules import no framework before a function of
theirs is called, since a report prints the lines without one. What cannot be without it stands apart: `substitutes`,
which take the place of a network's own computation, and `formulas`, of the optimizers. `lines` are shared by several
remedies. `conventions` and `remedies`, beside this folder, go over all of them.
"""
