"""Lines, and what else to know, that several remedies share."""

from __future__ import annotations

# after `clone` and `call`
REBUILT = """
rebuilt = keras.models.clone_model(model, clone_function=clone, call_function=call)
for layer in model.layers:
    if layer.weights:
        rebuilt.get_layer(layer.name).set_weights(layer.get_weights())
model = rebuilt
"""


LAYERS = """
def layers_of(model):
    for layer in model.layers:
        yield from layers_of(layer) if isinstance(layer, keras.Model) else [layer]
"""


SAME = '''
def same(window, shape):
    """SAME padding of a map of that shape: the odd pixel at the end."""
    sides = []
    for size, length, stride in zip(shape[1:3], lengths(window), window.strides):
        total = max(0, (-(-size // stride) - 1) * stride + length - size)
        sides.append((total // 2, total - total // 2))
    return tuple(sides)
'''


REBUILDS = (
    "A functional model is rebuilt: `model` is the application itself, before it becomes part of another, and what"
    " was compiled is compiled again."
)
FIXED_SIZE = f"{REBUILDS} Its input must have a fixed size (`input_shape=`)."
COMPILED = "If the model has run already, compile it again: what was traced keeps the old value."
FIRST = "Before `model.compile`."
