"""ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

import onnxruntime

PACKAGE = "onnxruntime"


class _Model:
    def __init__(self, model: str, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def run(self, tensor: Any) -> Any:
        return self._session.run(None, {self._input: tensor})[0][0]


def open_model(model: str, threads: int, size: tuple[int, int]) -> _Model:
    """Open an .onnx file."""
    return _Model(model, threads)
