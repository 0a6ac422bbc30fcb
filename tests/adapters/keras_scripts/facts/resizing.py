"""CASES.npz RESULTS.npz: what `tf.image.resize` gives without antialias; a key is "NUMBER,HEIGHT,WIDTH,METHOD"."""

import sys

import numpy as np

from isotune.adapters.keras import KerasAdapter

KerasAdapter("tensorflow").environment()
import tensorflow as tf  # noqa: E402

with np.load(sys.argv[1]) as cases:
    results = {}
    for key in cases.files:
        _, height, width, method = key.split(",")
        result = tf.image.resize(cases[key], (int(height), int(width)), method=method, antialias=False)
        results[key] = np.asarray(result, np.float64)
np.savez(sys.argv[2], **results)
