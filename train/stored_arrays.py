"""Arrays in .npz files of a run, which may come from somebody else: bounded, without code, never a pipe."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge.inner_files import UnsafePathError, read_unlinked

MOST_BYTES = 8 * 2**30  # A checkpoint holds the weights three times, and the largest network has 30 million.


class ArrayFileError(ValueError):
    """A file whose arrays are not taken; the text is a phrase such as "its checksum is wrong"."""


def read_stored(path: Path) -> bytes | None:
    """Return the bytes of a file; None if there is none.

    Raises ArrayFileError for a link, a pipe, and more than MOST_BYTES.
    """
    try:
        return read_unlinked(path, MOST_BYTES)
    except FileNotFoundError:
        return None
    except UnsafePathError as error:
        raise ArrayFileError(f"it {error}") from None
    except OSError as error:
        raise ArrayFileError(str(error.strerror)) from None


def unpack_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays in the bytes of an .npz file, which numpy.savez does not compress.

    Raises ArrayFileError for another file, objects that would be unpickled, and compressed members, whose
    size is what they claim.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ArrayFileError("it is compressed")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except ArrayFileError:
        raise
    # zipfile and NumPy raise errors of many kinds for a damaged file, MemoryError for an impossible shape.
    except (
        OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, RuntimeError, MemoryError,
        SyntaxError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise ArrayFileError(" ".join(str(error).split()) or type(error).__name__) from None
