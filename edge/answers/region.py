"""The part of a picture that is classified: `--roi`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from PIL import Image

from ..errors import ImageError
from ..image import Cover
from ..sources.frames import Frame, Picture

_HUNDRED = 100.0
_PIXELS = re.compile(r"\d{1,6}")
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%")


@dataclass(frozen=True)
class Region:
    """A rectangle of an upright picture: its upper left corner and its size, in pixels or per cent.

    Raises ValueError, with a text for click, for a rectangle without an area or outside of 100 %.
    """

    x: float
    y: float
    width: float
    height: float
    percent: bool = False

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.x, self.y, self.width, self.height))):
            raise ValueError(f"must be numbers. Received: {self}")
        if min(self.x, self.y) < 0 or min(self.width, self.height) <= 0:
            raise ValueError(f"must have a width and a height above 0. Received: {self}")
        if self.percent and max(_end(self.x, self.width), _end(self.y, self.height)) > _HUNDRED:
            raise ValueError(
                f"must lie inside the picture: x + w and y + h are at most 100%. Received: {self}"
            )

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read "x,y,w,h", all in pixels, such as "40,0,320,240", or all in per cent: "10%,10%,50%,50%".

        Raises ValueError, with a text for click.
        """
        parts = [part.strip() for part in text.split(",")]
        if len(parts) == 4:
            if all(map(_PIXELS.fullmatch, parts)):
                x, y, width, height = map(int, parts)
                return cls(x, y, width, height)
            if all(map(_PERCENT.fullmatch, parts)):
                left, upper, wide, high = (float(part[:-1]) for part in parts)
                return cls(left, upper, wide, high, percent=True)
        raise ValueError(
            f"must be x,y,w,h: four whole numbers of pixels, or four numbers with a % sign. Received: {text}"
        )

    def __str__(self) -> str:
        unit = "%" if self.percent else ""
        return ",".join(f"{value:.10g}{unit}" for value in (self.x, self.y, self.width, self.height))

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return the left, upper, right and lower edge in a picture of `size` (width, height) pixels.

        Per cent are rounded outwards to whole pixels. Raises ImageError for a region in pixels that is not
        entirely inside the picture: a smaller region would not be what the user asked for.
        """
        if self.percent:
            left, right = _span(self.x, self.width, size[0])
            upper, lower = _span(self.y, self.height, size[1])
            return left, upper, right, lower
        left, upper = int(self.x), int(self.y)
        right, lower = left + int(self.width), upper + int(self.height)
        if right > size[0] or lower > size[1]:
            raise ImageError(
                f"--roi {self} is not inside the picture, which is {size[0]} x {size[1]} pixels, upright. "
                "Name a smaller region, or one in per cent"
            )
        return left, upper, right, lower

    def cover(self, cover: Cover | None) -> Cover | None:
        """Return the `cover` of the whole picture whose region has `cover`; None means full size."""
        if cover is None or not self.percent:
            return None
        return math.ceil(cover[0] * _HUNDRED / self.width), math.ceil(cover[1] * _HUNDRED / self.height)


@dataclass(frozen=True)
class RegionPicture:
    """A region of another picture."""

    original: Picture
    region: Region

    def image(self, cover: Cover | None = None) -> Image.Image:
        """Decode and cut; raises ImageError also where the region is not inside the picture."""
        whole = self.original.image(self.region.cover(cover))
        return whole.crop(self.region.box(whole.size))


def cut(frames: Iterable[Frame], region: Region) -> Iterator[Frame]:
    """Yield the frames with their pictures cut to the region."""
    for frame in frames:
        yield frame if frame.picture is None else frame.with_picture(RegionPicture(frame.picture, region))


def _end(start: float, length: float) -> float:
    return round(start + length, 6)  # 33.3 + 66.7 is not exactly 100.


def _span(start: float, length: float, pixels: int) -> tuple[int, int]:
    """Return the first pixel of a span in per cent, and the pixel behind its last."""
    first = math.floor(round(start * pixels / _HUNDRED, 6))
    behind = math.ceil(round(_end(start, length) * pixels / _HUNDRED, 6))
    return min(first, pixels - 1), min(max(behind, first + 1), pixels)
