"""The network of `plain_torch.py` as users of Keras write it: functional with and without a top, Sequential,
subclassed, of nested models; and what cannot be used."""

import keras
from keras import layers


def strided(x, layer, padding):
    if padding == "same":
        return layer(3, strides=2, padding="same", use_bias=False)(x)
    return layer(3, strides=2, use_bias=False)(layers.ZeroPadding2D(1)(x))


def body(image, epsilon=1e-5, padding="symmetric"):
    def normed(x, name=None):
        return layers.BatchNormalization(epsilon=epsilon, momentum=0.9, name=name)(x)

    def stem(size, **asked):
        return layers.Conv2D(8, size, name="eyes", **asked)

    x = layers.ReLU()(normed(strided(image, stem, padding), "first_norm"))
    x = layers.ReLU(6.0)(normed(strided(x, layers.DepthwiseConv2D, padding)))
    x = layers.Activation("relu")(normed(layers.Conv2D(16, 1, use_bias=False)(x)))
    return keras.activations.relu(x + normed(layers.Conv2D(16, 3, padding="same", use_bias=False)(x)))


def make(**asked):
    """With a top that ends in softmax."""
    image = keras.Input((None, None, 3))
    pooled = layers.GlobalAveragePooling2D()(body(image, **asked))
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.Dropout(0.5)(pooled)))


def layered(input_shape, epsilon=1e-6):
    """`plain_torch.layered`."""
    image = keras.Input(input_shape)
    x = layers.Conv2D(8, 4, strides=4, name="patches")(image)
    x = layers.LayerNormalization(epsilon=epsilon, name="first")(x)
    x = x + layers.Dense(8)(layers.Dense(16, activation="gelu")(x))
    x = layers.LayerNormalization(epsilon=epsilon, name="last")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Dense(10)(x))


def upsampled(order="chw"):
    """`plain_torch.upsampled`: flattened with channels first as there, or as Keras does."""
    image = keras.Input((32, 32, 3))
    x = layers.ReLU()(layers.Conv2D(8, 3, 4, name="down")(image))
    x = layers.ReLU()(layers.Conv2DTranspose(6, 2, 2, name="up")(x))
    x = layers.Permute((3, 1, 2))(x) if order == "chw" else x
    return keras.Model(image, layers.Dense(10)(layers.Dense(12, name="hidden")(layers.Flatten()(x))))


def clipped(input_shape):
    image = keras.Input(input_shape)
    x = keras.ops.clip(layers.Conv2D(4, 3)(image), -9.0, 8.0)
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


class Measured(layers.Layer):
    """Adds to the loss what goes through it."""

    def call(self, x):
        self.add_loss(0.5 * keras.ops.mean(keras.ops.square(x)))
        return x


def penalised(input_shape, strength=0.0, measured=False):
    """A convolution and a classifier whose layers add to the loss."""
    image = keras.Input(input_shape)
    of = keras.regularizers.L2(strength) if strength else None
    x = layers.Conv2D(4, 3, kernel_regularizer=of, activity_regularizer=of, name="eyes")(image)
    x = layers.GlobalAveragePooling2D()(Measured()(x) if measured else x)
    return keras.Model(image, layers.Dense(3, activation="softmax", bias_regularizer=of)(x))


def with_logits(input_shape):
    image = keras.Input(input_shape)
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(body(image))
    logits = layers.Flatten()(layers.Conv2D(10, 1)(pooled))
    return keras.Model(image, keras.ops.softmax(logits))


def pooled(input_shape):
    image = keras.Input(input_shape)
    return keras.Model(image, layers.GlobalAveragePooling2D()(body(image)))


def a_map(input_shape):
    image = keras.Input(input_shape)
    return keras.Model(image, body(image))


def norm():
    return layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name="norm")


class Residual(layers.Layer):
    def __init__(self, convolution, **asked):
        super().__init__(**asked)
        self.convolution, self.norm = convolution, norm()

    def call(self, x, training=False):
        return keras.ops.relu(x + self.norm(self.convolution(x), training=training))


def stages(end):
    """Layers that are not built yet, some within a nested model, one of layers of its own."""
    first = [layers.ZeroPadding2D(1), layers.Conv2D(8, 3, 2, use_bias=False), norm(), layers.ReLU()]
    second = [layers.ZeroPadding2D(1), layers.DepthwiseConv2D(3, 2, use_bias=False), norm(), layers.ReLU(6.0)]
    nested = keras.Sequential([keras.Sequential(second), layers.Conv2D(16, 1, use_bias=False), norm(), layers.ReLU()])
    nested.trainable = False
    return [*first, nested, Residual(layers.Conv2D(16, 3, padding="same", use_bias=False)), *end]


def sequential():
    end = [layers.GlobalAveragePooling2D(), layers.Lambda(lambda x: x + 0.0), layers.Dense(10)]
    return keras.Sequential([layers.Rescaling(1 / 127.5, -1), *stages(end), layers.Softmax()])


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.stages, self.top = stages([layers.GlobalAveragePooling2D()]), layers.Dense(10, activation="softmax")

    def call(self, x):
        for stage in self.stages:
            x = stage(x)
        return self.top(x)


def subclassed():
    return Subclassed()


# -- what cannot be used


def a_number():
    return 7


def raising():
    raise RuntimeError("out of\nluck")


def of_one_size():
    return keras.Sequential([keras.Input((64, 64, 3)), layers.Conv2D(4, 3)])


def channels_first():
    return keras.Sequential([keras.Input((3, 32, 32)), layers.Conv2D(4, 3)])


def too_deep():
    return keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 3), layers.AveragePooling2D(64)])


def two_inputs():
    first, second = keras.Input((32, 32, 3)), keras.Input((32, 32, 3))
    return keras.Model([first, second], layers.Conv2D(4, 3)(first + second))


def two_outputs():
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3)(image)
    return keras.Model(image, [x, layers.GlobalAveragePooling2D()(x)])


def tokens():
    return keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(4, 4, 4), layers.Reshape((-1, 4))])


def random():
    return keras.Sequential([layers.RandomFlip(), layers.Conv2D(4, 3)])


def scaled_by_hand():
    image = keras.Input((32, 32, 3))
    return keras.Model(image, layers.Conv2D(4, 3)(keras.applications.mobilenet_v2.preprocess_input(image)))


class OwnTensor(keras.Model):
    def __init__(self):
        super().__init__()
        self.convolution, self.gain = layers.Conv2D(4, 3), self.add_weight(shape=(4,), name="gain")

    def call(self, x):
        return self.convolution(x) * self.gain


def own_tensor():
    return OwnTensor()


class OfNumPy(keras.Model):
    def __init__(self):
        super().__init__()
        self.convolution = layers.Conv2D(4, 3)

    def call(self, x):
        return keras.ops.convert_to_numpy(self.convolution(x)) + 1


def of_numpy():
    return OfNumPy()


class Uncopyable(layers.Layer):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return x * self.factor()


class Two:
    def __call__(self):
        return 2.0


def uncopyable():
    return keras.Sequential([layers.Conv2D(4, 3), Uncopyable(Two())])
