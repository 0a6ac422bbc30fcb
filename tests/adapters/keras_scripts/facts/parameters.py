"""JSON of counts by name: as many parameters train in each of these applications; none is allocated."""

import json
import math
import sys

from isotune.adapters.keras import KerasAdapter

KerasAdapter("torch").environment()
import keras  # noqa: E402

for name, count in json.loads(sys.argv[1]).items():
    with keras.device("meta"):
        model = getattr(keras.applications, name)(weights=None)
    assert count == sum(math.prod(variable.shape) for variable in model.trainable_variables), name
