"""Weights that `keras.applications` fetches into Keras's own cache.

`recorded`: what it asks for is known, comes whole or not at all, and a failure is one line.
"""

from isotune.adapters._keras.fetching._get_file import recorded

__all__ = ["recorded"]
