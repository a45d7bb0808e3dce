"""Tells how far pictures that lie over each other agree, as numbers and as a decision.

Pictures are float32 [pairs, side, side]; where they lie is a placement, as `registration` defines it. What is
measured is float32 [pairs], and holds for the pixels that both pictures have.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from .registration import Pictures, Placement, equalize, gradients, sum_of_products, warp

# What pictures that show the same have in common. studies/twins.py measures how well these limits do.
LEAST_GREY = 0.93
LEAST_EDGES = 0.85
LEAST_OVERLAP = 0.5
LARGEST_DIFFERENCE = 1.6
LEAST_DETAILS = 0.75
_LEAST_DETAILS_MOVED, _LEAST_TEXTURE_MOVED = 0.9, 0.6
_LARGEST_COLOUR_DIFFERENCE, _OF_SMALL_PICTURES = 8.0, 320.0
_SAME_PLACE, _EDGE = 0.04, 0.02
_LEAST_ACROSS = 0.04
_EXPECTED, _EXPECTED_OF_STEEPNESS = np.float32(4), np.float32(0.25)
_GRAIN, _TEXTURE = np.float32(0.5), np.float32(3)  # Grey values.
_ALL_OF_NINE = 0.999
_TINY = np.float32(1e-3)
_PIXEL = np.float32(0.68)  # The blur of a pixel, as a Gaussian: of a thumbnail and of its smoothing.
_NO_BLUR = np.float32(0.1)

Measure = NDArray[np.float32]


class Agreement(NamedTuple):
    """How far the pictures of each pair agree.

    Attributes:
        grey: correlation of the grey values.
        edges: correlation of their gradients.
        overlap: the share of the first picture that the second covers.
        difference: the largest difference of grey values that is left after contrast and brightness were made
            equal, of means of 3x3 pixels; in multiples of what is expected there: 4, and a quarter of the
            change from pixel to pixel, because copies are never laid over each other exactly.
    """

    grey: Measure
    edges: Measure
    overlap: Measure
    difference: Measure

    @property
    def good(self) -> NDArray[np.bool_]:
        """Whether the pictures agree in their forms; `details_agree` is to decide on their details."""
        return np.asarray(
            (self.grey >= LEAST_GREY)
            & (self.edges >= LEAST_EDGES)
            & (self.overlap >= LEAST_OVERLAP)
            & (self.difference <= LARGEST_DIFFERENCE)
        )


def compare(a: Pictures, b: Pictures, placement: Placement) -> Agreement:
    """Return how far pairs of pictures agree at their placements."""
    seen, mask, inner = _lay(b, placement)
    a, seen = equally_sharp(a, seen, placement)
    a_even, b_even, _ = equalize(a, seen, mask)
    across_a, down_a, across_b, down_b = (
        np.where(inner, gradient, 0) for picture in (a, seen) for gradient in gradients(picture)
    )
    common = sum_of_products(across_a, across_b) + sum_of_products(down_a, down_b)
    of_a = sum_of_products(across_a, across_a) + sum_of_products(down_a, down_a)
    of_b = sum_of_products(across_b, across_b) + sum_of_products(down_b, down_b)
    left = np.abs(_mean_of_nine(a_even - b_even))
    left /= _EXPECTED + _EXPECTED_OF_STEEPNESS * _mean_of_nine(np.hypot(across_a, down_a))
    return Agreement(
        grey=_share(sum_of_products(a_even, b_even), sum_of_products(a_even, a_even)),
        edges=_share(common, np.sqrt(of_a * of_b)),
        overlap=mask.mean((1, 2)),
        difference=np.where(inner, left, 0).max((1, 2)),
    )


def equally_sharp(a: Pictures, seen: Pictures, placement: Placement) -> tuple[Pictures, Pictures]:
    """Return both pictures of each pair with the sharpness of the coarser one.

    Of two thumbnails of equal size, that of a part shows smaller details. A pixel of the second is as wide as
    1 / scale of the first's, and the widths of two blurs add up as squares.
    """
    width = 1 / np.maximum(placement[:, 1::2], _TINY)
    of_a = np.sqrt(np.maximum(width**2 - 1, 0)) * _PIXEL
    of_b = np.sqrt(np.maximum(1 - width**2, 0)) * _PIXEL
    return _blur(a, of_a), _blur(seen, of_b)


def _blur(pictures: Pictures, sigma: NDArray[np.float32]) -> Pictures:
    """Return pictures smoothed by a Gaussian of `sigma` [pairs, 2] pixels, across and down."""
    places = np.arange(pictures.shape[-1], dtype=np.float32)
    distance = (places[:, None] - places) ** 2
    weights = np.exp(-distance / (2 * np.maximum(sigma, _NO_BLUR)[:, :, None, None] ** 2))
    weights /= weights.sum(-1, keepdims=True)
    blurred: Pictures = weights[:, 1] @ pictures @ weights[:, 0].transpose(0, 2, 1)
    return blurred


def details_agree(a: Pictures, b: Pictures, placement: Placement) -> NDArray[np.bool_]:
    """Return whether pictures of equal forms agree in their details as well, as far as these are needed.

    A drawing of few forms resembles many others that are shifted or scaled a little, and stripes resemble
    stripes of another width. So pictures must lie in the same place if all their edges are parallel. Where
    neither is a part of the other, most of their area must be textured.
    """
    details, texture = _compare_details(a, b, placement)
    across, down = gradients(a)
    horizontal, vertical = sum_of_products(across, across), sum_of_products(down, down)
    spread = np.sqrt((horizontal - vertical) ** 2 + 4 * sum_of_products(across, down) ** 2)
    # The ratio of the structure tensor's eigenvalues: 0 where all edges are parallel.
    parallel = _share(horizontal + vertical - spread, horizontal + vertical + spread) < _LEAST_ACROSS
    least = np.where(_is_part(placement), LEAST_DETAILS, _LEAST_DETAILS_MOVED)
    textured = _is_part(placement) | (texture >= _LEAST_TEXTURE_MOVED)
    same_place = (np.abs(placement - np.array([0, 1, 0, 1])) <= _SAME_PLACE).all(1)
    return np.asarray((details >= least) & textured & (same_place | ~parallel))


def colours_agree(
    a: Pictures, b: Pictures, placement: Placement, sides: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return whether a channel of chroma agrees; `sides` [pairs] are the shorter ones, in pixels.

    JPEG changes the colours of small pictures more: those of large ones are averaged in a thumbnail.
    """
    seen, _, inner = _lay(b, placement)
    largest = np.where(inner, np.abs(_mean_of_nine(a - seen)), 0).max((1, 2))
    return np.asarray(largest <= _LARGEST_COLOUR_DIFFERENCE + _OF_SMALL_PICTURES / np.maximum(sides, 1))


