"""A cache on disk of results that are expensive to compute; runs and processes share it, and may delete it.

ROOT/<kind>/<hash of the key>/ is one entry: its files, and `entry.json` with the version of this cache, the
key, and the size and a checksum of every file. An entry is made in a temporary folder beside its final place,
and then renamed. An entry that is damaged or from another version is made again.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from platformdirs import user_cache_path

from ..edge.console import say
from ..edge.durable import publish_folder
from ..edge.errors import OptionError
from ..edge.json_files import parse_json, read_json, structured
from ..edge.ownership import others_can_write
from .disk_arrays import fingerprint, full_disk_explained

VERSION = 3  # Raise it when the files of an entry change their meaning, or edge/image.py changes pixels.
PLACE, LIMIT = "EDGE_CLASSIFY_CACHE", "EDGE_CLASSIFY_CACHE_LIMIT"
_DEFAULT_LIMIT = "20"  # GB
_ENTRY = "entry.json"
_PARTIAL = ".partial-"
_MAKE_PRIVATE = "Name a folder of your own with --cache DIR, or take the right from others: chmod go-w"
_ABANDONED = 24 * 3600.0  # Seconds. Older temporary folders belong to killed processes.
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.EACCES)  # Windows raises the last.

ATTEMPTS = 3  # Another process may delete an entry just after it was made.

_KEY = "recipe"  # The name of the key in entry.json.

_MOST_ENTRY = 2**20

CacheKey = Mapping[str, Any]
"""Everything that decides the content of an entry, as JSON values."""


def cache_root(option: str) -> Path | None:
    """Return the folder of the cache: `option`, else $EDGE_CLASSIFY_CACHE, else the cache folder of the user.

    None for "none": nothing is kept.
    """
    place = option or os.environ.get(PLACE, "")
    if place == "none":
        return None
    return Path(place).expanduser() if place else user_cache_path("edge-classify", appauthor=False)


@contextmanager
def open_cache(option: str, scratch: Path, data: Path | None) -> Iterator[Cache]:
    """Yield the cache that --cache names; a cache for this run only, if that is "none" or cannot be written.

    The latter is a folder in `scratch`, and is deleted at the end. So it is where another user may write into
    the cache, whose pixels would be trained on. Raises OptionError if the limit in the environment is not a
    number, or if the cache lies in the data set `data`.
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
    if root is not None and (problem := others_can_write(root.resolve())):
        say(
            f"The cache {root} {problem}, and the checksums in it show damage, not who made it: it is not "
            f"used, and nothing will be kept for the next run. {_MAKE_PRIVATE}"
        )
        root = None
    if root is not None:
        yield Cache(root.resolve(), limit)
        return
    with tempfile.TemporaryDirectory(dir=scratch, prefix="cache-", ignore_cleanup_errors=True) as folder:
        yield Cache(Path(folder), limit)


@dataclass(frozen=True)
class _Entry:
    """The content of entry.json; `files` are the fingerprints by name."""

    version: Any = None
    recipe: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, int]] = field(default_factory=dict)


