"""A cache on disk of what is costly to compute: safe to delete at any time, shared by runs and processes.

ROOT/<kind>/<key>/ is one entry: its files, and `entry.json` with the version of this cache, the recipe
that made it, and the size and a checksum of every file. An entry is made in a temporary folder beside
its place and renamed; one that is damaged or from another version is made anew.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from platformdirs import user_cache_path

from ..edge.console import say
from ..edge.errors import OptionError
from .disk_arrays import fingerprint, full_disk_explained

VERSION = 1  # To be raised when an entry's files change their meaning, or edge/image.py its pixels.
PLACE, LIMIT = "EDGE_CLASSIFY_CACHE", "EDGE_CLASSIFY_CACHE_LIMIT"
_DEFAULT_LIMIT = "20"  # GB
_ENTRY = "entry.json"
_PARTIAL = ".partial-"
_ABANDONED = 24 * 3600.0  # Seconds after which a temporary folder can only be a killed process's.
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.EACCES)  # The last is Windows's.

ATTEMPTS = 3  # Another process may delete an entry just after it was made.

CacheKey = Mapping[str, Any]


def cache_root(option: str) -> Path | None:
    """Return the cache's folder: `option`, else $EDGE_CLASSIFY_CACHE, else the user's place for caches.

    "none" gives None: nothing is to be kept.
    """
    place = option or os.environ.get(PLACE, "")
    if place == "none":
        return None
    return Path(place).expanduser() if place else user_cache_path("edge-classify", appauthor=False)


@contextmanager
def open_cache(option: str, scratch: Path, data: Path | None) -> Iterator[Cache]:
    """Yield the cache that --cache names; without one, or if it cannot be written, one for this run.

    The latter is a folder in `scratch`, deleted at the end. Raises OptionError when the environment's
    limit is no number, or the cache lies in the data set `data`.
    """
    root, limit = cache_root(option), _limit()
    if root is not None and data is not None:
        _require_apart(root.resolve(), data.resolve())
    if root is not None:
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=root):
                pass
        except OSError as error:
            say(
                f"The cache {root} cannot be written ({error.strerror}): nothing will be kept for the next "
                "run. Name another folder with --cache DIR"
            )
            root = None
    if root is not None:
        yield Cache(root.resolve(), limit)
        return
    with tempfile.TemporaryDirectory(dir=scratch, prefix="cache-", ignore_cleanup_errors=True) as folder:
        yield Cache(Path(folder), limit)


class Cache:
    """Entries by kind, such as "pixels", and recipe: all that decides what the entry holds, as JSON."""

    def __init__(self, root: Path, limit: int) -> None:
        """Use the folder `root`, which exists; over `limit` bytes the entries unused longest are deleted."""
        self.root = root
        self._limit = limit
        self._used: set[Path] = set()

    def entry(self, kind: str, recipe: CacheKey) -> Path | None:
        """Return the folder of a whole entry, or None; a damaged one is announced and deleted."""
        folder = self._folder(kind, recipe)
        if not folder.exists():
            return None
        if problem := _find_problem(folder, recipe):
            say(f"Cache: {folder} {problem}. It is made anew")
            _discard(folder)
            return None
        with suppress(OSError):  # Another process may have deleted it just now.
            os.utime(folder / _ENTRY)
        self._used.add(folder)
        return folder

    @contextmanager
    def making(self, kind: str, recipe: CacheKey) -> Iterator[Path]:
        """Yield an empty folder to fill, which becomes the entry; after an exception nothing is left.

        Files must be closed at the end. Where another process was faster, its entry stays; where one
        deleted the folder meanwhile there is no entry. Raises DatasetError when the disk is full.
        """
        final = self._folder(kind, recipe)
        with full_disk_explained(self.root):
            final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=final.parent))
            try:
                yield partial
                _seal(partial, final, recipe)
            except FileNotFoundError:
                if partial.exists():
                    raise
                say(f"The cache {final.parent} was deleted while it was written: it is made anew")
                self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        self._used.add(final)
        self._delete_unused()

    def make(self, kind: str, recipe: CacheKey, write: Callable[[Path], None]) -> Path:
        """Return the entry's folder, filled by `write(folder)` if there is none yet.

        Raises DatasetError when the disk is full, OptionError when the entry cannot be kept.
        """
        for _ in range(ATTEMPTS):
            if folder := self.entry(kind, recipe):
                return folder
            with self.making(kind, recipe) as folder:
                write(folder)
        return self.fail()

    def fail(self) -> NoReturn:
        """Raise OptionError: an entry is gone again after ATTEMPTS to make it."""
        raise OptionError(
            f"The cache {self.root} cannot be used: entries vanish, or cannot be replaced. Let nothing else "
            "delete in it, or work without it by --cache none"
        )

    def similar(self, kind: str, recipe: CacheKey, except_for: str) -> Iterator[Path]:
        """Yield whole entries whose recipe differs in the key `except_for` only, last used first."""
        wanted = {key: value for key, value in _plain(recipe).items() if key != except_for}
        for _, folder in sorted(self._entries(kind), reverse=True):
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                found = json.loads((folder / _ENTRY).read_bytes())["recipe"]
                rest = {key: value for key, value in found.items() if key != except_for}
                if rest == wanted and not _find_problem(folder, found):
                    yield folder

    def _folder(self, kind: str, recipe: CacheKey) -> Path:
        key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
        return self.root / kind / key

    def _entries(self, kind: str = "*") -> Iterator[tuple[float, Path]]:
        """Yield (time of last use, folder) of every entry; nothing that others put into the folder."""
        for path in self.root.glob(f"{kind}/*/{_ENTRY}"):
            if re.fullmatch("[0-9a-f]{64}", path.parent.name):
                with suppress(OSError):
                    yield path.stat().st_mtime, path.parent

    def _delete_unused(self) -> None:
        """Delete the entries unused longest over the limit, and what killed processes left."""
        for partial in self.root.glob(f"*/{_PARTIAL}*"):
            with suppress(OSError):
                if time.time() - partial.stat().st_mtime > _ABANDONED:
                    shutil.rmtree(partial, ignore_errors=True)
        entries = [(used, _size(folder), folder) for used, folder in self._entries()]
        total = sum(size for _, size, _ in entries)
        for _, size, folder in sorted(entries):
            if total <= self._limit:
                return
            if folder not in self._used:
                _discard(folder)
                total -= size


def _require_apart(root: Path, data: Path) -> None:
    """In a data set the cache would become a class, unless it is hidden there."""
    if root.is_relative_to(data) and not any(p.startswith(".") for p in root.relative_to(data).parts):
        raise OptionError(
            f"The cache {root} lies in the data set {data}, where it would become a class. Name a folder "
            "outside with --cache DIR"
        )


def _limit() -> int:
    """Return the most bytes that the cache may hold."""
    text = os.environ.get(LIMIT) or _DEFAULT_LIMIT
    if not re.fullmatch(r"\d{1,9}(\.\d+)?", text, re.ASCII):
        raise OptionError(f"{LIMIT} must be a number of GB, such as 20. Received: {text}")
    return int(float(text) * 1e9)


def _plain(recipe: CacheKey) -> Any:
    """Return the recipe as it comes back from JSON, with lists for tuples."""
    return json.loads(json.dumps(recipe))


def _seal(partial: Path, final: Path, recipe: CacheKey) -> None:
    """Turn a filled folder into the entry, unless another process was faster."""
    files = {path.name: fingerprint(path) for path in sorted(partial.iterdir())}
    entry = {"version": VERSION, "recipe": dict(recipe), "files": files}
    (partial / _ENTRY).write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
    try:
        partial.rename(final)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise


def _find_problem(folder: Path, recipe: CacheKey) -> str | None:
    """Return what is wrong with an entry, as a phrase, or None."""
    try:
        entry = json.loads((folder / _ENTRY).read_bytes())
        if entry["version"] != VERSION:
            return f"is from another version of the cache ({str(entry['version'])[:20]} instead of {VERSION})"
        if entry["recipe"] != _plain(recipe):
            return "holds something else than its name says"
        for name, expected in entry["files"].items():
            if fingerprint(folder / name) != expected:
                return f"is damaged ({name})"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "is damaged or incomplete"
    return None


def _discard(folder: Path) -> None:
    """Delete an entry so that nobody sees half of it."""
    with suppress(OSError):  # Somebody else did it, or may and we may not.
        holder = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder.parent))
        with suppress(OSError):
            folder.rename(holder / folder.name)
        shutil.rmtree(holder, ignore_errors=True)


def _size(folder: Path) -> int:
    with suppress(OSError):
        return sum(path.stat().st_size for path in folder.iterdir())
    return 0
