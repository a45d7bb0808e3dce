"""Lays pairs of pictures over each other.

A placement says where a picture lies in another: float32 [pairs, 4], (shift, scale) across and then down. The
point u of the first picture is the point shift + scale * u of the second, in coordinates that are -1 and 1
at the edges of either. Pictures are float32 [pairs, side, side].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.float32]
Placement = NDArray[np.float32]

_LARGEST_STEP = 0.15
_LARGEST_SHIFT = 0.35
_LARGEST_SCALE = 1.4
_DAMPING = 1e-4  # Of the mean diagonal: pictures without edges in one direction have no shift in it.


def centred(pairs: int, scale: float = 1.0) -> Placement:
    """Return placements without a shift; `scale` below 1: the first picture shows the second's middle."""
    return np.tile(np.array([0, scale, 0, scale], np.float32), (pairs, 1))


def register(a: Pictures, b: Pictures, start: Placement, steps: int) -> Placement:
    """Return better placements: those of the least squared difference, found by `steps` Gauss-Newton steps.

    Contrast and brightness may differ. The gradients are the means of both pictures', which converges from
    farther away (Benhimane and Malis, "Real-time image-based tracking of planes using efficient second-order
    minimization", IROS 2004).
    """
    side, pairs = a.shape[-1], len(a)
    u = _coordinates(side)
    across_a, down_a = gradients(a)
    placement = start.copy()
    for _ in range(steps):
        warped, mask = warp(b, placement)
        a_even, warped_even, gain = equalize(a, warped, mask)
        across, down = gradients(warped)
        across, down = ((across * gain + across_a) * mask, (down * gain + down_a) * mask)
        terms = np.stack([across, across * u, down, down * u[:, None], warped_even, mask], axis=1)
        terms[:, :4] *= np.float32(
            side / 4
        )  # Half of the sum of two gradients per pixel, of side / 2 pixels.
        terms = terms.reshape(pairs, 6, side * side)
        matrix = terms @ terms.transpose(0, 2, 1)
        damping = np.einsum("nii->n", matrix) * np.float32(_DAMPING / 6) + np.float32(1e-6)
        matrix += damping[:, None, None] * np.eye(6, dtype=np.float32)
        right = terms @ (a_even - warped_even).reshape(pairs, side * side, 1)
        step = np.linalg.solve(matrix, right)[:, :4, 0].clip(-_LARGEST_STEP, _LARGEST_STEP)
        placement += step * placement[:, [1, 1, 3, 3]]
        placement[:, ::2] = placement[:, ::2].clip(-_LARGEST_SHIFT, _LARGEST_SHIFT)
        placement[:, 1::2] = placement[:, 1::2].clip(1 / _LARGEST_SCALE, _LARGEST_SCALE)
    return placement


def warp(b: Pictures, placement: Placement) -> tuple[Pictures, Pictures]:
    """Return the second pictures as seen through the first, and masks: 1 where they have pixels, else 0."""
    side = b.shape[-1]
    across, mask_across = _interpolation(placement[:, 0], placement[:, 1], side)
    down, mask_down = _interpolation(placement[:, 2], placement[:, 3], side)
    seen: Pictures = (down @ b @ across.transpose(0, 2, 1)).astype(np.float32, copy=False)
    mask: Pictures = mask_down[:, :, None] * mask_across[:, None, :]
    return seen, mask


def gradients(pictures: Pictures) -> tuple[Pictures, Pictures]:
    """Return the changes from pixel to pixel, across and down."""
    return np.gradient(pictures, axis=-1), np.gradient(pictures, axis=-2)


def equalize(a: Pictures, b: Pictures, mask: Pictures) -> tuple[Pictures, Pictures, Pictures]:
    """Return both with mean 0, and the second with the first's contrast, within the mask; and the factor."""
    pixels = np.maximum(mask.sum((1, 2), keepdims=True), 1)
    a_even = (a - (a * mask).sum((1, 2), keepdims=True) / pixels) * mask
    b_even = (b - (b * mask).sum((1, 2), keepdims=True) / pixels) * mask
    of_a = np.sqrt(sum_of_products(a_even, a_even)) + np.float32(1e-3)
    of_b = np.sqrt(sum_of_products(b_even, b_even)) + np.float32(1e-3)
    factor: Pictures = (of_a / of_b)[:, None, None]
    return a_even, b_even * factor, factor


def sum_of_products(a: Pictures, b: Pictures) -> NDArray[np.float32]:
    """Return [pairs], the sums over all pixels."""
    products: NDArray[np.float32] = np.einsum("nij,nij->n", a, b)
    return products


def _coordinates(side: int) -> NDArray[np.float32]:
    return ((np.arange(side, dtype=np.float32) - (side - 1) / 2) / (side / 2)).astype(np.float32)


def _interpolation(
    shift: NDArray[np.float32], scale: NDArray[np.float32], side: int
) -> tuple[Pictures, NDArray[np.float32]]:
    """Return the matrices [pairs, side, side] of linear interpolation, and [pairs, side]: 1 within."""
    half = np.float32(side / 2)
    places = (shift[:, None] + scale[:, None] * _coordinates(side)) * half + np.float32((side - 1) / 2)
    distance = np.abs(places[:, :, None] - np.arange(side, dtype=np.float32))
    inside = (places > -0.01) & (places < side - 0.99)
    weights: Pictures = np.maximum(np.float32(0), 1 - distance)
    return weights, inside.astype(np.float32)
