"""What Keras's own optimizers do; part of library_facts.py, which sets the engine and calls these."""

import contextlib
from contextlib import nullcontext

import keras
import numpy as np
from keras import ops

from isotune.adapters._keras.numeric import numeric


def array(tensor):
    return np.asarray(ops.convert_to_numpy(tensor), np.float64)


def given(values, dtype="float32"):
    return ops.convert_to_tensor(np.asarray(values), dtype=dtype)


def stepped(optimizer, gradients, start=0.0, dtype="float32"):
    """(values, optimizer): of one variable after each gradient."""
    with _apart():
        variable = keras.Variable(np.array([start]), dtype=dtype, name="kernel")
        optimizer.build([variable])
        after = []
        for gradient in gradients:
            optimizer.apply([given([gradient], dtype)], [variable])
            after.append(float(array(variable)[0]))
    return after, optimizer


def _apart():
    """Eager steps on torch must not be recorded by autograd."""
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    return torch.no_grad()


def adam_against_its_formula():
    """Relative excess of Adam's first step over the formula, by precision."""
    formula = 1 / (1 + 1e-7 / np.sqrt(1 - 0.999))
    narrow = -stepped(keras.optimizers.Adam(1.0), [1.0])[0][0] / formula - 1
    with own_float64():
        wide = -stepped(keras.optimizers.Adam(1.0), [1.0], dtype="float64")[0][0] / formula - 1
    return {"float32": narrow, "float64": wide}


@contextlib.contextmanager
def own_float64():
    """As a user of Keras has it: isotune's mode computes otherwise what TensorFlow rounds by itself."""
    if keras.backend.backend() != "tensorflow":  # they have no float64 without more than this setting
        with numeric("float64"):
            yield
        return
    keras.config.set_floatx("float64")
    try:
        yield
    finally:
        keras.config.set_floatx("float32")


def momentum_in_float64():
    """What SGD makes of momentum 0.9: its second step after gradients 1 and 0, in units of the first."""
    with own_float64():
        first, second = stepped(keras.optimizers.SGD(1.0, momentum=0.9), [1.0, 0.0], dtype="float64")[0]
    return (first - second) / -first


def loss_scale():
    """(scale, iterations, weight) after a finite gradient, and after one that is not."""
    _, optimizer = stepped(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5)), [2.0**15])
    (variable,) = optimizer.inner_optimizer._trainable_variables
    found = []
    for gradient in (None, np.inf):
        if gradient is not None:
            optimizer.apply([given([gradient])], [variable])
        state = optimizer.dynamic_scale, optimizer.iterations, variable[0]
        found.append([float(array(value)) for value in state])
    return found


class Counting(keras.optimizers.schedules.LearningRateSchedule):
    """The rate is the step."""

    def __call__(self, step):
        return ops.cast(step, "float32")


def accumulation():
    """After four raw steps, two to an update: the rate, which is the step that a schedule sees, and iterations."""
    _, optimizer = stepped(keras.optimizers.SGD(Counting(), gradient_accumulation_steps=2), [0.0] * 4)
    return float(array(optimizer.learning_rate)), int(array(optimizer.iterations))


def piecewise_rates():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([3], [1.0, 0.5])
    return [float(array(schedule(step))) for step in range(6)]


def ema():
    """Of a weight that goes 0, -1, -2: its average with momentum 0.75 after each step; the weight once finalised."""
    optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75)
    averages = []
    variable = keras.Variable(np.zeros(1), dtype="float32", name="kernel")
    optimizer.build([variable])
    for _ in range(2):
        optimizer.apply([given([1.0])], [variable])
        averages.append(float(array(optimizer._model_variables_moving_average[0])[0]))
    optimizer.finalize_variable_values([variable])
    return averages, float(array(variable)[0])


def warmed_up():
    """Rates of eight steps from 0 to 1, then sixteen of a cosine."""
    schedule = keras.optimizers.schedules.CosineDecay(0.0, 16, warmup_target=1.0, warmup_steps=8)
    return [float(array(schedule(step))) for step in range(24)]


def averaged_variables():
    """How many of BatchNorm's four variables an optimizer averages that was built for a model."""
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.BatchNormalization()])
    optimizer = keras.optimizers.SGD(1.0, use_ema=True)
    optimizer.build(model.trainable_variables)
    return len(optimizer._model_variables_moving_average), len(model.variables)


def mixtures():
    """Of MixUp and CutMix on eight images: shapes of the shares, and what is drawn of partners, in order and sorted."""
    images, labels = given(np.zeros((8, 4, 4, 3))), given(np.eye(8))
    found = {}
    for layer in (keras.layers.MixUp(seed=1), keras.layers.CutMix(seed=1)):
        drawn = layer.get_random_transformation({"images": images, "labels": labels})
        partners = [int(number) for number in array(drawn["permutation_order"])]
        found[type(layer).__name__] = [list(drawn["mix_weight"].shape), partners, sorted(partners)]
    return found


def erased():
    """Of what RandomErasing fills with: least, greatest, the share that is least, and that which is greatest."""
    layer = keras.layers.RandomErasing(factor=1.0, seed=1)
    fill = array(layer.get_random_transformation(given(np.zeros((4, 100, 100, 3))))["fill_value"])
    return [fill.min(), fill.max(), float((fill == fill.min()).mean()), float((fill == fill.max()).mean())]


def adams():
    """First steps of Adam and AdamW with weight decay 0.5 from 1, rate 0.1, gradient 1."""
    kinds = (keras.optimizers.Adam, keras.optimizers.AdamW)
    return [stepped(kind(0.1, weight_decay=0.5), [1.0], 1.0)[0][0] for kind in kinds]


def clipped():
    """Gradients of norms 3 and 4 under each kind of clipping to 1."""
    pair = [given([3.0]), given([4.0])]
    return {
        kind: [float(array(gradient)[0]) for gradient in keras.optimizers.SGD(**{kind: 1.0})._clip_gradients(pair)]
        for kind in ("clipnorm", "global_clipnorm")
    }


def excluded_from_decay():
    """Paths of the variables that decay when "gamma" and "dense" are excluded; then what "bias" does once built."""
    layers = [keras.layers.Dense(2, name="dense"), keras.layers.BatchNormalization(name="norm")]
    for layer in layers:
        layer.build((None, 2))
    variables = [variable for layer in layers for variable in layer.trainable_variables]
    optimizer = keras.optimizers.SGD(weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "dense"])
    optimizer.build(variables)
    found = [[variable.path for variable in variables if optimizer._use_weight_decay(variable)]]
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return [*found, [variable.path for variable in variables if optimizer._use_weight_decay(variable)]]
