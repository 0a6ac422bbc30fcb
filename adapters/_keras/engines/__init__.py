"""What computes a Keras model: a module for each backend, of which a process imports the one that it runs on.

Each has an engine as `_keras.model.Engine` describes it (inference, gradients, a training step), and `configure` and
`environment` for threads, flags and what a record says of them.
"""
