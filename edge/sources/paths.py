"""The image files in the folders that users name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import SourceError
from ..picture_kinds import looks_like_picture

_NUMBER = re.compile(r"\d+")


class OtherFiles:
    """How many files in folders were left out because they look like neither image nor film."""

    def __init__(self) -> None:
        """Begin without any."""
        self.count = 0

    def remark(self) -> str | None:
        """Return what to tell the user, or None where there is nothing to tell."""
        if not self.count:
            return None
        return f"Other files in the folders, which are hidden or no pictures: {self.count:,}"


class Links:
    """Which links to folders are followed in a walk: those to other places, each place once.

    A folder inside the one that is walked is found there itself. One that contains it would never end.
    """

    def __init__(self, root: str, begin: str | None = None) -> None:
        """Begin a walk of this folder; or of the folder `begin` in it, which may be a link to another place.

        Then a link to anywhere in `root` is not followed.
        """
        self._root = os.path.realpath(root)
        start = os.path.realpath(begin or root)
        self._followed = [] if _holds(self._root, start) else [start]

    def enter(self, folder: str, is_link: bool) -> bool:
        """Return whether to walk a folder, or follow a link to one."""
        if is_link:
            return self._follow(folder)
        return not self._followed or os.path.realpath(folder) not in self._followed

    def _follow(self, link: str) -> bool:
        place = os.path.realpath(link)
        if _holds(place, self._root) or any(_holds(known, place) for known in (self._root, *self._followed)):
            return False
        self._followed.append(place)
        return True


def find_images(paths: Iterable[Path], recursive: bool, others: OtherFiles | None = None) -> list[Path]:
    """Replace folders by what looks like images or films in them, in natural order; other paths stay.

    The suffix decides, or else the first bytes. Hidden files are left out, and links to folders are
    followed as by `Links`; a link to nowhere is listed, so that reading it reports an error. `others` counts
    the files left out. Raises SourceError for a folder that cannot be
    read or holds no images.
    """
    found: list[Path] = []
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - Path's raises on names that are too long.
            found.append(path)
            continue
        require_images(path, recursive)
        for inside in walk_images(path, recursive, others):
            if isinstance(inside, SourceError):
                raise inside
            found.append(inside)
    return found


def walk_images(
    folder: Path, recursive: bool, others: OtherFiles | None = None
) -> Iterator[Path | SourceError]:
    """Yield a folder's image files in natural order, and an error for each sub-folder that cannot be read.

    Only the names of one folder and of its parents are in memory. Files are chosen as by `find_images`.
    """
    below = iter([_folder_name(str(folder))])
    waiting: list[tuple[str, Iterator[str]]] = []
    links = Links(str(folder))
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
                below = iter(sorted(_list(root, recursive, links, others), key=natural_key))
            except OSError as error:
                below = iter(())
                yield SourceError(f"{Path(root)} cannot be read ({error.strerror})")


def count_images(folder: Path, recursive: bool) -> int:
    """Return how many images `walk_images` will find; a folder that cannot be read has none."""
    return sum(1 for _ in _unsorted(str(folder), recursive))


def require_images(folder: Path, recursive: bool) -> None:
    """Raise SourceError for a folder that cannot be read or holds no images."""
    try:
        next(_list(str(folder), recursive, Links(str(folder))), None)
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
    folders, links = [folder], Links(folder)
    while folders:
        root = folders.pop()
        try:
            for name in _list(root, recursive, links):
                if name.endswith(os.sep):
                    folders.append(os.path.join(root, name))  # noqa: PTH118
                else:
                    yield name
        except OSError:
            continue  # walk_images reports it.


def _list(folder: str, recursive: bool, links: Links, others: OtherFiles | None = None) -> Iterator[str]:
    """Yield the names of a folder's images and, if `recursive`, of its folders, which end in a separator."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_folder(entry):
                hidden = not recursive or entry.name.startswith(".")
                if not hidden and links.enter(entry.path, entry.is_symlink()):
                    yield _folder_name(entry.name)
            elif _may_be_picture(entry) and looks_like_picture(entry.path):
                yield entry.name
            elif others is not None:
                others.count += 1


def _holds(folder: str, place: str) -> bool:
    """Return whether a place is this folder or lies in it."""
    return place == folder or place.startswith(_folder_name(folder))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # The entry is a link to itself.
        return False


def _may_be_picture(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a file, or a link that leads nowhere: reading that reports an error."""
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))  # noqa: PTH110
    except OSError:  # The entry is a link to itself.
        return True


def _folder_name(name: str) -> str:
    return os.path.join(name, "")  # noqa: PTH118
