"""Of all applications it is listed how many parameters train; of those named, as JSON, it is as many as Keras has. None
is allocated."""

import json
import math
import sys

from isotune.adapters.keras import KerasAdapter

adapter = KerasAdapter("torch")
adapter.environment()
import keras  # noqa: E402

listed = {info.name: info.parameters for info in adapter.models()}
assert all(listed.values())
assert len(listed) == 40
for name in json.loads(sys.argv[1]):
    with keras.device("meta"):
        model = getattr(keras.applications, name)(weights=None)
    assert listed[name] == sum(math.prod(variable.shape) for variable in model.trainable_variables), name
