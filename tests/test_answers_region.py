from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.answers.region import Region, RegionPicture, cut
from edge_classify.edge.errors import ImageError
from edge_classify.edge.sources.frames import FilePicture, Frame, ReadyPicture, RotatedPicture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

SIZES = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


@st.composite
def percent_regions(draw: st.DrawFn) -> Region:
    x, y = draw(st.integers(0, 999)), draw(st.integers(0, 999))
    width, height = draw(st.integers(1, 1000 - x)), draw(st.integers(1, 1000 - y))
    return Region.parse(f"{x / 10}%,{y / 10}%,{width / 10}%,{height / 10}%")


def gradient(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x, y, 0 * x], -1).astype(np.uint8))


def test_region_is_read_in_pixels_and_in_per_cent() -> None:
    assert Region.parse("40,0,320,240") == Region(40, 0, 320, 240)
    assert Region.parse(" 10%, 0%,50.5% ,100%") == Region(10, 0, 50.5, 100, percent=True)


@pytest.mark.parametrize(
    "text",
    ["", "1,2,3", "1,2,3,4,5", "1,2,3,x", "-1,0,2,2", "0,0,0,5", "0%,0%,0%,5%", "10%,0,5,5", "60%,0%,50%,10%",
     "1e3,0,5,5", "0,0,nan,5", "1.5,0,5,5", "%,%,%,%", "1;2;3;4", "٣,0,5,5x", "9999999,0,1,1"],
)  # fmt: skip
def test_region_that_makes_no_sense_is_refused_with_what_arrived(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must .* Received: "):
        Region.parse(text)


@given(percent_regions())
def test_region_reads_what_it_prints(region: Region) -> None:
    assert Region.parse(str(region)) == region


@given(st.text(max_size=30))
def test_any_text_is_a_region_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert Region.parse(text).width > 0


@given(percent_regions(), SIZES)
def test_region_in_per_cent_is_never_empty_and_never_outside(region: Region, size: tuple[int, int]) -> None:
    left, upper, right, lower = region.box(size)
    assert 0 <= left < right <= size[0]
    assert 0 <= upper < lower <= size[1]


@given(percent_regions(), SIZES)
def test_region_of_a_picture_that_covers_what_was_asked_covers_the_input(
    region: Region, cover: tuple[int, int]
) -> None:
    size = region.cover(cover)
    assert size is not None
    left, upper, right, lower = region.box(size)
    assert right - left >= cover[0]
    assert lower - upper >= cover[1]


def test_whole_picture_in_per_cent_is_the_whole_picture() -> None:
    assert Region.parse("0%,0%,100%,100%").box((641, 479)) == (0, 0, 641, 479)
    assert Region.parse("33.3%,0%,66.7%,100%").box((1000, 10)) == (333, 0, 1000, 10)


def test_region_in_per_cent_takes_pixels_that_it_touches() -> None:
    assert Region.parse("10%,20%,15%,30%").box((33, 33)) == (3, 6, 9, 17)


def test_pixels_that_are_cut_out_are_those_that_were_named() -> None:
    part = RegionPicture(ReadyPicture(gradient(60, 40)), Region.parse("10,5,20,30")).image()
    assert part.size == (20, 30)
    assert part.getpixel((0, 0)) == (10, 5, 0)
    assert part.getpixel((19, 29)) == (29, 34, 0)


def test_region_is_of_the_rotated_picture() -> None:
    turned = RotatedPicture(ReadyPicture(gradient(60, 40)), 90)
    corner = RegionPicture(turned, Region.parse("0,0,1,1")).image()
    assert corner.getpixel((0, 0)) == (0, 39, 0)


def test_frames_are_cut_and_errors_pass() -> None:
    frames = [Frame("0", ReadyPicture(gradient(60, 40)), index=7, grabbed=1.5), Frame("0", None, "lost")]
    first, second = cut(frames, Region.parse("0,0,5,6"))
    assert first.picture is not None
    assert first.picture.image().size == (5, 6)
    assert (first.index, first.grabbed, second) == (7, 1.5, frames[1])


@pytest.mark.parametrize("text", ["50,0,11,10", "0,31,10,10", "100,100,5,5"])
def test_region_that_is_not_all_inside_is_refused_with_the_size_of_the_picture(text: str) -> None:
    picture = RegionPicture(ReadyPicture(gradient(60, 40)), Region.parse(text))
    with pytest.raises(ImageError, match=rf"--roi {text} is not inside the picture, which is 60 x 40 pixels"):
        picture.image()


def test_large_jpeg_is_reduced_only_as_far_as_its_region_still_covers_the_input(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    gradient(1600, 1200).save(path)
    half = RegionPicture(FilePicture(path), Region.parse("0%,0%,50%,50%")).image((90, 90))
    assert half.size == (200, 150)
    exact = RegionPicture(FilePicture(path), Region.parse("0,0,800,600")).image((90, 90))
    assert exact.size == (800, 600)
