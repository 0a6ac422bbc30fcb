"""What torch's networks and libraries do, as lines of a script.

- `layers.excerpt(model, layer, images, ...)`: the operations before a layer, and the layer;
- `recipe.own_lines(...)`: a step of an optimizer, a loss, a resized image as the library does it by itself; it imports
  no framework.

Modules: `_tape` (what a forward pass does, operation by operation), `_modules` (a module as the call that makes it).
"""
