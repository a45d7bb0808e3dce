"""Files that decoders read differently: the same picture as its PNG, or refused for what it is."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from edge_classify.edge.errors import ImageError
from edge_classify.edge.image import load_image
from numpy.typing import NDArray
from PIL import Image

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def tiff(
    values: bytes,
    bits: int,
    photometric: int,
    samples: int = 1,
    planar: int = 1,
    form: int = 1,
    compression: int = 1,
) -> bytes:
    """A little-endian TIFF of 16 x 16 pixels, its values as they are, plane by plane (TIFF 6.0)."""
    strips = samples if planar == 2 else 1
    tags = {256: 16, 257: 16, 259: compression, 262: photometric, 277: samples, 278: 16, 284: planar}
    start = 8 + 2 + 12 * 11 + 4
    bits_at, form_at, places_at, sizes_at = (start + 16 * n for n in range(4))
    data_at = start + 64
    size = len(values) // strips
    lists = {
        258: (3, [bits] * samples, bits_at), 339: (3, [form] * samples, form_at),
        273: (4, [data_at + size * n for n in range(strips)], places_at), 279: (4, [size] * strips, sizes_at),
    }  # fmt: skip
    entries, behind = b"", bytearray(64)
    for tag in sorted({*tags, *lists}):
        kind, numbers, at = lists.get(tag, (3, [tags.get(tag, 0)], 0))
        raw = struct.pack(f"<{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)
        if len(raw) > 4:
            behind[at - start : at - start + len(raw)] = raw
            raw = struct.pack("<I", at)
        entries += struct.pack("<HHI", tag, kind, len(numbers)) + raw.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<IH", 8, 11) + entries + bytes(4) + bytes(behind) + values


def twelve(values: NDArray[np.uint8]) -> bytes:
    """Numbers 0..255 as 12 bits, 4095 for 255, two in three bytes."""
    wide = values.astype(np.uint32) * 4095 // 255
    a, b = wide[:, 0::2], wide[:, 1::2]
    return np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], -1).astype(np.uint8).tobytes()


def sixteen(values: NDArray[np.uint8]) -> bytes:
    return (values.astype(np.uint32) * 257).astype("<u2").tobytes()


@pytest.mark.parametrize(
    "data",
    [
        tiff(RAMP.tobytes(), 8, 1), tiff((255 - RAMP).tobytes(), 8, 0), tiff(twelve(RAMP), 12, 1),
        tiff(sixteen(RAMP), 16, 1), tiff(sixteen(255 - RAMP), 16, 0),
        tiff(sixteen(np.repeat(RAMP[..., None], 3, -1)), 16, 2, samples=3),
        tiff(RAMP.tobytes() * 3, 8, 2, samples=3, planar=2),
    ],
    ids=["8", "8 white is zero", "12", "16", "16 white is zero", "16 RGB", "8 RGB planar"],
)  # fmt: skip
def test_tiff_is_the_picture_of_its_samples(data: bytes) -> None:
    assert (np.asarray(load_image(data)) == RAMP[..., None]).all()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (tiff(sixteen(RAMP) * 3, 16, 2, samples=3, planar=2), "planar TIFF of 16 bits"),
        (tiff(twelve(255 - RAMP), 12, 0), "not supported"),
        (tiff(sixteen(RAMP), 16, 1, form=2), "signed"),
        (tiff(RAMP.tobytes(), 8, 1, form=2), "signed"),
        (tiff(RAMP.tobytes() * 3, 24, 1), "not supported"),
        (tiff(RAMP.tobytes(), 8, 32803), "not supported"),
        (tiff(RAMP.astype("<u4").tobytes(), 32, 1), "32-bit samples, whose range is not known"),
        (tiff(RAMP.tobytes(), 8, 1, compression=34712), "compression 34712 .JPEG 2000., which is not"),
        (b"MM\0+\0\x08\0\0" + bytes(7) + b"\x10" + bytes(64), "big-endian BigTIFF"),
    ],
    ids=[
        "16 planar",
        "12 white is zero",
        "16 signed",
        "8 signed",
        "24",
        "colour filter array",
        "32",
        "JPEG 2000",
        "MM",
    ],
)
def test_tiff_whose_pixels_would_be_wrong_is_refused_for_what_it_is(data: bytes, said: str) -> None:
    with pytest.raises(ImageError, match=said) as error:
        load_image(data)
    assert "damaged" not in str(error.value)


def png(samples: NDArray[Any], bits: int, key: tuple[int, ...]) -> bytes:
    """A PNG of samples [rows, columns, 1 or 3] with a transparent colour (third edition, 5.3)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = [row.astype(">u2").tobytes() if bits == 16 else packed(row.ravel(), bits) for row in samples]
    colour = 2 if samples.shape[2] == 3 else 0
    head = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], bits, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, part)
        for kind, part in (
            (b"IHDR", head), (b"tRNS", struct.pack(f">{len(key)}H", *key)), (b"IDAT", data), (b"IEND", b"")
        )
    )  # fmt: skip


def packed(values: NDArray[Any], bits: int) -> bytes:
    return np.packbits(np.unpackbits(values.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :]).tobytes()


@pytest.mark.parametrize(("bits", "channels"), [(1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (8, 3), (16, 3)])
def test_only_the_transparent_colour_of_a_png_is_white(bits: int, channels: int) -> None:
    most = (1 << bits) - 1
    samples = np.linspace(0, most, 256).round().astype(np.uint16).reshape(16, 16, 1).repeat(channels, -1)
    key = samples[2, 5]
    expected = np.where(samples == key, 255, (samples * 255.0 / most).astype(np.uint8))
    pixels = np.asarray(load_image(png(samples, bits, tuple(key)))).astype(int)
    assert (pixels[2, 5] == 255).all()
    np.testing.assert_allclose(pixels, np.broadcast_to(expected, (16, 16, 3)), atol=1)


def test_bitmap_of_a_program_that_leaves_alpha_zero_is_no_white_picture() -> None:
    red, masks = bytes([0, 0, 255, 0]) * 16, struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<IiiHHIIiiII", 56, 4, 4, 1, 32, 3, len(red), 0, 0, 0, 0) + masks
    data = b"BM" + struct.pack("<IHHI", 70 + len(red), 0, 0, 70) + head + red
    assert load_image(data).getpixel((2, 2)) == (255, 0, 0)


def jpeg(**options: bool) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90, **options)
    return file.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("end", [b"", b"\xff", bytes(100), b"\xff\xd9\xff\xd8\xff trailer"])
def test_jpeg_with_all_pixels_is_read_whatever_its_end(end: bytes, progressive: bool) -> None:
    data = jpeg(progressive=progressive)
    assert load_image(data[:-2] + end).tobytes() == load_image(data).tobytes()
    assert load_image(data[:-2] + end, (20, 14)).tobytes() == load_image(data, (20, 14)).tobytes()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kept", [0.5, 0.9, 0.99])
def test_jpeg_without_its_last_pixels_is_cut_off(kept: float, progressive: bool) -> None:
    data = jpeg(progressive=progressive)
    with pytest.raises(ImageError, match="cut off"):
        load_image(data[: int(len(data) * kept)])


def test_progressive_jpeg_without_its_last_scan_is_cut_off() -> None:
    data = jpeg(progressive=True)
    with pytest.raises(ImageError, match="cut off"):
        load_image(data[: data.rindex(b"\xff\xda")])
