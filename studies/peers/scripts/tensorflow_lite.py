"""tf.lite.Interpreter, out of the whole of TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

PACKAGE = "tensorflow"


class _Model:
    def __init__(self, model: str, threads: int) -> None:
        self._interpreter = tf.lite.Interpreter(model_path=model, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]

    def prepare(self, pixels: Any) -> Any:
        return np.asarray(pixels, self._input["dtype"])[None]

    def run(self, tensor: Any) -> Any:
        self._interpreter.set_tensor(self._input["index"], tensor)
        self._interpreter.invoke()
        scale, zero_point = self._output["quantization"]
        stored = self._interpreter.get_tensor(self._output["index"])[0]
        return (stored.astype(np.float32) - zero_point) * scale if scale else stored


def open_model(model: str, threads: int, size: tuple[int, int]) -> _Model:
    """Open a .tflite file."""
    return _Model(model, threads)
