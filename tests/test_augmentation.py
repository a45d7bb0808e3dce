from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from edge_classify.train.augmentation import (
    ERASED,
    MAX_ROTATION,
    MAX_SHEAR,
    MAX_SHIFT,
    MAX_ZOOM,
    RandomAffine,
    make_augmentation,
)
from edge_classify.train.options import AUGMENTATIONS, DEFAULT_AUGMENTATIONS
from numpy.typing import NDArray

SIDE, COUNT = 64, 40


def _ramps() -> NDArray[np.float32]:
    """Pictures whose first channel is the column and whose second is the row, to be read off."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    return np.tile(np.stack([columns, rows, 0 * rows], axis=-1), (COUNT, 1, 1, 1))


def _augment(*names: str, seed: int = 0) -> NDArray[np.float32]:
    return np.asarray(RandomAffine(names, seed)(_ramps(), training=True))


def _affine(pictures: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return [n, 2, 2], where a step in the output leads in the input, and [n, 2], where its centre leads."""
    middle = pictures[:, 16:48, 16:48, :2]
    by_column = (middle[:, :, -1] - middle[:, :, 0]).mean(1) / 31
    by_row = (middle[:, -1] - middle[:, 0]).mean(1) / 31
    return np.stack([by_column, by_row], axis=-1), middle.mean((1, 2)) - (SIDE - 1) / 2


def test_augmentation_outside_training_changes_nothing() -> None:
    layer = RandomAffine(DEFAULT_AUGMENTATIONS, 0)
    assert np.array_equal(layer(_ramps(), training=False), _ramps())
    assert np.array_equal(layer(_ramps()), _ramps())


def test_augmentation_by_nothing_changes_nothing_in_training() -> None:
    assert np.array_equal(_augment(), _ramps())


def test_flip_mirrors_some_pictures_and_leaves_the_others() -> None:
    out = _augment("flip")
    mirrored = [np.allclose(picture, _ramps()[0, :, ::-1], atol=1e-3) for picture in out]
    same = [np.allclose(picture, _ramps()[0], atol=1e-3) for picture in out]
    assert all(m != s for m, s in zip(mirrored, same, strict=True))
    assert 8 < sum(mirrored) < 32


def _is_shift(matrix: Any, centre: Any) -> None:
    assert np.allclose(matrix, np.eye(2), atol=1e-3)
    assert np.allclose(centre, centre.round(), atol=1e-3)  # By parts of a pixel it would blur.
    assert np.abs(centre).max() <= MAX_SHIFT * SIDE + 0.5
    assert (centre.min(0) < -0.05 * SIDE).all() and (centre.max(0) > 0.05 * SIDE).all()


def _is_zoom(matrix: Any, centre: Any) -> None:
    zooms = matrix[:, 0, 0]
    assert np.allclose(matrix, zooms[:, None, None] * np.eye(2), atol=1e-3)
    assert np.allclose(centre, 0, atol=1e-3)
    assert 1 - MAX_ZOOM <= zooms.min() < 0.95 and 1.05 < zooms.max() <= 1 + MAX_ZOOM


def _is_rotation(matrix: Any, centre: Any) -> None:
    angles = np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0])
    turned = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]])
    assert np.allclose(matrix, turned.transpose(2, 0, 1), atol=2e-3)
    assert np.allclose(centre, 0, atol=1e-2)
    assert -MAX_ROTATION <= angles.min() < -0.1 and 0.1 < angles.max() <= MAX_ROTATION


def _is_shear(matrix: Any, centre: Any) -> None:
    shears = matrix[:, 0, 1]
    assert np.allclose(matrix - shears[:, None, None] * [[0, 1], [0, 0]], np.eye(2), atol=1e-3)
    assert np.allclose(centre, 0, atol=1e-2)
    assert -MAX_SHEAR <= shears.min() < -0.05 and 0.05 < shears.max() <= MAX_SHEAR


@pytest.mark.parametrize(
    ("name", "check"),
    [("shift", _is_shift), ("zoom", _is_zoom), ("rotation", _is_rotation), ("shear", _is_shear)],
)
def test_single_augmentation_of_ramps_is_what_its_name_says_and_within_its_limit(
    name: str, check: Callable[[Any, Any], None]
) -> None:
    check(*_affine(_augment(name)))


def test_flip_of_a_shifted_picture_keeps_it_in_the_frame() -> None:
    # The matrix is about the centre: even the strongest combination leads there, give or take the shift.
    _, centre = _affine(_augment(*DEFAULT_AUGMENTATIONS))
    assert np.abs(centre).max() <= MAX_SHIFT * SIDE + 0.5


def test_pixels_from_outside_the_picture_are_its_mirror_image() -> None:
    for picture in _augment("shift"):
        columns, rows = picture[32, :, 0].round(), picture[:, 32, 1].round()
        for line, shift in ((columns, columns[32] - 32), (rows, rows[32] - 32)):
            place = np.arange(SIDE) + shift
            mirrored = np.where(place < 0, -1 - place, np.where(place >= SIDE, 2 * SIDE - 1 - place, place))
            assert np.array_equal(line, mirrored)


def test_augmented_pixels_stay_in_the_range_of_the_picture() -> None:
    out = _augment(*DEFAULT_AUGMENTATIONS)
    assert out[..., :2].min() >= -1e-3 and out[..., :2].max() <= SIDE - 1 + 1e-3
    white = RandomAffine(DEFAULT_AUGMENTATIONS, 0)(np.full((8, 32, 32, 3), 255, np.float32), training=True)
    assert np.allclose(white, 255, atol=1e-2)


def test_draws_of_one_seed_are_the_same_and_go_on_changing() -> None:
    one, other = RandomAffine(DEFAULT_AUGMENTATIONS, 3), RandomAffine(DEFAULT_AUGMENTATIONS, 3)
    first = np.asarray(one(_ramps(), training=True))
    assert np.array_equal(first, other(_ramps(), training=True))
    assert not np.allclose(first, one(_ramps(), training=True))
    assert not np.allclose(first, _augment(*DEFAULT_AUGMENTATIONS, seed=4))


def test_pictures_of_bytes_are_augmented_like_those_of_floats() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)
    one, other = (make_augmentation(AUGMENTATIONS, 3) for _ in range(2))
    out = np.asarray(one(pictures, training=True))
    assert out.dtype == np.float32
    assert np.array_equal(out, other(pictures.astype(np.float32), training=True))
    assert np.array_equal(one(pictures, training=False), pictures)


def test_erasing_greys_one_rectangle_in_about_half_of_the_pictures() -> None:
    white = np.full((200, 32, 32, 3), 255, np.float32)
    out = np.asarray(make_augmentation(("erase",), 0)(white, training=True))
    erased = (out == 127).all(-1)
    assert np.array_equal(erased[..., None] | (out == 255), np.ones_like(out, bool))
    some = erased[erased.any((1, 2))]
    assert 70 <= len(some) <= 130
    for picture in some:
        rows, columns = picture.any(1), picture.any(0)
        assert np.array_equal(picture, rows[:, None] & columns)  # A rectangle.
    # Sides are whole pixels, so that the share is off by up to one row and one column.
    assert ERASED[0] * 0.6 < some.mean((1, 2)).min() and some.mean((1, 2)).max() < ERASED[1] * 1.5


def test_augmentation_without_erasing_has_none_of_it() -> None:
    out = np.asarray(
        make_augmentation(("flip",), 0)(np.full((50, 32, 32, 3), 255, np.float32), training=True)
    )
    assert (out == 255).all()
