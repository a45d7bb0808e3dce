"""edge-classify as a program uses it: its Classifier reads the file's card and does everything else."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from edge_classify.edge import Classifier, Execution
from edge_classify.edge.sources.frames import FilePicture

PACKAGE = "edge-classify"


class _Model:
    def __init__(self, model: str, threads: int) -> None:
        self._classifier = Classifier.from_file(model, execution=Execution(threads=threads))
        self.prepare = self._classifier.prepare

    def read(self, photo: str) -> Any:
        return self._classifier.to_pixels(FilePicture(Path(photo)))

    def run(self, tensor: Any) -> Any:
        began = time.perf_counter()
        self._classifier.invoke(tensor)
        return self._classifier.answer(1, began).probabilities


def open_model(model: str, threads: int, size: tuple[int, int]) -> _Model:
    """Open a .tflite file; it knows its own size."""
    return _Model(model, threads)
