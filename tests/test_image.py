"""Files of every kind become the same upright 8-bit RGB picture, or one clear error."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.edge.card import InputSpec, Preprocess
from edge_classify.edge.errors import ImageError
from edge_classify.edge.image import from_bgr, input_cover, load_image, load_input, to_input, to_rgb
from edge_classify.edge.sources.frames import EncodedPicture, RotatedPicture, to_pixels
from hypothesis import given
from hypothesis import strategies as st
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
    "bomb.png": (bomb(), "it has 50000 x 50000 pixels, and at most 128 million are decoded"),
    # Pillow by itself would run Ghostscript on this.
    "page.jpg": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "is an image of the format PostScript, which is not read",
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


@given(
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.tuples(st.integers(1, 120), st.integers(1, 120)),
    st.sampled_from([1, 3, 6, 8]),
    st.sampled_from(
        [("RGB", {}), ("RGB", {"progressive": True}), ("L", {}), ("CMYK", {}), ("RGB", {"subsampling": 0})]
    ),
)
def test_reduced_jpeg_covers_the_input_both_ways_and_half_of_it_would_not(
    size: tuple[int, int], cover: tuple[int, int], orientation: int, kind: tuple[str, dict[str, Any]]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.new(kind[0], size), "JPEG", exif=exif, **kind[1])
    full, reduced = load_image(data), load_image(data, cover)
    assert full.size == (size[::-1] if orientation in (6, 8) else size)
    for side, original, wanted in zip(reduced.size, full.size, cover, strict=True):
        assert side >= min(original, wanted)
    factor = next(
        f
        for f in (1, 2, 4, 8)
        if -(-full.width // f) == reduced.width and -(-full.height // f) == reduced.height
    )
    half = full.width / (2 * factor), full.height / (2 * factor)
    assert factor == 8 or half[0] < cover[0] or half[1] < cover[1]


@pytest.mark.parametrize("resize", ["stretch", "crop"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_input_from_a_reduced_jpeg_is_that_of_a_full_one_and_not_shifted(
    orientation: int, resize: Any
) -> None:
    # 793 columns are 100 when reduced by 8, of which the last stands for one: resizing all 100 would shift
    # the picture by up to 7 of its 800 columns.
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = noise(12, 9).resize((793, 601), Image.Resampling.BICUBIC)
    data = saved(smooth, "JPEG", quality=97, exif=exif)
    spec, preprocess = InputSpec(46, 52, "uint8"), Preprocess(resize)
    full = to_input(load_image(data), spec, preprocess).astype(int)
    reduced = load_input(data, spec, preprocess).astype(int)
    careless = to_input(load_image(data, (78, 69)), spec, preprocess).astype(int)
    assert 0 < np.abs(full - reduced).mean() < 1
    assert np.abs(full - reduced).mean() < np.abs(full - careless).mean() / 5


@pytest.mark.parametrize(("side", "reduced"), [(96, True), (99, True), (101, False), (130, False)])
def test_photo_is_reduced_only_where_enough_pixels_are_left_for_the_filter(side: int, reduced: bool) -> None:
    data = saved(noise(400, 300), "JPEG")  # Half of it has 150 rows: 1.5 times 100.
    spec, preprocess = InputSpec(side, side, "uint8"), Preprocess()
    full = to_input(load_image(data), spec, preprocess)
    assert (load_input(data, spec, preprocess) != full).any() == reduced
    turned = RotatedPicture(EncodedPicture(data), 180)
    expected = to_input(load_image(data).transpose(Image.Transpose.ROTATE_180), spec, preprocess)
    assert (to_pixels(turned, spec, preprocess) != expected).any() == reduced


@pytest.mark.parametrize(
    ("side", "pixels"),
    [(1, 287), (32, 240), (64, 192), (95, 146), (96, 144), (97, 146), (224, 336)],
)
def test_inputs_below_96_keep_as_many_pixels_as_those_as_much_above(side: int, pixels: int) -> None:
    assert input_cover(InputSpec(side, 300, "uint8")) == (450, pixels)
    assert input_cover(InputSpec(300, side, "uint8")) == (pixels, 450)


def test_small_photo_is_not_reduced_to_where_a_small_input_loses_what_it_shows() -> None:
    # 500x500 at a quarter is 125x125, four times an input of 32.
    data = saved(noise(500, 500), "JPEG", quality=95)
    spec, preprocess = InputSpec(32, 32, "uint8"), Preprocess()
    full = to_input(load_image(data), spec, preprocess).astype(int)
    quarter = to_input(load_image(data, (120, 120)), spec, preprocess).astype(int)
    ours = load_input(data, spec, preprocess).astype(int)
    assert 0 < np.abs(ours - full).mean() < np.abs(quarter - full).mean() * 0.8


@pytest.mark.parametrize("data", [saved(noise(90, 70), "PNG"), saved(noise(90, 70), "JPEG")])
def test_input_from_a_file_that_is_not_reduced_is_exactly_that_of_its_picture(data: bytes) -> None:
    spec = InputSpec(64, 80, "uint8")
    for preprocess in (Preprocess("stretch"), Preprocess("crop")):
        expected = to_input(load_image(data), spec, preprocess)
        np.testing.assert_array_equal(load_input(data, spec, preprocess), expected)


def test_reduced_phone_picture_is_the_first_of_its_file() -> None:
    first, second = Image.new("RGB", (160, 120), RED), Image.new("RGB", (160, 120), "blue")
    data = saved(first, "MPO", save_all=True, append_images=[second])
    assert load_image(data, (40, 30)).size == (40, 30)
    np.testing.assert_allclose(corner(load_image(data, (40, 30))), RED, atol=3)


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """Return the JPEG with another size in its header."""
    place = next(at for mark in (b"\xff\xc0\0\x11\x08", b"\xff\xc2\0\x11\x08") if (at := jpeg.find(mark)) > 0)
    return jpeg[: place + 5] + struct.pack(">HH", height, width) + jpeg[place + 9 :]


def in_two_scans(jpeg: bytes) -> bytes:
    """Return the JPEG with only the first component in its first scan."""
    place = jpeg.index(b"\xff\xda\0\x0c\x03")
    return jpeg[:place] + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" + jpeg[place + 14 :]


def test_jpeg_beyond_the_limit_is_judged_by_what_its_decoding_takes(tmp_path: Path) -> None:
    whole = with_size(saved(noise(64, 64), "JPEG"), 20_000, 10_000)
    told = "it has 20000 x 10000 pixels, and at most 128 million are decoded. Shrink it first"
    with pytest.raises(ImageError, match=told):
        load_image(whole)
    assert load_image(whole, (224, 224)).size == (2500, 1250)
    # Of these, libjpeg keeps the coefficients of all pixels, however far it reduces.
    several_scans = saved(noise(64, 64), "JPEG", progressive=True), in_two_scans(saved(noise(64, 64), "JPEG"))
    for data in several_scans:
        with pytest.raises(ImageError, match=told):
            load_image(with_size(data, 20_000, 10_000), (224, 224))
    (tmp_path / "a.jpg").write_bytes(whole)
    with pytest.raises(ImageError, match=r"a\.jpg: it has 20000"):
        load_image(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    "chunk",
    [
        b"VP8X\x0a\0\0\0\x02\0\0\0" + (99_999).to_bytes(3, "little") * 2,
        b"VP8L\x05\0\0\0\x2f" + (16_382 | 16_382 << 14).to_bytes(4, "little"),
        b"VP8 \x0a\0\0\0\x30\0\0\x9d\x01\x2a" + (16_383).to_bytes(2, "little") * 2,
    ],
    ids=["extended", "lossless", "lossy"],
)
def test_webp_beyond_the_limit_is_refused_before_its_canvas_is_made(chunk: bytes) -> None:
    with pytest.raises(ImageError, match="pixels, and at most 128 million are decoded"):
        load_image(b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk + bytes(20))


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": Image.Exif().tobytes()}])
def test_webp_within_the_limit_is_read_whatever_its_first_chunk(options: dict[str, Any]) -> None:
    assert load_image(saved(noise(61, 43), "WEBP", **options)).size == (61, 43)


def test_large_picture_within_the_limit_is_read_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    data = saved(Image.new("L", (12_000, 8_000)), "PNG", compress_level=1)
    assert load_image(data).size == (12_000, 8_000)
    assert not recwarn.list


def test_pillows_own_limit_is_neither_needed_nor_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert load_image(saved(noise(64, 64), "PNG")).size == (64, 64)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_damaged_tiff_is_one_error_and_nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(saved(noise(64, 64), "TIFF", compression="tiff_adobe_deflate"))
    data[3000:3100] = bytes(100)
    with pytest.raises(ImageError, match="damaged or cut off"):
        load_image(bytes(data))
    assert capfd.readouterr().err == ""


def test_damaged_images_of_every_format_give_a_picture_or_one_error() -> None:
    script = Path(__file__).parent.parent / "studies" / "fuzz_images.py"
    command = [sys.executable, str(script), "--count", "300", "--seed", "7"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "| **all** | 300 |" in result.stdout
