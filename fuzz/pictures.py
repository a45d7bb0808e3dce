"""Readers of pictures and streams of them: formats, TIFF and PNG, ends, animations, the clock of films."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from types import SimpleNamespace

import numpy as np
from edge_classify.edge import image_file
from edge_classify.edge.card import InputSpec, Preprocess
from edge_classify.edge.errors import ImageError, SourceError
from edge_classify.edge.image import load_image, load_input
from edge_classify.edge.other_formats import other_format
from edge_classify.edge.picture_kinds import identify, is_film_start, kind_not_read, starts_as_picture
from edge_classify.edge.placeholders import placeholder
from edge_classify.edge.sources.animations import animation_frames, is_animated
from edge_classify.edge.sources.http_content import content_of
from edge_classify.edge.sources.picture_stream import PictureStream
from edge_classify.edge.sources.video_clock import VideoClock
from PIL import Image

from tests.support.encoded import encoded, part, with_thumbnail

from .target import Target

_SPEC, _RULE = InputSpec(16, 16, "uint8"), Preprocess()
_MOST_PIXELS = 1_000_000  # More take time and memory, and lead nowhere else.
_MOST_FRAMES = 8


@contextmanager
def _small_pictures_only() -> Iterator[None]:
    """Lower the limit for a while: tests of this process read larger pictures afterwards."""
    limit = image_file.MAX_PIXELS
    image_file.MAX_PIXELS = _MOST_PIXELS
    try:
        yield
    finally:
        image_file.MAX_PIXELS = limit


def _picture(data: bytes) -> None:
    with _small_pictures_only():
        if load_input(data, _SPEC, _RULE).shape != (16, 16, 3):
            raise AssertionError("another shape than asked for")
        assert load_image(data).mode == "RGB"


def _animation(data: bytes) -> None:
    with _small_pictures_only():
        if not is_animated(data):
            return
        for frame in islice(animation_frames(data), _MOST_FRAMES):
            assert (frame.picture is None) != (frame.error is None), "neither picture nor error"
            assert frame.seconds is None or math.isfinite(frame.seconds), "a time that is no number"


def _stream(data: bytes) -> None:
    """Feed a stream in pieces, whose lengths the first bytes say."""
    sizes, rest = data[:4] or b"\1", data[4:]
    pieces: list[bytes] = []
    while rest:
        size = 1 + sizes[len(pieces) % len(sizes)] * 8
        pieces.append(rest[:size])
        rest = rest[size:]
    left = iter(pieces)
    stream = PictureStream(lambda: next(left, b""))
    given = 0
    while (found := stream.next()) is not None:
        given += len(found.data)
    assert given <= len(data), "more came out than went in"


def _head(data: bytes) -> None:
    for name in ("", "a.jpg", "a.avi", "a.pt"):
        kind_not_read(data, name[-4:])
        other_format(name, data)
    _ = identify(data), is_film_start(data), starts_as_picture(data), placeholder(data)
    for declared in (None, "image/jpeg", "text/html"):
        try:
            content_of(declared, data)
        except SourceError:
            continue


def _clock(data: bytes) -> None:
    """Let a film state its rate, and time stamps in milliseconds: numbers of 8 bytes."""
    numbers = [value for (value,) in struct.iter_unpack("<d", data[: len(data) // 8 * 8])]
    rate, *stamps = numbers or [0.0]
    left = iter(stamps)
    cv2 = SimpleNamespace(CAP_PROP_POS_MSEC=0, CAP_PROP_FPS=5)
    capture = SimpleNamespace(get=lambda kind: rate if kind else next(left, 0.0))
    clock, before = VideoClock(cv2, capture), 0.0
    for _ in stamps:
        time = clock.next_time()
        if time is not None:
            assert math.isfinite(time) and time >= before, f"from {before} to {time}"
            before = time


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _small(mode: str) -> Image.Image:
    return Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).convert(mode)


def _picture_seeds() -> Iterator[bytes]:
    for kind in ("JPEG", "PNG", "BMP", "GIF", "PPM", "WEBP"):
        yield _saved(_small("RGB"), kind)
    for compression in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        yield _saved(_small("RGB"), "TIFF", compression=compression)
    for mode in ("1", "L", "P", "CMYK", "YCbCr", "LAB"):
        yield _saved(_small(mode), "TIFF")
    yield _saved(_small("L"), "PNG", transparency=7)
    yield _saved(_small("P"), "PNG", transparency=3)
    yield _saved(Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)), "PNG")
    yield _saved(_small("RGB"), "JPEG", progressive=True)
    yield _saved(_small("RGB"), "JPEG")[:-2]
    rotated = Image.Exif()
    rotated[0x0112] = 6
    yield _saved(_small("RGB"), "JPEG", exif=rotated)


def _animation_seeds() -> Iterator[bytes]:
    rest = [_small("RGB").rotate(90 * turn) for turn in (1, 2)]
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        yield _saved(_small("RGB"), kind, save_all=True, append_images=rest, duration=40)


def _stream_seeds() -> Iterator[bytes]:
    sizes = bytes([9, 30, 2, 100])
    for kind in ("JPEG", "PNG", "WEBP"):
        yield sizes + b"".join(part(_saved(_small("RGB"), kind)) for _ in range(2)) + b"--frame--\r\n"
    yield sizes + part(_saved(_small("RGB"), "JPEG"), length=400)
    yield sizes + with_thumbnail(1)[:3000]
    yield sizes + b"<html>no camera</html>"


def _head_seeds() -> Iterator[bytes]:
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"):
        yield encoded(1, kind)[:64]
    yield b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    yield b"\0\0\0\x18ftypisom\0\0\2\0isomiso2"
    yield b"#EXTM3U\n#EXT-X-VERSION:3\n"
    yield b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    yield b"<!doctype html><html><body>Sign in</body></html>"
    yield b"--frame\r\nContent-Type: image/jpeg\r\n\r\n"
    yield b"PK\3\4\x14\0\0\0\0\0"


def _clock_seeds() -> Iterator[bytes]:
    for numbers in (
        (25.0, 0.0, 40.0, 80.0),
        (30.0, 0.0, 0.0, 0.0),
        (0.0, 5.0, 4.0, 6.0),
        (90_000.0, 0.0, 33.3),
    ):
        yield struct.pack(f"<{len(numbers)}d", *numbers)


TARGETS = (
    Target("picture", _picture, (ImageError,), _picture_seeds, 2048),
    Target("animation", _animation, (), _animation_seeds, 2048),
    Target("picture_stream", _stream, (SourceError,), _stream_seeds, 8192),
    Target("first_bytes", _head, (), _head_seeds, 512),
    Target("film_clock", _clock, (), _clock_seeds, 256),
)
