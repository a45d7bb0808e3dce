"""Several prototypes a class: directions that one dense layer compares with an image, in float or in 8 bits.

Three ways to run that layer in an int8 file are simulated. In all of them the features are those that the
int8 file has, and the weights are int8 with a scale for each prototype.

- "int8 weights": products are summed and divided by the features' length exactly. That is the least loss.
- "int8 layer": FULLY_CONNECTED gives int8, whose scale fits the training images; the division by the
  features' length follows in float.
- "int8 L2_NORMALIZATION": that operation comes first. TFLite fixes its int8 output to steps of 1/128
  (tensorflow/lite/kernels/l2norm.cc), and that of the layer is taken to have the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from edge_classify.convert.directions import class_directions, unit_rows
from numpy.typing import NDArray

from studies.unknown.metrics import Scores
from studies.unknown.scores import (
    Fit,
    Floats,
    Labelled,
    Outputs,
    Score,
    nearest_of,
)

COUNTS = (1, 2, 4, 8, 16)
SIMULATED = (1, 4)
_STEPS = 127  # Of int8 weights, on either side of 0.
_L2_STEP = 1 / 128
_BIAS_AND_SCALE = 8  # Bytes of a prototype beside its weights: int32 and float32.


def prototype_directions(training: Labelled, count: int) -> Floats:
    """Return at most `count` directions of each class, of length 1: those that a file gets."""
    return class_directions(training.outputs.features, training.truth, count)


def prototypes(training: Labelled, count: int) -> Score:
    """Return the highest cosine to any prototype."""
    return nearest_of(prototype_directions(training, count))


def int8_weights(training: Labelled, count: int) -> Score:
    """Return the same with int8 weights."""
    return nearest_of(rounded_weights(prototype_directions(training, count)))


def int8_layer(training: Labelled, count: int) -> Score:
    """Return the same where the layer's output is int8 too, before it is divided by the features' length."""
    weights = rounded_weights(prototype_directions(training, count))
    shown = training.outputs.features @ weights.T
    low, high = min(float(shown.min()), 0.0), max(float(shown.max()), 0.0)
    step = max(high - low, 1e-12) / 255

    def score(outputs: Outputs) -> Scores:
        given = np.clip(outputs.features @ weights.T, low, high)
        lengths = np.maximum(np.linalg.norm(outputs.features, axis=1), 1e-12)
        return np.asarray(step * np.rint(given / step).max(axis=1) / lengths, np.float64)

    return score


def int8_l2_normalization(training: Labelled, count: int) -> Score:
    """Return the same where L2_NORMALIZATION in int8 comes before an int8 layer."""
    weights = rounded_weights(prototype_directions(training, count))

    def score(outputs: Outputs) -> Scores:
        cosines = in_steps(unit_rows(outputs.features)) @ weights.T
        return np.asarray(in_steps(cosines).max(axis=1), np.float64)

    return score


def rounded_weights(directions: Floats) -> Floats:
    """Return weights as int8 stores them, with a scale a row, symmetric about 0."""
    scales = np.maximum(np.abs(directions).max(axis=1, keepdims=True), 1e-12) / _STEPS
    return np.asarray(np.rint(directions / scales) * scales, np.float32)


def in_steps(values: NDArray[np.float32]) -> Floats:
    """Return values from -1 to 127/128 in steps of 1/128."""
    return np.asarray(np.clip(np.rint(values / _L2_STEP), -128, 127) * _L2_STEP, np.float32)


def name_of(count: int) -> str:
    """Return what the tables call so many prototypes a class."""
    return "class means" if count == 1 else f"{count} prototypes"


def layer_cost(rows: int, features: int) -> tuple[int, int]:
    """Return bytes and multiply-accumulates of an int8 layer of prototypes, and of the features' length."""
    return rows * (features + _BIAS_AND_SCALE), (rows + 1) * features


_SIMULATIONS: Mapping[str, Callable[..., Score]] = {
    "int8 weights": int8_weights,
    "int8 layer": int8_layer,
    "int8 L2_NORMALIZATION": int8_l2_normalization,
}
PROTOTYPES: Mapping[str, Fit] = {name_of(count): partial(prototypes, count=count) for count in COUNTS}
INT8_PROTOTYPES: Mapping[str, Fit] = {
    f"{name_of(count)}, {name}": partial(simulate, count=count)
    for count in SIMULATED
    for name, simulate in _SIMULATIONS.items()
}
