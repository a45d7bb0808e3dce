"""How the rivals decode and resize a photo; all return float32 [size, size, 3], RGB, 0..255."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image, ImageOps


def centre_square(path: Path, size: int) -> NDArray[np.float32]:
    """Return the square in the middle, resized with Pillow's Lanczos filter."""
    with Image.open(path) as opened:
        fitted = ImageOps.fit(opened.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    return np.asarray(fitted, np.float32)


def nearest(path: Path, size: int) -> NDArray[np.float32]:
    """Return the whole photo stretched, by nearest neighbour, as Keras's generators do."""
    picture = keras.utils.load_img(path, target_size=(size, size), interpolation="nearest")
    return np.asarray(picture, np.float32)


def opencv(path: Path, size: int) -> NDArray[np.float32]:
    """Return the whole photo stretched by OpenCV, bilinear and without antialiasing."""
    import cv2

    pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.resize(pixels, (size, size)), np.float32)


def decoded(path: Path) -> tf.Tensor:
    """Return a photo as TensorFlow decodes it, uint8 [height, width, 3]."""
    return tf.io.decode_image(tf.io.read_file(str(path)), channels=3, expand_animations=False)


def bilinear(path: Path, size: int) -> NDArray[np.float32]:
    """Return the whole photo stretched by TensorFlow, bilinear and without antialiasing."""
    return np.asarray(tf.image.resize(decoded(path), (size, size)), np.float32)
