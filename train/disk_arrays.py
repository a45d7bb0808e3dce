"""Arrays that are too large for memory, as memory-mapped .npy files, on disks that may fill up."""

from __future__ import annotations

import errno
import math
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..edge.errors import DatasetError
from ..edge.inner_files import is_link, open_unlinked

_FULL = (errno.ENOSPC, errno.EDQUOT)
# The errors of some file systems; macOS and Windows lack the call.
_CANNOT_ALLOCATE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
_BLOCK, _BLOCKS = 1 << 16, 256
_ZEROS = bytes(1 << 20)


def new_array(path: Path, shape: Sequence[int], dtype: DTypeLike) -> np.memmap[Any, Any]:
    """Return a writable array of zeros in the file `path`, whose space on the disk is already allocated.

    Otherwise a disk that fills up under a memory map ends the process by SIGBUS, without a message.
    Raises DatasetError, and leaves no file, when there is no room.
    """
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    named = next(
        folder for folder in path.parents if not folder.name.startswith(".")
    )  # Not a temporary folder.
    with full_disk_explained(named, needed):
        try:
            array = np.lib.format.open_memmap(path, "w+", dtype, shape=tuple(shape))
            with path.open("r+b") as file:
                _allocate(file.fileno(), path.stat().st_size - needed, needed)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return array


def open_array(path: Path, shape: Sequence[int | None], dtype: DTypeLike) -> NDArray[Any] | None:
    """Return the array in a .npy file as a read-only memory map.

    None if there is no such file, or if it holds another array: of another shape, in which None stands for
    any length, or another type. A link and a pipe are no such file.
    """
    if is_link(path) or not path.is_file():
        return None
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TypeError):  # NumPy's, for what is no array.
        return None
    fits = [wanted in (None, length) for wanted, length in zip(shape, array.shape, strict=False)]
    return array if len(shape) == array.ndim and all(fits) and array.dtype == dtype else None


def require_room(folder: Path, needed: int) -> None:
    """Raise DatasetError unless the disk of `folder` has `needed` bytes left."""
    if needed > shutil.disk_usage(folder).free:
        raise DatasetError(_no_room(folder, needed))


@contextmanager
def full_disk_explained(folder: Path, needed: int | None = None) -> Iterator[None]:
    """Turn the system's error for a full disk into a DatasetError that names `folder`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DatasetError(_no_room(folder, needed)) from None


def fingerprint(path: Path) -> dict[str, int]:
    """Return the size of a file in bytes, and the CRC-32 of 256 blocks of 64 KiB, spread evenly over it.

    Files up to 16 MiB are read whole; reading larger ones would take as long as using them. It finds damage,
    and nobody's intent: whoever can write the file can write its fingerprint. Raises UnsafePathError for
    anything but a regular file.
    """
    crc = 0
    with open_unlinked(path) as file:
        size = os.fstat(file.fileno()).st_size
        last = max(0, size - _BLOCK)
        count = min(_BLOCKS, -(-size // _BLOCK))
        for number in range(count):
            file.seek(last * number // max(1, count - 1))
            crc = zlib.crc32(file.read(_BLOCK), crc)
    return {"bytes": size, "crc32": crc}


def _allocate(handle: int, start: int, size: int) -> None:
    """Allocate `size` bytes from `start` on, and fill them with zeros."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, start, size)
            return
        except OSError as error:
            if error.errno not in _CANNOT_ALLOCATE:
                raise
    os.lseek(handle, start, os.SEEK_SET)
    while size > 0:
        size -= os.write(handle, _ZEROS[:size])


def _no_room(folder: Path, needed: int | None) -> str:
    free = shutil.disk_usage(folder).free
    wanted = "" if needed is None else f"{_bytes(needed)} are needed and "
    return (
        f"The disk of {folder} is full: {wanted}{_bytes(free)} are free. Free some space, or name a folder "
        "on another disk with --cache DIR"
    )


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
