from __future__ import annotations

import io
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from edge_classify.train.image_facts import ImageFacts, inspect_image
from edge_classify.train.thumbnails import make_thumbnail, read_thumbnails
from PIL import Image


def _noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth random picture, so that a perceptual hash has something to hold on to."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def _encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def _inspect(raw: bytes, use: Callable[[Image.Image], None] = lambda image: None) -> ImageFacts:
    return inspect_image(raw, "a/b.png", "f" * 64, use)


def test_facts_of_a_picture_are_those_of_the_upright_one() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # Turn clockwise by 90 degrees.
    lying = _noise(60, 40)
    seen: list[Image.Image] = []
    facts = _inspect(_encode(lying, exif=exif), seen.append)
    upright = lying.transpose(Image.Transpose.ROTATE_270)
    assert (facts.path, facts.sha256, facts.reason, facts.format) == ("a/b.png", "f" * 64, None, "PNG")
    assert (facts.width, facts.height) == (40, 60)
    assert np.array_equal(np.asarray(seen[0]), np.asarray(upright))
    assert facts.thumbnail == make_thumbnail(upright)


def test_thumbnail_is_the_luma_and_the_halved_chroma_of_a_picture_of_32_pixels() -> None:
    picture = _noise(32, 32)
    expected = np.asarray(picture.convert("YCbCr"), np.float64)  # Pillow's conversion, as JPEG defines it.
    read = read_thumbnails([_inspect(_encode(picture)).thumbnail, _inspect(_encode(_noise(9, 9))).thumbnail])
    assert read.grey.shape == (2, 32, 32) and read.colour.shape == (2, 2, 16, 16)
    assert np.array_equal(read.grey[0], expected[..., 0])
    chroma = expected[..., 1:].reshape(16, 2, 16, 2, 2).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(read.colour[0] - chroma).max() <= 0.5


def test_deviation_tells_blank_pictures_from_others() -> None:
    checkers = Image.fromarray((np.indices((32, 32)).sum(0) % 2 * 255).astype(np.uint8))
    assert _inspect(_encode(Image.new("RGB", (50, 50), "teal"))).deviation == 0
    assert _inspect(_encode(checkers)).deviation == 127.5
    assert 20 < _inspect(_encode(_noise(50, 50))).deviation < 100


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "it is empty (0 bytes)"),
        (b"hello", "it starts with b'hello'"),
        (_encode(_noise(300, 300), "JPEG")[:900], "damaged or cut off"),
        (_encode(Image.new("I", (4, 4), -1), "TIFF"), "it holds 32-bit samples"),
    ],
)
def test_unreadable_file_has_its_reason_in_the_facts_and_no_picture(raw: bytes, reason: str) -> None:
    facts = _inspect(raw, lambda image: pytest.fail("there is no picture"))
    assert facts.reason is not None and reason in facts.reason and not facts.reason.startswith("image")
    assert facts == ImageFacts("a/b.png", "f" * 64, facts.reason)


def test_first_frame_of_an_animation_counts() -> None:
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    seen: list[Image.Image] = []
    facts = _inspect(_encode(red, "GIF", save_all=True, append_images=[blue]), seen.append)
    assert (facts.format, seen[0].getpixel((0, 0))) == ("GIF", (255, 0, 0))


def test_picture_of_a_phone_with_a_second_one_behind_it_is_a_jpeg() -> None:
    raw = _encode(_noise(64, 64), "MPO", save_all=True, append_images=[_noise(64, 64, 1)])
    assert Image.open(io.BytesIO(raw)).format == "MPO"
    assert _inspect(raw).format == "JPEG"


def test_large_pictures_are_in_memory_one_at_a_time_and_small_ones_together() -> None:
    raws = {"large": _encode(Image.new("L", (6000, 4200))), "small": _encode(_noise(32, 32))}
    most: Counter[str] = Counter()
    for name, raw in raws.items():
        inside, guard = Counter[str](), threading.Lock()

        def use(image: Image.Image, name: str = name, inside: Counter[str] = inside) -> None:
            with guard:  # noqa: B023
                inside[name] += 1
                most[name] = max(most[name], inside[name])
            time.sleep(0.2)
            inside[name] -= 1

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda raw, use=use: _inspect(raw, use), [raw] * 3))
    assert most["large"] == 1 and most["small"] > 1


def test_picture_beyond_the_decoders_limit_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_classify.edge.image_file.MAX_PIXELS", 1000)
    facts = _inspect(_encode(_noise(50, 50)))
    assert facts.reason is not None and "it has 50 x 50 pixels" in facts.reason
