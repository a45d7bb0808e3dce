"""Copies of pictures are found however they were made, and other pictures are not taken for copies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from edge_classify.train.candidates import Candidates, CandidateSearch
from edge_classify.train.near_duplicates import find_pairs
from edge_classify.train.registration import centred, register, warp
from edge_classify.train.thumbnails import Thumbnails, make_thumbnail, read_thumbnails
from PIL import Image, ImageDraw, ImageOps

from .support.pictures import SHAPES, make_picture


def _thumbnails(pictures: Sequence[Image.Image]) -> Thumbnails:
    return read_thumbnails([make_thumbnail(picture) for picture in pictures])


def _pairs(pictures: Sequence[Image.Image]) -> set[tuple[int, int, bool]]:
    """Return the pairs that are found: the smaller number, the larger, and whether they are mirrored."""
    sides = np.array([min(picture.size) for picture in pictures])
    found = find_pairs(_thumbnails(pictures), sides)
    rows = zip(found.first.tolist(), found.second.tolist(), found.mirrored.tolist(), strict=True)
    return {(min(i, j), max(i, j), turned) for i, j, turned in rows}


def _scene(seed: int, size: tuple[int, int] = (120, 90)) -> Image.Image:
    """A picture with forms of all sizes, whose amplitudes fall with the frequency as those of photos do."""
    rng = np.random.default_rng(seed)
    width, height = size
    frequency = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.fftfreq(width) * width)
    spectrum = np.fft.fft2(rng.normal(size=(3, height, width))) / np.maximum(frequency, 1) ** 1.2
    values = np.fft.ifft2(spectrum).real
    values = values[:1] + 0.4 * values  # Photos have less colour than light.
    values = 127 + 50 * (values - values.mean()) / values.std()
    return Image.fromarray(values.transpose(1, 2, 0).clip(0, 255).astype(np.uint8))


def _arrow(x: float, left: bool) -> Image.Image:
    picture = Image.new("RGB", (96, 96), "white")
    ends = (x + 20, x - 20) if left else (x - 20, x + 20)
    draw = ImageDraw.Draw(picture)
    draw.line([(ends[0], 48), (ends[1], 48)], "navy", 8)
    direction = 1 if left else -1
    draw.polygon(
        [(ends[1] - 8 * direction, 48), (ends[1] + 10 * direction, 34), (ends[1] + 10 * direction, 62)],
        "navy",
    )
    return picture


def test_photos_of_other_things_are_no_pairs() -> None:
    assert _pairs([_scene(seed) for seed in range(60)]) == set()


@pytest.mark.parametrize("size", [(48, 40), (64, 64), (100, 80)])
def test_drawings_of_equal_forms_in_other_places_are_no_pairs(size: tuple[int, int]) -> None:
    assert _pairs([make_picture(label, seed, size) for label in SHAPES for seed in range(20)]) == set()


def test_arrows_in_other_places_are_no_pairs_but_a_mirrored_drawing_is_found() -> None:
    places = (30, 39, 48, 57)
    pictures = [_arrow(x, left=False) for x in places]
    assert _pairs(pictures) == set()
    assert _pairs([*pictures, ImageOps.mirror(pictures[1])]) == {(1, 4, True)}


def test_plain_pictures_are_pairs_of_nothing_but_their_copies() -> None:
    columns = [np.linspace(60, 60 + rise, 64, dtype=np.uint8) for rise in (20, 40, 90, 180)]
    slopes = [Image.fromarray(np.tile(column[:, None, None], (1, 64, 3))) for column in columns]
    turned = [picture.transpose(Image.Transpose.ROTATE_90) for picture in slopes]
    found = {(i, j) for i, j, _ in _pairs([*slopes, *turned, *slopes])}
    assert found == {(i, i + 8) for i in range(4)}


def test_pictures_of_half_the_thumbnail_are_found_by_their_coarse_forms() -> None:
    pictures = [_scene(seed, (32, 32)) for seed in range(10)]
    halves = [picture.resize((16, 16), Image.Resampling.BICUBIC) for picture in pictures]
    assert {(i, j) for i, j, _ in _pairs([*pictures, *halves])} == {(i, i + 10) for i in range(10)}


def test_copies_among_many_pictures_that_all_look_alike_are_found() -> None:
    # More than the 128 nearest that are compared in the second step: the copy is among the nearest.
    ground = np.asarray(_scene(0), np.int16)
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray((ground + rng.normal(0, 25, ground.shape)).clip(0, 255).astype(np.uint8))
                for _ in range(300)]  # fmt: skip
    pictures = [Image.blend(picture, _scene(seed), 0.3) for seed, picture in enumerate(pictures, 1)]
    assert (17, 300, True) in _pairs([*pictures, ImageOps.mirror(pictures[17])])


def test_search_knows_a_part_and_a_mirrored_part() -> None:
    whole = _scene(1, (200, 200))
    part = whole.crop((20, 20, 180, 180))
    for second, mirrored in ((part, False), (ImageOps.mirror(part), True)):
        search = CandidateSearch(_thumbnails([whole, second]))
        found = Candidates.join([search.find(block) for block in search.blocks])
        assert found.mirrored.tolist() == [mirrored]
        # The one that is named first shows 0.87 of the other's sides, or the other shows 0.87 of its own.
        assert found.scale[0] == pytest.approx(0.87 if found.first[0] == 1 else 1 / 0.87)


def test_register_finds_where_a_part_was_cut_out() -> None:
    whole = _scene(3, (200, 200))
    part = whole.crop((10, 30, 190, 190))  # 180 x 160: its middle lies at (100, 110).
    a, b = (picture.grey.astype(np.float32) for picture in (_thumbnails([part]), _thumbnails([whole])))
    placement = register(a, b, centred(1, 0.87), 8)
    # By hand: the shift is (100 - 100) / 100 across, (110 - 100) / 100 down; the scale 180 / 200, 160 / 200.
    assert placement[0] == pytest.approx([0, 0.9, 0.1, 0.8], abs=0.02)
    seen, mask = warp(b, placement)
    assert mask.mean() > 0.9 and np.abs(seen - a).mean() < 0.4 * np.abs(b - a).mean()
