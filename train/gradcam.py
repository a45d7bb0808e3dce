"""Grad-CAM heat maps, which show where a model looked, and pictures of its mistakes with them.

R. R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import keras
import matplotlib as mpl
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from .evaluation import Mistake, PicturedMistake

_SHOWN_SIDE = 160  # Pixels.
_HEAT_OPACITY = 0.5
_QUALITY = 80


def picture_mistakes(
    model: Any, mistakes: Sequence[Mistake], pixels: NDArray[np.uint8]
) -> tuple[PicturedMistake, ...]:
    """Return the mistakes with pictures: the rows `Mistake.row` of `pixels`, uint8 [any, side, side, 3]."""
    if not mistakes:
        return ()
    chosen = pixels[[mistake.row for mistake in mistakes]]
    heat = grad_cam(model, chosen, np.array([mistake.predicted for mistake in mistakes]))
    return tuple(
        PicturedMistake(
            mistake, _jpeg(_enlarge(picture)), None if heat is None else _overlay(picture, heat[i])
        )
        for i, (mistake, picture) in enumerate(zip(mistakes, chosen, strict=True))
    )


def grad_cam(model: Any, pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """Return how much each place of a picture supports its class: float32 [n, rows, columns], 0..1.

    `model` is a Keras classifier that ends in a Dense layer with softmax; at most one of its layers is itself
    a model, and the others are then a chain. `pixels` are uint8 [n, side, side, 3]. The maps have the size of
    the last feature map; None if that is a single cell. A map without support for the class is 0 everywhere.
    The gradient is that of the logit, because that of a probability near 1 vanishes.
    """
    forward = _forward(model)
    image = tf.constant(pixels, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(image)  # Otherwise the tape only follows trainable weights, and all may be frozen.
        features, logits = forward(image)
        chosen = tf.reduce_sum(tf.gather(logits, classes, axis=1, batch_dims=1))
    if features.shape[1] * features.shape[2] == 1:
        return None
    gradient = tf.cast(tape.gradient(chosen, features), tf.float32)
    weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(weights * tf.cast(features, tf.float32), axis=-1)).numpy()
    return np.asarray(heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny))


def _forward(model: Any) -> Any:
    """Return a function from pixels to (last feature map, logits)."""
    dense = model.layers[-1]
    nested = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    if not nested:
        inner = keras.Model(model.input, [_last_map(model), dense.input])

        def whole(pixels: Any) -> Any:
            features, pooled = inner(pixels, training=False)
            return features, _logits(pooled, dense)

        return whole
    position = model.layers.index(nested[0])
    base = keras.Model(nested[0].input, [_last_map(nested[0]), nested[0].output])

    def forward(x: Any) -> Any:
        for layer in model.layers[1:position]:
            x = layer(x)
        features, x = base(x, training=False)
        for layer in model.layers[position + 1 : -1]:
            x = layer(x, training=False)
        return features, _logits(x, dense)

    return forward


def _logits(pooled: Any, dense: Any) -> Any:
    return tf.matmul(tf.cast(pooled, tf.float32), dense.kernel) + dense.bias


def _last_map(model: Any) -> Any:
    """Return the output of the last layer with a feature map, [n, rows, columns, channels]."""
    return next(layer.output for layer in reversed(model.layers) if len(layer.output.shape) == 4)


def _enlarge(picture: NDArray[np.uint8]) -> Image.Image:
    """Enlarge pictures to a common size; in very small ones each pixel stays visible."""
    small = picture.shape[0] < _SHOWN_SIDE / 2
    resample = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    return Image.fromarray(picture).resize((_SHOWN_SIDE, _SHOWN_SIDE), resample)


def _overlay(picture: NDArray[np.uint8], heat: NDArray[np.float32]) -> bytes:
    """Colour the grey picture by the heat map: dark for no support, yellow for the most."""
    size = (_SHOWN_SIDE, _SHOWN_SIDE)
    smooth = np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR))
    colour = mpl.colormaps["inferno"](smooth)[..., :3] * 255
    grey = np.asarray(_enlarge(picture).convert("L"), np.float32)[..., None]
    blend = (1 - _HEAT_OPACITY) * grey + _HEAT_OPACITY * colour
    return _jpeg(Image.fromarray(np.rint(blend).astype(np.uint8)))


def _jpeg(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
