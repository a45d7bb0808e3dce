"""Examples that travel in a file, with the answers that it gave for them when it was made."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge.classifier import Classifier
from ..edge.runtime import load_interpreter
from ..edge.tensors import TensorSpec, to_probabilities, to_tensor
from ..edge.tflite.sealing import Golden

# Other processors round differently again: what two sets of kernels differ by here may double there.
_MARGIN = 2.0


def golden_examples(sealed: bytes, pixels: Sequence[NDArray[np.uint8]], tolerance: float) -> list[Golden]:
    """Return an example for each image, uint8 [height, width, 3], from a sealed file.

    Each is allowed `tolerance`, or twice the largest difference of a probability between the runtime's own
    kernels and its delegate's, if that is more.
    """
    with tempfile.TemporaryDirectory(prefix="edge-convert-") as scratch:
        path = Path(scratch, "model.tflite")
        path.write_bytes(sealed)
        classifier = Classifier.from_file(path)
        plain = load_interpreter(path, 1, keep_all=True)
        examples = []
        for image in pixels:
            expected = classifier.classify_pixels(image).probabilities
            difference = float(np.abs(_run(plain, classifier, image) - expected).max())
            examples.append(Golden(image, expected, max(tolerance, round(_MARGIN * difference, 3))))
        return examples


def _run(interpreter: Any, classifier: Classifier, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    given = TensorSpec.from_details(interpreter.get_input_details()[0])
    result = TensorSpec.from_details(interpreter.get_output_details()[0])
    interpreter.set_tensor(given.index, to_tensor(pixels, given, classifier.normalization))
    interpreter.invoke()
    stored = interpreter.get_tensor(result.index).reshape(-1)
    return to_probabilities(stored, result.scale, result.zero_point, classifier.file.gives_probabilities)
