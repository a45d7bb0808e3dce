"""Who takes part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from edge_classify.edge.labelled import LabelledImage
from numpy.typing import NDArray

KEYS = ("teachable-machine", "frigate", "tflite-model-maker", "mediapipe-model-maker", "notebook-cnn",
        "notebook-mobilenet-v2")  # fmt: skip


class Rival(Protocol):
    """A recipe of others: from training images to a .tflite, as they do it by default.

    `variant` is what the file computes in, "int8" or "float32".
    """

    title: str
    variant: str

    def picture(self, path: Path) -> NDArray[np.float32]:
        """Return what a user's device feeds for a photo, float32 [size, size, 3], before any quantization."""

    def train(self, images: Sequence[LabelledImage], labels: Sequence[str], weights: str, seed: int) -> Any:
        """Return a Keras model of probabilities that takes pictures; `weights` is one of network.WEIGHTS."""

    def convert(self, model: Any, images: Sequence[LabelledImage], seed: int) -> bytes:
        """Return the .tflite of a model that was trained on these images."""


def find_rival(key: str) -> Rival:
    """Return the rival of a key in KEYS. TensorFlow is loaded only here."""
    from studies.rivals.frigate import Frigate
    from studies.rivals.model_maker import MediaPipeModelMaker, TFLiteModelMaker
    from studies.rivals.teachable_machine import TeachableMachine
    from studies.rivals.tutorials import FineTuning, PlainCNN

    rivals: tuple[Rival, ...] = (
        TeachableMachine(), Frigate(), TFLiteModelMaker(), MediaPipeModelMaker(), PlainCNN(), FineTuning()
    )  # fmt: skip
    return dict(zip(KEYS, rivals, strict=True))[key]
