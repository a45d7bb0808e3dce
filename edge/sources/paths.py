"""The image files in the folders that users name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import SourceError
from ..image import is_image_name

_NUMBER = re.compile(r"\d+")


def find_images(paths: Iterable[Path], recursive: bool) -> list[Path]:
    """Replace folders by the image files in them, in natural order; other paths stay as they are.

    Hidden files are left out, and links to folders are not followed. Raises SourceError for a folder that
    cannot be read or holds no images.
    """
    found: list[Path] = []
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - Path's raises on names that are too long.
            found.append(path)
            continue
        require_images(path, recursive)
        for inside in walk_images(path, recursive):
            if isinstance(inside, SourceError):
                raise inside
            found.append(inside)
    return found


def walk_images(folder: Path, recursive: bool) -> Iterator[Path | SourceError]:
    """Yield a folder's image files in natural order, and an error for each sub-folder that cannot be read.

    Only the names of one folder and of its parents are in memory. Files are chosen as by `find_images`.
    """
    below = iter([_folder_name(str(folder))])
    waiting: list[tuple[str, Iterator[str]]] = []
    root = ""
    while True:
        name = next(below, None)
        if name is None:
            if not waiting:
                return
            root, below = waiting.pop()
        elif not name.endswith(os.sep):
            yield Path(root, name)
        else:
            waiting.append((root, below))
            root = os.path.join(root, name)  # noqa: PTH118 - Path has no place for the mark.
            try:
                below = iter(sorted(_list(root, recursive), key=natural_key))
            except OSError as error:
                below = iter(())
                yield SourceError(f"{Path(root)} cannot be read ({error.strerror})")


def count_images(folder: Path, recursive: bool) -> int:
    """Return how many images `walk_images` will find; a folder that cannot be read has none."""
    return sum(1 for _ in _unsorted(str(folder), recursive))


def require_images(folder: Path, recursive: bool) -> None:
    """Raise SourceError for a folder that cannot be read or holds no images."""
    try:
        next(_list(str(folder), recursive), None)
    except OSError as error:
        raise SourceError(f"{folder} cannot be read ({error.strerror})") from None
    if next(_unsorted(str(folder), recursive), None) is None:
        hint = "" if recursive else " (sub-folders are searched with --recursive)"
        raise SourceError(f"{folder} holds no images{hint}")


def natural_key(path: Path | str) -> str:
    """Return a sort key that puts 2 before 10, and numbers before other text.

    It is a string and not a tuple to save memory, since a folder may hold many names.
    """
    return _NUMBER.sub(_number_key, str(path))


def _number_key(match: re.Match[str]) -> str:
    """Return text that sorts by value, then by spelling; NUL marks it, since no name contains one."""
    written = match[0]
    digits = (written if written.isascii() else "".join(str(int(c)) for c in written)).lstrip("0")
    return f"\0{chr(len(digits))}{digits}{written}\0"


def _unsorted(folder: str, recursive: bool) -> Iterator[str]:
    folders = [folder]
    while folders:
        root = folders.pop()
        try:
            for name in _list(root, recursive):
                if name.endswith(os.sep):
                    folders.append(os.path.join(root, name))  # noqa: PTH118
                else:
                    yield name
        except OSError:
            continue  # walk_images reports it.


def _list(folder: str, recursive: bool) -> Iterator[str]:
    """Yield the names of a folder's images and, if `recursive`, of its folders, which end in a separator."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if recursive and not entry.name.startswith("."):
                    yield _folder_name(entry.name)
            elif is_image_name(entry.name) and _is_file(entry):
                yield entry.name


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # The entry is a link to itself.
        return False


def _folder_name(name: str) -> str:
    return os.path.join(name, "")  # noqa: PTH118