def _is_part(placement: Placement) -> NDArray[np.bool_]:
    """Return whether one picture shows all of the other, but for 1 % of its side at each edge."""
    shift, scale = np.abs(placement[:, ::2]), placement[:, 1::2]
    in_second = (shift + scale <= 1 + _EDGE).all(1)
    in_first = (1 + shift <= scale * (1 + _EDGE)).all(1)
    return np.asarray(in_second | in_first)


def _compare_details(a: Pictures, b: Pictures, placement: Placement) -> tuple[Measure, Measure]:
    """Return the correlation of details, strong and weak alike, and the share of the area with texture.

    Details are what differs from the mean of 5x5 pixels. A strong edge counts no more than a weak texture:
    equal forms in front of a plain background agree in their edges, but not in their grain.
    """
    seen, mask, inner = _lay(b, placement)
    a_even, b_even, _ = equalize(a, seen, mask)
    details, textures = [], []
    for picture in (a_even, b_even):
        differences = picture - _mean_of_25(picture)
        energy = _mean_of_25(differences**2)
        details.append(np.where(inner, differences / np.sqrt(energy + _GRAIN**2), 0))
        textures.append(np.where(inner, energy / (energy + _TEXTURE**2), 0).sum((1, 2)))
    energy = sum_of_products(details[0], details[0]) * sum_of_products(details[1], details[1])
    area = inner.sum((1, 2)).astype(np.float32)
    return _share(sum_of_products(*details), np.sqrt(energy)), _share(np.minimum(*textures), area)


def _lay(b: Pictures, placement: Placement) -> tuple[Pictures, Pictures, NDArray[np.bool_]]:
    """Return the second pictures as the first see them, where they are, and where all neighbours are."""
    seen, mask = warp(b, placement)
    return seen, mask, np.asarray(_mean_of_nine(mask) > _ALL_OF_NINE)


def _share(part: Measure, whole: Measure) -> Measure:
    return (part / np.maximum(whole, _TINY)).astype(np.float32, copy=False)


def _mean_of_nine(pictures: Pictures) -> Pictures:
    """Return the mean of each pixel and its 8 neighbours; beyond the edges there are zeros."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    means: Pictures = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / np.float32(9)
    return means


def _mean_of_25(pictures: Pictures) -> Pictures:
    means: Pictures = uniform_filter(pictures, (1, 5, 5))
    return means
