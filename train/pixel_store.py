"""The cached facts of a list of image files and, for each input size, their pixels.

An entry depends on the bytes of the files and on the decoder, not on the names of the files: a data set is
found again after it was moved, or after classes were renamed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge.card import Preprocess
from ..edge.inner_files import read_inner
from ..edge.json_files import JsonError, read_json, structured
from .cache import Cache
from .disk_arrays import new_array, open_array, require_room
from .image_facts import ImageFacts
from .thumbnails import BYTES

_FACTS, _THUMBNAILS, _PIXELS, _ROWS = "facts.json", "thumbnails.bin", "pixels.npy", "sha256.json"
_DONORS = 3
_MOST_BYTES, _MOST_VALUES = 4 * 2**30, 100_000_000  # Of ten million images.


@dataclass(frozen=True)
class _StoredFacts:
    """A row of facts.json; see ImageFacts."""

    path: str
    sha256: str
    reason: str | None
    format: str | None
    width: int
    height: int
    deviation: float
    thumbnail: str


@dataclass(frozen=True)
class Donor:
    """Facts and pixels from other lists of files, by hash; `rows[size]` has the rows of the pixels."""

    facts: Mapping[str, ImageFacts]
    pixels: Mapping[int, NDArray[np.uint8]]
    rows: Mapping[int, Mapping[str, int]]

    def copy_row(self, sha256: str, row: int, arrays: Mapping[int, NDArray[np.uint8]]) -> ImageFacts | None:
        """Fill `row` of all arrays and return the facts of the file, or None when any of these is missing."""
        facts = self.facts.get(sha256)
        sources = {size: self.rows.get(size, {}).get(sha256) for size in arrays}
        if facts is None or None in sources.values():
            return None
        for size, source in sources.items():
            arrays[size][row] = self.pixels[size][source]
        return facts


Decode = Callable[[Mapping[int, NDArray[np.uint8]], Donor], Sequence[ImageFacts]]


class PixelStore:
    """The entries of one list of files, given by their SHA-256; None stands for an unreadable file."""

    def __init__(self, cache: Cache, hashes: Sequence[str | None], preprocess: Preprocess) -> None:
        """Use entries that were made with `preprocess` and the installed Pillow."""
        self._cache, self._hashes, self._preprocess = cache, list(hashes), preprocess
        self._digest = hashlib.sha256(json.dumps(self._hashes).encode()).hexdigest()

    def facts(self) -> dict[str, ImageFacts] | None:
        """Return the facts by hash, with an empty path; None if they are not cached."""
        folder = self._cache.entry("facts", self._facts_key())
        facts = None if folder is None else _read_facts(folder)
        if folder is not None and (facts is None or not {*filter(None, self._hashes)} <= facts.keys()):
            self._cache.discard(folder)
            return None
        return facts

    def pixels(self, size: int) -> NDArray[np.uint8] | None:
        """Return uint8 [files, size, size, 3], read-only; None if they are not cached."""
        folder = self._cache.entry("pixels", self._pixels_key(size))
        if folder is None:
            return None
        array = open_array(folder / _PIXELS, (len(self._hashes), size, size, 3), np.uint8)
        if array is None:
            self._cache.discard(folder)
        return array

    def fill(self, sizes: Sequence[int], decode: Decode) -> None:
        """Make the entry of the facts, and those of the pixels at `sizes`, by `decode(arrays, donor)`.

        `decode` fills the arrays, uint8 [files, size, size, 3] of zeros, and returns the facts of every file.
        Raises DatasetError when the disk has no room.
        """
        require_room(self._cache.root, sum(len(self._hashes) * size * size * 3 for size in sizes))
        donor = self._find_donor(sizes)
        with ExitStack() as entries:
            folders = {
                size: entries.enter_context(self._cache.making("pixels", self._pixels_key(size)))
                for size in sizes
            }
            for_facts = entries.enter_context(self._cache.making("facts", self._facts_key()))
            _write_facts(for_facts, self._decode_into(folders, decode, donor))

    def _decode_into(self, folders: Mapping[int, Path], decode: Decode, donor: Donor) -> Sequence[ImageFacts]:
        arrays = {
            size: new_array(folder / _PIXELS, (len(self._hashes), size, size, 3), np.uint8)
            for size, folder in folders.items()
        }
        facts = decode(arrays, donor)
        for size, folder in folders.items():
            arrays[size].flush()
            (folder / _ROWS).write_text(json.dumps(self._hashes))
        return facts

    def _find_donor(self, sizes: Sequence[int]) -> Donor:
        """Look for files of the list in other entries, such as those of the data set before it grew."""
        facts: dict[str, ImageFacts] = {}
        for folder in islice(self._cache.similar("facts", self._facts_key(), "images"), _DONORS):
            facts.update(_read_facts(folder) or {})
        pixels, rows = {}, {}
        for size in sizes:
            for folder in islice(self._cache.similar("pixels", self._pixels_key(size), "images"), 1):
                array = open_array(folder / _PIXELS, (None, size, size, 3), np.uint8)
                found = None if array is None else _read_rows(folder, len(array))
                if array is not None and found is not None:
                    pixels[size], rows[size] = array, found
        return Donor(facts, pixels, rows)

    def _facts_key(self) -> dict[str, Any]:
        return {
            "images": self._digest,
            "thumbnail": BYTES,
            **_versions("edge-classify", "pillow", "pillow-heif"),
        }

    def _pixels_key(self, size: int) -> dict[str, Any]:
        return {
            "images": self._digest,
            "size": size,
            "preprocess": asdict(self._preprocess),
            **_versions("edge-classify", "pillow", "pillow-heif"),
        }


def _versions(*packages: str) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _write_facts(folder: Path, facts: Iterable[ImageFacts]) -> None:
    """Write the facts of every file whose hash is known, and the thumbnails one behind the other."""
    by_hash = {fact.sha256: fact for fact in facts if fact.sha256 is not None}
    rows = {sha256: {**asdict(fact), "path": "", "thumbnail": ""} for sha256, fact in by_hash.items()}
    (folder / _FACTS).write_text(json.dumps(rows))
    (folder / _THUMBNAILS).write_bytes(b"".join(fact.thumbnail for fact in by_hash.values()))


def _read_facts(folder: Path) -> dict[str, ImageFacts] | None:
    """Return the facts by hash; None if they are not what was written, or were deleted just now."""
    try:
        rows = read_json(folder, _FACTS, most=_MOST_BYTES, most_values=_MOST_VALUES, any_text=True)
        thumbnails = read_inner(folder, _THUMBNAILS, _MOST_BYTES)
        facts = {sha256: structured(_StoredFacts, row, exact=True) for sha256, row in rows.items()}
    except (OSError, ValueError, AttributeError):
        return None
    readable = sum(fact.reason is None for fact in facts.values())
    if len(thumbnails) != readable * BYTES:
        return None
    places = iter(range(0, len(thumbnails), BYTES))  # An unreadable file has none.
    found = {}
    for sha256, fact in facts.items():
        start = next(places) if fact.reason is None else len(thumbnails)
        found[sha256] = ImageFacts(**{**vars(fact), "thumbnail": thumbnails[start : start + BYTES]})
    return found


def _read_rows(folder: Path, images: int) -> dict[str, int] | None:
    """Return the row of each image among `images` rows of pixels; None if the list does not fit them."""
    try:
        hashes = read_json(folder, _ROWS, most=_MOST_BYTES, most_values=_MOST_VALUES)
    except (OSError, JsonError):
        return None
    if not isinstance(hashes, list) or len(hashes) != images:
        return None
    return {sha256: row for row, sha256 in enumerate(hashes) if isinstance(sha256, str)}