class Cache:
    """Entries by kind, such as "pixels", and key."""

    def __init__(self, root: Path, limit: int) -> None:
        """Use the existing folder `root`; above `limit` bytes the least recently used entries are deleted."""
        self.root = root
        self._limit = limit
        self._used: set[Path] = set()

    def entry(self, kind: str, key: CacheKey) -> Path | None:
        """Return the folder of a complete entry, or None; a damaged entry is reported and deleted."""
        folder = self._folder(kind, key)
        if not folder.exists():
            return None
        if problem := _find_foreign(folder) or _find_problem(folder, key):
            self.discard(folder, problem)
            return None
        with suppress(OSError):  # Another process may have deleted it just now.
            os.utime(folder / _ENTRY)
        self._used.add(folder)
        return folder

    @contextmanager
    def making(self, kind: str, key: CacheKey) -> Iterator[Path]:
        """Yield an empty folder to fill, which becomes the entry; an exception leaves nothing behind.

        Files must be closed at the end. If another process was faster, its entry stays; if one has deleted
        the folder meanwhile, there is no entry. Raises DatasetError when the disk is full.
        """
        final = self._folder(kind, key)
        with full_disk_explained(self.root):
            final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=final.parent))
            try:
                yield partial
                _seal(partial, final, key)
            except FileNotFoundError:
                if partial.exists():
                    raise
                say(f"The cache {final.parent} was deleted while it was written: it is made again")
                self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        self._used.add(final)
        self._delete_unused()

    def make(self, kind: str, key: CacheKey, write: Callable[[Path], None]) -> Path:
        """Return the folder of the entry, which `write(folder)` fills if there is none yet.

        Raises DatasetError when the disk is full, OptionError when the entry cannot be kept.
        """
        for _ in range(ATTEMPTS):
            if folder := self.entry(kind, key):
                return folder
            with self.making(kind, key) as folder:
                write(folder)
        return self.fail()

    def discard(self, folder: Path, problem: str = "holds other arrays than its name says") -> None:
        """Delete an entry that cannot be used after all, and say so."""
        say(f"Cache: {folder} {problem}. It is made again")
        self._used.discard(folder)
        _discard(folder)

    def fail(self) -> NoReturn:
        """Raise OptionError: an entry is missing after ATTEMPTS to make it."""
        raise OptionError(
            f"The cache {self.root} cannot be used: entries disappear, or cannot be replaced. Stop other "
            "programs from deleting in it, or give --cache none"
        )

    def similar(self, kind: str, key: CacheKey, except_for: str) -> Iterator[Path]:
        """Yield complete entries whose keys differ only in the item `except_for`, the last used first."""
        wanted = {name: value for name, value in _plain(key).items() if name != except_for}
        for _, folder in sorted(self._entries(kind), reverse=True):
            with suppress(OSError, ValueError):
                found = structured(_Entry, read_json(folder, _ENTRY, most=_MOST_ENTRY)).recipe
                rest = {name: value for name, value in found.items() if name != except_for}
                if rest == wanted and not (_find_foreign(folder) or _find_problem(folder, found)):
                    yield folder

    def _folder(self, kind: str, key: CacheKey) -> Path:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return self.root / kind / digest

    def _entries(self, kind: str = "*") -> Iterator[tuple[float, Path]]:
        """Yield (time of last use, folder) of every entry, and ignore other files."""
        for path in self.root.glob(f"{kind}/*/{_ENTRY}"):
            if re.fullmatch("[0-9a-f]{64}", path.parent.name):
                with suppress(OSError):
                    yield path.stat().st_mtime, path.parent

    def _delete_unused(self) -> None:
        """Delete the least recently used entries above the limit, and the remains of killed processes."""
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
    """Refuse a cache in a data set, where it would become a class unless it is hidden."""
    if root.is_relative_to(data) and not any(p.startswith(".") for p in root.relative_to(data).parts):
        raise OptionError(
            f"The cache {root} lies in the data set {data}, where it would become a class. Name a folder "
            "outside with --cache DIR"
        )


def _limit() -> int:
    """Return the largest size of the cache in bytes."""
    text = os.environ.get(LIMIT) or _DEFAULT_LIMIT
    if not re.fullmatch(r"\d{1,9}(\.\d+)?", text, re.ASCII):
        raise OptionError(f"{LIMIT} must be a number of GB, such as 20. Received: {text}")
    return int(float(text) * 1e9)


def _plain(key: CacheKey) -> Any:
    """Return the key as JSON gives it back, with lists for tuples."""
    return parse_json(json.dumps(key))


def _seal(partial: Path, final: Path, key: CacheKey) -> None:
    """Turn a filled folder into the entry, unless another process was faster."""
    files = {path.name: fingerprint(path) for path in sorted(partial.iterdir())}
    entry = {"version": VERSION, _KEY: dict(key), "files": files}
    (partial / _ENTRY).write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
    for path in partial.iterdir():
        path.chmod(0o600)  # Whatever the umask: a file that others can write is not read again.
    try:
        publish_folder(partial, final)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise


def _find_problem(folder: Path, key: CacheKey) -> str | None:
    """Return what is wrong with an entry, as a phrase, or None."""
    try:
        names = {path.name for path in folder.iterdir()} - {_ENTRY}
        entry = structured(_Entry, read_json(folder, _ENTRY, most=_MOST_ENTRY))
        if entry.version != VERSION:
            return f"is from another version of the cache ({str(entry.version)[:20]} instead of {VERSION})"
        if entry.recipe != _plain(key):
            return "does not hold what its name says"
        wrong = [name for name in sorted(names) if fingerprint(folder / name) != entry.files.get(name)]
    except (OSError, ValueError):
        return "is damaged or incomplete"
    if wrong:
        return f"is damaged ({wrong[0]})"
    return None if entry.files.keys() == names else "is damaged or incomplete"


def _find_foreign(folder: Path) -> str | None:
    """Return why another user may have made an entry or a part of it, as a phrase, or None."""
    with suppress(OSError):  # Another process has deleted it.
        for path in (folder.parent, folder, *folder.iterdir()):
            if reason := others_can_write(path):
                return f"is not used, because {path.name} in it {reason}"
    return None


def _discard(folder: Path) -> None:
    """Delete an entry in one step, so that no other process sees a part of it."""
    with suppress(OSError):  # Another process has deleted it, or only another user may.
        holder = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder.parent))
        with suppress(OSError):
            folder.rename(holder / folder.name)
        shutil.rmtree(holder, ignore_errors=True)


def _size(folder: Path) -> int:
    with suppress(OSError):
        return sum(path.stat().st_size for path in folder.iterdir())
    return 0
