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

from .errors import ModelFileError, model_name

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
# Exceptions of zipfile for damaged archives.
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

    Without a zip there are no entries, and both are the file's size. `model` is the .tflite, a file or its
    bytes, and `name` its name in messages.
    """

    model: Path | bytes
    name: str
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
                raise ModelFileError(f"{self.name}: its appended file {file.name[:80]!r} {fault}")
        if len(set(self.names)) < len(self.files):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ModelFileError(f"{self.name}: two of its appended files are called {twice!r}")
        total = sum(file.size for file in self.files)
        if total > MAX_TOTAL_BYTES:
            largest = max(self.files, key=lambda file: file.size)
            raise ModelFileError(
                f"{self.name}: its appended files unpack to {total:,} bytes ({largest.name!r} alone to "
                f"{largest.size:,}); {MAX_TOTAL_BYTES:,} are allowed"
            )
        if self.files and self.start < _MODEL_START:
            raise ModelFileError(
                f"{self.name}: its appended files start at byte {self.start}, inside the model"
            )
        self._check_overlap()

    def read(self, name: str, limit: int = MAX_ENTRY_BYTES) -> bytes:
        """Return the appended file `name`; only for directories that `check` has passed.

        Raises ModelFileError when there is none, it is larger than `limit` bytes, or its data is damaged.
        """
        if name not in self.names:
            raise ModelFileError(f"{self.name} holds no file {name}")
        size = self.files[self.names.index(name)].size
        if size > limit:
            raise ModelFileError(
                f"{self.name}: its appended file {name} has {size:,} bytes; {limit:,} are allowed"
            )
        with _archive(self.model, self.name) as archive:
            return b"".join(_chunks(archive, name))

    def _check_overlap(self) -> None:
        ordered = sorted(self.files, key=lambda file: file.offset)
        limits = [*(file.offset for file in ordered[1:]), self.end]
        for file, limit in zip(ordered, limits, strict=False):
            if file.offset + _LOCAL_HEADER_BYTES + len(file.name) + file.packed_size > limit:
                raise ModelFileError(f"{self.name}: its appended file {file.name!r} overlaps what follows it")


def read_directory(model: Path | bytes, name: str | None = None) -> Directory:
    """Return the directory of the zip in a .tflite file or its bytes, unchecked.

    `name` is the name in messages, by default the path or "the model". Raises ModelFileError if the zip is
    damaged.
    """
    name = name or model_name(model)
    size = len(model) if isinstance(model, bytes) else model.stat().st_size
    with _damage_named(name):
        if not zipfile.is_zipfile(io.BytesIO(model) if isinstance(model, bytes) else model):
            return Directory(model, name, (), size, size)
    with _archive(model, name) as archive:
        infos = archive.infolist()
        if len(infos) > MAX_ENTRIES:
            raise ModelFileError(f"{name} has {len(infos)} appended files; {MAX_ENTRIES} are allowed")
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
        return Directory(model, name, files, max(0, start), end)


def read_entry(model: Path | bytes, name: str, limit: int = MAX_ENTRY_BYTES) -> bytes:
    """Return the appended file `name` of a .tflite file or its bytes.

    Raises ModelFileError when there is no such file, it is larger than `limit` bytes, or the zip is refused.
    """
    directory = read_directory(model)
    directory.check()
    return directory.read(name, limit)


def check_entries(model: Path | bytes, name: str | None = None) -> Directory:
    """Unpack every entry and compare its CRC, keeping nothing; raises ModelFileError where a CRC differs."""
    directory = read_directory(model, name)
    directory.check()
    if directory.files:
        with _archive(model, directory.name) as archive:
            for entry in directory.names:
                for _ in _chunks(archive, entry):
                    pass
    return directory


def _chunks(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """Unpack in pieces: read() without a size unpacks all data, whatever size was stated."""
    with archive.open(name) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _fault(file: AppendedFile) -> str | None:
    """Return the fault of a single entry, as the end of a sentence; None without a fault."""
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


class _SmallDirectory(io.BufferedReader):
    """A file that refuses to read more bytes than are allowed: zipfile reads a whole directory at once."""

    limit: int | None = _MAX_DIRECTORY_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        if self.limit is not None and size is not None and size > self.limit:
            raise zipfile.BadZipFile(f"a directory of {size:,} bytes, and {self.limit:,} are allowed")
        return super().read(size)


@contextmanager
def _archive(model: Path | bytes, name: str) -> Iterator[zipfile.ZipFile]:
    with _damage_named(name):
        raw = io.BytesIO(model) if isinstance(model, bytes) else io.FileIO(model)
        with _SmallDirectory(raw) as file, zipfile.ZipFile(file) as archive:
            file.limit = None
            yield archive


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    try:
        yield
    except _ZIP_ERRORS as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{name}: its appended files are damaged ({reason})") from None
