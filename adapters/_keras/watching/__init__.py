"""Watches training in Keras that isotune does not run: a callback for `fit`, and a wrapper of a step of one's own.

`hooks` has both, with the methods that `replacing` puts in the place of Keras's for a step, and `stateless` what JAX
needs beside them; `network` names tensors canonically, `optimizers` reads what an optimizer says of itself and
`updating` what its step does, `averages` has those of the weights, `draws` the layers that draw at random,
`surroundings` what else results depend on. All is handed to a `isotune.recordings.Writer`.
"""

from isotune.adapters._keras.watching.hooks import watching

__all__ = ["watching"]
