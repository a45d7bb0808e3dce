"""Pictures with their answers on them, one file an image: `--save-annotated`."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image

from ..answers.result import Result
from ..console import say
from ..errors import ImageError, OptionError
from ..files import refuse_to_overwrite, require_writable, write_atomically
from ..sources.frames import Frame
from .drawing import draw_answers

_JPEG_SUFFIXES = (".jpg", ".jpeg")
_QUALITY = 90
_LONGEST = 150  # Bytes of a name's stem; file systems take 255 for all of it, and temporary names are longer.
# What Windows refuses in names, and what would lead into another folder.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_MOST_NUMBERS = 2**31


class Annotated:
    """Writes each picture, in full size, with its answers on it into a folder.

    A file's picture keeps its name, frames of a video or animation are called NAME_000123.jpg, a camera's
    camera_000123.jpg. A name that is taken gets a number, NAME-2.jpg: nothing is ever overwritten, `force`
    only lets the folder hold something before. JPEGs and frames become JPEGs, all else PNGs.

    A picture that cannot be written, as on a full disk, is said once and counted in `failed`; the rest goes
    on, since answers are worth more than pictures of them.
    """

    def __init__(self, folder: Path, force: bool, report: Callable[[str], None] = say) -> None:
        """Make the folder.

        Raises OutputExistsError where it holds something, unless `force`, and OptionError where it cannot be
        made or written to.
        """
        self._folder = folder
        self._report = report
        self.failed = 0
        refuse_to_overwrite(folder, force)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OptionError(f"{folder} cannot be made a folder: {error.strerror}") from None
        require_writable(folder / "picture.jpg")

    def show(self, result: Result) -> None:
        """Write one picture; a frame without one is left out."""
        frame = result.frame
        if frame.picture is None:
            return
        try:
            drawn = draw_answers(frame.picture.image(), result.answers)
            stem, suffix = _name(frame)
            write_atomically(self._free(stem, suffix), _encode(drawn, suffix))
        except (ImageError, OptionError, OSError) as error:
            self.failed += 1
            if self.failed == 1:
                self._report(f"--save-annotated: {_reason(error)}. This is not said again")

    def close(self) -> None:
        """Say how many pictures are missing."""
        if self.failed > 1:
            self._report(f"--save-annotated: {self.failed} pictures could not be written")

    def _free(self, stem: str, suffix: str) -> Path:
        """Return a path that is not taken, without looking at every number where thousands share a name."""

        def path(number: int) -> Path:
            return self._folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")

        if not os.path.lexists(path(1)):
            return path(1)
        numbers = range(_MOST_NUMBERS)
        return path(bisect_left(numbers, True, lo=2, key=lambda number: not os.path.lexists(path(number))))


def _name(frame: Frame) -> tuple[str, str]:
    """Return a stem that is safe on every system, and the suffix, whatever the source is called."""
    if frame.grabbed is not None:
        return f"camera_{frame.index or 0:06d}", ".jpg"
    stem, suffix = os.path.splitext(frame.source.replace("\\", "/").rpartition("/")[2])  # noqa: PTH122 - also "..".
    # Bytes that are no UTF-8 become question marks, and these, as all that is unsafe, underscores.
    safe = _UNSAFE.sub("_", stem.encode("utf-8", "replace").decode())
    short = safe.encode()[:_LONGEST].decode("utf-8", "ignore").strip(" .") or "picture"
    if frame.index is not None:
        return f"{short}_{frame.index:06d}", ".jpg"
    return short, suffix if suffix.lower() in _JPEG_SUFFIXES else ".png"


def _encode(image: Image.Image, suffix: str) -> bytes:
    data = BytesIO()
    if suffix.lower() in _JPEG_SUFFIXES:
        image.save(data, "JPEG", quality=_QUALITY)
    else:
        image.save(data, "PNG")
    return data.getvalue()


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return str(error)
