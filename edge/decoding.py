"""Where pictures in files and streams are decoded: in this process, or by a decoder that stands in for it.

Functions that decode ask here first, so that no way from a stranger's file to a decoder is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .card import InputSpec, Preprocess


@dataclass(frozen=True)
class DecodedFrame:
    """A frame of an animation or a film: RGB pixels uint8 [height, width, 3], or the reason why it has none.

    `index` and `seconds` are as those of sources.frames.Frame.
    """

    pixels: NDArray[np.uint8] | None
    error: str | None
    index: int | None
    seconds: float | None


class Decoder(Protocol):
    """Decodes in place of this process; every method raises ImageError as the functions that call it do."""

    def load_image(self, source: Path | bytes, cover: tuple[int, int] | None) -> Image.Image:
        """Decode as image.load_image does."""
        ...

    def load_input(self, source: Path | bytes, spec: InputSpec, preprocess: Preprocess) -> NDArray[np.uint8]:
        """Decode and resize as image.load_input does."""
        ...

    def animation(self, path: Path) -> Iterator[DecodedFrame] | None:
        """Return the frames of a file with several pictures; None for one with a single picture."""
        ...

    def film(self, path: Path) -> Iterator[DecodedFrame]:
        """Yield the frames of a film."""
        ...


class _Choice:
    """The decoder that stands in; None for this process itself."""

    def __init__(self) -> None:
        self.decoder: Decoder | None = None


_choice = _Choice()


def stand_in() -> Decoder | None:
    """Return the decoder that stands in for this process, None where it decodes itself."""
    return _choice.decoder


@contextmanager
def decoded_by(decoder: Decoder) -> Iterator[None]:
    """Have all threads of this process decode by `decoder` inside the `with` block."""
    before, _choice.decoder = _choice.decoder, decoder
    try:
        yield
    finally:
        _choice.decoder = before
