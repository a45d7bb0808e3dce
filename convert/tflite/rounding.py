"""Chooses for each 8-bit weight whether it is rounded up or down, so that the layer's output changes least.

Rounded to the nearest, each weight is as close as can be, and their errors add up as they fall. Chosen
together, they cancel: where weights change by d, the output's variance changes by d * C * d, with C the
covariance of the inputs (the objective of AdaRound: Nagel et al., Up or down? Adaptive rounding for
post-training quantization, ICML 2020, section 3). AdaRound finds the choice by gradient descent on a
relaxation; here one weight after the other gets the integer that is best given all others, which lowers the
same objective in each step and needs no step size (Behdin et al., QuantEase, 2023, arXiv:2309.01885).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGEST = 127
_MOST_PASSES = 5
_BLOCK = 64  # Inputs whose steps are known to each other at once; the others learn of them block by block.
# The covariance of a few thousand places is uncertain: what is off its diagonal is shrunk by this share.
_SHRINKAGE = 0.1
# An input that hardly varies changes nothing, and its weight stays as it is.
_CONSTANT = 1e-12


def learn_rounding(
    weights: NDArray[np.float64], stored: NDArray[np.int8], covariance: NDArray[np.float64]
) -> NDArray[np.int8]:
    """Return integers, int8 [outputs, inputs], in place of `stored`, which they are at least as good as.

    `weights` are the float weights over their scales, float64 [outputs, inputs], and `covariance` that of the
    inputs, float64 [inputs, inputs], or [outputs, inputs, inputs] for a depthwise layer.
    """
    shrunk = _shrink(covariance)
    if shrunk.ndim == 3:
        return _descend_depthwise(weights, stored, shrunk)
    return _descend(weights, stored, shrunk)


def output_error(
    weights: NDArray[np.float64], stored: NDArray[np.int8], covariance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the variance of each output's error, float64 [outputs], in units of its squared scale."""
    error = stored - weights
    pushed = error @ covariance if covariance.ndim == 2 else np.einsum("oi,oij->oj", error, covariance)
    return np.asarray((pushed * error).sum(1))


def _shrink(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    diagonal = np.einsum("...ii->...i", covariance)
    shrunk = covariance * (1 - _SHRINKAGE)
    np.einsum("...ii->...i", shrunk)[...] = diagonal
    return shrunk


def _descend(
    weights: NDArray[np.float64], stored: NDArray[np.int8], covariance: NDArray[np.float64]
) -> NDArray[np.int8]:
    """Return the integers of a layer whose outputs all read the same inputs."""
    found = stored.T.astype(np.float32)  # One input a row.
    gradient = (covariance @ (stored.T - weights.T)).astype(np.float32)
    products = covariance.astype(np.float32)
    inverse = _inverse(np.diag(covariance)).astype(np.float32)
    for _ in range(_MOST_PASSES):
        before = found.copy()
        for first in range(0, len(found), _BLOCK):
            rows = slice(first, first + _BLOCK)
            steps = _descend_block(found[rows], gradient[rows].copy(), products[rows, rows], inverse[rows])
            if steps.any():
                gradient += products[:, rows] @ steps
        if (found == before).all():
            break
    return found.T.astype(np.int8)


def _descend_block(
    found: NDArray[np.float32],
    gradient: NDArray[np.float32],
    covariance: NDArray[np.float32],
    inverse: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Change `found` and `gradient`, [block, outputs], in place; return the steps, [block, outputs]."""
    before = found.copy()
    for row in range(len(found)):
        step = _best(found[row], gradient[row], inverse[row]) - found[row]
        if step.any():
            found[row] += step
            gradient += covariance[:, row, None] * step
    return found - before


def _descend_depthwise(
    weights: NDArray[np.float64], stored: NDArray[np.int8], covariance: NDArray[np.float64]
) -> NDArray[np.int8]:
    """Return the integers of a layer each of whose outputs reads inputs of its own."""
    found = stored.astype(np.float64)
    gradient = np.einsum("oi,oij->oj", found - weights, covariance)
    inverse = _inverse(np.einsum("oii->oi", covariance))
    for _ in range(_MOST_PASSES):
        before = found.copy()
        for tap in range(found.shape[1]):
            step = _best(found[:, tap], gradient[:, tap], inverse[:, tap]) - found[:, tap]
            found[:, tap] += step
            gradient += covariance[:, tap] * step[:, None]
        if (found == before).all():
            break
    return found.astype(np.int8)


def _best(found: NDArray[Any], gradient: NDArray[Any], inverse: Any) -> NDArray[Any]:
    """Return the best integers for one input of all outputs, where all other inputs stay."""
    best = np.rint(found - gradient * inverse)
    return np.asarray(np.minimum(np.maximum(best, -_LARGEST), _LARGEST))


def _inverse(curvature: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one over the curvature, and 0, which leads to no step, where an input hardly varies."""
    return np.where(curvature > _CONSTANT, 1 / np.maximum(curvature, _CONSTANT), 0.0)
