"""Small Keras models by name, one per layer or way of using TensorFlow; Keras is the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

IMAGE = (9, 8, 4)
SEQUENCE = (5, 6)

Make = Callable[[], keras.Model]


def layer(make: Callable[[], Any], *shapes: tuple[int, ...]) -> Make:
    """A model of one layer over inputs of these shapes (without batch)."""

    def build() -> keras.Model:
        inputs = [keras.Input(shape, name=f"in{i}") for i, shape in enumerate(shapes)]
        return keras.Model(inputs, make()(inputs[0] if len(inputs) == 1 else inputs))

    return build


class Function(layers.Layer):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(*x) if isinstance(x, list | tuple) else self.function(x)


def f(function: Callable[..., Any], *shapes: tuple[int, ...]) -> Make:
    return layer(lambda: Function(function), *shapes)


def _attention() -> keras.Model:
    x = keras.Input(SEQUENCE)
    return keras.Model(x, layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))


def _branches() -> keras.Model:
    image, extra = keras.Input(IMAGE, name="image"), keras.Input((3,), name="extra")
    x = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False, name="stem")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(6.0)(x)
    gate = layers.Dense(6, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
    x = layers.Multiply()([x, layers.Reshape((1, 1, 6))(gate)])
    x = layers.Concatenate()([layers.Flatten()(x), extra])
    return keras.Model({"image": image, "extra": extra}, [layers.Dense(2, name="a")(x), x])


def _nested() -> keras.Model:
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    inner = keras.Sequential(
        [keras.Input(IMAGE), shared, layers.BatchNormalization()], name="inner"
    )
    x = keras.Input(IMAGE)
    return keras.Model(x, shared(inner(x)), name="outer")


CASES: dict[str, Make] = {
    "conv": layer(lambda: layers.Conv2D(5, 3, strides=2, padding="same", activation="relu"), IMAGE),
    "conv dilated": layer(lambda: layers.Conv2D(5, 3, dilation_rate=2, padding="same"), IMAGE),
    "conv dilated, valid": layer(lambda: layers.Conv2D(5, (3, 2), dilation_rate=2), IMAGE),
    "conv grouped": layer(lambda: layers.Conv2D(6, 3, groups=2), IMAGE),
    "depthwise": layer(
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), IMAGE),
    "depthwise dilated": layer(lambda: layers.DepthwiseConv2D(3, dilation_rate=2), IMAGE),
    "separable": layer(lambda: layers.SeparableConv2D(5, 3, strides=2), IMAGE),
    "transposed": layer(lambda: layers.Conv2DTranspose(5, 3, strides=2, padding="same"), IMAGE),
    "transposed, valid": layer(lambda: layers.Conv2DTranspose(5, 2, strides=3), IMAGE),
    "conv 1d": layer(lambda: layers.Conv1D(4, 3, padding="causal"), SEQUENCE),
    "depthwise 1d": layer(lambda: layers.DepthwiseConv1D(3), SEQUENCE),
    "transposed 1d": layer(lambda: layers.Conv1DTranspose(4, 3, strides=2), SEQUENCE),
    "max pool": layer(lambda: layers.MaxPooling2D(3, 2, padding="same"), IMAGE),
    "average pool": layer(lambda: layers.AveragePooling2D(3, 2, padding="same"), IMAGE),
    "max pool 1d": layer(lambda: layers.MaxPooling1D(2), SEQUENCE),
    "global pools": f(
        lambda x: layers.GlobalAveragePooling2D(keepdims=True)(x)
        + layers.GlobalMaxPooling2D(keepdims=True)(x), IMAGE),
    "upsample": layer(lambda: layers.UpSampling2D(2), IMAGE),
    "upsample bilinear": layer(lambda: layers.UpSampling2D(2, interpolation="bilinear"), IMAGE),
    "resize": layer(lambda: layers.Resizing(5, 13), IMAGE),
    "zero padding, cropping": f(
        lambda x: layers.Cropping2D(1)(layers.ZeroPadding2D(((2, 1), (0, 3)))(x)), IMAGE),
    "rescaling": layer(lambda: layers.Rescaling(1 / 127.5, -1), IMAGE),
    "dense": layer(lambda: layers.Dense(3, activation="softmax"), (7,)),
    "dense over a sequence": layer(lambda: layers.Dense(3), SEQUENCE),
    "batch norm": layer(layers.BatchNormalization, IMAGE),
    "batch norm, rank 2": layer(lambda: layers.BatchNormalization(scale=False), (7,)),
    "batch norm, not centered": layer(lambda: layers.BatchNormalization(center=False), IMAGE),
    "batch norm, axis 1": layer(lambda: layers.BatchNormalization(axis=1), IMAGE),
    "layer norm": layer(layers.LayerNormalization, SEQUENCE),
    "group norm": layer(lambda: layers.GroupNormalization(2), IMAGE),
    "unit norm": layer(layers.UnitNormalization, SEQUENCE),
    "rms norm": layer(layers.RMSNormalization, SEQUENCE),
    "lstm": layer(lambda: layers.LSTM(3, return_sequences=True), SEQUENCE),
    "lstm unrolled": layer(lambda: layers.LSTM(3, unroll=True), SEQUENCE),
    "gru": layer(lambda: layers.GRU(3), SEQUENCE),
    "gru, old order": layer(lambda: layers.GRU(3, reset_after=False), SEQUENCE),
    "simple rnn": layer(lambda: layers.SimpleRNN(3), SEQUENCE),
    "both ways": layer(
        lambda: layers.Bidirectional(layers.LSTM(3, return_sequences=True)), SEQUENCE),
    "time distributed": layer(lambda: layers.TimeDistributed(layers.Dense(3)), SEQUENCE),
    "attention": _attention,
    "branches": _branches,
    "nested": _nested,
    "prelu": layer(lambda: layers.PReLU(shared_axes=[1, 2]), IMAGE),
    **{
        f"activation {name}": layer(lambda name=name: layers.Activation(name), IMAGE)
        for name in (
            "relu", "relu6", "sigmoid", "tanh", "elu", "selu", "softplus", "softsign", "silu",
            "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "mish", "exponential",
            "log_softmax", "softmax", "celu", "glu", "hard_tanh", "soft_shrink", "squareplus",
        )
    },
    "merges": f(
        lambda x, y: layers.Average()([x, y]) + layers.Maximum()([x, y]) * layers.Subtract()([x, y])
        + layers.Minimum()([x, y]), IMAGE, IMAGE),
    "dot": layer(lambda: layers.Dot(axes=2), SEQUENCE, SEQUENCE),
    "permute, repeat": f(
        lambda x: layers.Permute((2, 1))(layers.RepeatVector(3)(x[:, 0])), SEQUENCE),
    "slices": f(lambda x: x[:, 1:-1:2, ..., tf.newaxis] + x[:, :1, 0][:, :, None, None], SEQUENCE),
    "strided backwards": f(lambda x: x[:, ::-1], SEQUENCE),
    "reductions": f(
        lambda x: tf.reduce_mean(x, 1) + tf.reduce_sum(x, 1) * tf.reduce_max(x, [1])
        - tf.reduce_min(x, 1) + tf.math.reduce_variance(x, 1) + tf.reduce_prod(x, 1)
        + tf.reduce_logsumexp(x, 1), SEQUENCE),
    "arithmetic": f(
        lambda x: (x + 1.0) * 2.0 / (x * x + 3.0) - tf.pow(tf.abs(x), 1.5) + tf.exp(-x)
        + tf.sqrt(tf.abs(x)) + tf.math.rsqrt(x * x + 1.0) + tf.sign(x) + tf.floor(x) + tf.round(x),
        SEQUENCE),
    "logarithms": f(
        lambda x: tf.math.log(x * x + 1.0) + tf.math.log1p(x * x) + tf.math.expm1(x)
        + tf.math.erf(x) + tf.math.reciprocal(x * x + 1.0) + tf.math.floormod(x, 0.3), SEQUENCE),
    "comparisons": f(
        lambda x: tf.where(x > 0.1, x, -x) + tf.cast((x < 0.5) & ~(x <= -0.5), tf.float32)
        + tf.cast(tf.equal(x, x), tf.float32), SEQUENCE),
    "clip": f(lambda x: tf.clip_by_value(x, -0.5, 0.7) + tf.maximum(x, 0.1), SEQUENCE),
    "shapes": f(
        lambda x: tf.transpose(
            tf.tile(tf.reshape(x, [tf.shape(x)[0], -1, 3]), [1, 2, 1]), [0, 2, 1]),
        SEQUENCE),
    "joins": f(
        lambda x, y: tf.concat([tf.stack([x, y], 1), tf.stack([y, x], 1)], -1), SEQUENCE, SEQUENCE),
    "splits": f(
        lambda x: tf.split(x, 3, -1)[1] + tf.split(x, [1, 2, 3], -1)[1] + x[..., :2]
        + tf.stack(tf.unstack(x, axis=2)[:2], -1), SEQUENCE),
    "pads": f(
        lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 1]], constant_values=0.5)
        + tf.pad(x, [[0, 0], [1, 2], [0, 1]], "REFLECT")
        + tf.pad(x, [[0, 0], [1, 2], [0, 1]], "SYMMETRIC"), SEQUENCE),
    "gathers": f(
        lambda x: tf.gather(x, [2, 0], axis=1) + tf.gather_nd(x, [[[0, 1], [0, 4]]]), SEQUENCE),
    "argmax": f(lambda x: tf.cast(tf.argmax(x, -1) + tf.argmin(x, -1), tf.float32), SEQUENCE),
    "top k": f(lambda x: tf.math.top_k(x, 3)[0], SEQUENCE),
    "cumsum": f(lambda x: tf.cumsum(x, 1, exclusive=True, reverse=True), SEQUENCE),
    "depth to space": f(lambda x: tf.nn.depth_to_space(x, 2), IMAGE),
    "space to depth": f(lambda x: tf.nn.space_to_depth(x, 3), (9, 6, 2)),
    "one hot": f(lambda x: tf.one_hot(tf.cast(tf.abs(x), tf.int32), 4), SEQUENCE),
    "roll": f(lambda x: tf.roll(x, [1, -2], [1, 2]), SEQUENCE),
    "band": f(lambda x: tf.linalg.band_part(x, 1, 2), SEQUENCE),
    "matmul": f(lambda x: tf.matmul(x, x, transpose_b=True) @ x, SEQUENCE),
    "einsum": f(
        lambda x, y: tf.einsum("bij,bkj->bik", x, y) + tf.einsum("...ij->...i", x)[..., None],
        SEQUENCE, SEQUENCE),
    "einsum diagonal": f(
        lambda x: tf.einsum("bii->bi", tf.matmul(x, x, transpose_b=True)), SEQUENCE),
    "einsum dense": layer(
        lambda: layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 4), bias_axes="de"),
        SEQUENCE),
    "keras ops": f(lambda x: ops.softmax(ops.swapaxes(ops.relu(x), 1, 2), axis=1), SEQUENCE),
    "lrn": f(lambda x: tf.nn.local_response_normalization(x, 2, 1.0, 0.1, 0.75), IMAGE),
    "l2 normalize": f(lambda x: tf.nn.l2_normalize(x, -1), SEQUENCE),
}  # fmt: skip
