"""Files of every kind become the same upright 8-bit RGB picture, or one clear error."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.edge.card import InputSpec, Preprocess
from edge_classify.edge.errors import ImageError
from edge_classify.edge.image import from_bgr, is_image_name, load_image, to_input, to_rgb
from PIL import Image

SIZE = (24, 16)
WHITE, RED = (255, 255, 255), (255, 0, 0)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corner(image: Image.Image) -> tuple[int, ...]:
    assert image.mode == "RGB"
    return tuple(int(v) for v in np.asarray(image)[0, 0])


def palette_with_transparency() -> bytes:
    image = Image.new("P", SIZE, 1)
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.paste(0, (0, 0, 8, 16))
    return saved(image, "PNG", transparency=0)


def animation() -> bytes:
    frames = [Image.new("RGB", SIZE, RED), Image.new("RGB", SIZE, "blue")]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:])


def plain_palette() -> bytes:
    return saved(Image.new("RGB", SIZE, RED).convert("P"), "PNG")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # Pillow's own CMYK to RGB is (255 - c) * (255 - k) / 255.
        (saved(Image.new("CMYK", SIZE, (0, 255, 255, 0)), "JPEG", quality=100), RED),
        (saved(Image.new("CMYK", SIZE, (0, 255, 255, 0)), "TIFF"), RED),
        (saved(Image.fromarray(np.full((16, 24), 0x8000, np.uint16)), "PNG"), (128, 128, 128)),
        (saved(Image.fromarray(np.full((16, 24), 0xFFFF, np.uint16)), "TIFF"), WHITE),
        (plain_palette(), RED),
        (palette_with_transparency(), WHITE),
        (saved(Image.new("1", SIZE, 1), "PNG"), WHITE),
        (saved(Image.new("L", SIZE, 77), "PNG"), (77, 77, 77)),
        (saved(Image.new("LA", SIZE, (0, 0)), "PNG"), WHITE),
        # Black at alpha 51 of 255 on white: 255 * (1 - 0.2).
        (saved(Image.new("LA", SIZE, (0, 51)), "PNG"), (204, 204, 204)),
        (saved(Image.new("RGBA", SIZE, (255, 0, 0, 0)), "PNG"), WHITE),
        (saved(Image.new("RGBA", SIZE, (255, 0, 0, 255)), "WEBP", lossless=True), RED),
        (saved(Image.new("RGB", SIZE, "blue"), "PNG", transparency=(0, 0, 255)), WHITE),
        (animation(), RED),
        (saved(Image.new("RGB", SIZE, RED), "PPM"), RED),
        (saved(Image.new("RGB", SIZE, RED), "BMP"), RED),
    ],
    ids=[
        "cmyk-jpeg", "cmyk-tiff", "16-bit-png", "16-bit-tiff", "palette", "palette-transparent", "1-bit",
        "grey", "grey-alpha-0", "grey-alpha-51", "rgba-on-white", "rgba-opaque", "rgb-with-colour-key",
        "animated-gif", "ppm", "bmp",
    ],
)  # fmt: skip
def test_image_of_every_mode_becomes_rgb(data: bytes, expected: tuple[int, int, int]) -> None:
    image = load_image(data)
    assert image.size == SIZE
    np.testing.assert_allclose(corner(image), expected, atol=2)


def test_image_with_exif_orientation_6_is_turned_upright() -> None:
    image = Image.new("RGB", (40, 20), "blue")
    image.paste("red", (0, 0, 40, 10))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = np.asarray(load_image(saved(image, "PNG", exif=exif)))
    # Exif 2.32, 4.6.4 A: with 6, the 0th row is the visual right-hand side.
    assert upright.shape == (40, 20, 3)
    assert upright[:, 10:].reshape(-1, 3).tolist() == [list(RED)] * 400
    assert upright[:, :10].reshape(-1, 3).tolist() == [[0, 0, 255]] * 400


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_image_with_broken_exif_is_still_read() -> None:
    data = saved(
        Image.new("RGB", SIZE, WHITE), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 40
    )
    assert corner(load_image(data)) == WHITE


def test_image_whose_name_has_spaces_and_other_letters_is_read(tmp_path: Path) -> None:
    path = tmp_path / "früher mal, 日本.PNG"
    noise(*SIZE).save(path)
    assert load_image(path).tobytes() == noise(*SIZE).tobytes()
    assert is_image_name(path)
    assert not is_image_name(tmp_path / ".hidden.png")
    assert not is_image_name(tmp_path / "notes.txt")


def bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


BAD_FILES = {
    "cut.jpg": (saved(noise(64, 64), "JPEG")[:1500], "damaged or cut off"),
    "cut.png": (saved(noise(64, 64), "PNG")[:1500], "damaged or cut off"),
    "empty.jpg": (b"", r"empty \(0 bytes\)"),
    "text.jpg": (b"hello\n", r"is no .*JPEG.* image: it starts with b'hello\\n'"),
    "float.tif": (saved(Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF"), "32-bit float samples"),
    "wide.tif": (saved(Image.fromarray(np.full((4, 4), 2**30, np.int32)), "TIFF"), "32-bit samples"),
    "bomb.png": (bomb(), "too large to decode safely"),
    # Pillow by itself would run Ghostscript on this.
    "page.jpg": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "is no .* image: it starts with b'%!PS",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_image_that_cannot_be_read_is_refused_with_its_name_and_the_cause(name: str, tmp_path: Path) -> None:
    data, message = BAD_FILES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError, match=message) as error:
        load_image(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name))


def test_image_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none.png: no such file"):
        load_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="is a folder, not an image"):
        load_image(tmp_path)
    with pytest.raises(ImageError, match=r"cannot be read \(File name too long\)"):
        load_image(tmp_path / ("a" * 300))


def test_input_by_stretch_equals_pillows_antialiased_resize() -> None:
    image = noise(37, 53)
    pixels = to_input(image, InputSpec(16, 24, "uint8"), Preprocess("stretch"))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.asarray(image.resize((24, 16), Image.Resampling.BILINEAR)))


def test_input_of_a_picture_that_already_fits_keeps_every_byte() -> None:
    np.testing.assert_array_equal(
        to_input(noise(24, 16), InputSpec(16, 24, "uint8"), Preprocess()), np.asarray(noise(24, 16))
    )


def test_input_by_crop_holds_the_centred_part_with_the_inputs_proportions() -> None:
    image = Image.new("RGB", (48, 16), "blue")
    image.paste(noise(16, 16), (16, 0))
    pixels = to_input(image, InputSpec(16, 16, "uint8"), Preprocess("crop"))
    np.testing.assert_array_equal(pixels, np.asarray(noise(16, 16)))
    assert to_input(image, InputSpec(7, 9, "uint8"), Preprocess("crop")).shape == (7, 9, 3)


def test_frame_in_bgr_order_becomes_rgb() -> None:
    frame = np.zeros((4, 5, 3), np.uint8)
    frame[:] = (1, 2, 3)
    image = from_bgr(frame)
    assert (image.size, corner(image)) == ((5, 4), (3, 2, 1))


def test_rgb_picture_is_passed_on_as_it_is() -> None:
    image = noise(*SIZE)
    assert to_rgb(image) is image
