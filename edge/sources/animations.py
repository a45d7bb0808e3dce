"""Files that hold several pictures: animated GIF, WebP and PNG, and TIFF with several pages."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

from PIL import Image

from ..decoding_memory import PICTURES
from ..errors import ImageError
from ..image import decode
from ..image_file import open_image, require_file
from ..picture_kinds import HEAD, identify
from .frames import Frame, ReadyPicture

_WEBP_ANIMATED = 0x02  # A flag in byte 20 of an extended WebP file: RFC 9649, 2.7.


def is_animated(source: Path | bytes) -> bool:
    """Return whether a GIF, WebP, PNG or TIFF file, or its bytes, has several pictures, without decoding any.

    Returns False for an unreadable file: decoding it will raise the reason.
    """
    try:
        head = source[:HEAD] if isinstance(source, bytes) else _read_head(source)
        if identify(head) == "WEBP":  # Pillow would read the whole file.
            return head[12:16] == b"VP8X" and len(head) > 20 and bool(head[20] & _WEBP_ANIMATED)
        with open_image(source) as image:
            return bool(getattr(image, "is_animated", False))
    except (OSError, ImageError):
        return False


def animation_frames(source: Path | bytes, name: str | None = None) -> Iterator[Frame]:
    """Yield every frame in order, as a viewer shows it: drawn over the frames before.

    `seconds` is the sum of the durations of the frames before; None for the pages of a TIFF. The still
    picture of an animated PNG, for programs without animations, is left out. A truncated file ends with a
    frame with an error. `name` is the source of frames of bytes.
    """
    index, seconds = 0, 0.0
    shown = str(source) if isinstance(source, Path) else name or "image"
    try:
        with open_image(source, shown) as image:
            first = 1 if image.info.get("default_image") else 0
            for position in count(first):
                try:
                    image.seek(position)
                    copy = decode(image).copy()
                    PICTURES.keep(copy)
                    picture = ReadyPicture(copy)
                except EOFError:
                    break
                yield Frame(shown, picture, None, index, None, None if image.format == "TIFF" else seconds)
                index += 1
                seconds += float(image.info.get("duration") or 0) / 1000
            if index < (stated := _stated_frames(image) - first):
                raise ImageError(f"it is cut off after {index} of {stated} frames")
    except ImageError as error:
        yield Frame(shown, None, str(error), index)


def _read_head(path: Path) -> bytes:
    require_file(path)
    with path.open("rb") as file:
        return file.read(HEAD)


def _stated_frames(image: Image.Image) -> int:
    """Return the number of frames in the header; 0 where the header has none."""
    return int(image.n_frames) if image.format in ("PNG", "WEBP") else 0  # type: ignore[attr-defined]
