"""OpenCV's dnn module, with OpenCV's own decoder and resize."""

from __future__ import annotations

from typing import Any

import cv2

PACKAGE = "opencv-python-headless"


class _Model:
    def __init__(self, model: str, size: tuple[int, int], engine: str) -> None:
        self._net = cv2.dnn.readNetFromONNX(model, getattr(cv2.dnn, f"ENGINE_{engine.upper()}"))
        self._size = tuple(size)

    def read(self, photo: str) -> Any:
        return cv2.cvtColor(cv2.resize(cv2.imread(photo), self._size), cv2.COLOR_BGR2RGB)

    def run(self, tensor: Any) -> Any:
        self._net.setInput(tensor)
        return self._net.forward().reshape(-1)


def open_model(model: str, threads: int, size: tuple[int, int], engine: str) -> _Model:
    """Open an .onnx file; `engine` is auto, or classic where the new one cannot run the model."""
    cv2.setNumThreads(threads)
    return _Model(model, size, engine)
