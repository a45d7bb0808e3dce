"""The pictures of a folder, found by the names that tables give them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from ..errors import DatasetError

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://|data:image/", re.IGNORECASE)
_NO_NAME = re.compile(r"[\x00-\x1f\x7f]")  # Characters that no file of a data set has in its name.
_LONGEST = 100  # Of a part of a path that is not there: the system refuses names that are too long.
_DRIVE = re.compile(r"[a-z]:", re.IGNORECASE)
_LOCAL_FILES = "/data/local-files/"  # Label Studio's address of a file in a local storage, as ?d=PATH.
_UPLOADED = re.compile(r"(?:^|/)(?:upload|uploads)/.*?[0-9a-f]{8}-([^/]+)$")  # And of an uploaded file.


class _Picture(NamedTuple):
    """A picture, with the keys of the parts of its absolute path, and how many of them are below the root."""

    path: Path
    keys: tuple[str, ...]
    depth: int


class PictureIndex:
    """Finds the pictures of a data folder by names as tables have them.

    A name may be a path below the data folder or beside the table, or the end of a path; with "/" or a
    backslash, with or without ending, in composed or decomposed letters, in small or large ones. Of an
    absolute path or an address the end counts, if all of the picture's path below the data folder is in it.
    """

    def __init__(self, root: Path, pictures: Sequence[Path]) -> None:
        """Take the data folder and the pictures in it."""
        self.root, self.pictures = root, pictures
        self._start = _keys(Path(os.path.abspath(root)).parts)  # noqa: PTH100 - Links stay as they are.
        self._by_name: dict[str, list[_Picture]] = defaultdict(list)
        for path in pictures:
            below = _keys(path.parts[len(root.parts) :])
            picture = _Picture(path, (*self._start, *below), len(below))
            self._by_name[below[-1]].append(picture)
            if (stem := _key(PurePosixPath(path.name).stem)) != below[-1]:
                self._by_name[stem].append(picture._replace(keys=(*picture.keys[:-1], stem)))
            if (stored := _stored_name(path.name)) != path.name:
                self._by_name[f"/{_key(stored)}"].append(
                    picture._replace(keys=(*picture.keys[:-1], f"/{_key(stored)}"))
                )

    def find(self, name: str, beside: Path, within: Path | None = None) -> Path | None:
        """Return the picture of a name in a table that lies in the folder `beside`; None if there is none.

        `within` is the folder that all pictures of the table lie in. Raises DatasetError where several fit.
        """
        inside = _keys(Path(os.path.abspath(within)).parts) if within else ()  # noqa: PTH100
        for parts in _spellings(name):
            fitting = [
                (same, picture)
                for picture in self._by_name.get(parts[-1], ())
                if picture.keys[: len(inside)] == inside
                and (same := _common_end(parts, picture.keys)) >= min(len(parts), picture.depth)
            ]
            if fitting:
                most = max(same for same, _ in fitting)
                best = [picture for same, picture in fitting if same == most]
                return best[0].path if len(best) == 1 else self._only(name, parts, best, beside)
        return None

    def _only(self, name: str, parts: tuple[str, ...], best: list[_Picture], beside: Path) -> Path:
        written = PurePosixPath(name.replace("\\", "/")).name
        exact = [picture for picture in best if picture.path.name == written] or best
        table = _keys(Path(os.path.abspath(beside)).parts)  # noqa: PTH100
        for start in (None, table, self._start):
            there = {p.path for p in exact if start is None or p.keys == (*start, *parts)}
            if len(there) == 1:
                return there.pop()
        paths = list(dict.fromkeys(picture.path for picture in best))
        shown = " and ".join(str(path.relative_to(self.root)) for path in paths[:2])
        raise DatasetError(
            f"{name} may be {shown}. Give the paths in the table, or ends that tell them apart"
        )


def is_address(name: str) -> bool:
    """Return whether a name is one on another computer, as https://host/1.jpg."""
    return _ADDRESS.match(name) is not None


def path_below(root: Path, name: str) -> Path:
    """Return where below `root` a name that is not found there would be, so that reading it reports that."""
    parts = re.split(r"[\\/]+", _NO_NAME.sub("", name)[: 10 * _LONGEST])
    named = (part[:_LONGEST] for part in parts if part not in ("", ".", "..") and not _DRIVE.fullmatch(part))
    return root.joinpath(*named)


def _spellings(name: str) -> Iterator[tuple[str, ...]]:
    """Yield the keys of a name's parts: as it is written, then as the tools mean it that write such names."""
    plain = _path_of_address(name) if is_address(name) or name.startswith("/data/") else name
    texts = [name, name.replace("\\", "/"), plain.replace("\\", "/")]
    for text in dict.fromkeys(texts):
        if keys := _keys(_parts(text)):
            yield keys
    if plain != name:  # Folders on another computer say little of those here.
        yield (_key(PurePosixPath(plain).name),)
    if uploaded := _UPLOADED.search(plain):
        yield (_key(uploaded[1]),)
        yield (f"/{_key(uploaded[1])}",)


def _path_of_address(name: str) -> str:
    """Return the path in an address, or in Label Studio's address of a local file."""
    try:
        address = urlsplit(name)
        given = parse_qs(address.query) if address.path.startswith(_LOCAL_FILES) else {}
    except ValueError:  # It is no address after all.
        return name
    return given.get("d", [unquote(address.path)])[0]


def _parts(text: str) -> list[str]:
    parts = [part for part in text.split("/") if part not in ("", ".")]
    while ".." in parts:
        parts = parts[parts.index("..") + 1 :]
    return [part for part in parts if not _DRIVE.fullmatch(part)]


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    same = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        same += 1
    return same


def _stored_name(name: str) -> str:
    """Return the name that Django, and so Label Studio, gives to an uploaded file: "a (1).jpg" is a_1.jpg."""
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


def _keys(parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(_key(part) for part in parts)


@lru_cache(maxsize=65536)
def _key(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
