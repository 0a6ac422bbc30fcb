"""Training in Keras, watched: `fit` with the callback, and a loop of one's own. Arguments: engine, folder of the
recordings."""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = sys.argv[1]

import keras
import numpy as np
import pytest

import isotune
from isotune.errors import UsageError

FOLDER = Path(sys.argv[2])
STREAM = np.random.default_rng(0)
IMAGES = STREAM.normal(size=(48, 16, 16, 3)).astype(np.float32)
LABELS = STREAM.integers(0, 5, 48)


def network(trainable=True):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    norm = keras.layers.BatchNormalization(momentum=0.9)
    x = keras.layers.ReLU()(norm(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(5)(x))
    stream = np.random.default_rng(1)
    for variable in model.variables:
        if variable.path.endswith(("gamma", "beta", "bias", "moving_mean")):
            variable.assign(variable + 0.1 * stream.normal(size=tuple(variable.shape)))
    norm.trainable = trainable
    return model


def fit(name, optimizer, trainable=True, **loss):
    model = network(trainable)
    exclude = optimizer.pop("exclude", ())
    kind = getattr(keras.optimizers, optimizer.pop("kind"))
    made = kind(**optimizer)
    if exclude:
        made.exclude_from_weight_decay(var_names=list(exclude))
    hot = "label_smoothing" in loss
    losses = keras.losses.CategoricalCrossentropy if hot else keras.losses.SparseCategoricalCrossentropy
    model.compile(made, losses(from_logits=True, **loss))
    watching = isotune.watch(model, folder=FOLDER / name, steps=range(3), statistics=2)
    labels = np.eye(5, dtype=np.float32)[LABELS] if hot else LABELS
    model.fit(IMAGES, labels, batch_size=8, epochs=1, shuffle=False, verbose=0, callbacks=[watching])


fit("sgd", {"kind": "SGD", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01})
fit("kernels", {"kind": "SGD", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01,
                "exclude": ("bias", "gamma", "beta")})  # fmt: skip
fit("adam", {"kind": "Adam", "learning_rate": 1e-3, "weight_decay": 0.1, "global_clipnorm": 0.1})
fit("rmsprop", {"kind": "RMSprop", "learning_rate": 1e-3, "momentum": 0.9, "clipnorm": 0.05}, label_smoothing=0.1)
decaying = keras.optimizers.schedules.PiecewiseConstantDecay([1, 3], [0.1, 0.05, 0.025])
fit("schedule", {"kind": "SGD", "learning_rate": decaying})
fit("frozen", {"kind": "SGD", "learning_rate": 0.1}, trainable=False)

model = network()
watching = isotune.watch(model, keras.optimizers.SGD(0.1), FOLDER / "wrong", steps=range(2))
with pytest.raises(UsageError, match=r"give a model of the same weights, a list of arrays"):
    watching.average(0.9)
with pytest.raises(UsageError, match=r"its 1 arrays are not of the shapes of the model's 7 weights, nor of the 5 that"):
    watching.average([np.zeros(3)])
if hasattr(keras.optimizers, "MultiOptimizer"):
    several = keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1)))
    with pytest.raises(UsageError, match="a MultiOptimizer has a rate for each of its optimizers"):
        isotune.watch(model, several, FOLDER / "several").step(print)

optimizer = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
watching = isotune.watch(model, optimizer, FOLDER / "own", steps=range(2), statistics=0)
step = None
if keras.backend.backend() == "jax":
    with pytest.raises(UsageError, match=r"give the callback to model\.fit"):
        watching.step(print)
    watching.close()
elif keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    @watching.step
    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = watching.loss(criterion(labels, model(images, training=True)), labels)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

else:
    import torch

    @watching.step
    def step(images, labels):
        model.zero_grad()
        loss = watching.loss(criterion(labels, model(images, training=True)), labels)
        loss.backward()
        gradients = [variable.value.grad for variable in model.trainable_variables]
        with torch.no_grad():
            optimizer.apply(gradients, model.trainable_variables)
        return loss


for number in range(3 if step else 0):
    step(keras.ops.convert_to_tensor(IMAGES[8 * number : 8 * number + 8]), keras.ops.convert_to_tensor(LABELS[:8]))
