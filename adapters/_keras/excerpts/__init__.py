"""What Keras's networks and Keras itself do, as lines of a script.

- `layers.excerpt(model, layer, ...)`: the operations before a layer, and the layer;
- `recipe.own_lines(...)`: a step of an optimizer, a loss, a resized image as Keras does it by itself; it imports no
  framework.

Modules: `_calls` (a layer or an operation as the call that makes it).
"""
