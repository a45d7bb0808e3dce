"""Writes MobileNetV2 1.0 with input 224x224 as a .keras file that takes pixels 0..255, float32.

    python make_keras.py OUTPUT.keras WEIGHTS

WEIGHTS is imagenet, which Keras downloads, none, or an .h5 file of Keras's own weights.
"""

from __future__ import annotations

import sys

import keras


def main(output: str, weights: str) -> None:
    """Build the model and write it; random weights are the same each time."""
    keras.utils.set_random_seed(0)
    backbone = keras.applications.MobileNetV2(weights=None if weights == "none" else weights)
    pixels = keras.Input(batch_shape=(1, 224, 224, 3))
    keras.Model(pixels, backbone(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(pixels))).save(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
