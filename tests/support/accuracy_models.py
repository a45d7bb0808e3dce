"""Models that see colours, and pictures of one colour each, to score them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from edge_classify.edge.card import ConversionInfo, InputSpec, ModelCard, TrainingInfo
from edge_classify.edge.tflite.sealing import complete_card, seal
from numpy.typing import NDArray
from PIL import Image

from .tiny_tflite import SIZE, Builder

COLOURS = ("red", "green", "blue")


def write_model(
    path: Path,
    labels: Sequence[str] = COLOURS,
    weights: NDArray[Any] | None = None,
    variant: str = "float32",
    name: str = "colours",
    split_sha256: str | None = None,
) -> Path:
    """Write a model whose logits are `weights` [classes, 3] times the mean of R, G and B, 0..1.

    By default the class is the strongest colour.
    """
    build = Builder()
    build.rescale()
    build.conv("tiny/stem/convolution", np.eye(3), np.zeros(3))
    raw = build.head(8 * np.eye(3) if weights is None else weights)
    training = TrainingInfo("cnn", "none", "colours", 0, split_sha256) if split_sha256 else None
    card = ModelCard(
        name, tuple(labels), InputSpec(SIZE, SIZE, "float32"), training=training,
        conversion=ConversionInfo(variant, {}),
    )  # fmt: skip
    path.write_bytes(seal(raw, complete_card(raw, card, "float32")))
    return path


def write_pictures(root: Path, pictures: Mapping[str, Sequence[tuple[int, int, int]]]) -> Path:
    """Write a folder for each label, with 0.png, 1.png and so on of the colours given."""
    for label, colours in pictures.items():
        (root / label).mkdir(parents=True)
        for number, colour in enumerate(colours):
            Image.new("RGB", (SIZE, SIZE), colour).save(root / label / f"{number}.png")
    return root


def random_pictures(root: Path, labels: Sequence[str], per_class: int, seed: int = 0) -> Path:
    """Write pictures of random colours, no two alike, in the same layout as `write_pictures`."""
    rng = np.random.default_rng(seed)
    shape = (len(labels), per_class, 3)
    colours = rng.integers(0, 256, shape).tolist()
    return write_pictures(
        root, {label: [tuple(c) for c in row] for label, row in zip(labels, colours, strict=True)}
    )
