"""A linear probe: what a linear classifier on fixed features answers for images and for changed copies.

The features are those of the yardstick, a small network that comes with the package and never changes, so
that the same images give the same answers in every version, without a download. Two of its stages are read.
Its last one knows objects, and hardly tells left from right, since it was trained with mirrored images; a
middle one, in 3 x 3 parts of the picture, knows shapes and where they are.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ..benchmarks.measuring.yardstick import YARDSTICK
from ..convert.tflite.flatgraph import operation_of, pack, unpack
from ..edge.cores import cores
from ..edge.runtime import load_interpreter

SIDE = 96  # Pixels; the input of the yardstick.
_PARTS = 3  # Parts of the picture in each direction.
_MIDDLE = 6  # Side in cells of the middle stage: a cell is 16 pixels.
_CHUNK = 16
_FOLDS = 10
_PENALTIES = (0.03, 0.1, 0.3, 1.0)  # In units of the mean square of the features of an image.

Features = tuple[NDArray[np.float32], ...]
"""A float32 array [images, features] for each stage."""


def extract_features(pixels: NDArray[np.uint8]) -> Features:
    """Return the features of images, uint8 [n, SIDE, SIDE, 3]; about 1 ms of one core for each."""
    own = threading.local()
    model = _headless_yardstick()

    def compute(start: int) -> list[tuple[NDArray[np.float32], ...]]:
        if not hasattr(own, "interpreter"):
            own.interpreter = load_interpreter(model, 1)
        return [_features_of_one(own.interpreter, image) for image in pixels[start : start + _CHUNK]]

    with ThreadPoolExecutor(cores()) as pool:
        rows = [row for part in pool.map(compute, range(0, len(pixels), _CHUNK)) for row in part]
    return tuple(np.stack(stage) for stage in zip(*rows, strict=True))


def _features_of_one(interpreter: Any, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
    interpreter.invoke()
    stages = []
    for detail in interpreter.get_output_details():
        scale, zero_point = detail["quantization"]
        values = (interpreter.get_tensor(detail["index"])[0].astype(np.float32) - zero_point) * scale
        stages.append(_mean_of_parts(values).ravel() if values.ndim == 3 else values)
    return tuple(stages)


def _mean_of_parts(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means [_PARTS, _PARTS, channels] of the cells [_MIDDLE, _MIDDLE, channels] of each part."""
    each = _MIDDLE // _PARTS
    parts = cells.reshape(_PARTS, each, _PARTS, each, -1).mean((1, 3))
    return np.asarray(parts, np.float32)


@cache
def _headless_yardstick() -> bytes:
    """Return the yardstick with two other outputs: its last sum of 6 x 6 cells, and its pooled features.

    Reading them from the whole network needs an interpreter that keeps all tensors: 4 times as slow.
    """
    model = unpack(YARDSTICK.read_bytes())
    graph = model.subgraphs[0]
    ends = {"ADD": -1, "MEAN": -1}
    for operator in graph.operators:
        name, output = operation_of(model, operator), int(operator.outputs[0])
        if name == "MEAN" or (name == "ADD" and graph.tensors[output].shape[1] == _MIDDLE):
            ends[name] = output
    graph.outputs = list(ends.values())
    model.signatureDefs = None
    return pack(model)


@dataclass(frozen=True)
class ProbeAnswers:
    """Classes that the probe answered for images, and for changed copies of them: int64 [images] each."""

    plain: NDArray[np.int64]
    changed: tuple[NDArray[np.int64], ...]


def answer_held_out(
    plain: Features,
    changed: Sequence[Features],
    truth: NDArray[np.int64],
    groups: NDArray[np.int64],
    seed: int,
) -> ProbeAnswers:
    """Return what a probe answers for images and copies that it has not seen, nor any of their group.

    `truth` are classes and `groups` numbers of images that show the same, int64 [images]. The probe is ridge
    regression on the classes, in which all classes have the same weight. It never sees a changed copy. One of
    ten parts of the images is held out in turn, with its copies.
    """
    with threadpool_limits(1, "blas"):  # Small matrices: waiting for other threads takes longer.
        return _answer_held_out(plain, changed, truth, groups, seed)


