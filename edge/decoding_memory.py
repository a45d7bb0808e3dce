"""One budget of memory for all pictures that are decoded at the same time, by what the machine has left.

A file of 124 kB can hold a picture of 127 million pixels, which takes 640 MB while it is decoded; four of
them at once take more than a Raspberry Pi has, and then the system kills this program, or another one. So a
large picture waits until there is room, and one that does not fit is refused before it is decoded.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from .errors import ImageError

_SMALL = 1_000_000  # Pixels: smaller pictures are not counted, since asking the system takes a while.
_SHARE = 0.9  # Of the memory that is left: the rest of the program and other programs need some as well.
_MOST_TOGETHER = 1 << 30  # Bytes: where there is more, other programs have a use for it.
_PATIENCE_S = 30.0  # Without any change, for pictures to go that are in use.
_ADDRESSES_32_BIT = 1 << 30  # Of 2 or 3 GB of addresses, that in one piece may be much less.
_RGB = 4  # Bytes of a pixel in Pillow, which keeps a fourth one.
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")
# What decoders keep beside Pillow's own picture, in bytes a pixel; tests/test_decoding_memory.py measures it.
_BESIDE = {"WEBP": 12, "HEIF": 8, "AVIF": 8, "GIF": 8, "TIFF": 4}
_COEFFICIENTS = 6  # Of a progressive JPEG: 2 bytes for each of 3 colours, at its full size.
_EXIF_ORIENTATION = 0x0112


class PictureMemory:
    """What is promised to pictures that are being decoded, and taken by those that are in use; thread-safe.

    `left` returns the bytes that the process may still take, None where that is not known.
    """

    def __init__(self, left: Callable[[], int | None], patience_s: float = _PATIENCE_S) -> None:
        """Begin with nothing promised."""
        self._left, self._patience_s = left, patience_s
        self._changed = threading.Condition()
        self._promised = 0
        self._used: dict[int, int] = {}  # Bytes of pictures in use, by their id().

    def decode(self, image: Image.Image, decode: Callable[[], Image.Image]) -> Image.Image:
        """Wait until there is room for an open file, and decode it; the picture counts until it is gone.

        Raises ImageError where there is no room.
        """
        width, height = image.size
        if width * height < _SMALL:
            return decode()
        needed = bytes_to_decode(image)
        self._wait_for(needed, width, height)
        try:
            decoded = decode()
            self.keep(decoded)
            return decoded
        finally:
            with self._changed:
                self._promised -= needed
                self._changed.notify_all()

    def keep(self, picture: Image.Image) -> None:
        """Count a decoded picture until it is gone."""
        key = id(picture)
        with self._changed:
            known = key in self._used
            self._used[key] = _RGB * picture.width * picture.height
        if not known:
            weakref.finalize(picture, self._forget, key)

    def _forget(self, key: int) -> None:
        with self._changed:
            del self._used[key]
            self._changed.notify_all()

    def _wait_for(self, needed: int, width: int, height: int) -> None:
        end, state = time.monotonic() + self._patience_s, (-1, -1)
        with self._changed:
            while True:
                left = self._room()
                fits = left is None or needed <= _SHARE * left - self._promised
                if (now := (self._promised, len(self._used))) != state:
                    end, state = time.monotonic() + self._patience_s, now
                late = not self._promised and time.monotonic() > end
                if fits and (now == (0, 0) or late or self._is_modest(needed)):
                    break
                if left is not None and not fits and (now == (0, 0) or late):
                    raise ImageError(
                        f"it has {width} x {height} pixels, which take {needed / 1e6:.0f} MB while they are "
                        f"decoded, and of {left / 1e6:.0f} MB that are free here at most {_SHARE:.0%} are "
                        "taken. Shrink it first"
                    )
                self._changed.wait(0.5)  # Other programs give memory back without a word.
            self._promised += needed

    def _is_modest(self, needed: int) -> bool:
        """Return whether all pictures together take no more than is right on any machine."""
        return needed + self._promised + sum(self._used.values()) <= _MOST_TOGETHER

    def _room(self) -> int | None:
        left = self._left()
        if sys.maxsize < 2**32:
            addresses = _ADDRESSES_32_BIT - sum(self._used.values())
            left = addresses if left is None else min(left, addresses)
        return left


def bytes_to_decode(image: Image.Image) -> int:
    """Return an estimate of the memory that an open file takes while it becomes an upright RGB picture."""
    pixels = image.size[0] * image.size[1]
    each = _BYTES.get(image.mode, _RGB) + _BESIDE.get(image.format or "", 0)
    if image.mode != "RGB" or "transparency" in image.info:
        each += _RGB
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        each += 2 * _RGB
    # Asking a PNG for what follows its pixels would decode it.
    turned = "exif" in image.info if image.format == "PNG" else image.getexif().get(_EXIF_ORIENTATION, 1) != 1
    each += _RGB if turned else 0
    needed = each * pixels
    if image.format == "JPEG" and "progressive" in image.info:
        scale = getattr(image, "decoderconfig", ()) or (1,)
        needed += _COEFFICIENTS * pixels * max(1, int(scale[0])) ** 2
    return needed


def available_bytes(root: Path = Path("/")) -> int | None:
    """Return the memory that this process may still take, None where the system does not say it.

    That is the least of what the machine has left and what its control groups allow (cgroup v2 and v1).
    """
    found = [_machine(root), *_groups(root)]
    known = [value for value in found if value is not None]
    return max(0, min(known)) if known else None


def _machine(root: Path) -> int | None:
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _groups(root: Path) -> Iterator[int]:
    """Yield what each control group above this process leaves it, in bytes."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            top = root / "sys/fs/cgroup" / controllers
            names = ("memory.max", "memory.current") if not controllers else (
                "memory.limit_in_bytes", "memory.usage_in_bytes"
            )  # fmt: skip
            inside = [part for part in path.split("/") if part not in ("", "..")]
            for depth in range(len(inside) + 1):
                yield from _left(top.joinpath(*inside[:depth]), *names)


def _left(folder: Path, limit: str, used: str) -> Iterator[int]:
    allowed, taken = _read(folder / limit).strip(), _read(folder / used).strip()
    if allowed.isdecimal() and taken.isdecimal():
        # The pages of files that were read are given back when they are needed.
        files = [
            line.split()[1] for line in _read(folder / "memory.stat").splitlines() if "inactive_file " in line
        ]
        yield int(allowed) - int(taken) + (int(files[-1]) if files else 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


PICTURES = PictureMemory(available_bytes)
