"""Keras's own predict, one picture at a time."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

PACKAGE = "keras"


class _Model:
    def __init__(self, model: str) -> None:
        self._model = keras.models.load_model(model, compile=False)

    def run(self, tensor: Any) -> Any:
        return self._model.predict(tensor, verbose=0)[0]


def open_model(model: str, threads: int, size: tuple[int, int]) -> _Model:
    """Open a .keras file."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return _Model(model)
