"""The zip that may follow the flatbuffer in a .tflite: TFLite's "associated files".

It is untrusted input. The size of its directory is checked before the directory is read, entries are unpacked
in memory up to the size that the directory states, and nothing is ever extracted to disk.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .errors import ModelFileError

MAX_ENTRIES = 256
MAX_ENTRY_BYTES = 16 * 1024 * 1024  # More than a golden example of a large input takes.
MAX_TOTAL_BYTES = 64 * 1024 * 1024
_MAX_DIRECTORY_BYTES = 1024 * 1024
_LOCAL_HEADER_BYTES = 30  # Without name and extra field (APPNOTE.TXT 4.3.7).
_ENCRYPTED = 0x1  # Bit of the general purpose flags (APPNOTE.TXT 4.4.4).
_MODEL_START = 8  # The flatbuffer's root offset and identifier.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DRIVE = re.compile("[A-Za-z]:")
_CHUNK = 64 * 1024
# What zipfile raises for damaged archives.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
)


class AppendedFile(NamedTuple):
    """One entry as the directory states it: sizes in bytes; its header starts at byte `offset`."""

    name: str
    size: int
    packed_size: int
    offset: int
    compression: int
    encrypted: bool


class Directory(NamedTuple):
    """The entries in their order; the first one begins at byte `start`, and the directory at byte `end`.

    Without a zip there are no entries, and both numbers are the file's size.
    """

    path: Path
    files: tuple[AppendedFile, ...]
    start: int
    end: int

    @property
    def names(self) -> tuple[str, ...]:
        """The entries' names; until `check` has passed they may be any text."""
        return tuple(file.name for file in self.files)

    def check(self) -> None:
        """Raise ModelFileError unless an honest writer could have made every entry.

        Its name occurs once, is printable and does not lead out of the folder that it is extracted to. The
        entry is stored or deflated, and not encrypted. It lies behind the model and overlaps no other entry.
        All entries together are small.
        """
        for file in self.files:
            if fault := _fault(file):
                raise ModelFileError(f"{self.path}: its appended file {file.name[:80]!r} {fault}")
        if len(set(self.names)) < len(self.files):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ModelFileError(f"{self.path}: two of its appended files are called {twice!r}")
        total = sum(file.size for file in self.files)
        if total > MAX_TOTAL_BYTES:
            largest = max(self.files, key=lambda file: file.size)
            raise ModelFileError(
                f"{self.path}: its appended files unpack to {total:,} bytes ({largest.name!r} alone to "
                f"{largest.size:,}); {MAX_TOTAL_BYTES:,} are allowed"
            )
        if self.files and self.start < _MODEL_START:
            raise ModelFileError(
                f"{self.path}: its appended files start at byte {self.start}, inside the model"
            )
        self._check_overlap()

    def _check_overlap(self) -> None:
        ordered = sorted(self.files, key=lambda file: file.offset)
        limits = [*(file.offset for file in ordered[1:]), self.end]
        for file, limit in zip(ordered, limits, strict=False):
            if file.offset + _LOCAL_HEADER_BYTES + len(file.name) + file.packed_size > limit:
                raise ModelFileError(f"{self.path}: its appended file {file.name!r} overlaps what follows it")


def read_directory(path: Path) -> Directory:
    """Return the directory of the appended zip, unchecked; raises ModelFileError if it is damaged."""
    size = path.stat().st_size
    with _damage_named(path):
        if not zipfile.is_zipfile(path):
            return Directory(path, (), size, size)
    with _archive(path) as archive:
        infos = archive.infolist()
        if len(infos) > MAX_ENTRIES:
            raise ModelFileError(f"{path} has {len(infos)} appended files; {MAX_ENTRIES} are allowed")
        files = tuple(
            AppendedFile(
                info.orig_filename,  # `filename` ends at the first NUL.
                info.file_size,
                info.compress_size,
                info.header_offset,
                info.compress_type,
                bool(info.flag_bits & _ENCRYPTED),
            )
            for info in infos
        )
        end = archive.start_dir
        start = min((file.offset for file in files), default=end)
        return Directory(path, files, max(0, start), end)


def read_entry(path: Path, name: str, limit: int = MAX_ENTRY_BYTES) -> bytes:
    """Return the appended file `name` of the .tflite at `path`.

    Raises ModelFileError when there is no such file, it is larger than `limit` bytes, or the zip is refused.
    """
    directory = read_directory(path)
    directory.check()
    if name not in directory.names:
        raise ModelFileError(f"{path} holds no file {name}")
    size = directory.files[directory.names.index(name)].size
    if size > limit:
        raise ModelFileError(f"{path}: its appended file {name} has {size:,} bytes; {limit:,} are allowed")
    with _archive(path) as archive:
        return b"".join(_chunks(archive, name))


def check_entries(path: Path) -> Directory:
    """Unpack every entry and compare its CRC, keeping nothing; raises ModelFileError where a CRC differs."""
    directory = read_directory(path)
    directory.check()
    if directory.files:
        with _archive(path) as archive:
            for name in directory.names:
                for _ in _chunks(archive, name):
                    pass
    return directory


def _chunks(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """Unpack in pieces: read() without a size unpacks all data, whatever size was stated."""
    with archive.open(name) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _fault(file: AppendedFile) -> str | None:
    """Return the fault of a single entry as the end of a sentence; None for an entry without one."""
    parts = file.name.replace("\\", "/").split("/")
    if not file.name or not file.name.isprintable():
        return "has control characters in its name"
    if ".." in parts or not parts[0] or _DRIVE.match(file.name):
        return "has a name that leads out of its folder"
    if file.encrypted:
        return "is encrypted"
    if file.compression not in _COMPRESSIONS:
        return "is neither stored nor deflated"
    return None


class _SmallDirectory(io.FileIO):
    """A file that refuses to read more bytes than are allowed: zipfile reads a whole directory at once."""

    limit: int | None = _MAX_DIRECTORY_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        if self.limit is not None and size is not None and size > self.limit:
            raise zipfile.BadZipFile(f"a directory of {size:,} bytes, and {self.limit:,} are allowed")
        return super().read(size) or b""


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    with _damage_named(path), _SmallDirectory(path) as file, zipfile.ZipFile(file) as archive:
        file.limit = None
        yield archive


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except _ZIP_ERRORS as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{path}: its appended files are damaged ({reason})") from None
