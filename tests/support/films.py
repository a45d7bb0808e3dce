"""Films of a variable frame rate: those that OpenCV writes, with other time stamps."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from .streams import write_video

_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_SEGMENT, _INFO, _CLUSTER, _SIMPLE_BLOCK, _DURATION = 0x18538067, 0x1549A966, 0x1F43B675, 0xA3, 0x4489


def write_mp4(path: Path, times: Sequence[float]) -> Path:
    """Write an MP4 whose frame n is grey with value 5 * n and shown at times[n] seconds; the last for one."""
    data = write_video(path, len(times), "mp4v").read_bytes()
    start = data.index(b"mdhd") + 4
    unit = int.from_bytes(data[start + 12 : start + 16], "big")  # Ticks per second: ISO/IEC 14496-12, 8.4.2.
    ticks = [round(time * unit) for time in [*times, times[-1] + 1]]
    rows = b"".join(struct.pack(">2I", 1, b - a) for a, b in pairwise(ticks))
    data = data.replace(b"edts", b"free")  # The edit list plays only as much as there was before.
    path.write_bytes(_replace_box(data, b"stts", struct.pack(">2I", 0, len(times)) + rows))
    return path


def write_matroska(path: Path, times: Sequence[float]) -> Path:
    """Write a Matroska file of the same kind; it holds a duration, and no number of frames."""
    data = bytearray(write_video(path, len(times)).read_bytes())
    left = list(times)
    for identity, start, size in _elements(data, 0, len(data)):
        if identity == _DURATION:
            kind = ">d" if size == 8 else ">f"
            data[start : start + size] = struct.pack(kind, (times[-1] + 1) * 1000)
        elif identity == _SIMPLE_BLOCK:  # The track's number, then milliseconds since the cluster's time.
            data[start + 1 : start + 3] = struct.pack(">h", round(left.pop(0) * 1000))
    assert not left
    path.write_bytes(data)
    return path


def write_interlaced(path: Path, frames: int) -> Path:
    """Write a Matroska file of MPEG-2 as `write_video` does, whose pictures say that they are interlaced.

    ISO/IEC 13818-2, 6.3.5 and 6.3.10: progressive_sequence and progressive_frame become 0.
    """
    data = bytearray(write_video(path, frames, "mpg2").read_bytes())
    for match in re.finditer(b"\x00\x00\x01\xb5", bytes(data)):
        start = match.end()
        if data[start] >> 4 == 1:  # The extension of a sequence.
            data[start + 1] &= ~0x08
        elif data[start] >> 4 == 8:  # That of a picture.
            data[start + 4] &= ~0x80
    path.write_bytes(data)
    return path


def _replace_box(data: bytes, name: bytes, content: bytes) -> bytes:
    """Return an MP4 with another content of one box, and the sizes of the boxes around it changed."""
    out, at = b"", 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + size]
        if kind in _PARENTS:
            body = _replace_box(body, name, content)
        elif kind == name:
            body = content
        out += struct.pack(">I", len(body) + 8) + kind + body
        at += size
    return out


def _elements(data: bytes | bytearray, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield identity, start and size of the elements of a Matroska file (RFC 8794), parents opened."""
    while start < end:
        length = 9 - data[start].bit_length()
        identity = int.from_bytes(data[start : start + length], "big")
        start += length
        length = 9 - data[start].bit_length()
        size = int.from_bytes(data[start : start + length], "big") & ((1 << 7 * length) - 1)
        start += length
        yield identity, start, size
        if identity in (_SEGMENT, _INFO, _CLUSTER):
            yield from _elements(data, start, start + size)
        start += size
