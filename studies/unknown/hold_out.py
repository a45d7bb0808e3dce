"""Near outliers without another training: classes are left out, and a run's last layer is fitted anew.

The network below the last layer has learned from the classes that are held out, unless only the head of the
run was trained (edge-train --epochs 20,0 --no-refit). So for fine-tuned runs the figures are too good; those
of runs that were trained without these classes are not.
"""

from __future__ import annotations

import random
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from studies.unknown.comparison import FileAnswers
from studies.unknown.runs import NEAR
from studies.unknown.scores import Floats, Labelled, Outputs


def draw_classes(answers: FileAnswers, count: int, seed: int) -> frozenset[int]:
    """Return `count` classes of a file, the same ones for each file of a set.

    Raises ValueError where fewer than two would be left.
    """
    classes = answers.training.classes
    if len(classes) - count < 2:
        raise ValueError(
            f"{answers.set_name} has {len(classes)} classes: {count} cannot be held out, for two must be left"
        )
    return frozenset(random.Random(f"{seed} {answers.set_name}").sample(classes, count))


def without_classes(answers: FileAnswers, held: Collection[int]) -> FileAnswers:
    """Return a file's answers as of one that does not know the classes `held`: their test images are near."""
    before, validation = answers.chooser
    test = answers.test
    near = np.isin(test.truth, sorted(held))
    chooser_head = _Head(_left(before, held))
    head = _Head(_left(answers.training, held))
    known = head.answer(_left(test, held))
    return FileAnswers(
        f"{answers.set_name} without {len(held)}",
        answers.variant,
        head.answer(_left(answers.training, held)),
        (chooser_head.answer(_left(before, held)), chooser_head.answer(_left(validation, held))),
        known,
        tuple(unit for unit, out in zip(answers.units, near, strict=True) if not out),
        {NEAR: head.outputs(test.outputs.rows(near))},
    )


class _Head:
    """A last layer: balanced logistic regression on standardized features."""

    def __init__(self, training: Labelled) -> None:
        from sklearn.linear_model import LogisticRegression  # Takes seconds to load.

        features = training.outputs.features
        self._mean, self._scale = features.mean(axis=0), features.std(axis=0).mean()
        self._layer = LogisticRegression(class_weight="balanced", max_iter=1000)
        self._layer.fit(self._standard(features), training.truth)

    def outputs(self, outputs: Outputs) -> Outputs:
        """Return outputs with this layer's logits."""
        scores = np.asarray(self._layer.decision_function(self._standard(outputs.features)), np.float32)
        if scores.ndim == 1:  # Of two classes, scikit-learn gives one logit.
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        return outputs.answered(scores)

    def answer(self, images: Labelled) -> Labelled:
        """Return the images with this layer's logits."""
        return Labelled(self.outputs(images.outputs), images.truth)

    def _standard(self, features: Floats) -> Floats:
        return np.asarray((features - self._mean) / self._scale, np.float32)


def _left(images: Labelled, held: Collection[int]) -> Labelled:
    """Return the images of the other classes, which are numbered anew from 0."""
    kept = ~np.isin(images.truth, sorted(held))
    left = [label for label in images.classes if label not in held]
    numbers: NDArray[np.int64] = np.full(max(images.classes, default=0) + 1, -1, np.int64)
    numbers[left] = np.arange(len(left))
    return Labelled(images.outputs.rows(kept), numbers[images.truth[kept]])
