"""The way of TensorFlow Lite's classic label_image script: Pillow's defaults, and no option of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

PACKAGE = "ai-edge-litert"


class _Model:
    def __init__(self, model: str) -> None:
        self._interpreter = Interpreter(model_path=model)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]

    def read(self, photo: str) -> Any:
        _, height, width, _ = self._input["shape"]
        return np.asarray(Image.open(photo).convert("RGB").resize((width, height)))

    def prepare(self, pixels: Any) -> Any:
        return np.asarray(pixels, self._input["dtype"])[None]

    def run(self, tensor: Any) -> Any:
        self._interpreter.set_tensor(self._input["index"], tensor)
        self._interpreter.invoke()
        results = np.squeeze(self._interpreter.get_tensor(self._output["index"]))
        return results if results.dtype == np.float32 else results / 255.0


def open_model(model: str, threads: int, size: tuple[int, int]) -> _Model:
    """Open a .tflite file with as many threads as the runtime takes by itself."""
    return _Model(model)
