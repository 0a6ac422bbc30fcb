"""What the Keras adapter is made of, whatever the engine.

`sources` and `applications` know Keras's models, `opening` a user's own; `network` puts scaling, body and head
together, `model` and `trainer` stand over it and one of `engines`. `conventions` goes over `axes`, a module for each
group of convention axes, `remedies` gathers the lines that a report prints, and `native` says what Keras does by
itself. `layers` finds a model's canonical layers in the order that `dataflow` sees them run; `files` reads and writes
checkpoints, `hdf5` has a process of its own read them, `decoding` has TensorFlow decode images, `numeric` is float64
throughout. Importing `sources`, `remedies`, `native` or `axes` imports no framework.
"""
