"""The lines for Keras, on any engine, axes of the head, the loss and the optimizer: axis -> value -> (code, note).

In them, `VALUE` stands for a number, `OVERRIDE` for what isotune is told instead. `*`: any value.
"""

from __future__ import annotations

_HEADS = {
    "uniform-fan-in": """
import keras

head = model.layers[-1]
bound = head.kernel.shape[0] ** -0.5
for variable in (head.kernel, head.bias):
    variable.assign(keras.random.uniform(variable.shape, -bound, bound, dtype=variable.dtype))
""",
    "glorot-uniform": """
import keras

head = model.layers[-1]
head.kernel.assign(keras.initializers.GlorotUniform()(head.kernel.shape, dtype=head.kernel.dtype))
head.bias.assign(keras.ops.zeros(head.bias.shape, head.bias.dtype))
""",
    "zeros": """
import keras

head = model.layers[-1]
for variable in (head.kernel, head.bias):
    variable.assign(keras.ops.zeros(variable.shape, variable.dtype))
""",
}


_RATE_OUTSIDE = '''
def set_learning_rate(optimizer, rate):
    """Instead of a schedule, before a step: the velocity takes the new rate."""
    if optimizer.built:
        factor = rate / float(optimizer.learning_rate)
        for velocity in optimizer.momentums:
            velocity.assign(velocity * factor)
    optimizer.learning_rate = rate
'''


_COUPLED = """
import keras

strength, optimizer.weight_decay = optimizer.weight_decay, None
for variable in model.trainable_variables:
    variable.regularizer = keras.regularizers.L2(strength / 2)
"""


_ONLY_KERNELS = """
others = [variable for variable in model.trainable_variables if not variable.name.endswith("kernel")]
optimizer.exclude_from_weight_decay(var_list=others)
"""


_EPSILON_AFTER_CORRECTION = '''
import keras


class EpsilonAfterCorrection(keras.optimizers.Adam):
    """Adam whose epsilon stands beside the corrected root."""

    def update_step(self, gradient, variable, learning_rate):
        given = self.epsilon
        step = keras.ops.cast(self.iterations + 1, variable.dtype)
        beta = keras.ops.cast(self.beta_2, variable.dtype)
        self.epsilon = given * keras.ops.sqrt(1 - keras.ops.power(beta, step))
        super().update_step(gradient, variable, learning_rate)
        self.epsilon = given


optimizer = EpsilonAfterCorrection.from_config(optimizer.get_config())
'''


_EPSILON_OUTSIDE_ROOT = '''
import keras


class EpsilonOutsideRoot(keras.optimizers.Optimizer):
    """RMSprop with the step g / (sqrt(v) + epsilon)."""

    def __init__(self, learning_rate=1e-3, rho=0.9, momentum=0.0, epsilon=1e-7, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.rho, self.momentum, self.epsilon = rho, momentum, epsilon

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.squares, self.velocities = self.add_optimizer_variables(variables, ["square", "velocity"])

    def update_step(self, gradient, variable, learning_rate):
        place = self._get_variable_index(variable)
        square, velocity = self.squares[place], self.velocities[place]
        rate = keras.ops.cast(learning_rate, variable.dtype)
        square.assign(square * self.rho + keras.ops.square(gradient) * (1 - self.rho))
        velocity.assign(velocity * self.momentum + rate * gradient / (keras.ops.sqrt(square) + self.epsilon))
        self.assign_sub(variable, velocity)


settings = optimizer.get_config()
settings.pop("centered")
optimizer = EpsilonOutsideRoot(**settings)
'''


_CLIP_TOGETHER = """
optimizer.clipnorm, optimizer.global_clipnorm = None, optimizer.clipnorm
"""


_CLIP_EACH = """
optimizer.clipnorm, optimizer.global_clipnorm = optimizer.global_clipnorm, None
"""


_LOGITS = """
import keras

model.layers[-1].activation = keras.activations.linear  # logits, where a softmax gave probabilities
loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.0)  # of one-hot labels
"""


_CLIPPED = '''
import keras


def loss(targets, logits):
    """Of one-hot (or smoothed) targets and of the logits of a head without activation."""
    probabilities = keras.ops.clip(keras.ops.softmax(logits), 1e-7, 1 - 1e-7)
    targets = keras.ops.cast(targets, logits.dtype)
    return -keras.ops.mean(keras.ops.sum(targets * keras.ops.log(probabilities), axis=-1))
'''


_ROUNDED = """
import numpy as np

for name in ("momentum", "beta_1", "beta_2", "rho", "weight_decay"):
    if getattr(optimizer, name, None):
        setattr(optimizer, name, float(np.float32(getattr(optimizer, name))))
"""


_ITSELF = "Keras does so by itself: nothing is to be written."


_FIRST = "Before `model.compile`."

REMEDIES: dict[str, dict[str, tuple[str, str]]] = {
    "head_initialisation": {
        value: (lines, "The same law, from another generator: isotune draws a head once for all libraries.")
        for value, lines in _HEADS.items()
    },
    "momentum_form": {
        "rate-outside": (
            _RATE_OUTSIDE,
            "For SGD; no rate may be 0. With the momentum of RMSprop, isotune does it with OVERRIDE.",
        ),
        "rate-inside": ("", _ITSELF),
    },
    "weight_decay_form": {
        "coupled": (
            _COUPLED,
            f"{_FIRST} The loss that Keras shows then has the penalty in it, and clipping sees its gradient."
            " With Adam it is torch's Adam, not AdamW.",
        ),
        "decoupled": ("", _ITSELF),
    },
    "weight_decay_on": {"all": ("", _ITSELF), "kernels": (_ONLY_KERNELS, "A second call replaces the first.")},
    "adam_epsilon": {
        "after-correction": (_EPSILON_AFTER_CORRECTION, "Before the optimizer has taken a step."),
        "before-correction": ("", _ITSELF),
    },
    "rmsprop_epsilon": {
        "outside-root": (_EPSILON_OUTSIDE_ROOT, "Before the optimizer has taken a step; `centered` is not offered."),
        "inside-root": ("", _ITSELF),
    },
    "clipping": {
        "global-norm": (_CLIP_TOGETHER, f"{_FIRST} It is the argument `global_clipnorm` in the place of `clipnorm`."),
        "per-variable": (_CLIP_EACH, f"{_FIRST} It is the argument `clipnorm` in the place of `global_clipnorm`."),
    },
    "loss": {
        "logits": (
            _LOGITS,
            "Before `model.compile(loss=loss)`. The sparse cross-entropy has no label smoothing: take one-hot labels.",
        ),
        "clipped-probabilities": (
            _CLIPPED,
            "From probabilities Keras clips so by itself, but on TensorFlow it finds the logits behind a softmax.",
        ),
    },
    "hyperparameters": {
        "float64": (
            "",
            "Keras on JAX and torch does so by itself; on TensorFlow numbers pass through float32: take those that it"
            " holds exactly (0.875 for 0.9), or isotune with OVERRIDE.",
        ),
        "float32": (_ROUNDED, "Keras on TensorFlow does so by itself to most of them."),
    },
}
