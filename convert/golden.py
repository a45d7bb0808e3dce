"""Examples that travel in a file, with the answers that it gave for them when it was made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..edge.classifier import Classifier
from ..edge.modelfile import ModelFile
from ..edge.runtime import Loaded, load_interpreter
from ..edge.tflite.sealing import Golden

# Other processors round differently again: what two sets of kernels differ by here may double there.
_MARGIN = 2.0


def golden_examples(sealed: bytes, pixels: Sequence[NDArray[np.uint8]], tolerance: float) -> list[Golden]:
    """Return an example for each image, uint8 [height, width, 3], from a sealed file.

    Each is allowed `tolerance`, or twice the largest difference of a probability between the runtime's own
    kernels and its delegate's, if that is more.
    """
    file = ModelFile.read(sealed)
    classifier = Classifier(file)
    plain = Classifier(file, loaded=Loaded(load_interpreter(sealed, 1, keep_all=True)))
    examples = []
    for image in pixels:
        expected = classifier.classify_pixels(image).probabilities
        difference = float(np.abs(plain.classify_pixels(image).probabilities - expected).max())
        examples.append(Golden(image, expected, max(tolerance, round(_MARGIN * difference, 3))))
    return examples
