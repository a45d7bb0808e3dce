"""Frames, which every source yields; their pictures are decoded only when they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..card import InputSpec, Preprocess
from ..decoding import stand_in
from ..errors import ImageError
from ..image import (
    Box,
    Cover,
    from_bgr,
    input_cover,
    load_for_input,
    load_image,
    load_input,
    to_input,
    to_rgb,
)


class Picture(Protocol):
    """A picture that is decoded when `image` is called."""

    def image(self, cover: Cover | None = None) -> Image.Image:
        """Return the picture upright, as 8-bit RGB.

        With `cover`, (width, height) in pixels, it may be reduced, but not below that width or height. Raises
        ImageError when it cannot be decoded.
        """
        ...


@dataclass(frozen=True)
class Frame:
    """One picture of a source, or the reason why there is none.

    `source` is a path or an address without its secrets. `index` counts the frames of videos, animations and
    cameras from 0, and is None for files with one picture. `grabbed` is time.monotonic() when a live frame
    was taken. `seconds` is the time of a frame since the first of its video or animation. Exactly one of
    `picture` and `error` is None.
    """

    source: str
    picture: Picture | None
    error: str | None = None
    index: int | None = None
    grabbed: float | None = None
    seconds: float | None = None

    def with_picture(self, picture: Picture) -> Frame:
        """Return the same frame with another view of its picture."""
        return replace(self, picture=picture)

    @property
    def time(self) -> float | None:
        """Seconds on a clock that frames of the same source share; None for files with one picture."""
        return self.grabbed if self.grabbed is not None else self.seconds


class Source(Protocol):
    """Anything that yields frames; a `live` source yields the newest frame, others every frame in order."""

    live: bool

    @property
    def total(self) -> int | None:
        """The number of files or frames, counted now; None where it is not known."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the source ends. A picture that cannot be read is a frame with an error."""
        ...

    def close(self) -> None:
        """Release devices and connections; earlier frames stay usable. A second call does nothing."""
        ...


class FilePicture(NamedTuple):
    """A picture in a file, read when it is needed."""

    path: Path

    def image(self, cover: Cover | None = None) -> Image.Image:
        """Read and decode the file, a JPEG no larger than `cover` needs."""
        return load_image(self.path, cover)


class EncodedPicture(NamedTuple):
    """The bytes of an image file, as a stream delivers them."""

    data: bytes

    def image(self, cover: Cover | None = None) -> Image.Image:
        """Decode the bytes, a JPEG no larger than `cover` needs."""
        return load_image(self.data, cover)


class PixelPicture(NamedTuple):
    """Pixels as OpenCV delivers them: uint8 [height, width, 3], BGR."""

    bgr: Any

    def image(self, cover: Cover | None = None) -> Image.Image:
        """Return all pixels as RGB."""
        return from_bgr(self.bgr)


class ReadyPicture(NamedTuple):
    """A picture that is decoded already."""

    ready: Image.Image

    def image(self, cover: Cover | None = None) -> Image.Image:
        """Return it in full size, converted to RGB."""
        return to_rgb(self.ready)


class RotatedPicture(NamedTuple):
    """A picture turned clockwise by 90, 180 or 270 degrees, for a camera that is mounted so."""

    original: Picture
    degrees: int

    def image(self, cover: Cover | None = None) -> Image.Image:
        """Decode and turn."""
        sideways = self.degrees in (90, 270)
        wanted = (cover[1], cover[0]) if cover and sideways else cover
        turns = {
            90: Image.Transpose.ROTATE_270,  # Pillow turns counterclockwise.
            180: Image.Transpose.ROTATE_180,
            270: Image.Transpose.ROTATE_90,
        }
        return self.original.image(wanted).transpose(turns[self.degrees])


def to_pixels(picture: Picture, spec: InputSpec, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Return a picture as the model's input, uint8 [height, width, 3]; raises ImageError."""
    if isinstance(picture, (FilePicture, EncodedPicture)) and stand_in() is not None:
        return load_input(picture[0], spec, preprocess)
    image, box = decode_for_input(picture, spec)
    return to_input(image, spec, preprocess, box)


def decode_for_input(picture: Picture, spec: InputSpec) -> tuple[Image.Image, Box | None]:
    """Return a picture decoded no larger than this input needs, and the `box` for to_input.

    Raises ImageError.
    """
    if isinstance(picture, FilePicture):
        return load_for_input(picture.path, spec)
    if isinstance(picture, EncodedPicture):
        return load_for_input(picture.data, spec)
    return picture.image(input_cover(spec)), None


def picture_error(frame: Frame, error: ImageError) -> Frame:
    """Return the frame with the error instead of its picture, which could not be decoded."""
    return replace(frame, picture=None, error=str(error))
