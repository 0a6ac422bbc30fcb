"""Training in Keras, watched, with the techniques as Keras and its users have them.

python in_keras.py ENGINE FOLDER NAME...: a recording `FOLDER/NAME` of each loop named.
"""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = sys.argv[1]

import keras
import numpy as np

import isotune

STEPS, BATCH, CLASSES, SIDE = 6, 16, 5, 16
STREAM = np.random.default_rng(0)
IMAGES = STREAM.integers(0, 256, (48, SIDE, SIDE, 3)).astype(np.float32)
LABELS = STREAM.integers(0, CLASSES, 48)
HOT = np.eye(CLASSES, dtype=np.float32)[LABELS]


def network(dropout=0.0, depth=(), flips=False):
    """A convolution, a residual branch for each rate of `depth`, and a classifier."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.RandomFlip()(inputs) if flips else inputs
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    for rate in depth:
        y = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
        y = keras.layers.BatchNormalization(momentum=0.9)(y)
        x = keras.layers.Add()([x, keras.layers.Dropout(rate, noise_shape=(None, 1, 1, 1))(y)])
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(dropout)(x) if dropout else x
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(x))
    stream = np.random.default_rng(1)
    for variable in model.variables:
        if variable.path.endswith(("gamma", "beta", "bias", "moving_mean")):
            variable.assign(variable + 0.1 * stream.normal(size=tuple(variable.shape)))
    return model


def sgd(rate=0.01, **said):
    return keras.optimizers.SGD(rate, momentum=0.9, **said)


def fit(folder, optimizer=None, images=IMAGES, labels=LABELS, batch=BATCH, callbacks=None, model=None, **how):
    model = model or network()
    kind = keras.losses.CategoricalCrossentropy if labels.ndim > 1 else keras.losses.SparseCategoricalCrossentropy
    model.compile(optimizer or sgd(), kind(from_logits=True))
    watching = isotune.watch(model, folder=folder, steps=range(STEPS), statistics=0)
    others = callbacks(model, watching) if callbacks else []
    epochs = STEPS * BATCH // len(images)
    model.fit(images, labels, batch_size=batch, epochs=epochs, shuffle=False, verbose=0,
              callbacks=[watching, *others], **how)  # fmt: skip


# -- averages of the weights


def swapped(folder):
    """The optimizer's average, evaluated after each epoch, with the weights swapped for it and back."""
    fit(folder, sgd(use_ema=True, ema_momentum=0.9), validation_data=(IMAGES[:BATCH], LABELS[:BATCH]),
        callbacks=lambda *_: [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)])  # fmt: skip


def overwritten(folder):
    fit(folder, sgd(use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=2))


class Averaging(keras.callbacks.Callback):
    """Somebody's own: a list of arrays, of the trained weights."""

    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def on_train_batch_end(self, batch, logs=None):
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        for place, variable in enumerate(self.model.trainable_weights):
            self.kept[place] = 0.9 * self.kept[place] + 0.1 * keras.ops.convert_to_numpy(variable)


def by_hand(folder):
    def callbacks(model, watching):
        kept = [np.array(keras.ops.convert_to_numpy(variable)) for variable in model.trainable_weights]
        watching.average(kept)
        return [Averaging(kept)]

    fit(folder, callbacks=callbacks)


def of_ones_own(folder, averaging):
    """A step of one's own; averaging(model) gives the average and what is done after each step."""
    model, optimizer = network(), sgd()
    optimizer.build(model.trainable_variables)
    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    average, update = averaging(model)
    with isotune.watch(model, optimizer, folder, steps=range(STEPS), statistics=0) as watching:
        watching.average(average)
        step = stepping(model, optimizer, criterion, watching)
        for number in range(STEPS):
            chosen = np.arange(BATCH) + BATCH * number
            images, labels = (keras.ops.convert_to_tensor(each[chosen % len(each)]) for each in (IMAGES, LABELS))
            step(images, labels)
            update()


