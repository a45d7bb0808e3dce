"""Pictures with their answers on them, one file per image: `--save-annotated`."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import Image

from ..answers.result import FrameResult
from ..console import say
from ..durable import make_folders
from ..errors import ImageError, OptionError
from ..file_batch import FileBatch
from ..files import refuse_to_overwrite, require_writable
from ..parts import describe_left_over, place
from ..sources.frames import EncodedPicture, FilePicture, Frame
from .drawing import draw_answers

_JPEG_SUFFIXES = (".jpg", ".jpeg")
_QUALITY = 90
_LONGEST = 150  # Bytes of a name's stem; file systems allow 255 for the name, and temporary names are longer.
# Characters that Windows forbids in names, and those that lead into another folder.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_MOST_NUMBERS = 2**31


class Annotated:
    """Writes each picture, in full size and with its answers on it, into a folder.

    An image file keeps its name; frames of videos and animations become NAME_000123.jpg, those of cameras
    camera_000123.jpg. A name that exists already gets a number, NAME-2.jpg: nothing is ever overwritten, and
    `force` only allows a folder that is not empty. The folder may be a link, but no link in it is followed.
    JPEGs and frames are written as JPEG, other files as PNG. Pictures get their names some moments later,
    when several were synced together, and all of them when it is closed.

    The first picture that cannot be written, for example on a full disk, is reported, and all are counted in
    `failed`. The run goes on, since the answers matter more.
    """

    def __init__(self, folder: Path, force: bool, report: Callable[[str], None] = say) -> None:
        """Make the folder.

        Raises OutputExistsError where it is not empty, unless `force`, and OptionError where it cannot be
        made or written to.
        """
        self._folder = folder
        self._report = report
        self.failed = 0
        refuse_to_overwrite(folder, force)
        try:
            make_folders(folder)
        except OSError as error:
            raise OptionError(f"{folder} cannot be made a folder: {error.strerror}") from None
        require_writable(folder / "picture.jpg")
        if remark := describe_left_over(folder):
            report(remark)
        self._batch = FileBatch(folder)

    def show(self, result: FrameResult) -> None:
        """Write one picture; a frame without a picture is left out."""
        frame = result.frame
        if frame.picture is None:
            return
        try:
            # What was decoded for this picture alone need not be copied.
            own = isinstance(frame.picture, (FilePicture, EncodedPicture))
            drawn = draw_answers(frame.picture.image(), result.answers, in_place=own)
            stem, suffix = _name(frame)
            name = partial(self._place, stem, suffix)
            self._batch.add([(f"{stem}{suffix}", _encode(drawn, suffix))], name)
        except (ImageError, OSError) as error:
            self._fail(error)
        self.refresh()

    def refresh(self) -> None:
        """Give the pictures their names that have waited for others to be synced with."""
        if self._batch.is_due:
            self._commit()

    def close(self) -> None:
        """Finish, and report how many pictures are missing."""
        self._commit()
        if self.failed > 1:
            self._report(f"--save-annotated: {self.failed} pictures could not be written")

    def _commit(self) -> None:
        try:
            errors = self._batch.commit()
        except OSError as error:  # The folder itself cannot be synced.
            errors = [error]
        for each in errors:
            self._fail(each)

    def _fail(self, error: Exception) -> None:
        self.failed += 1
        if self.failed == 1:
            self._report(f"--save-annotated: {_reason(error)}. Further errors are only counted")

    def _place(self, stem: str, suffix: str, parts: Sequence[Path]) -> None:
        while True:
            with suppress(FileExistsError):  # Another program has taken the name meanwhile.
                place(parts[0], self._free(stem, suffix), replace=False)
                return

    def _free(self, stem: str, suffix: str) -> Path:
        """Return a path that does not exist, by bisection, since thousands may share a name."""

        def path(number: int) -> Path:
            return self._folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")

        if not os.path.lexists(path(1)):
            return path(1)
        numbers = range(_MOST_NUMBERS)
        return path(bisect_left(numbers, True, lo=2, key=lambda number: not os.path.lexists(path(number))))


def _name(frame: Frame) -> tuple[str, str]:
    """Return a stem that every file system allows, and the suffix, for any name of the source."""
    if frame.grabbed is not None:
        return f"camera_{frame.index or 0:06d}", ".jpg"
    stem, suffix = os.path.splitext(frame.source.replace("\\", "/").rpartition("/")[2])  # noqa: PTH122 - also "..".
    # Bytes that are not UTF-8 become question marks; unsafe characters, ? too, become underscores.
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
