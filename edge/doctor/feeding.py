"""Whether a model gets pixels as in its training: several ways to feed it are tried on labelled images.

Colours in the wrong order, pixels scaled to another range and labels in another order all give plausible
answers; only labelled images show the mistake.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier
from ..errors import ImageError
from ..labelled import LabelledImage
from ..modelfile import NAMED_NORMALIZATIONS, Normalization
from ..sources.frames import FilePicture
from ..statistics.paired import mcnemar_p
from ..statistics.proportions import wilson_interval

# The defaults of frameworks, beside the ranges that --normalization has names for: torchvision's
# transforms.Normalize for ImageNet and Caffe's means of ImageNet, both for pixels 0..255.
# https://github.com/keras-team/keras/blob/master/keras/src/applications/imagenet_utils.py
_TORCH = Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_CAFFE = Normalization((123.68, 116.779, 103.939), (1.0, 1.0, 1.0))
_UNTRIED = -1
_ROUND = 20  # After so many images, ways are given up
_HOPELESS = 0.001  # whose p-value against the best way is below this.


@dataclass(frozen=True)
class Way:
    """A way to feed pixels: `name` for people, the range, and whether red and blue are exchanged."""

    name: str
    normalization: Normalization | None
    swapped: bool = False


@dataclass(frozen=True)
class FeedTrial:
    """The answers of each way: `answers` int64 [ways, images] and `truth` int64 [images] index `labels`.

    An answer is -1 where a way had been given up.
    """

    ways: tuple[Way, ...]
    labels: tuple[str, ...]
    answers: NDArray[np.int64]
    truth: NDArray[np.int64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is right: bool [ways, images]."""
        return np.asarray(self.answers == self.truth, np.bool_)

    def rate(self, place: int) -> str:
        """Return a text with how often a way was right, with the 95 % interval."""
        right, tried = int(self.right[place].sum()), int((self.answers[place] != _UNTRIED).sum())
        low, high = wilson_interval(right, tried)
        return f"{right} of {tried} images, {right / tried:.1%} ({low:.1%} to {high:.1%})"

    def p_value(self, a: int, b: int) -> float:
        """Return the p-value of McNemar's test of two ways."""
        return compare(self.right[a], self.right[b])


def compare(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the p-value of McNemar's test of two lists of right answers to the same images."""
    return mcnemar_p(int((a & ~b).sum()), int((b & ~a).sum()))


def ways_to_feed(classifier: Classifier, scaling_known: bool) -> tuple[Way, ...]:
    """Return the ways to try: first the way in use, or all ranges where it is not known.

    For a model with a card, or one that takes raw bytes, only the order of the colours is in doubt.
    """
    used = classifier.normalization if scaling_known else None
    ways: list[Way] = []
    if scaling_known:
        ways = [Way("as it is fed", used), Way("with red and blue exchanged", used, swapped=True)]
        if classifier.file.card is not None or classifier.input.dtype != "float32":
            return tuple(ways)
    ranges = {**NAMED_NORMALIZATIONS, _spell(_TORCH): _TORCH}
    ways += [Way(f"--normalization {name}", scaling) for name, scaling in ranges.items() if scaling != used]
    ways.append(Way(f"--normalization {_spell(_CAFFE)} and red and blue exchanged", _CAFFE, swapped=True))
    return tuple(ways)


def try_ways(
    classifier: Classifier, ways: Sequence[Way], images: Sequence[LabelledImage], seconds: float
) -> FeedTrial:
    """Classify images in each way for about `seconds`, at least one image.

    Ways other than the first are given up as soon as they are clearly worse than the best. Images that
    cannot be read, and those whose label the model does not have, are left out. `classifier` is changed.
    Raises ModelFileError where the model cannot be run.
    """
    numbers = {label: index for index, label in enumerate(classifier.labels)}
    known = [image for image in images if image.label in numbers]
    trial = FeedTrial(
        tuple(ways), classifier.labels, np.zeros((len(ways), 0), np.int64), np.zeros(0, np.int64)
    )
    left = list(range(len(ways)))
    end = time.monotonic() + seconds
    for image in known:
        if trial.truth.size and time.monotonic() > end:
            break
        try:
            pixels = classifier.to_pixels(FilePicture(image.path))
        except ImageError:
            continue
        column = np.full(len(ways), _UNTRIED)
        column[left] = [_answer(classifier, ways[place], pixels) for place in left]
        answers = np.column_stack([trial.answers, column])
        trial = replace(trial, answers=answers, truth=np.append(trial.truth, numbers[image.label]))
        if trial.truth.size % _ROUND == 0:
            left = [place for place in left if place == 0 or not _is_hopeless(trial, place)]
    return trial


def _is_hopeless(trial: FeedTrial, place: int) -> bool:
    best = int(trial.right.sum(axis=1).argmax())
    return best != place and trial.p_value(place, best) < _HOPELESS


def _answer(classifier: Classifier, way: Way, pixels: NDArray[np.uint8]) -> int:
    """Return the class; all ways share one interpreter, since a small board has no memory for several."""
    classifier.normalization = way.normalization
    fed = np.ascontiguousarray(pixels[:, :, ::-1]) if way.swapped else pixels
    return classifier.classify_pixels(fed, 1).best.index


def _spell(scaling: Normalization) -> str:
    """Return the value of --normalization."""
    return ",".join(f"{value:g}" for value in scaling.mean + scaling.std)
