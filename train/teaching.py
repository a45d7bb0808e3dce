"""What a model learns from a teacher: targets for every view, of labels and of the teacher's answers.

The loss is the cross-entropy to a mean of the label and of the teacher's probabilities: up to a constant, the
loss of knowledge distillation (Hinton, Vinyals and Dean, 2015) at temperature 1. The teacher sees the views
that the student sees, at its own resolution, as Beyer et al., CVPR 2022, found to be best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge.errors import OptionError
from .cache import Cache
from .dataset import Examples, PreparedData
from .feeds import ExampleTable, Stacked
from .teacher import Teacher
from .unlabelled import Unlabelled
from .views import ViewedImages

_LEAST = 1e-7  # The lowest probability of the loss of Keras.


@dataclass(frozen=True)
class TaughtImages:
    """The images of one training, and the answers to them.

    All are rows of the same pixels; those from `labelled` on have no label, and their `truth` is the class
    that the teacher answers. `pixels` have the same rows at the side of the teacher. `share` is that of the
    teacher's answer in the target of an image with a label, and `right` that of the training images with a
    label that the teacher recognises.
    """

    train: Examples
    validation: Examples
    pixels: Any
    labelled: int
    teacher: Teacher
    share: float
    cache: Cache
    right: float = math.nan

    def describe(self) -> str:
        """Return who teaches, and how well, as a phrase for the user."""
        labelled = int((self.train.rows < self.labelled).sum())
        others = len(self.train.rows) - labelled
        also = f", and answers {others:,} images without labels" if others else ""
        return (
            f"learns from {self.teacher.name}, which is right on {self.right:.1%} of the {labelled:,} "
            f"training images{also}"
        )

    def answer(self, examples: Examples) -> NDArray[np.float32]:
        """Return the teacher's answers to images themselves, float32 [images, classes]."""
        unchanged = ViewedImages.unchanged(replace(examples, pixels=self.pixels))
        return self.teacher.answers(unchanged, self.cache)

    def teach(
        self,
        table: ExampleTable,
        learned: Examples,
        viewed: Sequence[ViewedImages] | None,
        offsets: NDArray[np.float32],
    ) -> ExampleTable:
        """Return the table of the images `learned`, with a target for each view.

        `viewed` are the images whose views have the rows of the table's values. None where the images
        themselves are learned: their augmentation then changes in each epoch, and the answer to the image
        holds for it, as its label does. `offsets`, float32 [classes], are added to the student's logits while
        it learns.
        """
        if viewed is None:
            # Those of a refit apart, so that each image is answered once.
            parts = [self.train, self.validation][: 1 + (len(learned.rows) > len(self.train.rows))]
            rows = np.concatenate([part.rows for part in parts])
            order = np.argsort(rows)
            places = order[np.searchsorted(rows, learned.rows, sorter=order)]
            answers = np.concatenate([self.answer(part) for part in parts])[places]
            answers = np.broadcast_to(answers, (len(table.place), *answers.shape))
        else:
            own = [replace(each, examples=replace(each.examples, pixels=self.pixels)) for each in viewed]
            answers = np.concatenate([self.teacher.answers(each, self.cache) for each in own])[table.place]
        share = np.where(learned.rows < self.labelled, np.float32(self.share), np.float32(1))[:, None]
        labels = np.eye(len(offsets), dtype=np.float32)[learned.truth]
        targets = (1 - share) * labels + share * _adjusted(answers, offsets)
        return replace(table, targets=np.asarray(targets, np.float32))


@dataclass(frozen=True)
class Teaching:
    """A teacher, what it answers beside the images of the data set, and the share of its answers."""

    teacher: Teacher
    unlabelled: Unlabelled | None

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for the card."""
        return {
            "teacher": self.teacher.name,
            "teacher_sha256": self.teacher.sha256,
            "unlabelled": len(self.unlabelled) if self.unlabelled else 0,
        }

    def taught(self, data: PreparedData, size: int, share: float, cache: Cache) -> TaughtImages:
        """Return what a student with an input of `size` pixels learns.

        Raises OptionError for a teacher that is no better than a constant answer.
        """
        labelled = len(data.pixels[size])
        taught = TaughtImages(
            data.examples("train", size),
            data.examples("validation", size),
            data.pixels[self.teacher.side],
            labelled,
            self.teacher,
            share,
            cache,
        )
        if self.unlabelled is not None:
            taught = _joined(taught, self.unlabelled, size)
        classes = taught.answer(taught.train).argmax(axis=1)
        known = taught.train.rows < labelled
        right = _measure(self.teacher.name, classes[known], taught.train.truth[known])
        truth = np.where(known, taught.train.truth, classes)
        return replace(taught, train=replace(taught.train, truth=truth), right=right)


def _joined(taught: TaughtImages, unlabelled: Unlabelled, size: int) -> TaughtImages:
    """Return the same with images without labels among those that are learned, of class 0 for now."""
    pixels: Any = Stacked(taught.train.pixels, unlabelled.pixels[size])
    rows = taught.labelled + np.arange(len(unlabelled))
    others = Examples(pixels, rows, np.zeros(len(rows), np.int64))
    return replace(
        taught,
        train=replace(taught.train, pixels=pixels).joined(others),
        validation=replace(taught.validation, pixels=pixels),
        pixels=Stacked(taught.pixels, unlabelled.pixels[taught.teacher.side]),
    )


def _measure(name: str, answers: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Return the share of right answers; raises OptionError where one answer for all is as good."""
    right = float((answers == truth).mean())
    constant = float(np.bincount(truth).max() / len(truth))
    if right <= constant < 1:
        raise OptionError(
            f"--teacher {name} is right on {right:.1%} of the training images, and one answer for all of "
            f"them is right on {constant:.1%}: nothing can be learned from it. Train it for longer, or take "
            "another"
        )
    return right


def _adjusted(answers: NDArray[np.float32], offsets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what logits plus `offsets` should give, for a student whose logits alone give `answers`."""
    if not offsets.any():
        return answers
    logits = np.log(np.maximum(answers, _LEAST)) + offsets
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)
