"""Drawn pictures of three classes, and folders of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SHAPES = ("red disc", "grüne Fläche", "blue 3")


def make_picture(label: str, seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """Return a noisy picture that shows its class by colour and form."""
    rng = np.random.default_rng([seed, SHAPES.index(label)])
    width, height = size
    pixels = rng.integers(60, 120, (height, width, 3))
    y, x = np.mgrid[:height, :width]
    centre_x, centre_y = rng.uniform(0.35, 0.65, 2) * (width, height)
    inside = {
        "red disc": (x - centre_x) ** 2 + (y - centre_y) ** 2 < (height / 4) ** 2,
        "grüne Fläche": np.abs(x - centre_x) + 0 * y < width / 3,
        "blue 3": (np.abs(x - centre_x) < width / 4) & (np.abs(y - centre_y) < height / 4),
    }[label]
    pixels[inside, SHAPES.index(label)] += 110
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def write_shapes(root: Path, per_class: int, seed: int = 0) -> Path:
    """Write a folder of three classes whose names hold spaces and letters beyond ASCII."""
    for label in SHAPES:
        (root / label).mkdir(parents=True)
        for number in range(per_class):
            make_picture(label, seed + number).save(root / label / f"bild {number:03d}.png")
    return root
