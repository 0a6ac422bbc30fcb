"""Watches a training loop in torch that isotune does not run: the hooks behind `isotune.watch`.

`hooks` are put on the network and the optimizer; those that cost something only for a step that is recorded in full.
`network` names tensors canonically, `optimizers` reads what an optimizer says of itself, `draws` has the modules that
draw at random, `surroundings` what else results depend on. All is handed to a `isotune.recordings.Writer`.
"""

from isotune.adapters._torch.watching.hooks import TorchWatching

__all__ = ["TorchWatching"]
