from __future__ import annotations

import numpy as np
import pytest
from edge_classify.train.corruption import CORRUPTIONS, corrupt, strength
from hypothesis import given
from hypothesis import strategies as st

from .support.pictures import make_picture


def _pictures(side: int = 32) -> np.ndarray:
    return np.stack([np.asarray(make_picture("red disc", seed, (side, side))) for seed in range(3)])


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("side", [32, 224])
def test_corruption_of_a_picture_is_seen_and_mild(kind: str, side: int) -> None:
    pixels = _pictures(side)
    original = pixels.copy()
    damaged = corrupt(pixels, kind, 0)
    assert damaged.dtype == np.uint8 and damaged.shape == pixels.shape
    assert np.array_equal(pixels, original)
    change = np.abs(damaged.astype(float) - pixels).mean()
    assert 1 < change < 40


@pytest.mark.parametrize(
    ("kind", "small", "large"),
    # Published strengths: CIFAR-10-C, severity 2, and ImageNet-C, severity 1.
    [("blur", 0.6, 1.0), ("noise", 0.06, 0.08), ("brightness", 0.1, 0.1), ("jpeg", 65, 25)],
)
def test_strength_between_the_published_sizes_is_interpolated(kind: str, small: float, large: float) -> None:
    assert [strength(kind, side) for side in (16, 32)] == [small, small]
    assert [strength(kind, side) for side in (224, 512)] == [large, large]
    middle = strength(kind, round((32 * 224) ** 0.5))  # The middle of the logarithms.
    assert middle == pytest.approx((small + large) / 2, rel=0.01)


def test_noise_of_another_seed_differs_and_of_the_same_does_not() -> None:
    pixels = _pictures()
    assert np.array_equal(corrupt(pixels, "noise", 1), corrupt(pixels, "noise", 1))
    assert not np.array_equal(corrupt(pixels, "noise", 1), corrupt(pixels, "noise", 2))


def test_noise_on_grey_has_the_stated_deviation() -> None:
    damaged = corrupt(np.full((4, 64, 64, 3), 128, np.uint8), "noise", 3)
    assert damaged.std() == pytest.approx(strength("noise", 64) * 255, rel=0.02)


def test_blur_of_an_edge_has_the_stated_width() -> None:
    # The slope of a blurred step at its middle is its height / (sigma * sqrt(2 pi)).
    edge = np.zeros((1, 224, 224, 3), np.uint8)
    edge[:, :, 112:] = 255
    blurred = corrupt(edge, "blur", 0)[0, 100, :, 0].astype(float)
    assert blurred[112] - blurred[111] == pytest.approx(255 / (1.0 * np.sqrt(2 * np.pi)), rel=0.1)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_brighter_colour_keeps_its_hue_and_gains_the_stated_value(colour: tuple[int, int, int]) -> None:
    pixels = np.full((1, 32, 32, 3), colour, np.uint8)
    bright = corrupt(pixels, "brightness", 0)[0, 0, 0].astype(float)
    assert bright.max() == pytest.approx(min(255, max(colour) + 0.1 * 255), abs=0.501)
    if max(colour):
        assert np.allclose(bright / bright.max(), np.array(colour) / max(colour), atol=1 / bright.max())
