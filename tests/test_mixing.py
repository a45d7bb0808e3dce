from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edge_classify.train.examples import Table
from edge_classify.train.feeds import Feed
from edge_classify.train.mixing import Mixer
from edge_classify.train.options import MIXES
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

KINDS = sorted(set(MIXES) - {"none"})
# Each image has a class of its own: a row of blended labels is what the image was blended of.
IMAGES, SIDE = 12, 32
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
    numbered = np.arange(IMAGES, dtype=np.uint8)[:, None, None, None] * np.ones((SIDE, SIDE, 3), np.uint8)
    cut, labels = Mixer("cutmix", seed)(numbered, OWN_CLASSES, epoch, batch)
    _assert_shares(labels)
    assert cut.dtype == np.uint8 and (cut == cut[..., :1]).all()
    for number, (picture, label) in enumerate(zip(cut[..., 0], labels, strict=True)):
        pasted = picture != number
        assert np.array_equal(pasted, pasted.any(1)[:, None] & pasted.any(0))
        sources = set(picture[pasted])
        assert sources <= set(np.flatnonzero(label))
        # Sides are whole pixels: off by up to one row and one column.
        assert abs(pasted.mean() - (1 - label[number])) <= (2 * SIDE + 1) / SIDE**2


@pytest.mark.parametrize("kind", KINDS)
def test_mixing_blends_images_in_most_batches(kind: str) -> None:
    mixer, pixels = Mixer(kind, 0), _noise(IMAGES, SIDE, SIDE, 3)
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
    pixels = _noise(IMAGES, SIDE, SIDE, 3)
    mixer = Mixer(kind, LARGEST_SEED)
    first = mixer(pixels, OWN_CLASSES, 3, 1)
    for other in ((Mixer(kind, 0), 3, 1), (mixer, 4, 1), (mixer, 3, 2)):
        assert not np.array_equal(first[1], other[0](pixels, OWN_CLASSES, *other[1:])[1])
    for again in (mixer, Mixer(kind, LARGEST_SEED)):
        for one, two in zip(first, again(pixels, OWN_CLASSES, 3, 1), strict=True):
            assert np.array_equal(one, two)


@pytest.mark.parametrize("kind", KINDS)
def test_image_alone_in_its_batch_stays_as_it_is(kind: str) -> None:
    pixels = _noise(1, SIDE, SIDE, 3)
    blended, labels = Mixer(kind, 0)(pixels, OWN_CLASSES[2:3], 0, 0)
    assert np.array_equal(blended, pixels)
    np.testing.assert_allclose(labels, OWN_CLASSES[2:3], atol=1e-6)


def test_feed_that_mixes_weights_each_blend_by_the_classes_in_it_and_can_begin_at_any_epoch() -> None:
    rows = np.arange(IMAGES)
    table = Table(_noise(IMAGES, 8, 8, 3), rows[None], np.ones_like(rows), rows % 3)
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
