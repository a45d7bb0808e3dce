"""ncnn on the CPU, with a model that pnnx has converted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ncnn

PACKAGE = "ncnn"


class _Model:
    def __init__(self, model: str, threads: int) -> None:
        self._net = ncnn.Net()
        self._net.opt.num_threads = threads
        for status in (
            self._net.load_param(model),
            self._net.load_model(str(Path(model).with_suffix(".bin"))),
        ):
            if status:
                raise RuntimeError(f"ncnn cannot load {model} (status {status})")

    def run(self, tensor: Any) -> Any:
        with self._net.create_extractor() as extractor:
            extractor.input("in0", ncnn.Mat(tensor, batch_index=0).clone())
            _, output = extractor.extract("out0")
            return output.numpy(batch_index=0).reshape(-1)


def open_model(model: str, threads: int, size: tuple[int, int]) -> _Model:
    """Open a .param file, and the .bin beside it."""
    return _Model(model, threads)