def stepping(model, optimizer, criterion, watching):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        @watching.step
        @tf.function
        def step(images, labels):
            with tf.GradientTape() as tape:
                loss = watching.loss(criterion(labels, model(images, training=True)), labels)
            optimizer.apply_gradients(
                zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
            )

        return step
    import torch

    @watching.step
    def step(images, labels):
        model.zero_grad()
        watching.loss(criterion(labels, model(images, training=True)), labels).backward()
        with torch.no_grad():
            optimizer.apply([each.value.grad for each in model.trainable_variables], model.trainable_variables)

    return step


def of_a_model(folder):
    """A second model that holds the average of all weights, BatchNorm's statistics among them."""

    def averaging(model):
        average = keras.models.clone_model(model)
        average.set_weights(model.get_weights())

        def update():
            both = zip(average.get_weights(), model.get_weights(), strict=True)
            average.set_weights([0.9 * kept + 0.1 * weight for kept, weight in both])

        return average, update

    of_ones_own(folder, averaging)


def of_tensorflow(folder):
    import tensorflow as tf

    def averaging(model):
        average = tf.train.ExponentialMovingAverage(0.9)
        variables = [each.value for each in model.trainable_weights]
        average.apply(variables)  # which begins it with the weights before training
        return average, lambda: average.apply(variables)

    of_ones_own(folder, averaging)


# -- mixtures


def by_layer(folder, layer):
    mixed = [layer({"images": IMAGES[place : place + BATCH], "labels": HOT[place : place + BATCH]})
             for place in range(0, len(IMAGES), BATCH)]  # fmt: skip
    images, labels = (np.concatenate([keras.ops.convert_to_numpy(each[what]) for each in mixed])
                      for what in ("images", "labels"))  # fmt: skip
    fit(folder, images=images, labels=labels)


def reversed_by_hand(folder):
    """One share a batch, and the batch in reverse."""
    stream, images, labels = np.random.default_rng(2), [], []
    for place in range(0, len(IMAGES), BATCH):
        share = np.float32(stream.beta(1.0, 1.0))
        for mixed, plain in ((images, IMAGES), (labels, HOT)):
            batch = plain[place : place + BATCH]
            mixed.append(share * batch + (1 - share) * batch[::-1])
    fit(folder, images=np.concatenate(images), labels=np.concatenate(labels))


# -- learning rates


def by_epoch(folder):
    """Half a cosine over two epochs, as a callback."""
    halved = keras.callbacks.LearningRateScheduler(lambda epoch, _: 0.01 * 0.5 * (1 + np.cos(np.pi * epoch / 2)))
    fit(folder, callbacks=lambda *_: [halved])


def scheduled(folder, schedule):
    fit(folder, sgd(schedule))


LOOPS = {
    "plain": fit,
    "use_ema": swapped,
    "ema_overwrite_frequency": overwritten,
    "average by hand": by_hand,
    "average in a model": of_a_model,
    "tf.train.ExponentialMovingAverage": of_tensorflow,
    "MixUp": lambda folder: by_layer(folder, keras.layers.MixUp(1.0, seed=1)),
    "CutMix": lambda folder: by_layer(folder, keras.layers.CutMix(1.0, seed=1)),
    "mixup by hand": reversed_by_hand,
    "Dropout": lambda folder: fit(folder, model=network(dropout=0.2)),
    "Dropout of whole images": lambda folder: fit(folder, model=network(depth=(0.05, 0.1))),
    "RandomFlip": lambda folder: fit(folder, model=network(flips=True)),
    "gradient_accumulation_steps": lambda folder: fit(folder, sgd(gradient_accumulation_steps=2), batch=BATCH // 2),
    "clipnorm": lambda folder: fit(folder, sgd(clipnorm=1e3)),
    "CosineDecay": lambda folder: scheduled(folder, keras.optimizers.schedules.CosineDecay(0.01, STEPS)),
    "CosineDecay with warmup_target": lambda folder: scheduled(
        folder, keras.optimizers.schedules.CosineDecay(0.0, STEPS - 2, warmup_target=0.01, warmup_steps=2)
    ),
    "LearningRateScheduler": by_epoch,
    "ExponentialDecay(staircase=True)": lambda folder: scheduled(
        folder, keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.1, staircase=True)
    ),
}


if __name__ == "__main__":
    for name in sys.argv[3:]:
        LOOPS[name](Path(sys.argv[2]) / name)
