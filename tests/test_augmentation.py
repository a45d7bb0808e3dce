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
    Mixer,
    RandomAffine,
    make_augmentation,
    strong_augmentation,
)
from edge_classify.train.feeds import ExampleTable, Feed
from edge_classify.train.options import AUGMENTATIONS, DEFAULT_AUGMENTATIONS, MIXES
from hypothesis import given, settings
from hypothesis import strategies as st
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


def test_strong_augmentation_turns_no_further_than_the_usual_one_and_not_at_all_without_rotation() -> None:
    layer = strong_augmentation(0, rotation=True)
    _is_rotation(*_affine(np.asarray(layer.random_rotation(_ramps(), training=True))))
    still = strong_augmentation(0, rotation=False)
    assert np.allclose(still.random_rotation(_ramps(), training=True), _ramps(), atol=1e-3)


def test_strong_augmentation_keeps_most_bits_and_inverts_only_what_is_bright() -> None:
    layer = strong_augmentation(0, rotation=True)
    shades = np.tile(np.arange(256, dtype=np.float32)[None, None, :, None], (64, 1, 1, 3))
    coarse = np.asarray(layer.random_posterization(shades, training=True))
    assert set(np.abs(coarse - shades).max(axis=(1, 2, 3))) <= {1.0, 3.0}  # 7 bits, or 6.
    inverted = np.asarray(layer.solarization(shades, training=True))[:, 0, :, 0]
    # Brightened by at most a quarter, a pixel below half is still below the threshold.
    assert (np.diff(inverted[:, :127]) >= 0).all() and (inverted[:, :127] >= shades[0, 0, :127, 0]).all()
    assert (inverted[:, 255] == 0).all()
    lowest = np.argmax(np.diff(inverted) < 0, axis=1) + 1
    assert lowest.min() >= 127 and np.ptp(lowest) > 60


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


KINDS = sorted(set(MIXES) - {"none"})
# Each image has a class of its own: a row of blended labels is what the image was blended of.
IMAGES, MIXED_SIDE = 12, 32
OWN_CLASSES = np.eye(IMAGES, dtype=np.float32)
LARGEST_SEED = 2**32 - 1

seeds = st.integers(0, LARGEST_SEED)
turns = st.integers(0, 500)


def _noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def _assert_shares(labels: NDArray[np.float32]) -> None:
    """Each row is of the image itself and at most one other, and sums to one."""
    assert labels.dtype == np.float32 and labels.min() >= 0
    np.testing.assert_allclose(labels.sum(1), 1, atol=1e-6)
    others = labels * (1 - OWN_CLASSES)
    assert ((others > 0).sum(1) <= 1).all()


@settings(max_examples=25)
@given(seeds, turns, turns, st.sampled_from([np.uint8, np.float32]))
def test_mixup_of_pixels_blends_them_in_the_shares_of_the_labels(
    seed: int, epoch: int, batch: int, dtype: Any
) -> None:
    pixels = _noise(IMAGES, 4, 4, 3).astype(dtype)
    blended, labels = Mixer("mixup", seed)(pixels, OWN_CLASSES, epoch, batch)
    _assert_shares(labels)
    assert blended.dtype == dtype and blended.shape == pixels.shape
    expected = np.tensordot(labels.astype(np.float64), pixels.astype(np.float64), 1)
    rounding = 0.5 if dtype == np.uint8 else 0
    assert np.abs(blended - expected).max() <= rounding + 1e-3