def _answer_held_out(
    plain: Features,
    changed: Sequence[Features],
    truth: NDArray[np.int64],
    groups: NDArray[np.int64],
    seed: int,
) -> ProbeAnswers:
    scales = [_scale(stage) for stage in plain]
    seen = _joined(plain, scales)
    copies = [_joined(features, scales) for features in changed]
    similar, to_copies = seen @ seen.T, [each @ seen.T for each in copies]
    answers = np.zeros((1 + len(changed), len(truth)), np.int64)
    classes = int(truth.max()) + 1
    penalty = _choose_penalty(similar, _Targets.of(truth, classes))
    for held_out in _folds(truth, groups, seed):
        rest = np.setdiff1d(np.arange(len(truth)), held_out)
        probe = _Probe.fit(similar[np.ix_(rest, rest)], _Targets.of(truth[rest], classes), penalty)
        for number, products in enumerate((similar, *to_copies)):
            answers[number, held_out] = probe.answer(products[np.ix_(held_out, rest)])
    return ProbeAnswers(answers[0], tuple(answers[1:]))


def _scale(stage: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return factors that give each feature the same deviation, and each stage the same weight."""
    deviation = stage.std(axis=0) + 1e-3 * max(float(stage.std()), 1e-9)
    return np.asarray(1 / (deviation * np.sqrt(stage.shape[1])), np.float32)


def _joined(features: Features, scales: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    return np.hstack([stage * scale for stage, scale in zip(features, scales, strict=True)]).astype(float)


@dataclass(frozen=True)
class _Probe:
    """Kernel ridge regression on inner products with the images that it was fitted to.

    The origin is the mean of those images alone: with the held-out images in it, these would be answered
    worse than their copies.
    """

    means: NDArray[np.float64]
    coefficients: NDArray[np.float64]

    @classmethod
    def fit(cls, products: NDArray[np.float64], targets: _Targets, penalty: float) -> _Probe:
        """Fit to inner products [images, images]."""
        centred = _centred(products, products.mean(axis=0))
        scale = _mean_square(centred)
        solution = np.linalg.solve(centred / scale + targets.noise(penalty), targets.values)
        return cls(products.mean(axis=0), np.asarray(solution / scale, np.float64))

    def answer(self, products: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the classes of images, from their inner products [images, fitted images]."""
        centred = _centred(products, self.means)
        return np.asarray((centred @ self.coefficients).argmax(axis=1), np.int64)


@dataclass(frozen=True)
class _Targets:
    """What ridge regression is to answer, [images, classes], and the weights of the images, [images]."""

    values: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, truth: NDArray[np.int64], classes: int) -> _Targets:
        """Return targets in which all classes that occur have the same weight."""
        counts = np.bincount(truth, minlength=classes)
        present = np.count_nonzero(counts)
        values = np.eye(classes)[truth] - (counts > 0) / present
        return cls(values, len(truth) / (present * counts[truth]))

    def noise(self, penalty: float) -> NDArray[np.float64]:
        """Return the diagonal matrix that regularises the inner products."""
        return np.diag(penalty / self.weights)


def _choose_penalty(products: NDArray[np.float64], targets: _Targets) -> float:
    """Return the penalty of the least leave-one-out error.

    The error is that of eq. 5.12 of Rasmussen and Williams, Gaussian Processes for Machine Learning (2006).
    """
    centred = _centred(products, products.mean(axis=0))
    centred /= _mean_square(centred)
    errors = []
    for penalty in _PENALTIES:
        inverse = np.linalg.inv(centred + targets.noise(penalty))
        left_out = inverse @ targets.values / inverse.diagonal()[:, None]
        errors.append(float((targets.weights[:, None] * left_out**2).sum()))
    return _PENALTIES[int(np.argmin(errors))]


def _centred(products: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return inner products [images, fitted images] about the mean of the fitted images.

    `means` are the mean inner products of the fitted images with each other, [fitted images].
    """
    return np.asarray(products - products.mean(axis=1, keepdims=True) - means + means.mean())


def _mean_square(centred: NDArray[np.float64]) -> float:
    return max(float(centred.diagonal().mean()), 1e-12)


def _folds(truth: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Return the rows of each fold: each group lies in one, and each class in all of them alike."""
    order = np.random.default_rng(seed).permutation(len(truth))
    order = order[np.argsort(truth[order], kind="stable")]
    first_of_group: dict[int, int] = {}
    for row in order:
        first_of_group.setdefault(int(groups[row]), len(first_of_group))
    fold = np.array([first_of_group[int(group)] % _FOLDS for group in groups])
    return [rows for number in range(_FOLDS) if len(rows := np.flatnonzero(fold == number))]
