"""Facts about an image file: whether it can be used, its format, its size and its thumbnail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from ..edge.errors import ImageError
from ..edge.image import load_image
from ..edge.image_file import open_image
from .thumbnails import make_thumbnail, read_thumbnails

_LARGE = 24_000_000  # Pixels; Pillow needs 4 bytes for each, and twice that to turn a picture upright.
_one_large_at_a_time = threading.Lock()


@dataclass(frozen=True)
class ImageFacts:
    """The facts about one image file; an unreadable one has only `path`, `reason` and perhaps `sha256`.

    Attributes:
        path: relative to the root of the data set, with "/".
        sha256: hex digest of the bytes; None when even these could not be read.
        reason: why the file cannot be used, as a phrase; None when it can.
        format: Pillow's name of the format, such as "JPEG"; None when unreadable.
        width: in pixels, after EXIF orientation; 0 when unreadable.
        height: in pixels, after EXIF orientation; 0 when unreadable.
        deviation: standard deviation of the grey values of the thumbnail, 0 to about 128; near 0 for a blank
            picture; 0.0 when unreadable.
        thumbnail: of the upright picture, as `thumbnails.make_thumbnail` makes it; empty when unreadable.
    """

    path: str
    sha256: str | None
    reason: str | None
    format: str | None = None
    width: int = 0
    height: int = 0
    deviation: float = 0.0
    thumbnail: bytes = field(default=b"", repr=False)


def inspect_image(raw: bytes, path: str, sha256: str, use: Callable[[Image.Image], None]) -> ImageFacts:
    """Decode a file once: give its upright RGB picture to `use`, and return its facts.

    The facts of a file that cannot be decoded contain the reason, and `use` is not called. An animation
    counts as its first frame. Several threads may call this; pictures of more than 24 megapixels wait for
    each other, so that memory holds only one of them.
    """
    found, pixels = _read_header(raw)
    with _bounded_memory(pixels):
        try:
            image = load_image(raw)
        except ImageError as error:
            return ImageFacts(path, sha256, str(error).removeprefix("image").lstrip(": "))
        use(image)
        thumbnail = make_thumbnail(image)
        return ImageFacts(
            path,
            sha256,
            None,
            found,
            image.width,
            image.height,
            round(float(np.std(read_thumbnails([thumbnail]).grey)), 3),
            thumbnail,
        )


def _read_header(raw: bytes) -> tuple[str | None, int]:
    """Return the format and the number of pixels; (None, 0) for a file that load_image will refuse."""
    with suppress(ImageError), open_image(raw) as image:
        return image.format, image.width * image.height
    return None, 0


@contextmanager
def _bounded_memory(pixels: int) -> Iterator[None]:
    if pixels <= _LARGE:
        yield
        return
    with _one_large_at_a_time:
        yield