@settings(max_examples=25)
@given(seeds, turns, turns)
def test_cutmix_pastes_a_rectangle_of_another_image_as_large_as_its_share_of_the_label(
    seed: int, epoch: int, batch: int
) -> None:
    numbered = np.arange(IMAGES, dtype=np.uint8)[:, None, None, None] * np.ones(
        (MIXED_SIDE, MIXED_SIDE, 3), np.uint8
    )
    cut, labels = Mixer("cutmix", seed)(numbered, OWN_CLASSES, epoch, batch)
    _assert_shares(labels)
    assert cut.dtype == np.uint8 and (cut == cut[..., :1]).all()
    for number, (picture, label) in enumerate(zip(cut[..., 0], labels, strict=True)):
        pasted = picture != number
        assert np.array_equal(pasted, pasted.any(1)[:, None] & pasted.any(0))
        sources = set(picture[pasted])
        assert sources <= set(np.flatnonzero(label))
        # Sides are whole pixels: off by up to one row and one column.
        assert abs(pasted.mean() - (1 - label[number])) <= (2 * MIXED_SIDE + 1) / MIXED_SIDE**2


@pytest.mark.parametrize("kind", KINDS)
def test_mixing_blends_images_in_most_batches(kind: str) -> None:
    mixer, pixels = Mixer(kind, 0), _noise(IMAGES, MIXED_SIDE, MIXED_SIDE, 3)
    changed = [(mixer(pixels, OWN_CLASSES, 0, batch)[0] != pixels).any((1, 2, 3)) for batch in range(10)]
    assert np.mean(changed) > 0.2


@pytest.mark.parametrize("shape", [(IMAGES, 7), (IMAGES, 4, 4, 5)])
def test_mixup_of_activations_of_any_shape_blends_them_in_the_shares_of_the_labels(
    shape: tuple[int, ...],
) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    blended, labels = Mixer("mixup", 1)(values, OWN_CLASSES, 0, 0)
    assert blended.dtype == np.float32 and not np.array_equal(blended, values)
    np.testing.assert_allclose(blended, np.tensordot(labels, values, 1), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_blend_depends_on_seed_epoch_and_batch_alone(kind: str) -> None:
    pixels = _noise(IMAGES, MIXED_SIDE, MIXED_SIDE, 3)
    mixer = Mixer(kind, LARGEST_SEED)
    first = mixer(pixels, OWN_CLASSES, 3, 1)
    for other in ((Mixer(kind, 0), 3, 1), (mixer, 4, 1), (mixer, 3, 2)):
        assert not np.array_equal(first[1], other[0](pixels, OWN_CLASSES, *other[1:])[1])
    for again in (mixer, Mixer(kind, LARGEST_SEED)):
        for one, two in zip(first, again(pixels, OWN_CLASSES, 3, 1), strict=True):
            assert np.array_equal(one, two)


@pytest.mark.parametrize("kind", KINDS)
def test_image_alone_in_its_batch_stays_as_it_is(kind: str) -> None:
    pixels = _noise(1, MIXED_SIDE, MIXED_SIDE, 3)
    blended, labels = Mixer(kind, 0)(pixels, OWN_CLASSES[2:3], 0, 0)
    assert np.array_equal(blended, pixels)
    np.testing.assert_allclose(labels, OWN_CLASSES[2:3], atol=1e-6)


def test_feed_that_mixes_weights_each_blend_by_the_classes_in_it_and_can_begin_at_any_epoch() -> None:
    rows = np.arange(IMAGES)
    table = ExampleTable(_noise(IMAGES, 8, 8, 3), rows[None], np.ones_like(rows), rows % 3)
    weights = np.array([0.5, 1, 4], np.float32)

    def feed(epoch: int) -> Feed:
        return Feed(table, 3, 5, weights, epoch=epoch, mixer=Mixer("mixup", 0))

    begun_at_0 = feed(0)
    begun_at_0.on_epoch_end()
    for number in range(len(begun_at_0)):
        pixels, labels, weight = begun_at_0[number]
        assert pixels.dtype == np.uint8
        np.testing.assert_allclose(weight, labels @ weights, rtol=1e-6)
        for one, two in zip((pixels, labels, weight), feed(1)[number], strict=True):
            assert np.array_equal(one, two)
    assert not np.array_equal(begun_at_0[0][1], feed(0)[0][1])
